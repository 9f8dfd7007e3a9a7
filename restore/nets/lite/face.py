"""The embedded face network: a small residual U-Net over one aligned face of 256 px.

Trained here (training/), after the degradation model of blind face restoration (Wang et al., CVPR 2021, eq. 7) but with a
regression loss only: it sharpens what is in the crop and invents nothing. Half of the work is done at 128 px, behind a pixel
unshuffle; `place` is a learnt map at the coarsest level, which tells the network where in an aligned face it stands.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from restore.nets.lite.unet import UNet, blocks

SIDE_PX = 256
WIDTHS = (
    32,
    64,
    96,
    128,
)  # channels at 128, 64, 32 and 16 px; two blocks before and two after each change of scale, two at the coarsest


class LiteFace(UNet):
    """Nx3x256x256 RGB in [0, 1], aligned to the FFHQ template -> the same, restored (not clamped)."""

    def __init__(self) -> None:
        super().__init__(WIDTHS, _stage, _stage(WIDTHS[-1]))
        self.head = nn.Conv2d(12, WIDTHS[0], 3, padding=1)
        self.place = nn.Parameter(torch.zeros(1, WIDTHS[-1], SIDE_PX // 16, SIDE_PX // 16))
        self.tail = nn.Conv2d(WIDTHS[0], 12, 3, padding=1)

    def forward(self, faces: Tensor) -> Tensor:
        x = self.through_scales(self.head(torch.pixel_unshuffle(faces, 2)))
        return faces + torch.pixel_shuffle(self.tail(x), 2)

    def at_the_coarsest(self, x: Tensor) -> Tensor:
        return super().at_the_coarsest(x + self.place)


def is_lite_face(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is this network's."""
    return "place" in state and "middle.0.first.weight" in state


def _stage(width: int) -> nn.Module:
    return blocks(width, slope=0.0)
