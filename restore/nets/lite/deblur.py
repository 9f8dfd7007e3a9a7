"""The embedded deblurring network: blur kernel estimation, Wiener deconvolution and a U-Net.

The blur kernel is estimated, not learnt (`kernel_estimation`). Camera shake averages linear
light, but the tone curve of a photo is unknown. Therefore the kernel is estimated and the photo
deconvolved in two domains: on the samples as they are and on a power of them (linear light).

The U-Net was trained in this project (training/) with a regression loss on photos deconvolved
with estimated kernels, wrong ones included. It blends the two domains and removes ringing and
noise. Its output also selects the kernel: the two kernels are tried first, and the one of the
domain that the output is closer to is used in both domains for the final result. A photo whose
estimated kernels are as small as those of sharp photos is returned unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.nets.lite.blur_kernel import kernel_spread_px
from restore.nets.lite.deconvolution import wiener_deconvolve
from restore.nets.lite.kernel_estimation import estimate_blur_kernel
from restore.nets.lite.unet import (
    ResidualBlock,
    UNet,
    init_residual_weights,
    two_residual_blocks,
)

CHANNELS = (32, 64, 96)  # at 1/2, 1/4 and 1/8 of the size
SIZE_MULTIPLE = 8  # the input is padded to multiples of this
DECONVOLUTION_GAMMAS = (1.0, 2.2)  # exponents of the samples for deconvolution: as is, linear light
ESTIMATION_GAMMAS = (1.0, 1.7)  # for estimation: at 2.2, a few highlights outweigh all edges
NOISE_RATIOS = (3e-3, 3e-2)  # of the Wiener filter: a sharper and a smoother output
MIN_SPREAD_PX = 1.2  # of a kernel that is removed; sharp photos mostly give kernels of 0.7 to 1.2
LINEAR_LIGHT_THRESHOLD = 0.36  # position between the domains (0 samples, 1 linear light) above
# which the kernel of linear light is selected; tuned on training photos


class DeblurUNet(UNet):
    """Combine a photo and its four deconvolved versions into one photo.

    Input Nx15xHxW as `stack_candidates` makes it, output Nx3xHxW (not clamped); any size.
    """

    def __init__(self) -> None:
        super().__init__(CHANNELS, ResidualBlock, two_residual_blocks(CHANNELS[-1]))
        self.head = nn.Conv2d(60, CHANNELS[0], 3, padding=1)
        # Output: a residual (3 channels) and the weight of linear light (1), each 4 sub-pixels.
        self.tail = nn.Conv2d(CHANNELS[0], 16, 3, padding=1)
        init_residual_weights(self)
        for parameter in self.tail.parameters():  # start with the mean of all four versions
            nn.init.zeros_(parameter)

    def forward(self, candidates: Tensor) -> Tensor:
        height, width = candidates.shape[-2:]
        # Reflection padding would need an input larger than the padding.
        padded = F.pad(
            candidates, (0, -width % SIZE_MULTIPLE, 0, -height % SIZE_MULTIPLE), mode="replicate"
        )
        photo, sharper, smoother, sharper_light, smoother_light = padded.chunk(5, dim=1)
        mean = 0.5 * (sharper + smoother)
        light_offset = 0.5 * (sharper_light + smoother_light) - mean
        features = torch.cat(
            [
                photo - mean,
                mean - 0.5,
                sharper - smoother,
                light_offset,
                sharper_light - smoother_light,
            ],
            1,
        )
        output = torch.pixel_shuffle(
            self.tail(self.forward_scales(self.head(F.pixel_unshuffle(features, 2)))), 2
        )
        restored = mean + output[:, 3:].sigmoid() * light_offset + output[:, :3]
        return restored[..., :height, :width]


class LiteDeblur(DeblurUNet):
    """Remove camera shake: Nx3xHxW RGB in [0, 1] to Nx3xHxW (not clamped); any size."""

    def forward(self, photos: Tensor) -> Tensor:
        return torch.stack([self.remove_blur(photo, estimate_kernels(photo)) for photo in photos])

    def remove_blur(self, photo: Tensor, kernels: Sequence[Tensor]) -> Tensor:
        """Remove the blur that was estimated in a photo.

        Args:
            photo: 3xHxW in [0, 1].
            kernels: one kernel for each of DECONVOLUTION_GAMMAS.

        Returns:
            3xHxW, not clamped; `photo` itself where all kernels are too small.
        """
        large = [kernel for kernel in kernels if kernel_spread_px(kernel) >= MIN_SPREAD_PX]
        if not large:
            return photo
        is_ambiguous = len(large) == len(DECONVOLUTION_GAMMAS)
        kernel = self.select_kernel(photo, large) if is_ambiguous else large[0]
        candidates = stack_candidates(photo, [kernel] * len(DECONVOLUTION_GAMMAS))
        return super().forward(candidates[None])[0]

    def select_kernel(self, photo: Tensor, kernels: Sequence[Tensor]) -> Tensor:
        """Return the kernel of the domain that the network output is closer to.

        Args:
            photo: 3xHxW in [0, 1].
            kernels: two kernels, one for each of DECONVOLUTION_GAMMAS.
        """
        candidates = stack_candidates(photo, kernels)
        samples, light = (
            candidates[3:]
            .view(len(DECONVOLUTION_GAMMAS), len(NOISE_RATIOS), *photo.shape)
            .mean(dim=1)
        )
        axis, offset = light - samples, super().forward(candidates[None])[0] - samples
        threshold = LINEAR_LIGHT_THRESHOLD * axis.square().mean()
        return kernels[int((axis * offset).mean() > threshold)]


def estimate_kernels(photo: Tensor) -> list[Tensor]:
    """Estimate one blur kernel for each of DECONVOLUTION_GAMMAS.

    On a CPU, each estimation runs in a thread of its own with one compute thread. It consists of
    thousands of small operations; splitting each of them among threads is slower (by a fifth on
    two idle cores, by three quarters beside a busy process).

    Args:
        photo: 3xHxW in [0, 1].
    """
    if photo.device.type != "cpu":
        return [_estimate_with_gamma(photo, gamma) for gamma in ESTIMATION_GAMMAS]
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(
            len(ESTIMATION_GAMMAS), initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            return list(pool.map(partial(_estimate_with_gamma, photo), ESTIMATION_GAMMAS))
    finally:
        # The number that was set last, in any thread, is the default of threads created later.
        torch.set_num_threads(threads)


def _estimate_with_gamma(photo: Tensor, gamma: float) -> Tensor:
    with torch.no_grad():
        return estimate_blur_kernel(photo.clamp_min(0.0) ** gamma)


def stack_candidates(photo: Tensor, kernels: Sequence[Tensor]) -> Tensor:
    """Stack a photo with its deconvolved versions, the input of DeblurUNet.

    Args:
        photo: 3xHxW in [0, 1].
        kernels: one kernel for each of DECONVOLUTION_GAMMAS.

    Returns:
        15xHxW: the photo, then for each gamma the sharper and the smoother version, in [0, 1].
    """
    versions = [
        wiener_deconvolve(photo.clamp_min(0.0) ** gamma, kernel, NOISE_RATIOS).clamp(0.0, 1.0)
        ** (1.0 / gamma)
        for gamma, kernel in zip(DECONVOLUTION_GAMMAS, kernels, strict=True)
    ]
    return torch.cat([photo, *torch.cat(versions)])
