"""Keep local means and flat areas of a photo on a device; see `low_frequencies`, `flat_areas`.

Sums over pixels are computed on the device. The cells, one value for 16x16 pixels, are downloaded,
and the same functions as on the host decide about the correction.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.imaging.flat_areas import CLIPPED_RADIUS_PX, FLAT_RADIUS_PX
from restore.imaging.low_frequencies import (
    MAX_PASSES,
    MIN_CORRECTION_LEVELS,
    CellMeans,
    cell_areas,
    cell_edges,
    cells_from_sums,
    excess_of,
)
from restore.runtime.filters import erode
from restore.runtime.levels import largest_level, to_levels
from restore.runtime.resampling import resize_planes
from restore.runtime.transfers import download, upload


def keep_levels(result: Tensor, original: Tensor) -> Tensor:
    """Correct local means and flat areas of the result of a network that repairs detail.

    Args:
        result: 1xCx(kH)x(kW) integer levels, for a whole number k.
        original: 1xCxHxW, the input of the network, of the same type.
    """
    return keep_flat_areas(keep_low_frequencies(result, original), original)


def keep_low_frequencies(result: Tensor, original: Tensor) -> Tensor:
    """Return a network's result with the local means of its input; arguments as `keep_levels`."""
    expected, full = measure_cells(original), largest_level(original)
    height, width = result.shape[2:]
    rows, columns = cell_edges(height, width, expected.means.shape[:2])
    for _ in range(MAX_PASSES):
        [sums] = _download_cells([_sum_cells(result.float(), rows, columns)])
        excess = excess_of(sums / cell_areas(rows, columns) * (255 / full), expected)
        if np.abs(excess).max() < MIN_CORRECTION_LEVELS:
            break
        cells = upload(excess.transpose(2, 0, 1)[None] * np.float32(full / 255), result.device)
        correction = resize_planes(cells, (width, height), cv2.INTER_LINEAR)
        result = to_levels(result.float() - correction, result)
    return result


def measure_cells(levels: Tensor) -> CellMeans:
    """Measure the cells of a photo: 1xCxHxW integer levels."""
    full = largest_level(levels)
    rows, columns = cell_edges(levels.shape[2], levels.shape[3])
    scaled = levels.float() * (255 / full)
    parts = (scaled, scaled.square(), (levels == 0).float(), (levels == int(full)).float())
    sums = _download_cells([_sum_cells(part, rows, columns) for part in parts])
    return cells_from_sums(np.asarray(sums, np.float64), rows, columns)


def keep_flat_areas(result: Tensor, original: Tensor) -> Tensor:
    """Return a network's result with the flat areas of its input; arguments as `keep_levels`."""
    area, colours, scale = flat_area(original), original, result.shape[2] // original.shape[2]
    if scale > 1:
        area, colours = (
            each.repeat_interleave(scale, 2).repeat_interleave(scale, 3) for each in (area, colours)
        )
    return torch.where(area, colours, result)


def flat_area(levels: Tensor) -> Tensor:
    """Return which pixels are in flat areas: 1xCxHxW integers -> 1x1xHxW bool."""
    equal = torch.ones_like(levels[:, :1], dtype=torch.float32)
    equal[..., :-1] *= (levels[..., :-1] == levels[..., 1:]).all(dim=1, keepdim=True)
    equal[..., :-1, :] *= (levels[..., :-1, :] == levels[..., 1:, :]).all(dim=1, keepdim=True)
    clipped = erode(equal, 2 * CLIPPED_RADIUS_PX + 1)
    flat = erode(clipped, 2 * (FLAT_RADIUS_PX - CLIPPED_RADIUS_PX) + 1) > 0
    for end in (0, int(largest_level(levels))):
        flat |= (clipped > 0) & (levels == end).all(dim=1, keepdim=True)
    return flat


def _sum_cells(planes: Tensor, rows: np.ndarray, columns: np.ndarray) -> Tensor:
    """Sum 1xCxHxW planes over cells: Cxrowsxcolumns."""
    by_column = planes[0] @ _membership(tuple(columns.tolist()), planes.device)
    return _membership(tuple(rows.tolist()), planes.device).T @ by_column


def _download_cells(sums: list[Tensor]) -> np.ndarray:
    """Return sums over cells on the host: count x rows x columns x C float32."""
    return download(torch.stack(sums)).transpose(0, 2, 3, 1)


@functools.lru_cache(maxsize=8)
def _membership(edges: tuple[int, ...], device: torch.device) -> Tensor:
    """Return pixels x cells, 1 where a pixel belongs to a cell.

    A product with it is a sum in a fixed order, unlike atomic additions.
    """
    sizes = torch.tensor(edges).diff()
    cells = torch.arange(len(sizes)).repeat_interleave(sizes)
    return torch.nn.functional.one_hot(cells, len(sizes)).float().to(device)
