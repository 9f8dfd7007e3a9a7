"""Colours as classes: a grid of bins in ab of CIE Lab, and the way from classes to one colour.

The grid is regular in a space in which CIEDE2000 at equal lightness is nearly the distance: chroma
is compressed as in its formula, so that bins are small near grey and large for saturated colours.
Classification instead of regression avoids the brownish mean of several plausible colours (Zhang,
Isola and Efros, ECCV 2016).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

COMPRESSION = 0.045  # of chroma in CIEDE2000, per unit
BIN_STEP = 6.0  # in units of the compressed space, near grey one unit of Lab
RADIUS = 40.0  # of the grid; about chroma 112
_HALF_SIDE = int(RADIUS // BIN_STEP) + 1  # bins on each side of grey in the square around the grid
_SQUARE = tuple(
    (a * BIN_STEP, b * BIN_STEP)
    for a in range(-_HALF_SIDE, _HALF_SIDE + 1)
    for b in range(-_HALF_SIDE, _HALF_SIDE + 1)
)
BINS = tuple(point for point in _SQUARE if math.hypot(*point) <= RADIUS)
"""The bins in the space of the grid."""


def compress(ab: Tensor) -> Tensor:
    """Convert Nx2x... ab in Lab units to the space of the grid."""
    chroma = _length(ab)
    return ab * (torch.log1p(COMPRESSION * chroma) / (COMPRESSION * chroma))


def expand(compressed: Tensor) -> Tensor:
    """Convert Nx2x... of the space of the grid to ab in Lab units; the inverse of `compress`."""
    radius = _length(compressed)
    return compressed * (torch.expm1(COMPRESSION * radius) / (COMPRESSION * radius))


def encode(ab: Tensor) -> tuple[Tensor, Tensor]:
    """Describe colours by the four nearest bins each, weighted bilinearly.

    Args:
        ab: Nx2xHxW in Lab units; colours outside of the grid are moved to its edge.

    Returns:
        (Nx4xHxW indices of bins, Nx4xHxW weights that sum to 1)
    """
    compressed = compress(ab)
    radius = _length(compressed)
    compressed = compressed * (radius.clamp_max(RADIUS - 1e-3) / radius)
    position = compressed / BIN_STEP + _HALF_SIDE
    low = position.floor().clamp(0, 2 * _HALF_SIDE - 1)
    part = position - low
    a, b = low.long().unbind(dim=1)
    part_a, part_b = part.unbind(dim=1)
    nearest = _nearest_bins().to(ab.device)
    side = 2 * _HALF_SIDE + 1
    corners = [(0, 0), (0, 1), (1, 0), (1, 1)]
    indices = torch.stack([nearest[(a + i) * side + b + j] for i, j in corners], dim=1)
    weights = torch.stack(
        [(part_a if i else 1.0 - part_a) * (part_b if j else 1.0 - part_b) for i, j in corners],
        dim=1,
    )
    return indices, weights


def least_expected_difference(logits: Tensor, colours: Tensor, softness: float) -> Tensor:
    """Return the colour whose expected distance from the true colour is the smallest.

    This is the Bayes estimate for the distance itself, a median. Unlikely colours of other hues
    draw it to grey less than they draw the mean, and it changes more smoothly from pixel to pixel
    than the most likely colour does.

    Args:
        logits: NxKxHxW.
        colours: Kx2, `BINS`; distances are measured in its space.
        softness: an expected distance larger by this much makes the weight of a colour e times
            smaller; towards 0, the result is always one of the colours.

    Returns:
        Nx2xHxW ab in Lab units.
    """
    distances = (colours[:, None] - colours).norm(dim=2)
    expected = torch.einsum("nkhw,kj->njhw", F.softmax(logits, dim=1), distances)
    weights = F.softmax(-expected / softness, dim=1)
    return expand(torch.einsum("nkhw,kc->nchw", weights, colours))


def _length(vectors: Tensor) -> Tensor:
    return vectors.square().sum(dim=1, keepdim=True).add(1e-6).sqrt()


def _nearest_bins() -> Tensor:
    """Return the index of the nearest bin for each point of the square around the grid."""
    return torch.cdist(torch.tensor(_SQUARE), torch.tensor(BINS)).argmin(dim=1)
