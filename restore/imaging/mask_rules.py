"""How a mask image is read: which of its pixels are the hole to fill.

People send white on black, but also label maps with the values 0 and 1, coloured paint, a faint
brush on a transparent layer, or the photo itself with the hole erased. The rules, in order:

1. A mask that is partly transparent:
   a. If the rest of it shows a photo, the hole is what was erased from it.
   b. If the rest of it has black and other colours, transparent pixels count as black (rule 2).
   c. Else its paint is the hole, of whatever colour. But paint on more than MAX_HOLE_SHARE of the
      mask is a layer from which the hole was erased, because that reading fills less.
2. An opaque mask:
   a. A mask of one value, or that looks like a photo, is refused.
   b. Coloured paint on white is the hole; elsewhere, the lighter of two values is.

The threshold lies half-way between the background and its faintest large area of paint, so that a
stroke of 47 % counts as well as one of 100 %, and white on black is divided at half of white. In a
label map (small whole numbers), every label above the lowest is filled.

The official LaMa fills every value above 0. But a mask saved as JPEG has grey noise around its
edges, and half of white is where a blurred edge was before it was blurred.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from restore.imaging.convert import to_grey

MAX_HOLE_SHARE = 0.6
"""Fraction of a photo above which a hole is probably inverted."""

MIN_COMMON_SHARE = 0.6
"""Fraction of a mask that its COMMON_LEVELS most frequent levels have at least. Photos of the
test sets have 0.2 to 0.55, and two with large black or white areas up to 0.72."""
COMMON_LEVELS = 8
LEVEL_BINS = 64

MAX_SOFT_SHARE = 0.1
"""Fraction of a mask in soft transitions above which there is a warning."""

MAX_LABELS = 32
"""Label maps have values below this, and at most one above it (255 for "no label")."""

MIN_PAINT = 0.1
"""Levels closer to the background, as a fraction of the range, are JPEG artefacts."""
MIN_AREA_SHARE = 0.05
"""Fraction of the painted area that a level needs, so that the threshold respects it."""
AREA_BINS = 32

MIN_CHROMA = 0.25
"""Difference of the channels of coloured paint, as a fraction of the range."""
MIN_NEUTRAL_SHARE = 0.05
"""Fraction of a mask that a black, grey or white background has at least."""

MIN_BLACK_SHARE = 0.01
"""Fraction of the visible part of a transparent mask above which its black is a background."""

OPAQUE = 0.98
"""Pixels with less than this fraction of the mask's highest alpha were erased."""

MAX_SAME_LEVELS = 16
"""Of 255: a mask that is nowhere further from the photo shows the photo."""
_MAX_SAMPLES = 250_000


class UnreadableMaskError(ValueError):
    """No rule says which part of the mask is the hole; the message says what was seen."""


@dataclass(frozen=True, eq=False)
class MaskReading:
    """A mask as it was read.

    Attributes:
        hole: HxW bool, True in the hole.
        how: how it was read, to follow "the mask was read".
        doubts: what speaks against this reading, as warnings.
    """

    hole: np.ndarray
    how: str
    doubts: tuple[str, ...] = ()


