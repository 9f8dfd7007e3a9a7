"""The embedded face network: a small residual U-Net over one aligned face of 256 px.

Trained here (weights/lite), after the degradation model of blind face restoration (Wang et al., CVPR 2021, eq. 7) but with a
regression loss only: it sharpens what is in the crop and invents nothing. Half of the work is done at 128 px, behind a pixel
unshuffle; `place` is a learnt map at the coarsest level, which tells the network where in an aligned face it stands.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from restore.nets.residual import Block

SIDE_PX = 256
WIDTHS = (32, 64, 96, 128)  # channels at 128, 64, 32 and 16 px
BLOCKS = 2  # residual blocks before and after each change of scale; the coarsest level has all of its own in a row


class LiteFace(nn.Module):
    """Nx3x256x256 RGB in [0, 1], aligned to the FFHQ template -> the same, restored (not clamped)."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(12, WIDTHS[0], 3, padding=1)
        finer, coarser = WIDTHS[:-1], WIDTHS[1:]
        self.encoders = nn.ModuleList(_blocks(width) for width in finer)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in zip(finer, coarser, strict=True))
        self.place = nn.Parameter(torch.zeros(1, WIDTHS[-1], SIDE_PX // 16, SIDE_PX // 16))
        self.middle = _blocks(WIDTHS[-1])
        self.ups = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in zip(finer, coarser, strict=True))
        self.decoders = nn.ModuleList(_blocks(width) for width in finer)
        self.tail = nn.Conv2d(WIDTHS[0], 12, 3, padding=1)

    def forward(self, faces: Tensor) -> Tensor:
        x = self.head(torch.pixel_unshuffle(faces, 2))
        skips = []
        for encode, down in zip(self.encoders, self.downs, strict=True):
            x = encode(x)
            skips.append(x)
            x = down(x)
        x = self.middle(x + self.place)
        for up, decode, skip in reversed(list(zip(self.ups, self.decoders, skips, strict=True))):
            x = decode(up(x) + skip)
        return faces + torch.pixel_shuffle(self.tail(x), 2)


def is_lite_face(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is this network's."""
    return "place" in state and "middle.0.first.weight" in state


def _blocks(width: int) -> nn.Sequential:
    return nn.Sequential(*(Block(width, slope=0.0) for _ in range(BLOCKS)))
