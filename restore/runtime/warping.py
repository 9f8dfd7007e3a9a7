"""Affine warps of planes on a device, as `cv2.warpAffine` computes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def warp_planes(
    planes: Tensor,
    to_source: np.ndarray,
    size: tuple[int, int],
    *,
    border: Sequence[float] | None = None,
    nearest: bool = False,
) -> Tensor:
    """Warp planes by an affine transform.

    Args:
        planes: NxCxHxW float32.
        to_source: 2x3, from pixels of the result to pixels of the planes; pixel centres are whole
            numbers.
        size: (width, height) of the result.
        border: the values of the C planes outside of the photo; None for 0.
        nearest: take the nearest pixel instead of bilinear interpolation.

    Returns:
        NxCx(height)x(width) float32.
    """
    width, height = size
    device = planes.device
    matrix = np.asarray(to_source, np.float64)
    columns = torch.arange(width, device=device, dtype=torch.float32)
    rows = torch.arange(height, device=device, dtype=torch.float32)
    grid = torch.empty((1, height, width, 2), device=device)
    for axis, side_px in enumerate((planes.shape[-1], planes.shape[-2])):
        a, b, c = (float(value) for value in matrix[axis])
        position = (rows * b + c)[:, None] + columns * a
        grid[0, ..., axis] = position * (2 / max(side_px - 1, 1)) - 1
    outside: Tensor | float = 0.0
    if border is not None:
        outside = torch.tensor(list(border), device=device, dtype=planes.dtype)[None, :, None, None]
        planes = planes - outside
    warped = F.grid_sample(
        planes,
        grid.expand(len(planes), -1, -1, -1),
        mode="nearest" if nearest else "bilinear",
        padding_mode="zeros",
        align_corners=True,
    )
    return warped if border is None else warped + outside
