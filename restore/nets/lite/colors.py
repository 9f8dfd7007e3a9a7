"""The embedded network for faded colours and casts: predicts one 3D look-up table for each photo.

It was trained in this project (training/). As in Zeng et al. (TPAMI 2020), a small network sees a
thumbnail, and its prediction is applied at full size as a look-up table. The table is not a sum of
learnt ones but follows from what fading does: it subtracts a part of the measured black points,
scales by the measured white points, mixes and stretches the densities of the dyes, and adds a
quadratic correction. With all parameters at 0, the table is the identity.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

INPUT_PX = 64
"""Side of the square thumbnail."""

TABLE_NODES = 33
"""Nodes of a table along each axis."""

CHANNELS = (24, 48, 96, 128)  # at 1/2, 1/4, 1/8 and 1/16 of the size
HIDDEN = 128
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""Of the values of each channel; the first and the last are the black and white points."""

SIZES = [3, 3, 3, 6, 3, 18]
"""Numbers of parameters: black, white, contrast of each density, mixing of densities, offset of
densities, quadratic correction."""

DARKEST = 1e-3  # light that is added before the logarithm
MAX_LIGHT = 2.0
CORNER_SHARE = 0.85  # of each side of the thumbnail
_PAIRS = ((0, 0, 0, 1, 1, 2), (0, 1, 2, 1, 2, 2))  # of channels whose product is a quadratic term
_MIXED = ((0, 0, 1, 1, 2, 2), (1, 2, 0, 2, 0, 1))  # places of the mixing parameters in the matrix


class LiteColors(nn.Module):
    """Predict tables that correct the colours of photos."""

    def __init__(self) -> None:
        super().__init__()
        layers = list[nn.Module]()
        for before, after in zip((6, *CHANNELS), CHANNELS, strict=False):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.LeakyReLU(0.1)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Linear(2 * CHANNELS[-1] + 3 * len(QUANTILES), HIDDEN),
            nn.LeakyReLU(0.1),
            nn.Linear(HIDDEN, sum(SIZES)),
        )
        last = self.head[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)  # start with the identity
        nn.init.zeros_(last.bias)

    def forward(self, thumbnail: Tensor) -> Tensor:
        """Predict tables from thumbnails.

        Args:
            thumbnail: Nx3xSxS sRGB values in [0, 1] with S = INPUT_PX.

        Returns:
            Nx3xTxTxT with T = TABLE_NODES: the new RGB, not clamped, at blue, green and red values
            of 0 to 1 along the last three axes in this order.
        """
        nodes = torch.linspace(0.0, 1.0, TABLE_NODES, device=thumbnail.device)
        blue, green, red = torch.meshgrid(nodes, nodes, nodes, indexing="ij")
        colours = torch.stack([red, green, blue]).flatten(1).to(thumbnail.dtype)
        table = self.correct(colours.expand(len(thumbnail), -1, -1), thumbnail)
        return table.view(len(thumbnail), 3, *(TABLE_NODES,) * 3)

    def correct(self, colours: Tensor, thumbnail: Tensor) -> Tensor:
        """Correct colours without a table, as training needs it: Nx3xP to Nx3xP, not clamped.

        Args:
            colours: Nx3xP sRGB values in [0, 1].
            thumbnail: Nx3xSxS with S = INPUT_PX, of the photos that the colours belong to.
        """
        return _transform(colours, *self._predict(thumbnail))

    def _predict(self, thumbnail: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return NxP parameters, and Nx3 black and white points as values.

        After the training, the parameters are means over several views of the thumbnail, because
        those of a single one vary with what is at its border.
        """
        if self.training:
            return self._predict_view(thumbnail)
        parameters, black, white = self._predict_view(views_of(thumbnail))
        count = len(thumbnail)  # the first views are the thumbnails themselves
        return parameters.view(-1, count, sum(SIZES)).mean(dim=0), black[:count], white[:count]

    def _predict_view(self, thumbnail: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        densities = density_of(light_of(thumbnail)) / 7.0
        features = self.body(torch.cat([thumbnail, densities], dim=1) - 0.5).flatten(2)
        points = quantiles_of(thumbnail[..., ::2, ::2].flatten(2))
        pooled = [features.mean(dim=2), features.amax(dim=2), points.flatten(1) - 0.5]
        return self.head(torch.cat(pooled, dim=1)), points[..., 0], points[..., -1]


def views_of(thumbnail: Tensor) -> Tensor:
    """Return thumbnails, their enlarged corners, and mirror images of both: Nx... to 10Nx..."""
    side_px = thumbnail.shape[-1]
    corner_px = round(CORNER_SHARE * side_px)
    starts = (0, side_px - corner_px)
    corners = [
        thumbnail[..., top : top + corner_px, left : left + corner_px]
        for top, left in itertools.product(starts, starts)
    ]
    enlarged = [F.interpolate(corner, size=side_px, mode="bilinear") for corner in corners]
    views = torch.cat([thumbnail, *enlarged])
    return torch.cat([views, views.flip(-1)])


def light_of(values: Tensor) -> Tensor:
    """Return the linear light of sRGB values from 0 to 1 (IEC 61966-2-1)."""
    curve = ((values.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(values <= 0.04045, values / 12.92, curve)


def values_of(light: Tensor) -> Tensor:
    """Return the sRGB values of linear light."""
    curve = 1.055 * light.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(light <= 0.0031308, 12.92 * light, curve)


def density_of(light: Tensor) -> Tensor:
    """Return the negative natural logarithm of linear light."""
    return -torch.log(light + DARKEST)


def quantiles_of(values: Tensor) -> Tensor:
    """Return the QUANTILES of the last axis: Nx3xP to Nx3xQ."""
    ordered = values.sort(dim=-1).values
    last = values.shape[-1] - 1
    return ordered[..., [round(quantile * last) for quantile in QUANTILES]]


def _transform(colours: Tensor, parameters: Tensor, black: Tensor, white: Tensor) -> Tensor:
    """Correct colours.

    Args:
        colours: Nx3xP values in [0, 1].
        parameters: Nx36, 0 for the identity.
        black, white: Nx3, the values of the black and white points.
    """
    parts = torch.split(torch.tanh(parameters)[..., None], SIZES, dim=1)
    lifted = parts[0] * light_of(black)[..., None]
    light = ((light_of(colours) - lifted) / (1.0 - lifted)).clamp_min(0.0)
    brightest = ((light_of(white)[..., None] - lifted) / (1.0 - lifted)).clamp_min(0.02)
    densities = density_of(light) + 1.5 * parts[1] * torch.log(brightest)
    mixing = torch.diag_embed(torch.exp(1.4 * parts[2][..., 0]))
    mixing[:, _MIXED[0], _MIXED[1]] = parts[3][..., 0]
    densities = torch.bmm(mixing, densities) + 0.7 * parts[4]
    values = values_of((torch.exp(-densities) - DARKEST).clamp(-DARKEST, MAX_LIGHT))
    quadratic = values[:, _PAIRS[0]] * values[:, _PAIRS[1]]
    return values + 0.5 * torch.bmm(parts[5].view(-1, 3, 6), quadratic)
