"""Judges the result of `colors`, which changes the colour and brightness of every area on purpose.

The luminance of the result must be a rising curve of that of the input, apart from a rest: colours
that fade differently change places a little. What the best curve does not explain, and detail that
is missing or new, is damage; so are areas that became flat, and colours that changed too much.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import isotonic_regression

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
DETAIL_PX = 2.0
"""Standard deviation of the filter whose rest is detail."""

MIN_DETAIL_LEVELS = 1.0
"""Standard deviation of the detail of a photo that has some."""

MIN_DETAIL_KEPT = 0.9
"""Correlation of the detail of the result with that of the best rising curve of the input."""

MAX_REST_SHARE = 0.3
"""Standard deviation of what the curve does not explain, over that of the result."""

MIN_REST_LEVELS = 3.0
"""Rest that is too small to be visible."""

CELL_PX = 8
MIN_CELL_LEVELS = 3.0
"""Range of the luminance of a cell that has detail."""

FLAT_CELL_SHARE = 0.25
"""A cell became flat if less than this share of its range remains."""

MAX_FLAT_SHARE = 0.02
"""Fraction of cells with detail that may become flat, by clipping or posterisation."""

MIN_LEVELS_KEPT = 0.5
"""Number of different levels of a channel in the result, over that in the input."""

MIN_LEVELS = 32
"""Different levels of a channel from which it can be posterised."""

MAX_GOOD_CHANGE = 15.5
"""Mean CIE76 difference of photos that have not faded: the limit of `steps=auto`."""


def find_colour_harm(
    before: np.ndarray, after: np.ndarray, visible: np.ndarray, *, keeps_detail: bool = True
) -> Iterator[str]:
    """Describe everything by which corrected colours look damaged.

    Args:
        before, after: HxWx3 sRGB levels from 0 to 255.
        visible: HxW bool.
        keeps_detail: whether no other step ran, which may change the detail.
    """
    if not visible.any():
        return
    curved = fit_curve(before @ LUMINANCE, after @ LUMINANCE, visible)
    result = after @ LUMINANCE
    rest = float((result - curved)[visible].std())
    if rest > max(MIN_REST_LEVELS, MAX_REST_SHARE * float(result[visible].std())):
        yield f"light and dark changed places by {rest:.0f} levels"
    kept = detail_kept(result, curved, visible)
    if keeps_detail and kept < MIN_DETAIL_KEPT:
        yield f"only {100 * kept:.0f} % of the detail is as before"
    share = flat_share(before @ LUMINANCE, result, visible)
    if share > MAX_FLAT_SHARE:
        yield f"{100 * share:.0f} % of the areas with detail became flat"
    yield from _find_posterisation(before[visible], after[visible])


def find_kept_harm(before: Path, after: Path) -> Iterator[str]:
    """Describe what a result file lost of alpha and depth of its input; both are read by OpenCV."""
    first, second = (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in (before, after))
    if first is None or second is None:
        return
    if first.dtype == np.uint16 and second.dtype == np.uint8:
        yield "16 bits became 8"
    elif first.ndim == 3 and first.shape[2] == 4 and not _has_same_alpha(first, second):
        yield "alpha changed"


def fit_curve(before: np.ndarray, after: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Return HxW `before` through the rising curve that fits `after` best."""
    levels = np.rint(before).astype(np.int64).clip(0, 255)
    counts = np.bincount(levels[visible], minlength=256)
    sums = np.bincount(levels[visible], after[visible], minlength=256)
    used = np.nonzero(counts)[0]
    fitted = isotonic_regression(sums[used] / counts[used], weights=counts[used]).x
    return np.asarray(np.interp(before, used, fitted))


def detail_kept(first: np.ndarray, second: np.ndarray, visible: np.ndarray) -> float:
    """Return the correlation of the detail of two HxW planes; 1 if neither has any."""
    details = [_detail(plane)[visible] for plane in (first, second)]
    spreads = [float(detail.std()) for detail in details]
    if max(spreads) < MIN_DETAIL_LEVELS:
        return 1.0
    if min(spreads) == 0.0:
        return 0.0
    return float(np.corrcoef(*details)[0, 1])


def flat_share(before: np.ndarray, after: np.ndarray, visible: np.ndarray) -> float:
    """Return the fraction of cells of HxW planes whose detail is gone."""
    ranges = [_cell_ranges(plane) for plane in (before, after)]
    counted = _cells(visible).all(axis=(1, 3)) & (ranges[0] >= MIN_CELL_LEVELS)
    flat = ranges[1] < FLAT_CELL_SHARE * ranges[0]
    return float(flat[counted].mean()) if counted.any() else 0.0


def mean_change(before: np.ndarray, after: np.ndarray, visible: np.ndarray) -> float:
    """Return the mean CIE76 difference of HxWx3 levels; 0 if nothing is visible."""
    if not visible.any():
        return 0.0
    labs = [
        cv2.cvtColor((levels / 255).astype(np.float32), cv2.COLOR_RGB2LAB)
        for levels in (before, after)
    ]
    return float(np.linalg.norm(labs[1] - labs[0], axis=-1)[visible].mean())


def _has_same_alpha(first: np.ndarray, second: np.ndarray) -> bool:
    return first.shape == second.shape and np.array_equal(first[..., 3], second[..., 3])


def _find_posterisation(before: np.ndarray, after: np.ndarray) -> Iterator[str]:
    for channel, name in enumerate(("red", "green", "blue")):
        counts = [len(np.unique(np.rint(levels[:, channel]))) for levels in (before, after)]
        if counts[0] >= MIN_LEVELS and counts[1] < MIN_LEVELS_KEPT * counts[0]:
            yield f"{name} has {counts[1]} levels instead of {counts[0]}"


def _detail(plane: np.ndarray) -> np.ndarray:
    return np.asarray(plane - cv2.GaussianBlur(plane, (0, 0), DETAIL_PX))


def _cells(plane: np.ndarray) -> np.ndarray:
    rows, columns = (side // CELL_PX for side in plane.shape)
    whole = plane[: rows * CELL_PX, : columns * CELL_PX]
    return whole.reshape(rows, CELL_PX, columns, CELL_PX)


def _cell_ranges(plane: np.ndarray) -> np.ndarray:
    cells = _cells(plane)
    return np.asarray(cells.max(axis=(1, 3)) - cells.min(axis=(1, 3)))
