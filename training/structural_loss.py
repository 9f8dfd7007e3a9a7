"""A structural loss at reduced sizes, close to what SSIMULACRA2 measures in degraded photos.

For photos that lost most of their details, nine tenths of SSIMULACRA2 (Sneyers, "SSIMULACRA 2",
Cloudinary, 2022) are the structural error of luma at a quarter and an eighth of the size, averaged
over the photo. The loss is that error. It ignores details finer than four pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from restore.nets.lite.colors import light_of
from restore.nets.lite.grain import gaussian_blur

SCALE_WEIGHTS = {4: 0.56, 8: 0.44}  # proportions of SSIMULACRA2, by reduction of the sides
LUMA_WEIGHTS = (0.265, 0.657, 0.078)  # of linear red, green and blue in the luma of XYB
LUMA_BIAS = 0.0037930732552754493
VARIANCE_CONSTANT = 0.0009
BLUR_PX, BLUR_SIGMA_PX = 9, 1.5


def structural_loss(output: Tensor, target: Tensor) -> Tensor:
    """Return the mean structural error of luma: 0 for equal photos.

    Args:
        output: Nx3xHxW RGB, with sides of at least 40 that are multiples of 8.
        target: the same shape.
    """
    lumas = [_linear_luma(photos.clamp(0.0, 1.0)) for photos in (output, target)]
    error = output.new_zeros(())
    for reduction, weight in SCALE_WEIGHTS.items():
        planes = [(F.avg_pool2d(luma, reduction) + LUMA_BIAS) ** (1 / 3) for luma in lumas]
        error = error + weight * _structural_error(*planes).mean()
    return error


def _linear_luma(photos: Tensor) -> Tensor:
    """Return the luma of XYB before its cube root, Nx1xHxW."""
    weights = photos.new_tensor(LUMA_WEIGHTS).view(1, -1, 1, 1)
    return (light_of(photos) * weights).sum(dim=1, keepdim=True)


def _structural_error(first: Tensor, second: Tensor) -> Tensor:
    """Return 1 minus the similarity of SSIM without its normalisation by the mean."""
    mean_1, mean_2, square_1, square_2, product = gaussian_blur(
        torch.cat([first, second, first * first, second * second, first * second], 1),
        BLUR_PX,
        BLUR_SIGMA_PX,
    ).chunk(5, 1)
    covariance = product - mean_1 * mean_2
    variances = square_1 - mean_1.square() + square_2 - mean_2.square()
    structure = (2.0 * covariance + VARIANCE_CONSTANT) / (variances + VARIANCE_CONSTANT)
    similarity = (1.0 - (mean_1 - mean_2).square()) * structure
    return (1.0 - similarity).clamp_min(0.0)
