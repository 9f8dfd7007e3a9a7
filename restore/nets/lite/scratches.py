"""The embedded scratch network: where an old photo is scratched, cracked, spotted or torn, from its luminance alone.

Trained here (training/) on photos under film damage and drawn cracks. A residual U-Net over a pixel unshuffle, which keeps
lines of one pixel; its coarsest level sees some hundred pixels around, as a scratch is known by where it comes from.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.nets.lite.unet import Block, UNet, start_as_identities

WIDTHS = (32, 48, 64, 96)  # channels at 1/2, 1/4, 1/8 and 1/16 of the size
DILATIONS = (1, 2, 4)  # of the coarsest level's blocks
CELLS_PX = (
    4,
    16,
)  # sides of the cells whose averages, run into each other, a pixel is compared with
MULTIPLE = 16


class LiteScratches(UNet):
    """Nx1xHxW luminance in [0, 1] -> Nx1xHxW logits of damage; any size, padded inside to a multiple of 16."""

    def __init__(self) -> None:
        super().__init__(
            WIDTHS, Block, nn.Sequential(*(Block(WIDTHS[-1], dilation) for dilation in DILATIONS))
        )
        self.damage_head = nn.Conv2d(4 * (1 + len(CELLS_PX)), WIDTHS[0], 3, padding=1)
        self.tail = nn.Conv2d(WIDTHS[0], 4, 3, padding=1)
        start_as_identities(self)
        nn.init.normal_(self.tail.weight, std=0.01)
        self.tail.bias = nn.Parameter(torch.full((4,), -2.0))  # most of a photo is whole

    def forward(self, luminance: Tensor) -> Tensor:
        height, width = luminance.shape[-2:]
        # Reflection needs more pixels than it adds, which a tiny picture has not.
        padded = F.pad(luminance, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")
        x = self.through_scales(self.damage_head(F.pixel_unshuffle(with_contrast(padded), 2)))
        return torch.pixel_shuffle(self.tail(x), 2)[..., :height, :width]


def with_contrast(luminance: Tensor) -> Tensor:
    """Nx1xHxW in [0, 1] -> Nx3xHxW: it, centred, and what it stands out of its surroundings by; each of about unit size."""
    smooth = [
        F.interpolate(
            F.avg_pool2d(luminance, side), scale_factor=side, mode="bilinear", align_corners=False
        )
        for side in CELLS_PX
    ]
    contrasts = [(luminance - around) / 0.1 for around in smooth]
    return torch.cat([(luminance - 0.5) / 0.25, *contrasts], 1)
