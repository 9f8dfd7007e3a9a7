"""Enlargement of predicted colours along the edges of the lightness: a fast guided filter.

He and Sun, "Fast Guided Filter", arXiv 1505.00996, 2015: within each window, colour is a linear
function of lightness, fitted at the small size and applied at the large one.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

RADIUS = 2  # of the windows, in samples of the small size
EPSILON = 0.002  # added to the variance of the lightness: fainter edges do not count


def enlarge_along_edges(colours: Tensor, lightness: Tensor, factor: int) -> Tensor:
    """Enlarge colours so that their edges are those of the lightness.

    Args:
        colours: NxCxhxw.
        lightness: Nx1xHxW in [0, 1] with H = factor * h and W = factor * w.
        factor: the enlargement.

    Returns:
        NxCxHxW.
    """
    small = F.avg_pool2d(lightness, factor)
    mean_lightness, mean_colours = _smooth(small), _smooth(colours)
    covariance = _smooth(small * colours) - mean_lightness * mean_colours
    variance = _smooth(small.square()) - mean_lightness.square()
    slope = covariance / (variance + EPSILON)
    offset = mean_colours - slope * mean_lightness
    slope, offset = (
        F.interpolate(_smooth(each), scale_factor=factor, mode="bilinear", align_corners=False)
        for each in (slope, offset)
    )
    return slope * lightness + offset


def _smooth(planes: Tensor) -> Tensor:
    """Return the means of windows, which are cut off at the border."""
    return F.avg_pool2d(planes, 2 * RADIUS + 1, 1, RADIUS, count_include_pad=False)