def read_hole(
    pixels: np.ndarray, alpha: np.ndarray | None, photo: np.ndarray, *, lossy: bool
) -> MaskReading:
    """Find the hole in a mask image.

    Args:
        pixels: HxW or HxWx3 of the mask, uint8 or uint16.
        alpha: HxW of the same dtype, or None.
        photo: the pixels of the photo to fill, of any size, depth and number of channels.
        lossy: whether the file format changes values, as JPEG does.

    Raises:
        UnreadableMaskError: the mask has one value, or looks like a photo.
    """
    if alpha is None or alpha.min() == alpha.max():
        return _read_opaque(pixels, lossy=lossy)
    visible = alpha >= alpha.max() / 2
    if _shows_photo(pixels, photo, visible) or _looks_like_photo(to_grey(pixels)[visible]):
        return MaskReading(erased_part(alpha), "by what was erased from it")
    full = np.iinfo(pixels.dtype).max
    black_share = float((_brightest_channel(pixels)[visible] <= MIN_PAINT * full).mean())
    if MIN_BLACK_SHARE <= black_share < 1.0:
        opacity = (alpha / full)[(..., *[None] * (pixels.ndim - 2))]
        return _read_opaque(np.rint(pixels * opacity).astype(pixels.dtype), lossy=lossy)
    reading = _divide(alpha, lossy=False)
    share = float(reading.hole.mean())
    if share <= MAX_HOLE_SHARE:
        return MaskReading(reading.hole, f"by its paint on a transparent layer, {reading.how}")
    doubt = (
        f"{share:.0%} of it is opaque and has one colour, so its transparent part was taken for the"
        " hole; if the opaque part is the hole, paint it white on black"
    )
    return MaskReading(erased_part(alpha), "by what was erased from it", (doubt,))


def erased_part(alpha: np.ndarray) -> np.ndarray:
    """Return where something was erased from a layer, in part or completely, as HxW bool."""
    return np.asarray(alpha < OPAQUE * float(alpha.max()))


def _read_opaque(pixels: np.ndarray, *, lossy: bool) -> MaskReading:
    """Apply rule 2."""
    low, high = _bounds(pixels)
    if lossy and 0 < high - low < MAX_LABELS:
        raise UnreadableMaskError(
            f"its values are all from {low} to {high}, and JPEG and WebP do not keep such small"
            " differences"
        )
    grey = to_grey(pixels)
    if _looks_like_photo(grey):
        kinds = "grey levels" if _coloured(pixels, high - low) is None else "colours"
        raise UnreadableMaskError(f"it looks like a photo: it has many {kinds}, not two")
    paint, name = _paint(pixels, high - low)
    reading = _divide(paint, lossy=lossy)
    return MaskReading(reading.hole, f"{name}{reading.how}", reading.doubts)


def _paint(pixels: np.ndarray, span: int) -> tuple[np.ndarray, str]:
    """Return how much paint every pixel has, and what kind of paint it is.

    Args:
        pixels: HxW or HxWx3.
        span: the difference of their highest and lowest value.
    """
    coloured = _coloured(pixels, span)
    if coloured is None:
        return to_grey(pixels), ""
    value = _brightest_channel(pixels)
    neutral_share = 1.0 - float(coloured.mean())
    if neutral_share < MIN_NEUTRAL_SHARE:
        return to_grey(pixels), "by the lightness of its colours, "
    is_dark = value < int(pixels.min()) + span / 2
    dark, light = ((~coloured & each).sum() for each in (is_dark, ~is_dark))
    if dark < min(light, coloured.sum()):
        paint = np.asarray(pixels.max() - _darkest_channel(pixels))
        return paint, "by its coloured paint on white, "
    return value, "by its coloured paint on black, "


def _divide(paint: np.ndarray, *, lossy: bool) -> MaskReading:
    """Divide HxW levels of paint into background and hole.

    Raises:
        UnreadableMaskError: all levels are the same.
    """
    levels = np.flatnonzero(_histogram(paint))
    low, high = int(levels[0]), int(levels[-1])
    if low == high:
        raise UnreadableMaskError(f"it has the same value everywhere ({low})")
    if not lossy and np.count_nonzero(levels >= MAX_LABELS) <= 1:
        how = f"as labels from {low} to {high}: all but {low} is filled"
        return MaskReading(paint > low, how if len(levels) > 2 else _two_values(low, high))
    is_flat = cv2.erode(paint, _NEIGHBOURS) == cv2.dilate(paint, _NEIGHBOURS)
    faintest = _faintest_area(paint[is_flat], low, high)
    threshold = int((low + faintest) / 2)
    hole = paint > threshold
    how = f"by its values from {low} to {high}: all above {threshold} is filled"
    doubts = tuple(_doubts(paint, hole, is_flat, low, high))
    return MaskReading(hole, how if len(levels) > 2 else _two_values(low, high), doubts)


