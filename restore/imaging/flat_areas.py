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
    # Each row is compared with the one below, so the last one needs one more.
    band = pixels[first : bottom + FLAT_RADIUS_PX + 1]
    equal = np.ones(band.shape[:2], np.uint8)
    equal[:, :-1] &= _all_channels(band[:, :-1] == band[:, 1:])
    equal[:-1] &= _all_channels(band[:-1] == band[1:])
    clipped = _shrink(equal, CLIPPED_RADIUS_PX)
    flat = _shrink(clipped, FLAT_RADIUS_PX - CLIPPED_RADIUS_PX) > 0
    if clipped.any():
        for end in (0, np.iinfo(pixels.dtype).max):
            flat |= (clipped > 0) & _all_channels(band == end)
    return flat[top - first : bottom - first]


def _shrink(area: np.ndarray, radius_px: int) -> np.ndarray:
    """Return where the whole square around a pixel is 1: HxW uint8 of 0 and 1."""
    # Pixels outside of the photo do not count, as is OpenCV's default.
    return cv2.erode(area, np.ones((2 * radius_px + 1,) * 2, np.uint8))


def _all_channels(equal: np.ndarray) -> np.ndarray:
    return equal if equal.ndim == 2 else equal[..., 0] & equal[..., 1] & equal[..., 2]


def _repeat(array: np.ndarray, scale: int) -> np.ndarray:
    return array.repeat(scale, axis=0).repeat(scale, axis=1) if scale > 1 else array
