"""The embedded scratch detector: finds scratches, cracks, spots and tears in the luminance.

It was trained in this project (training/) on photos with film damage and drawn cracks. A residual
U-Net after a pixel unshuffle, which keeps lines of one pixel. The receptive field of the coarsest
level is some hundred pixels, because long scratches are recognised by their course.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.nets.lite.unet import ResidualBlock, UNet, init_residual_weights

CHANNELS = (32, 48, 64, 96)  # at 1/2, 1/4, 1/8 and 1/16 of the size
DILATIONS = (1, 2, 4)  # of the blocks of the bottleneck
CONTRAST_CELLS_PX = (4, 16)  # cells whose mean is subtracted to get the local contrast
SIZE_MULTIPLE = 16  # the input is padded to multiples of this


class LiteScratches(UNet):
    """Detect damage: Nx1xHxW luminance in [0, 1] to Nx1xHxW logits; any size."""

    def __init__(self) -> None:
        bottleneck = nn.Sequential(*(ResidualBlock(CHANNELS[-1], d) for d in DILATIONS))
        super().__init__(CHANNELS, ResidualBlock, bottleneck)
        self.damage_head = nn.Conv2d(4 * (1 + len(CONTRAST_CELLS_PX)), CHANNELS[0], 3, padding=1)
        self.tail = nn.Conv2d(CHANNELS[0], 4, 3, padding=1)
        init_residual_weights(self)
        nn.init.normal_(self.tail.weight, std=0.01)
        self.tail.bias = nn.Parameter(torch.full((4,), -2.0))  # most pixels are undamaged

    def forward(self, luminance: Tensor) -> Tensor:
        height, width = luminance.shape[-2:]
        # Reflection padding would need an input larger than the padding.
        padded = F.pad(
            luminance, (0, -width % SIZE_MULTIPLE, 0, -height % SIZE_MULTIPLE), mode="replicate"
        )
        features = F.pixel_unshuffle(add_local_contrast(padded), 2)
        x = self.forward_scales(self.damage_head(features))
        return torch.pixel_shuffle(self.tail(x), 2)[..., :height, :width]


def add_local_contrast(luminance: Tensor) -> Tensor:
    """Normalise the luminance and add its difference to local means.

    Args:
        luminance: Nx1xHxW in [0, 1]; H and W are multiples of 16.

    Returns:
        Nx3xHxW: the normalised luminance and two contrasts, each of roughly unit variance.
    """
    local_means = [
        F.interpolate(
            F.avg_pool2d(luminance, side), scale_factor=side, mode="bilinear", align_corners=False
        )
        for side in CONTRAST_CELLS_PX
    ]
    contrasts = [(luminance - mean) / 0.1 for mean in local_means]
    return torch.cat([(luminance - 0.5) / 0.25, *contrasts], 1)
