"""Keep the local brightness and colour of a photo through a network that only repairs detail.

A network for denoising, deblurring or enlarging must not change the mean of an area. Some inputs
make it do so all the same: one-pixel patterns and dithers look like noise to it, and unusual
colours get a cast. The means of cells of the result are compared with those of the input. Where
they differ by more than a tolerance, the rest of the difference is subtracted, interpolated between
the cells.

Means are of the stored values, not of linear light. Networks were trained with noise whose mean is
zero in stored values, and so are the tests of brightness that viewers and this project apply.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

CELL_PX = 16
"""Side of a cell in pixels of the input."""

TOLERANCE_LEVELS = 3.0
"""Differences up to this many levels of 255 are not corrected."""

MAX_PASSES = 4
"""Corrections are repeated, because levels are clipped and cells are smoothed."""

MIN_CORRECTION_LEVELS = 0.25
"""Smaller corrections are not applied."""

SMOOTHING_CELLS = 0.7
"""Standard deviation of the filter over the cells: the network may move an edge between cells."""

MAX_NOISE_LEVELS = 50.0
"""Patterns with a larger standard deviation are not noise."""

NOISE_OVER_CLIPPED_NOISE = 1.71
"""Standard deviation of normal noise over that of its positive half (with zeros for the rest)."""

MAX_OPPOSITE_SHARE = 0.005
"""Share of pixels at the other end of the range above which clipped pixels are not noise."""

MAX_CLIPPED_SHARE, CLIPPED_SHARE_RANGE = 0.6, 0.1
"""At most half of normal noise is clipped, and a little more by rounding. Letters or stars on black
leave a larger share black: MAX_CLIPPED_SHARE and more by CLIPPED_SHARE_RANGE do not count."""

MIN_SPREAD, SPREAD_RANGE = 1.1, 0.25
"""Mean square over squared mean of the levels that are not clipped: 1 for patterns of two levels,
1.4 to 1.6 for clipped noise. MIN_SPREAD and less do not count as noise, SPREAD_RANGE more does."""

BAND_ROWS = 256
"""Rows that are converted to float at once, which bounds the memory."""


@dataclass(frozen=True)
class CellMeans:
    """The local means of a photo, and how much its clipped noise may have moved them.

    Attributes:
        means: rows x columns x C, in levels of 255.
        ends: for black and for white, the standard deviation of the noise that may be clipped
            there, of the same shape; 0 where it does not look like noise.
    """

    means: np.ndarray
    ends: tuple[np.ndarray, np.ndarray]


def keep_low_frequencies(result: np.ndarray, original: np.ndarray) -> np.ndarray:
    """Return a network's result with the local means of its input.

    Args:
        result: HxW or HxWxC, uint8 or uint16, of any size.
        original: the input of the network, of the same dtype and channels.

    Returns:
        `result` itself if no cell differs by more than the tolerance, else a corrected copy.
    """
    expected, corrected = measure_cells(original), result
    for _ in range(MAX_PASSES):
        excess = excess_of_means(corrected, expected)
        if np.abs(excess).max() < MIN_CORRECTION_LEVELS:
            break
        if corrected is result:
            corrected = result.copy()
        _subtract(corrected, excess)
    return corrected


def measure_cells(pixels: np.ndarray) -> CellMeans:
    """Measure the cells of a photo: HxW or HxWxC, uint8 or uint16."""
    rows, columns = cell_edges(pixels.shape[0], pixels.shape[1])
    full = np.iinfo(pixels.dtype).max
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    sums = np.zeros((4, len(rows) - 1, len(columns) - 1, channels))
    for row, band in enumerate(_bands(pixels, rows)):
        levels = band * np.float32(255 / full)
        for index, values in enumerate((levels, levels * levels, band == 0, band == full)):
            sums[index, row] = _sum_columns(values.sum(axis=0, dtype=np.float32), columns)
    return cells_from_sums(sums, rows, columns)


def cells_from_sums(sums: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> CellMeans:
    """Return the cells of a photo from sums over the pixels of each cell.

    Args:
        sums: 4 x rows x columns x C: levels of 255, their squares, black pixels, white pixels.
        rows, columns: as from `cell_edges`.
    """
    means, squares, blacks, whites = sums / cell_areas(rows, columns)
    inverted_squares = 255**2 - 2 * 255 * means + squares
    black = _clipped_noise(means, squares, blacks, whites)
    return CellMeans(means, (black, _clipped_noise(255 - means, inverted_squares, whites, blacks)))


def excess_of_means(result: np.ndarray, expected: CellMeans) -> np.ndarray:
    """Return by how much the means of a result differ from those of its input; see `excess_of`.

    Args:
        result: HxW or HxWxC, uint8 or uint16, of any size.
        expected: the cells of the network's input.
    """
    rows, columns = cell_edges(result.shape[0], result.shape[1], expected.means.shape[:2])
    sums = []
    for band in _bands(result, rows):
        flat = band.reshape(len(band), -1)  # OpenCV sums faster than numpy
        total = cv2.reduce(flat, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32F)
        sums.append(_sum_columns(total.reshape(band.shape[1:]), columns))
    means = np.array(sums).reshape(expected.means.shape) / cell_areas(rows, columns)
    return excess_of(means * (255 / np.iinfo(result.dtype).max), expected)


def excess_of(means: np.ndarray, expected: CellMeans) -> np.ndarray:
    """Return by how much means of cells differ beyond the tolerance.

    A network that removes clipped noise rightly darkens black areas and lightens white ones, so
    the tolerance is larger there in this direction.

    Args:
        means: rows x columns x C levels of 255, of the result.
        expected: the cells of the network's input.

    Returns:
        rows x columns x C float32 levels of 255, one for each cell.
    """
    darker, lighter = clipping_biases(means, expected)
    shift = _smooth(means - expected.means)
    tolerated = np.clip(shift, -TOLERANCE_LEVELS - darker, TOLERANCE_LEVELS + lighter)
    return np.asarray(shift - tolerated, np.float32)


def clipping_biases(means: np.ndarray, expected: CellMeans) -> tuple[np.ndarray, np.ndarray]:
    """Return by how much the removal of clipped noise darkens and lightens each cell.

    Args:
        means: rows x columns x C, the local means of the result without noise.
        expected: the cells of the noisy input.
    """
    darker, lighter = (
        _smooth(_clipping_bias(distance, sigma))
        for distance, sigma in zip((means, 255 - means), expected.ends, strict=True)
    )
    return darker, lighter


def _clipped_noise(
    means: np.ndarray, squares: np.ndarray, clipped: np.ndarray, opposite: np.ndarray
) -> np.ndarray:
    """Estimate the standard deviation of the noise of cells that is clipped at black.

    Args:
        means, squares: means of the levels and of their squares.
        clipped: share of the pixels that are black.
        opposite: share of the pixels that are white.
    """
    shown = np.maximum(1 - clipped, 1e-6)
    spread = squares * shown / np.maximum(means**2, 1e-6)
    trust = np.clip((spread - MIN_SPREAD) / SPREAD_RANGE, 0, 1) * (opposite < MAX_OPPOSITE_SHARE)
    trust *= np.clip(1 - (clipped - MAX_CLIPPED_SHARE) / CLIPPED_SHARE_RANGE, 0, 1)
    deviation = NOISE_OVER_CLIPPED_NOISE * np.sqrt(np.maximum(squares - means**2, 0))
    return np.asarray(trust * np.minimum(deviation, MAX_NOISE_LEVELS))


def _clipping_bias(distances: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """Return by how much clipping moves the mean of normal noise.

    Args:
        distances: levels between the noise-free mean and the end of the range, at least 0.
        deviations: standard deviation of the noise in levels.
    """
    sigma = np.maximum(deviations, 1e-3)
    steps = distances / sigma
    density = np.exp(-0.5 * steps**2) / np.sqrt(2 * np.pi)
    # Not scipy's, which takes a while to import; torch is imported already when networks run.
    import torch  # noqa: PLC0415

    below = torch.special.ndtr(torch.from_numpy(-steps)).numpy()
    return np.asarray(sigma * density - distances * below)


def cell_edges(
    height: int, width: int, shape: tuple[int, ...] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first row of each cell and the end, and likewise the columns.

    Args:
        height, width: the photo's size in pixels.
        shape: rows and columns of cells; None for cells of CELL_PX.
    """
    counts = shape or tuple(max(1, round(side / CELL_PX)) for side in (height, width))
    rows, columns = (
        np.arange(count + 1) * side // count
        for side, count in zip((height, width), counts, strict=True)
    )
    return rows, columns


