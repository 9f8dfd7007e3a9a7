"""The embedded colour network: predicts plausible colours from the lightness of a photo.

Its encoder is the first part of EfficientNet-Lite0, which was trained on ImageNet (Apache-2.0, see
THIRD_PARTY.md) and is left unchanged. The decoder was trained in this project (training/): it
predicts for each cell of 4x4 pixels how likely each of a fixed set of colours is. Features averaged
over the whole photo are added at every position of the coarsest level, so that the colours of a
scene are consistent (Iizuka et al., SIGGRAPH 2016).
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.nets.lite.colorize_bins import BINS, least_expected_difference
from restore.nets.lite.colorize_encoder import CHANNELS, STRIDE, EfficientEncoder
from restore.nets.lite.colorize_guidance import enlarge_along_edges
from restore.nets.lite.unet import ResidualBlock, init_residual_weights

INPUT_PX = 256  # side that the network is meant for
CELL_PX = 4  # side of the cells for which colours are predicted
WIDTHS = (64, 80, 112, 112)  # channels of the decoder at 1/4, 1/8, 1/16 and 1/32 of the size
ENSEMBLE_SCALES = (0.75, 1.0, 1.25)  # sizes of the photo over which predictions are averaged
SOFTNESS = 0.7  # of the choice of a colour, in compressed units
RARITY_RADIUS = 15.0  # a colour this far from grey, in compressed units, weighs e times in training
RARITY_FACTOR = 0.6  # how much of this weight is taken back here
SATURATION = 1.12
DROPOUT = 0.2  # at the two coarsest levels, because the training photos are few
AB_SCALE = 110.0  # Lab units of an output of 1


class ColourDecoder(nn.Module):
    """Predict logits of the colours from the features of the encoder."""

    def __init__(self) -> None:
        super().__init__()
        coarsest = WIDTHS[-1]
        self.skips = nn.ModuleList(
            nn.Conv2d(channels, width, 1) for channels, width in zip(CHANNELS, WIDTHS, strict=True)
        )
        self.scene = nn.Sequential(
            nn.Linear(coarsest, coarsest), nn.LeakyReLU(0.1), nn.Linear(coarsest, coarsest)
        )
        self.narrow = nn.ModuleList(
            nn.Conv2d(coarse, fine, 1) for fine, coarse in itertools.pairwise(WIDTHS)
        )
        self.blocks = nn.ModuleList(ResidualBlock(width) for width in WIDTHS[:-1])
        self.tail = nn.Conv2d(WIDTHS[0], len(BINS), 1)
        init_residual_weights(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Decode features at four scales: NxKxH/4xW/4 logits."""
        skips = [skip(feature) for skip, feature in zip(self.skips, features, strict=True)]
        local = F.dropout2d(F.leaky_relu(skips[-1], 0.1), DROPOUT, self.training)
        scene = F.dropout(self.scene(local.mean(dim=(2, 3))), DROPOUT, self.training)
        x = local + scene[..., None, None]
        for index in reversed(range(len(self.blocks))):
            x = F.interpolate(
                self.narrow[index](x), scale_factor=2, mode="bilinear", align_corners=False
            )
            x = self.blocks[index](F.leaky_relu(x + skips[index], 0.1))
            if index == len(self.blocks) - 1:
                x = F.dropout2d(x, DROPOUT, self.training)
        logits: Tensor = self.tail(x)
        return logits


class LiteColorize(nn.Module):
    """Predict colour: Nx1xHxW lightness to Nx2xHxW colour; any size, meant for 256 px.

    The input is L of CIE Lab divided by 100, in [0, 1]. The output is a and b divided by 110.
    During training, the output is the logits of the cells, NxKxH/4xW/4.
    """

    colours: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.encoder = EfficientEncoder()
        self.decoder = ColourDecoder()
        self.register_buffer("colours", torch.tensor(BINS))

    def forward(self, lightness: Tensor) -> Tensor:
        """Predict colours: the average over flips and sizes, except during training."""
        height, width = lightness.shape[-2:]
        padded = F.pad(lightness, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
        if self.training:
            logits: Tensor = self.decoder(self.encoder(padded))
            return logits
        enlarged = enlarge_along_edges(self._choose_colours(padded), padded, CELL_PX)
        return enlarged[..., :height, :width]

    def _choose_colours(self, padded: Tensor) -> Tensor:
        """Return the colours of the cells: a and b divided by 110."""
        logits = self._average_probabilities(padded).clamp_min(1e-9).log()
        weights = self.colours.norm(dim=1) * (RARITY_FACTOR / RARITY_RADIUS)
        ab = least_expected_difference(logits - weights[:, None, None], self.colours, SOFTNESS)
        return ab * (SATURATION / AB_SCALE)

    def _average_probabilities(self, padded: Tensor) -> Tensor:
        """Return the probabilities of the colours, averaged over flips and sizes."""
        cells = [side // CELL_PX for side in padded.shape[-2:]]
        probabilities = []
        # One after the other: a batch of all of them would need six times the memory.
        for scale, is_flipped in itertools.product(ENSEMBLE_SCALES, (False, True)):
            size = [max(1, round(scale * side / STRIDE)) * STRIDE for side in padded.shape[-2:]]
            flipped = padded.flip(-1) if is_flipped else padded
            resized = F.interpolate(flipped, size=size, mode="bilinear", antialias=True)
            prediction = F.softmax(self.decoder(self.encoder(resized)), dim=1)
            prediction = F.interpolate(prediction, size=cells, mode="bilinear", align_corners=False)
            probabilities.append(prediction.flip(-1) if is_flipped else prediction)
        return torch.stack(probabilities).mean(dim=0)