def _two_values(low: int, high: int) -> str:
    return f"by its two values {low} and {high}: {high} is filled"


_NEIGHBOURS = np.ones((3, 3), np.uint8)


def _faintest_area(flat: np.ndarray, low: int, high: int) -> float:
    """Return the lowest level of paint that covers a large area; `high` if there is none.

    Args:
        flat: levels of the pixels whose neighbours have the same level: edges have none.
        low, high: lowest and highest level of the mask.
    """
    painted = flat[flat > low + MIN_PAINT * (high - low)]
    if not painted.size:
        return float(high)
    bins = (painted.astype(np.int64) - low) * AREA_BINS // (high - low + 1)
    counts = np.bincount(bins)
    faintest = np.flatnonzero(counts >= MIN_AREA_SHARE * painted.size)[0]
    return float(painted[bins == faintest].mean())


def _doubts(
    paint: np.ndarray, hole: np.ndarray, is_flat: np.ndarray, low: int, high: int
) -> list[str]:
    margin = MIN_PAINT * (high - low)
    doubts = []
    soft = float(((paint > low + margin) & (paint < high - margin) & ~is_flat).mean())
    if soft > MAX_SOFT_SHARE:
        doubts.append(f"{soft:.0%} of it is neither black nor white but between, as in a photo")
    left_out = is_flat & (paint > low) & ~hole
    if left_out.sum() > hole.sum():
        highest = paint[left_out].max()
        doubts.append(
            f"{left_out.mean():.1%} of it has values from {low + 1} to {highest} and was not filled"
        )
    return doubts


def _shows_photo(pixels: np.ndarray, photo: np.ndarray, visible: np.ndarray) -> bool:
    """Tell whether the visible pixels of a mask are those of the photo."""
    if pixels.shape[:2] != photo.shape[:2]:
        return False
    shown, expected = (
        to_grey(each)[visible] * (255 / np.iinfo(each.dtype).max) for each in (pixels, photo)
    )
    has_detail = np.ptp(shown) > 2 * MAX_SAME_LEVELS  # white paint on a white wall has none
    return bool(has_detail and (np.abs(shown - expected) <= MAX_SAME_LEVELS).all())


def _looks_like_photo(grey: np.ndarray) -> bool:
    """Tell whether levels are spread as in a photo, not concentrated as in a mask."""
    sample = grey.ravel()[:: max(1, grey.size // _MAX_SAMPLES)]
    low, high = _bounds(sample)
    span = max(high - low + 1, LEVEL_BINS)  # else noise in a constant area would be spread
    bins = (sample.astype(np.int64) - low) * LEVEL_BINS // span
    counts = np.sort(np.bincount(bins, minlength=COMMON_LEVELS))
    return bool(counts[-COMMON_LEVELS:].sum() < MIN_COMMON_SHARE * sample.size)


def _coloured(pixels: np.ndarray, span: int) -> np.ndarray | None:
    """Return where pixels are coloured, as HxW bool, or None if they are nowhere."""
    if pixels.ndim == 2:
        return None
    coloured = np.asarray(_brightest_channel(pixels) - _darkest_channel(pixels) > MIN_CHROMA * span)
    return coloured if coloured.any() else None


def _brightest_channel(pixels: np.ndarray) -> np.ndarray:
    # Ten times faster than NumPy along the last axis.
    return pixels if pixels.ndim == 2 else np.asarray(functools.reduce(cv2.max, cv2.split(pixels)))


def _darkest_channel(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(functools.reduce(cv2.min, cv2.split(pixels)))


def _histogram(levels: np.ndarray) -> np.ndarray:
    count = int(np.iinfo(levels.dtype).max) + 1
    return cv2.calcHist([np.ascontiguousarray(levels)], [0], None, [count], [0, count]).ravel()


def _bounds(values: np.ndarray) -> tuple[int, int]:
    return int(values.min()), int(values.max())