def _bands(pixels: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows of each row of cells as hxWxC."""
    for top, bottom in pairwise(rows):
        yield pixels[top:bottom].reshape(bottom - top, pixels.shape[1], -1)


def _sum_columns(sums: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Sum WxC columns into cells."""
    return np.asarray(np.add.reduceat(sums, columns[:-1], axis=0))


def cell_areas(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the pixels of each cell: rows x columns x 1."""
    return np.asarray((np.diff(rows)[:, None] * np.diff(columns))[..., None])


def _smooth(cells: np.ndarray) -> np.ndarray:
    smooth = cv2.GaussianBlur(cells, (0, 0), SMOOTHING_CELLS, borderType=cv2.BORDER_REPLICATE)
    return smooth.reshape(cells.shape)


def _subtract(pixels: np.ndarray, cells: np.ndarray) -> None:
    """Subtract interpolated levels of cells from pixels, in place."""
    full, (height, width) = np.iinfo(pixels.dtype).max, pixels.shape[:2]
    wide = cv2.resize(cells, (width, len(cells)), interpolation=cv2.INTER_LINEAR)
    wide = wide.reshape(len(cells), width, -1) * np.float32(full / 255)
    positions = (np.arange(height) + 0.5) * len(cells) / height - 0.5
    positions = np.clip(positions, 0, len(cells) - 1).astype(np.float32)
    above = np.minimum(positions.astype(int), max(len(cells) - 2, 0))
    below = np.minimum(above + 1, len(cells) - 1)
    weights = (positions - above).astype(np.float32)
    for top in range(0, height, BAND_ROWS):
        rows = slice(top, top + BAND_ROWS)
        weight = weights[rows, None, None]
        levels = wide[above[rows]] * (1 - weight) + wide[below[rows]] * weight
        if not levels.any():
            continue
        changed = pixels[rows] - levels.reshape(pixels[rows].shape)
        pixels[rows] = np.clip(np.rint(changed), 0, full)
