"""Keep areas of one colour through a network: white paper, black borders, flat graphics.

A network gives such an area nearly its colour, so that white becomes 254, with ripples near the
borders of the photo. But the only right result for an area of one colour is that colour.
"""

from __future__ import annotations

import cv2
import numpy as np

CLIPPED_RADIUS_PX = 3
"""A pixel keeps black or white if all pixels up to this distance have it too."""

FLAT_RADIUS_PX = 8
"""Likewise for other colours. More, because a photo in 8 bits has small areas of one colour that
were not so in reality."""

BAND_ROWS = 512
"""Rows that are compared at once, which bounds the memory."""


def keep_flat_areas(result: np.ndarray, original: np.ndarray) -> np.ndarray:
    """Return a network's result with the flat areas of its input.

    Args:
        result: (kH)x(kW)[xC], uint8 or uint16, for a whole number k.
        original: HxW[xC], the input of the network, of the same dtype.

    Returns:
        `result` itself if nothing differs, else a corrected copy.
    """
    scale, kept = len(result) // len(original), result
    for top in range(0, len(original), BAND_ROWS):
        bottom = min(top + BAND_ROWS, len(original))
        flat = flat_area(original, top, bottom)
        if not flat.any():
            continue
        rows = slice(top * scale, bottom * scale)
        flat, colours = (_repeat(array, scale) for array in (flat, original[top:bottom]))
        if np.array_equal(kept[rows][flat], colours[flat]):
            continue
        if kept is result:
            kept = result.copy()
        kept[rows][flat] = colours[flat]
    return kept


def flat_area(pixels: np.ndarray, top: int, bottom: int) -> np.ndarray:
    """Return which pixels of the rows from `top` to `bottom` are in flat areas, HxW bool."""
    first = max(0, top - FLAT_RADIUS_PX)
    band = pixels[first : bottom + FLAT_RADIUS_PX]
    flat = _is_constant(band, FLAT_RADIUS_PX)
    for end in (0, np.iinfo(pixels.dtype).max):
        is_end = band == end if band.ndim == 2 else (band == end).all(axis=2)
        flat |= is_end & _is_constant(is_end.astype(np.uint8), CLIPPED_RADIUS_PX)
    return flat[top - first : bottom - first]


def _is_constant(pixels: np.ndarray, radius_px: int) -> np.ndarray:
    """Return where all pixels of the square around a pixel are equal, HxW bool."""
    kernel = np.ones((2 * radius_px + 1,) * 2, np.uint8)
    # Pixels outside of the photo do not count, as is OpenCV's default.
    equal: np.ndarray = cv2.erode(pixels, kernel) == cv2.dilate(pixels, kernel)
    return equal if equal.ndim == 2 else np.all(equal, axis=2)


def _repeat(array: np.ndarray, scale: int) -> np.ndarray:
    return array.repeat(scale, axis=0).repeat(scale, axis=1) if scale > 1 else array
