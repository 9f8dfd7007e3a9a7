"""The embedded deblurring network: a Wiener filter for the shake that is found in the photo, and a small U-Net that mends the result.

The shake is computed, not learnt (`camera_shake`). The network was trained here (weights/lite) with a regression loss on photos
deblurred with kernels as they are really found, wrong ones among them: it takes ringing and grain away. A photo in which no more is
found than in a sharp one is left as it is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.nets.camera_shake import shake_of, spread_of, unshaken
from restore.nets.residual import Block, UNet, blocks, start_as_identities

WIDTHS = (32, 64, 96)  # channels at 1/2, 1/4 and 1/8 of the size; one block before and one after each change of scale, two at the coarsest
NOISES = (3e-3, 3e-2)  # that the photo is deblurred for: one sharper, one smoother
MULTIPLE = 8
STEADY_PX = 1.2  # spread of the largest kernel that may be found in a sharp photo: most lie between 0.7 and 1.2


class Mending(UNet):
    """Nx9xHxW, a photo and its two deblurred versions -> Nx3xHxW; padded inside to a multiple of 8."""

    def __init__(self) -> None:
        super().__init__(WIDTHS, Block, blocks(WIDTHS[-1]))
        self.head = nn.Conv2d(36, WIDTHS[0], 3, padding=1)
        self.tail = nn.Conv2d(WIDTHS[0], 12, 3, padding=1)
        start_as_identities(self)
        for parameter in self.tail.parameters():  # the mean of the two
            nn.init.zeros_(parameter)

    def forward(self, guesses: Tensor) -> Tensor:
        height, width = guesses.shape[-2:]
        # Reflection needs more pixels than it adds, which a tiny picture has not.
        padded = F.pad(guesses, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")
        photo, sharper, smoother = padded.chunk(3, dim=1)
        mean = 0.5 * (sharper + smoother)
        x = self.through_scales(self.head(F.pixel_unshuffle(torch.cat([photo - mean, mean - 0.5, sharper - smoother], 1), 2)))
        return (mean + torch.pixel_shuffle(self.tail(x), 2))[..., :height, :width]


class LiteDeblur(Mending):
    """Nx3xHxW RGB in [0, 1] -> the same, deblurred (not clamped); any size."""

    def forward(self, photos: Tensor) -> Tensor:
        return torch.stack([self.without(shake_of(photo), photo) for photo in photos])

    def without(self, kernel: Tensor, photo: Tensor) -> Tensor:
        """3xHxW without the shake that was found in it; as it is where that is none to speak of."""
        return photo if spread_of(kernel) < STEADY_PX else super().forward(candidates(photo, kernel)[None])[0]


def candidates(photo: Tensor, kernel: Tensor) -> Tensor:
    """3xHxW -> 9xHxW: the photo, and the photo deblurred for little and for more noise, in [0, 1]."""
    return torch.cat([photo, *unshaken(photo, kernel, NOISES).clamp(0.0, 1.0)])
