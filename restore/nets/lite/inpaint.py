"""The embedded inpainting network: a U-Net that corrects the smoothest fill of the hole.

The hole is first filled harmonically: each pixel is the mean of its four neighbours, as a soap film spans a frame. That alone is nearer
to the truth than OpenCV's two methods; the network, trained here (training/) with a regression loss only, adds what a film has not:
edges and shading that run on. Its dilated middle sees across a hole.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.nets.lite.unet import Block, UNet, blocks, start_as_identities

WIDTHS = (64, 64, 96)  # channels at 1/2, 1/4 and 1/8 of the size
DILATIONS = (1, 2, 4, 8, 1, 16, 4)  # of the coarsest level's blocks
MULTIPLE = 16
SWEEPS = 8  # of the fill at each scale
RELAXATION = 1.7  # of each sweep: with less, it would take more of them


class LiteInpaint(UNet):
    """Nx4xHxW, RGB in [0, 1] and a mask that is 1 in the hole -> Nx3xHxW RGB, filled (not clamped).

    What the photo holds in the hole is never looked at. Outside it the caller keeps the photo. Any size, padded inside to a
    multiple of 16.
    """

    def __init__(self) -> None:
        super().__init__(
            WIDTHS, blocks, nn.Sequential(*(Block(WIDTHS[-1], dilation) for dilation in DILATIONS))
        )
        self.hole_head = nn.Conv2d(16, WIDTHS[0], 3, padding=1)
        self.tail = nn.Conv2d(WIDTHS[0], 12, 3, padding=1)
        start_as_identities(self)
        nn.init.zeros_(self.tail.weight)

    def forward(self, masked: Tensor) -> Tensor:
        height, width = masked.shape[-2:]
        padded = F.pad(masked, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")
        mask = (padded[:, 3:] > 0.5).to(padded.dtype)
        start = harmonic_fill(padded[:, :3], mask)
        x = self.through_scales(
            self.hole_head(F.pixel_unshuffle(torch.cat([start - 0.5, mask], 1), 2))
        )
        return (start + F.pixel_shuffle(self.tail(x), 2))[..., :height, :width]


def harmonic_fill(photo: Tensor, mask: Tensor) -> Tensor:
    """`photo` with the hole filled harmonically: Nx3xHxW, Nx1xHxW (1 = hole) -> Nx3xHxW.

    From coarse to fine (a cascadic multigrid): a pyramid of averages of what is known (Burt's pull-push) is the start of each
    scale, and sweeps of successive over-relaxation bring it near to the solution. A photo that is all hole comes out black.
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
        filled = _relaxed(values + (1.0 - weights) * coarse, 1.0 - weights)
    return filled


def _relaxed(filled: Tensor, hole: Tensor) -> Tensor:
    """Sweeps over the hole's pixels, those of a chessboard's black squares and those of its white ones by turns."""
    height, width = filled.shape[-2:]
    rows, columns = (
        torch.arange(height, device=filled.device)[:, None],
        torch.arange(width, device=filled.device),
    )
    black = ((rows + columns) % 2).to(filled.dtype)
    rates = [RELAXATION * hole * black, RELAXATION * hole * (1.0 - black)]
    for _ in range(SWEEPS):
        for rate in rates:
            around = F.pad(filled, (1, 1, 1, 1), mode="replicate")
            vertical = around[..., :-2, 1:-1] + around[..., 2:, 1:-1]
            horizontal = around[..., 1:-1, :-2] + around[..., 1:-1, 2:]
            filled = filled + rate * (0.25 * (vertical + horizontal) - filled)
    return filled
