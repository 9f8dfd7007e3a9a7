"""The embedded inpainting network: a gated U-Net that corrects a smooth fill of the hole.

Trained here (weights/lite) with a regression loss only. The hole is first filled by a pyramid of averages of what is known (Burt's
pull-push), so that the network has only to add what an average has not: edges and shading that run on. Gated convolutions as in
Yu et al., ICCV 2019, section 3.1; the dilated middle sees across a hole.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.nets.residual import UNet

WIDTHS = (32, 64, 112)  # channels at 1/2, 1/4 and 1/8 of the size
DILATIONS = (1, 2, 4, 8, 1)  # of the coarsest level's blocks
MULTIPLE = 16


class GatedBlock(nn.Module):
    """A gated convolution beside an identity: the gate learns which features may be trusted near and in the hole."""

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.gated = nn.Conv2d(width, 2 * width, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        feature, gate = self.gated(x).chunk(2, dim=1)
        return x + F.elu(feature) * torch.sigmoid(gate)


class LiteInpaint(UNet):
    """Nx4xHxW, RGB in [0, 1] and a mask that is 1 in the hole -> Nx3xHxW RGB, filled (not clamped).

    What the photo holds in the hole is never looked at. Outside it the caller keeps the photo. Any size, padded inside to a
    multiple of 16.
    """

    def __init__(self) -> None:
        super().__init__(WIDTHS, _blocks, nn.Sequential(*(GatedBlock(WIDTHS[-1], dilation) for dilation in DILATIONS)))
        self.hole_head = nn.Conv2d(16, WIDTHS[0], 3, padding=1)
        self.tail = nn.Conv2d(WIDTHS[0], 12, 3, padding=1)

    def forward(self, masked: Tensor) -> Tensor:
        height, width = masked.shape[-2:]
        padded = F.pad(masked, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")
        mask = (padded[:, 3:] > 0.5).to(padded.dtype)
        start = smooth_fill(padded[:, :3], mask)
        x = self.through_scales(self.hole_head(F.pixel_unshuffle(torch.cat([start - 0.5, mask], 1), 2)))
        return (start + torch.pixel_shuffle(self.tail(x), 2))[..., :height, :width]


def smooth_fill(photo: Tensor, mask: Tensor) -> Tensor:
    """`photo` with the hole filled from a pyramid of averages of what is known: Nx3xHxW, Nx1xHxW (1 = hole) -> Nx3xHxW.

    A photo that is all hole comes out black.
    """
    known = 1.0 - mask
    levels = [(photo * known, known)]
    while max(levels[-1][0].shape[-2:]) > 1:
        sums, weights = (F.avg_pool2d(level, 2, ceil_mode=True) for level in levels[-1])
        # Once something in a cell is known, the cell counts in full: else the faintly known would fade towards the next level.
        share = weights.clamp_min(1e-6)
        full = (weights > 0).to(weights.dtype)
        levels.append((sums / share * full, full))
    filled = levels[-1][0]
    for values, weights in reversed(levels[:-1]):
        coarse = F.interpolate(filled, size=values.shape[-2:], mode="bilinear", align_corners=False)
        filled = values + (1.0 - weights) * coarse
    return filled


def _blocks(width: int) -> nn.Sequential:
    return nn.Sequential(GatedBlock(width), GatedBlock(width))
