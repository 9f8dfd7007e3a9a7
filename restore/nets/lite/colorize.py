"""The embedded colour network: predicts plausible colours from the lightness of a photo.

It was trained in this project (training/). A residual U-Net whose finest level has half the size
of the photo, because human vision resolves colour less finely. Features pooled over the whole
photo are added at every position of the coarsest level, so that the colours of a scene are
consistent (Iizuka et al., SIGGRAPH 2016).
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.nets.lite.unet import ResidualBlock, UNet, init_residual_weights

INPUT_PX = 256  # side that the network is meant for
CHANNELS = (32, 64, 96, 104, 144)  # at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size
SIZE_MULTIPLE = 32  # the input is padded to multiples of this
ENSEMBLE_SCALES = (0.75, 1.0, 1.25)  # sizes of the photo over which predictions are averaged
DROPOUT = 0.3  # at the coarsest level; without it, the network memorises the few training photos
AB_SCALE = 110.0  # Lab units of an output of 1


class LiteColorize(UNet):
    """Predict colour: Nx1xHxW lightness to Nx2xHxW colour; any size, meant for 256 px.

    The input is L of CIE Lab divided by 100, in [0, 1]. The output is a and b divided by 110.
    """

    def __init__(self) -> None:
        super().__init__(CHANNELS, ResidualBlock, nn.Identity())
        self.lightness_head = nn.Conv2d(4, CHANNELS[0], 3, padding=1)
        self.scene = nn.Sequential(
            nn.Linear(CHANNELS[-1], CHANNELS[-1]),
            nn.LeakyReLU(0.1),
            nn.Linear(CHANNELS[-1], CHANNELS[-1]),
        )
        self.before, self.after = ResidualBlock(CHANNELS[-1]), ResidualBlock(CHANNELS[-1])
        self.tail = nn.Conv2d(CHANNELS[0], 2, 3, padding=1)
        init_residual_weights(self)
        nn.init.zeros_(self.tail.weight)  # start with grey

    def forward(self, lightness: Tensor) -> Tensor:
        """Predict with self-ensemble: average over flips and sizes, except during training."""
        if self.training:
            return self._predict_ab(lightness)
        size = lightness.shape[-2:]
        predictions = []
        # One after the other: a batch of all of them would need six times the memory.
        for scale, is_flipped in itertools.product(ENSEMBLE_SCALES, (False, True)):
            flipped = lightness.flip(-1) if is_flipped else lightness
            resized = F.interpolate(
                flipped,
                size=[max(1, round(scale * side)) for side in size],
                mode="bilinear",
                antialias=True,
            )
            prediction = F.interpolate(
                self._predict_ab(resized), size=size, mode="bilinear", align_corners=False
            )
            predictions.append(prediction.flip(-1) if is_flipped else prediction)
        return torch.stack(predictions).mean(dim=0)

    def forward_bottleneck(self, x: Tensor) -> Tensor:
        local = F.dropout2d(self.before(x), DROPOUT, self.training)
        scene = F.dropout(self.scene(local.mean(dim=(2, 3))), DROPOUT, self.training)
        features: Tensor = self.after(local + scene[..., None, None])
        return features

    def _predict_ab(self, lightness: Tensor) -> Tensor:
        """Predict at the given size."""
        height, width = lightness.shape[-2:]
        padded = F.pad(
            (lightness - 0.5) / 0.25,
            (0, -width % SIZE_MULTIPLE, 0, -height % SIZE_MULTIPLE),
            mode="replicate",
        )
        x = self.forward_scales(self.lightness_head(F.pixel_unshuffle(padded, 2)))
        ab = torch.tanh(self.tail(x))
        upsampled = F.interpolate(ab, scale_factor=2, mode="bilinear", align_corners=False)
        return upsampled[..., :height, :width]
