"""The embedded inpainting network: a U-Net that corrects a harmonic fill of the hole.

The hole is first filled harmonically: each pixel becomes the mean of its four neighbours. This
alone is closer to the original than the two methods of OpenCV. The network was trained in this
project (training/) with a regression loss only. It continues edges and shading into the hole.
Dilated convolutions in the bottleneck give it a receptive field larger than a hole.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.nets.lite.unet import (
    ResidualBlock,
    UNet,
    init_residual_weights,
    two_residual_blocks,
)

CHANNELS = (64, 64, 96)  # at 1/2, 1/4 and 1/8 of the size
DILATIONS = (1, 2, 4, 8, 1, 16, 4)  # of the blocks of the bottleneck
SIZE_MULTIPLE = 16  # the input is padded to multiples of this
RELAXATION_ITERATIONS = 8  # of the harmonic fill at each pyramid level
RELAXATION_FACTOR = 1.7  # of successive over-relaxation


class LiteInpaint(UNet):
    """Fill holes: Nx4xHxW to Nx3xHxW RGB (not clamped); any size.

    The input is RGB in [0, 1] and a mask that is 1 in the hole. Pixels in the hole are ignored.
    Outside the hole, the caller keeps the photo.
    """

    def __init__(self) -> None:
        bottleneck = nn.Sequential(*(ResidualBlock(CHANNELS[-1], d) for d in DILATIONS))
        super().__init__(CHANNELS, two_residual_blocks, bottleneck)
        self.hole_head = nn.Conv2d(16, CHANNELS[0], 3, padding=1)
        self.tail = nn.Conv2d(CHANNELS[0], 12, 3, padding=1)
        init_residual_weights(self)
        nn.init.zeros_(self.tail.weight)

    def forward(self, photo_and_mask: Tensor) -> Tensor:
        height, width = photo_and_mask.shape[-2:]
        padded = F.pad(
            photo_and_mask,
            (0, -width % SIZE_MULTIPLE, 0, -height % SIZE_MULTIPLE),
            mode="replicate",
        )
        mask = (padded[:, 3:] > 0.5).to(padded.dtype)
        filled = fill_harmonically(padded[:, :3], mask)
        x = self.forward_scales(
            self.hole_head(F.pixel_unshuffle(torch.cat([filled - 0.5, mask], 1), 2))
        )
        return (filled + F.pixel_shuffle(self.tail(x), 2))[..., :height, :width]


def fill_harmonically(photo: Tensor, mask: Tensor) -> Tensor:
    """Fill the hole with a harmonic function, the solution of Laplace's equation.

    A cascadic multigrid: each level starts from a pyramid of averages of the known pixels (Burt's
    pull-push) and is improved by successive over-relaxation.

    Args:
        photo: Nx3xHxW.
        mask: Nx1xHxW, 1 in the hole and 0 elsewhere.

    Returns:
        Nx3xHxW; all zeros where the whole photo is hole.
    """
    known = 1.0 - mask
    levels = [(photo * known, known)]
    while max(levels[-1][0].shape[-2:]) > 1:
        sums, weights = (F.avg_pool2d(level, 2, ceil_mode=True) for level in levels[-1])
        averages = sums / weights.clamp_min(1e-6)
        # A cell with any known pixel gets full weight; partial weights would fade at coarse levels.
        is_known = (weights > 0).to(weights.dtype)
        levels.append((averages * is_known, is_known))
    filled = levels[-1][0]
    for values, weights in reversed(levels[:-1]):
        coarse = F.interpolate(filled, size=values.shape[-2:], mode="bilinear", align_corners=False)
        filled = _relax(values + (1.0 - weights) * coarse, 1.0 - weights)
    return filled


def _relax(filled: Tensor, hole: Tensor) -> Tensor:
    """Run red-black successive over-relaxation on the pixels of the hole."""
    height, width = filled.shape[-2:]
    rows = torch.arange(height, device=filled.device)[:, None]
    columns = torch.arange(width, device=filled.device)
    checkerboard = ((rows + columns) % 2).to(filled.dtype)
    rates = [
        RELAXATION_FACTOR * hole * checkerboard,
        RELAXATION_FACTOR * hole * (1.0 - checkerboard),
    ]
    for _ in range(RELAXATION_ITERATIONS):
        for rate in rates:
            padded = F.pad(filled, (1, 1, 1, 1), mode="replicate")
            vertical = padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1]
            horizontal = padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:]
            filled = filled + rate * (0.25 * (vertical + horizontal) - filled)
    return filled
