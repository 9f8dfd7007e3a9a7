"""Reduction of photos: means of areas in linear light, weighted by alpha.

A mean of values is too dark, because the eye adds light. The tones of a photo are near those of
sRGB (see `restore.imaging.colour`), so the curve of sRGB is used for all.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from restore.imaging.alpha import BAND_ROWS, MIN_OPACITY
from restore.imaging.icc import srgb_light
from restore.imaging.limits import LIMITS
from restore.imaging.photo import Photo

_LINEAR_PART = 0.0031308


def reduced_size(width: int, height: int, max_pixels: float) -> tuple[int, int]:
    """Return the (width, height) of a photo that is reduced to a number of pixels at most.

    Sides are not shorter than photos may be, so that a long strip can keep more pixels.
    """
    factor = min(1.0, (max_pixels / (width * height)) ** 0.5)
    shortest_px = LIMITS.min_side_px
    return max(shortest_px, int(width * factor)), max(shortest_px, int(height * factor))


def reduce_photo(photo: Photo, size: tuple[int, int]) -> Photo:
    """Reduce a photo to (width, height), both at most its own.

    Returns:
        The reduced photo, or the photo itself if it has this size. Its values as stored, if they
        were converted, are no longer restored.
    """
    if (photo.width, photo.height) == size:
        return photo
    full = np.iinfo(photo.pixels.dtype).max
    light = srgb_light(np.arange(full + 1) / full).astype(np.float32)
    opacities = opacity = alpha = None
    if photo.alpha is not None:
        opacities = photo.alpha * np.float32(1 / full)
        opacity = cv2.resize(opacities, size, interpolation=cv2.INTER_AREA)
        alpha = np.rint(opacity * full).astype(photo.alpha.dtype)
    pixels = np.empty((*size[::-1], *photo.pixels.shape[2:]), photo.pixels.dtype)
    for channel in range(1 if photo.is_grey else 3):  # one at a time bounds the memory
        source, target = (
            array if photo.is_grey else array[..., channel] for array in (photo.pixels, pixels)
        )
        values = _look_up(light, source)
        mean = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
        if opacities is not None and opacity is not None:
            values *= opacities
            weighted = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
            np.divide(weighted, opacity, out=mean, where=opacity > MIN_OPACITY)
        target[...] = np.rint(_srgb_values(np.clip(mean, 0.0, 1.0)) * full)
    return replace(photo, pixels=pixels, alpha=alpha, native=None)


def reduce_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Reduce an HxW bool mask to (width, height): True where any of its pixels is."""
    if (mask.shape[1], mask.shape[0]) == size:
        return mask
    share = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(share > 0)


def _look_up(table: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return table[values] as float32, in bands."""
    result = np.empty(values.shape, np.float32)
    for top in range(0, len(values), BAND_ROWS):
        result[top : top + BAND_ROWS] = table[values[top : top + BAND_ROWS]]
    return result


def _srgb_values(light: np.ndarray) -> np.ndarray:
    curved = 1.055 * np.power(light, np.float32(1 / 2.4)) - 0.055
    return np.where(light <= _LINEAR_PART, 12.92 * light, curved)
