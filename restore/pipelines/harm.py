"""How much the result of a step differs from its input, in measures that show damage.

The steps of this project add detail, remove noise or add colour. None of them should change the
brightness or the colour of an area, or flatten the photo. Both are visible in the means of cells of
the photo, in which noise and detail cancel out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum

import cv2
import numpy as np

from restore.imaging.convert import to_grey, to_rgb
from restore.imaging.low_frequencies import CellMeans, clipping_biases, measure_cells
from restore.imaging.photo import Photo

CELL_PX = 16
"""Side of a cell in pixels of the input."""

MIN_VISIBLE_SHARE = 0.25
"""A cell counts if at least this fraction of it is opaque and outside of the changed areas."""

LARGE_CHANGE_LEVELS = 40.0
"""Pixels that change by more than this count in `changed_share`."""

CLIPPED_LEVELS = 0.5
"""Samples count as clipped up to this distance from black or full."""

MIN_SPREAD_LEVELS = 4.0
"""Photos whose cells spread less than this have no contrast that could be lost."""


class Expected(StrEnum):
    """What a step is expected to change outside of the areas that it records."""

    NOTHING = "nothing"
    """inpaint: every pixel outside of the holes stays the same."""
    DETAIL = "detail"
    """upscale, restore, faces: the means of cells stay the same."""
    COLOUR = "colour"
    """colorize: the lightness (CIE L*) stays the same."""
    TONE = "tone"
    """old_photo_restore: the official networks map the whole photo and change its tones."""
    CAST = "cast"
    """colors: brightness and colour change everywhere; what is light or dark stays so."""


@dataclass(frozen=True)
class Harm:
    """Differences between the result of a step and its input, in levels from 0 to 255.

    Attributes:
        cell_shift: the largest change of the mean of a cell, over all channels.
        mean_shift: the largest change of the mean of a channel over the whole photo.
        changed_share: fraction of pixels whose luminance changes by more than LARGE_CHANGE_LEVELS.
        contrast: spread of the means of cells (5th to 95th percentile of luminance) in the result,
            divided by that in the input; 1 if the input has none.
        clipped_share: fraction of samples that became black or full and were neither before;
            measured for `CAST` only.
        structure: correlation of the luminance of cells before and after; for `CAST` only.
    """

    cell_shift: float = 0.0
    mean_shift: float = 0.0
    changed_share: float = 0.0
    contrast: float = 1.0
    clipped_share: float | None = None
    structure: float | None = None

    def facts(self) -> dict[str, object]:
        """Return the figures for a report, without those that were not measured."""
        figures = asdict(self).items()
        return {name: round(value, 3) for name, value in figures if value is not None}


@dataclass(frozen=True)
class CellComparison:
    """The cells of a photo before and after a step.

    Attributes:
        sums, other_sums: rows x columns x C float32 levels, before and after, each pixel weighted
            by whether it is visible.
        weights: rows x columns, the visible fraction of each cell.
        changed_share: as in `Harm`.
    """

    sums: np.ndarray
    other_sums: np.ndarray
    weights: np.ndarray
    changed_share: float


def measure_harm(
    before: Photo, after: Photo, expected: Expected, changed: np.ndarray | None = None
) -> Harm:
    """Compare the result of a step with its input.

    Args:
        before: the photo before the step.
        after: the result, of any size; it is reduced to the size of `before` by area.
        expected: what the step may change; lightness alone is compared for `COLOUR`.
        changed: HxW bool of the size of `before`, True where the step may change everything.

    Returns:
        The differences outside of `changed`, of pixels that are not fully transparent.
    """
    if after.pixels is before.pixels:
        return Harm()
    visible = _visible_area(before, changed)
    if not visible.any():
        return Harm()
    first, second = _comparable_levels(before, after)
    if expected is Expected.COLOUR:
        first, second = _lightness(first), _lightness(second)
    luminance, other_luminance = to_grey(_squeeze(first)), to_grey(_squeeze(second))
    large = np.abs(other_luminance - luminance)[visible] > LARGE_CHANGE_LEVELS
    weights = visible.astype(np.float32)
    size = harm_cells(before.width, before.height)
    comparison = CellComparison(
        sums=_reduce(first * weights[..., None], size),
        other_sums=_reduce(second * weights[..., None], size),
        weights=_reduce(weights[..., None], size)[..., 0],
        changed_share=float(large.mean()),
    )
    harm = harm_of(comparison, measure_cells(before.pixels) if measures_noise(expected) else None)
    if expected is not Expected.CAST:
        return harm
    clipped = _is_clipped(second) & ~_is_clipped(first)
    structure = _correlation(comparison)
    return replace(harm, clipped_share=float(clipped[visible].mean()), structure=structure)


def measures_noise(expected: Expected) -> bool:
    """Tell whether clipped noise explains some of the changes that a step makes."""
    return expected is Expected.DETAIL


def harm_cells(width: int, height: int) -> tuple[int, int]:
    """Return how many cells a photo has: (columns, rows)."""
    return max(1, round(width / CELL_PX)), max(1, round(height / CELL_PX))


def harm_of(comparison: CellComparison, noise: CellMeans | None) -> Harm:
    """Return the figures of a comparison.

    Args:
        comparison: the cells of both photos.
        noise: the cells of the photo before the step, if the step may remove clipped noise: it
            darkens black areas, which is no harm then.
    """
    cells, cell_weights = _cell_means(comparison.sums, comparison.weights), comparison.weights
    other_cells = _cell_means(comparison.other_sums, cell_weights)
    counted = cell_weights >= MIN_VISIBLE_SHARE
    if not counted.any():
        counted = cell_weights > 0
    shifts = other_cells - cells
    if noise is not None:
        shifts = _without_clipped_noise(shifts, other_cells, noise)
    shifts = shifts[counted]
    weights = cell_weights[..., None][counted] / cell_weights[counted].sum()
    means = np.abs((shifts * weights).sum(axis=0))
    spread, other_spread = (_spread(array[counted]) for array in (cells, other_cells))
    return Harm(
        cell_shift=float(np.abs(shifts).max()),
        mean_shift=float(means.max()),
        changed_share=comparison.changed_share,
        contrast=other_spread / spread if spread >= MIN_SPREAD_LEVELS else 1.0,
    )


def _visible_area(photo: Photo, changed: np.ndarray | None) -> np.ndarray:
    visible = np.ones((photo.height, photo.width), np.bool_)
    if photo.alpha is not None:
        visible &= photo.alpha > 0
    return visible if changed is None else visible & ~changed


def _comparable_levels(before: Photo, after: Photo) -> tuple[np.ndarray, np.ndarray]:
    """Return both photos as HxWxC float32 levels of the size of `before`."""
    arrays = [before.pixels, after.pixels]
    if before.is_grey != after.is_grey:
        arrays = [to_rgb(array) for array in arrays]
    size = (before.width, before.height)
    if (after.width, after.height) != size:
        arrays[1] = cv2.resize(arrays[1], size, interpolation=cv2.INTER_AREA)
    first, second = (
        array.astype(np.float32) * np.float32(255 / np.iinfo(array.dtype).max) for array in arrays
    )
    channels = 1 if first.ndim == 2 else first.shape[2]
    shape = (before.height, before.width, channels)
    return first.reshape(shape), second.reshape(shape)


def _lightness(levels: np.ndarray) -> np.ndarray:
    """Convert HxWxC levels to HxWx1 CIE lightness, scaled from 0 to 255."""
    rgb = np.ascontiguousarray(np.broadcast_to(levels, (*levels.shape[:2], 3))) / np.float32(255)
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[..., :1] * np.float32(2.55)


def _reduce(levels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the means of HxWxC levels over (columns, rows) cells: rows x columns x C."""
    reduced = cv2.resize(levels, size, interpolation=cv2.INTER_AREA)
    return reduced.reshape(size[1], size[0], levels.shape[2])


