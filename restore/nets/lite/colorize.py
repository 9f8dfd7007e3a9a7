"""The embedded colour network: plausible colours for a photo from its lightness.

Trained here (training/) on photos whose colours are known. A residual U-Net whose finest level is half the photo's size, as eyes
see colour no finer; what is pooled over the whole photo is added everywhere at the coarsest level, so that a scene agrees with
itself (Iizuka et al., SIGGRAPH 2016).
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.nets.lite.unet import Block, UNet, start_as_identities

SIDE_PX = 256
WIDTHS = (32, 64, 96, 104, 144)  # channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size
MULTIPLE = 32
SIZES = (0.75, 1.0, 1.25)  # of the photo, that its answers are averaged over
FORGOTTEN = 0.3  # of the coarsest channels, while it trains: few photos are else known by heart
AB_SCALE = 110.0  # Lab units of an output of 1


class LiteColorize(UNet):
    """Nx1xHxW, L of CIE Lab over 100 in [0, 1] -> Nx2xHxW, a and b over 110; meant for 256 px, padded inside to a multiple of 32."""

    def __init__(self) -> None:
        super().__init__(WIDTHS, Block, nn.Identity())
        self.lightness_head = nn.Conv2d(4, WIDTHS[0], 3, padding=1)
        self.scene = nn.Sequential(
            nn.Linear(WIDTHS[-1], WIDTHS[-1]), nn.LeakyReLU(0.1), nn.Linear(WIDTHS[-1], WIDTHS[-1])
        )
        self.before, self.after = Block(WIDTHS[-1]), Block(WIDTHS[-1])
        self.tail = nn.Conv2d(WIDTHS[0], 2, 3, padding=1)
        start_as_identities(self)
        nn.init.zeros_(self.tail.weight)  # grey

    def forward(self, lightness: Tensor) -> Tensor:
        """Averaged, but while it trains, over the photo and its mirror image as it is seen at several sizes: its guesses differ."""
        if self.training:
            return self.guessed(lightness)
        size = lightness.shape[-2:]
        answers = []
        for share, is_mirrored in itertools.product(
            SIZES, (False, True)
        ):  # one by one: together they take as many times the memory
            turned = lightness.flip(-1) if is_mirrored else lightness
            seen = F.interpolate(
                turned,
                size=[max(1, round(share * side)) for side in size],
                mode="bilinear",
                antialias=True,
            )
            answer = F.interpolate(
                self.guessed(seen), size=size, mode="bilinear", align_corners=False
            )
            answers.append(answer.flip(-1) if is_mirrored else answer)
        return torch.stack(answers).mean(dim=0)

    def guessed(self, lightness: Tensor) -> Tensor:
        """Its colours at one size."""
        height, width = lightness.shape[-2:]
        padded = F.pad(
            (lightness - 0.5) / 0.25,
            (0, -width % MULTIPLE, 0, -height % MULTIPLE),
            mode="replicate",
        )
        x = self.through_scales(self.lightness_head(F.pixel_unshuffle(padded, 2)))
        ab = torch.tanh(self.tail(x))
        return F.interpolate(ab, scale_factor=2, mode="bilinear", align_corners=False)[
            ..., :height, :width
        ]

    def at_the_coarsest(self, x: Tensor) -> Tensor:
        before = F.dropout2d(self.before(x), FORGOTTEN, self.training)
        scene = F.dropout(self.scene(before.mean(dim=(2, 3))), FORGOTTEN, self.training)
        answer: Tensor = self.after(before + scene[..., None, None])
        return answer
