"""The embedded face network: a small residual U-Net for one aligned face of 256 px.

It was trained in this project (training/) with the degradation model of blind face restoration
(Wang et al., CVPR 2021, eq. 7) and a regression loss only: it sharpens the details of the crop
and does not generate new ones. Half of the work is done at 128 px, after a pixel unshuffle. The
parameter `place` is a learnt positional embedding at the coarsest level.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from restore.nets.lite.unet import UNet, two_residual_blocks

INPUT_PX = 256
CHANNELS = (32, 64, 96, 128)  # at 128, 64, 32 and 16 px


class LiteFace(UNet):
    """Restore faces: Nx3x256x256 RGB in [0, 1], FFHQ alignment, to the same shape (not clamped)."""

    def __init__(self) -> None:
        super().__init__(CHANNELS, _build_stage, _build_stage(CHANNELS[-1]))
        self.head = nn.Conv2d(12, CHANNELS[0], 3, padding=1)
        self.place = nn.Parameter(torch.zeros(1, CHANNELS[-1], INPUT_PX // 16, INPUT_PX // 16))
        self.tail = nn.Conv2d(CHANNELS[0], 12, 3, padding=1)

    def forward(self, faces: Tensor) -> Tensor:
        x = self.forward_scales(self.head(torch.pixel_unshuffle(faces, 2)))
        return faces + torch.pixel_shuffle(self.tail(x), 2)

    def forward_bottleneck(self, x: Tensor) -> Tensor:
        return super().forward_bottleneck(x + self.place)


def is_lite_face(state: Mapping[str, Tensor]) -> bool:
    """Return whether a state dict belongs to LiteFace."""
    return "place" in state and "middle.0.first.weight" in state


def _build_stage(channels: int) -> nn.Module:
    return two_residual_blocks(channels, negative_slope=0.0)