def _cell_means(sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Divide weighted levels of cells, rows x columns x C, by the weights, rows x columns.

    Neighbouring cells are blended a little, because the network may move an edge between two cells.
    """
    blurred = cv2.GaussianBlur(sums, (3, 3), 0.5, borderType=cv2.BORDER_REPLICATE)
    blurred_weights = cv2.GaussianBlur(weights, (3, 3), 0.5, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred.reshape(sums.shape) / np.maximum(blurred_weights, 1e-6)[..., None])


def _without_clipped_noise(shifts: np.ndarray, means: np.ndarray, noise: CellMeans) -> np.ndarray:
    """Return the changes of cells beyond those that the removal of clipped noise explains.

    Noise in a night photo is clipped at black, so the photo rightly gets darker without it.

    Args:
        shifts: rows x columns x C, the changes of the means of cells.
        means: of the same shape, the means of the result.
        noise: the cells of the input.
    """
    darker, lighter = clipping_biases(means, noise)
    return np.asarray(shifts - np.clip(shifts, -darker, lighter))


def _spread(cells: np.ndarray) -> float:
    """Return the distance of the 5th and the 95th percentile of the mean of the channels."""
    low, high = np.percentile(cells.mean(axis=-1), (5, 95))
    return float(high - low)


def _is_clipped(levels: np.ndarray) -> np.ndarray:
    return (levels < CLIPPED_LEVELS) | (levels > 255 - CLIPPED_LEVELS)


def _correlation(comparison: CellComparison) -> float:
    """Correlate the luminance of cells before and after; 1 if either photo is plain."""
    counted = comparison.weights > 0
    weights = comparison.weights[counted]
    first, second = (
        (sums.mean(axis=-1)[counted] / weights) for sums in (comparison.sums, comparison.other_sums)
    )
    if min(first.std(), second.std()) < MIN_SPREAD_LEVELS / 4:
        return 1.0
    return float(np.corrcoef(first, second)[0, 1])


def _squeeze(levels: np.ndarray) -> np.ndarray:
    return levels[..., 0] if levels.shape[2] == 1 else levels
