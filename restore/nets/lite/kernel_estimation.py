"""Blind estimation of one blur kernel for a whole photo. Uses no weights.

The estimation alternates between a latent photo with few edges (L0 penalty on its gradients;
Xu et al., CVPR 2013; Pan et al., CVPR 2014) and the kernel, from coarse to fine. Each step has a
closed form in the Fourier domain; the L0 problem is solved by half-quadratic splitting.

The coarse levels are run with several settings. The settings with the kernel of lowest entropy
continue, because a failed estimation gives a diffuse kernel. Finally, the kernel is accepted only
if it makes the spectrum of the photo more likely (Whittle likelihood).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from restore.nets.lite.blur_kernel import (
    centre_kernel,
    identity_kernel,
    kernel_entropy,
    normalise_kernel,
    resize_kernel,
)
from restore.nets.lite.fourier import (
    gradient_spectra,
    horizontal_gradient,
    power_sum,
    taper_borders,
    transfer_function,
    vertical_gradient,
)

KERNEL_PX = 21  # side of the estimated kernel
LEVEL_KERNELS_PX = (5, 7, 9, 13, 17, 21)  # kernel side at each pyramid level, from coarse to fine
SELECTION_KERNEL_PX = 13  # level after which one of the settings is selected
ITERATIONS = 5  # alternations of latent photo and kernel at each level
WINDOW_PX = 640  # side of the part of the photo that is used
WINDOW_STRIDE_PX = 32
MIN_PHOTO_PX = 64  # a kernel cannot be estimated in smaller photos
TARGET_CONTRAST = 0.2  # standard deviation after normalisation; the penalties are tuned for it
MIN_CONTRAST = 0.02  # photos with less contrast are not amplified further: it is noise
SIZE_MULTIPLE = 8  # sides of each level are multiples of this, which have fast transforms
MIN_PENALTY = 1e-4
MAX_SPLITTING_WEIGHT = 1e3
SPLITTING_GROWTH = 4.0
MIN_EVIDENCE = 0.4  # nats per frequency; correct kernels of 7 px and more mostly give 0.5 to 1.5
EVIDENCE_NOISE_RATIO = 1e-2  # noise power over gradient power in the likelihood
MIN_KERNEL_SHARE = 0.05  # kernel values below this share of the maximum are set to 0


@dataclass(frozen=True)
class SearchSettings:
    """Settings of one run of the estimation.

    Attributes:
        penalty: initial L0 penalty on gradients.
        penalty_decay: divisor of the penalty after each iteration.
        kernel_penalty: L2 penalty on the kernel.
    """

    penalty: float
    penalty_decay: float
    kernel_penalty: float


SEARCH_SETTINGS = (
    SearchSettings(4e-3, 1.1, 4.0),
    SearchSettings(1.6e-2, 1.15, 1.0),
    SearchSettings(3.2e-2, 1.18, 8.0),
)


class PyramidLevel:
    """A photo resized so that its blur kernel has a side of `kernel_px`.

    Args:
        grey: HxW photo at full size.
        kernel_px: side of the kernel at this level.
    """

    def __init__(self, grey: Tensor, kernel_px: int) -> None:
        self.kernel_px = kernel_px
        height, width = (
            max(SIZE_MULTIPLE, round(side * kernel_px / KERNEL_PX / SIZE_MULTIPLE) * SIZE_MULTIPLE)
            for side in grey.shape
        )
        self.size = (height, width)
        resized = F.interpolate(
            grey[None, None], size=self.size, mode="bilinear", antialias=True, align_corners=False
        )[0, 0]
        blurred, self.taper = taper_borders(resized, kernel_px)
        self.spectrum: Tensor = torch.fft.rfft2(blurred)
        self.gradient_power = power_sum(*gradient_spectra(self.size, blurred))
        self.horizontal, self.vertical = self._tapered_gradient_spectra(blurred)

    def refine(
        self, kernel: Tensor, penalty: float, settings: SearchSettings
    ) -> tuple[Tensor, float]:
        """Alternate between the latent photo and the kernel.

        Args:
            kernel: start value, also of another level.
            penalty: current L0 penalty.
            settings: settings of this run.

        Returns:
            (the refined kernel, the decayed penalty)
        """
        if kernel.shape[-1] != self.kernel_px:
            kernel = resize_kernel(kernel, self.kernel_px)
        for _ in range(ITERATIONS):
            latent = self._estimate_latent_photo(transfer_function(kernel, self.size), penalty)
            kernel = self._estimate_kernel(latent, settings.kernel_penalty)
            penalty = max(penalty / settings.penalty_decay, MIN_PENALTY)
        return kernel, penalty

    def evidence(self, kernel: Tensor) -> float:
        """Return the log likelihood ratio of a kernel against no blur, in nats per frequency.

        It is Whittle's likelihood of the gradients, which are assumed to be white noise before
        the blur. The signal power is the one of maximum likelihood.
        """
        observed = power_sum(self.horizontal, self.vertical)
        noise = EVIDENCE_NOISE_RATIO * self.gradient_power
        models = (transfer_function(kernel, self.size).abs().square() + noise, 1.0 + noise)
        blurred, sharp = (
            float((observed / power).mean().log() + power.log().mean()) for power in models
        )
        return sharp - blurred

    def _tapered_gradient_spectra(self, photo: Tensor) -> tuple[Tensor, Tensor]:
        """Return the spectra of the gradients without the border, which wraps around."""
        horizontal, vertical = (
            torch.fft.rfft2(gradient(photo) * self.taper)
            for gradient in (horizontal_gradient, vertical_gradient)
        )
        return horizontal, vertical

    def _estimate_latent_photo(self, blur: Tensor, penalty: float) -> Tensor:
        """Solve for the sharp photo with an L0 penalty by half-quadratic splitting; HxW."""
        numerator, power = blur.conj() * self.spectrum, blur.abs().square()
        weight = 2.0 * penalty
        photo: Tensor = torch.fft.irfft2(self.spectrum, s=self.size)
        while weight < MAX_SPLITTING_WEIGHT:
            x, y = horizontal_gradient(photo), vertical_gradient(photo)
            is_small = x.square() + y.square() < penalty / weight
            x, y = x.masked_fill(is_small, 0.0), y.masked_fill(is_small, 0.0)
            adjoint = torch.roll(x, 1, 1) - x + torch.roll(y, 1, 0) - y
            photo = torch.fft.irfft2(
                (numerator + weight * torch.fft.rfft2(adjoint))
                / (power + weight * self.gradient_power),
                s=self.size,
            )
            weight *= SPLITTING_GROWTH
        return photo

    def _estimate_kernel(self, latent: Tensor, kernel_penalty: float) -> Tensor:
        """Solve for the kernel that maps the gradients of the latent photo to those observed."""
        x, y = self._tapered_gradient_spectra(latent)
        correlation = x.conj() * self.horizontal + y.conj() * self.vertical
        solution = torch.fft.irfft2(correlation / (power_sum(x, y) + kernel_penalty), s=self.size)
        radius = self.kernel_px // 2
        centred = torch.roll(solution, (radius, radius), (0, 1))
        kernel = centred[: self.kernel_px, : self.kernel_px].clamp_min(0.0)
        is_noise = kernel < MIN_KERNEL_SHARE * kernel.max()
        return normalise_kernel(torch.where(is_noise, torch.zeros_like(kernel), kernel))


def estimate_blur_kernel(photo: Tensor) -> Tensor:
    """Estimate the blur kernel of a photo.

    Args:
        photo: 3xHxW in [0, 1].

    Returns:
        KERNEL_PX x KERNEL_PX with a sum of 1 and its centre of mass in the middle. It is the
        identity kernel where the photo is too small or no kernel is accepted.
    """
    if min(photo.shape[-2:]) < MIN_PHOTO_PX:
        return identity_kernel(KERNEL_PX, photo)
    grey = _select_window(photo.mean(dim=0))
    grey = grey * (TARGET_CONTRAST / grey.std().clamp_min(MIN_CONTRAST))
    levels = [PyramidLevel(grey, side) for side in LEVEL_KERNELS_PX]
    split = LEVEL_KERNELS_PX.index(SELECTION_KERNEL_PX) + 1
    start = identity_kernel(LEVEL_KERNELS_PX[0], grey)
    runs = [
        _refine_levels(levels[:split], start, settings.penalty, settings)
        for settings in SEARCH_SETTINGS
    ]
    settings, (kernel, penalty) = min(
        zip(SEARCH_SETTINGS, runs, strict=True), key=lambda run: kernel_entropy(run[1][0])
    )
    kernel = centre_kernel(_refine_levels(levels[split:], kernel, penalty, settings)[0])
    if levels[-1].evidence(kernel) < MIN_EVIDENCE:
        return identity_kernel(KERNEL_PX, photo)
    return kernel


def _refine_levels(
    levels: list[PyramidLevel], kernel: Tensor, penalty: float, settings: SearchSettings
) -> tuple[Tensor, float]:
    """Refine a kernel on each level; return (kernel, penalty)."""
    for level in levels:
        kernel, penalty = level.refine(kernel, penalty, settings)
    return kernel, penalty


def _select_window(grey: Tensor) -> Tensor:
    """Return the WINDOW_PX square of an HxW photo with the strongest gradients."""
    height, width = (min(side, WINDOW_PX) for side in grey.shape)
    strength = (horizontal_gradient(grey).abs() + vertical_gradient(grey).abs())[None, None]
    sums = F.avg_pool2d(strength, (height, width), stride=WINDOW_STRIDE_PX)[0, 0]
    best = int(sums.argmax())
    top = WINDOW_STRIDE_PX * (best // sums.shape[1])
    left = WINDOW_STRIDE_PX * (best % sums.shape[1])
    return grey[top : top + height, left : left + width]
