"""The embedded deblurring network: Wiener filters for the shake that is found in the photo, and a small U-Net that mends their results.

The shake is computed, not learnt (`camera_shake`). A sensor adds light up, and the photo's samples are a power of it; what became of
a photo since, nobody knows: the shake is looked for, and undone, among the samples as they are and among those of a display's light.
The network was trained here (training/) with a regression loss on photos deblurred with kernels as they are really found, wrong
ones among them: it blends the two, and takes ringing and grain away. It also tells which to believe: the kernel of the side that its
answer leans to is undone once more, in both. A photo in which no more is found than in a sharp one is left as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.nets.lite.kernel_estimation import shake_of, spread_of, unshaken
from restore.nets.lite.unet import Block, UNet, blocks, start_as_identities

WIDTHS = (
    32,
    64,
    96,
)  # channels at 1/2, 1/4 and 1/8 of the size; one block before and one after each change of scale, two at the coarsest
GAMMAS = (1.0, 2.2)  # powers of the samples, among which a shake is undone: as they are, and light
SEARCHED = (
    1.0,
    1.7,
)  # those, in the same order, among which it is looked for: in light itself a few highlights outweigh all edges
NOISES = (3e-3, 3e-2)  # that the photo is deblurred for in each: one sharper, one smoother
MULTIPLE = 8
LEANING = 0.36  # of the way from the answer among samples to that among light: what lies beyond is light (tuned on training photos)
STEADY_PX = 1.2  # spread of the largest kernel that may be found in a sharp photo: most lie between 0.7 and 1.2


class Mending(UNet):
    """Nx15xHxW, a photo and its four deblurred versions -> Nx3xHxW; padded inside to a multiple of 8."""

    def __init__(self) -> None:
        super().__init__(WIDTHS, Block, blocks(WIDTHS[-1]))
        self.head = nn.Conv2d(60, WIDTHS[0], 3, padding=1)
        self.tail = nn.Conv2d(
            WIDTHS[0], 16, 3, padding=1
        )  # what is added, and the share of the second power in what that is added to
        start_as_identities(self)
        for parameter in self.tail.parameters():  # the mean of all four
            nn.init.zeros_(parameter)

    def forward(self, guesses: Tensor) -> Tensor:
        height, width = guesses.shape[-2:]
        # Reflection needs more pixels than it adds, which a tiny picture has not.
        padded = F.pad(guesses, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")
        photo, sharper, smoother, sharper_light, smoother_light = padded.chunk(5, dim=1)
        mean = 0.5 * (sharper + smoother)
        other = 0.5 * (sharper_light + smoother_light) - mean
        seen = torch.cat(
            [photo - mean, mean - 0.5, sharper - smoother, other, sharper_light - smoother_light], 1
        )
        answer = torch.pixel_shuffle(
            self.tail(self.through_scales(self.head(F.pixel_unshuffle(seen, 2)))), 2
        )
        return (mean + answer[:, 3:].sigmoid() * other + answer[:, :3])[..., :height, :width]


class LiteDeblur(Mending):
    """Nx3xHxW RGB in [0, 1] -> the same, deblurred (not clamped); any size."""

    def forward(self, photos: Tensor) -> Tensor:
        return torch.stack([self.without(shakes_of(photo), photo) for photo in photos])

    def without(self, kernels: Sequence[Tensor], photo: Tensor) -> Tensor:
        """3xHxW without the shake of `shakes_of`; as it is where that is none to speak of."""
        found = [kernel for kernel in kernels if spread_of(kernel) >= STEADY_PX]
        if not found:
            return photo
        kernel = self.believed(found, photo) if len(found) == len(GAMMAS) else found[0]
        return super().forward(candidates(photo, [kernel] * len(GAMMAS))[None])[0]

    def believed(self, kernels: Sequence[Tensor], photo: Tensor) -> Tensor:
        """That of two kernels, one for each of GAMMAS, which the network's answer for both leans to."""
        guesses = candidates(photo, kernels)
        samples, light = guesses[3:].view(len(GAMMAS), len(NOISES), *photo.shape).mean(dim=1)
        way, gone = light - samples, super().forward(guesses[None])[0] - samples
        return kernels[int((way * gone).mean() > LEANING * way.square().mean())]


def shakes_of(photo: Tensor) -> list[Tensor]:
    """The kernels that are found in 3xHxW in [0, 1], one for each of GAMMAS.

    On a CPU one thread looks for each: a search is thousands of small steps, and threads that share each of them wait for one another
    (a fifth of the time on two idle cores, three quarters beside a busy process).
    """
    if photo.device.type != "cpu":
        return [among(photo, power) for power in SEARCHED]
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(
            len(SEARCHED), initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            return list(pool.map(partial(among, photo), SEARCHED))
    finally:
        torch.set_num_threads(threads)  # threads to come begin with what any thread has set last


def among(photo: Tensor, power: float) -> Tensor:
    """The kernel that is found among the powers of the samples."""
    with torch.no_grad():
        return shake_of(photo.clamp_min(0.0) ** power)


def candidates(photo: Tensor, kernels: Sequence[Tensor]) -> Tensor:
    """3xHxW -> 15xHxW: the photo, and in each of GAMMAS the photo deblurred for little and for more noise, in [0, 1]."""
    deblurred = [
        unshaken(photo.clamp_min(0.0) ** gamma, kernel, NOISES).clamp(0.0, 1.0) ** (1.0 / gamma)
        for gamma, kernel in zip(GAMMAS, kernels, strict=True)
    ]
    return torch.cat([photo, *torch.cat(deblurred)])
