"""Resizing and blending of pixels and photos."""

from __future__ import annotations

import cv2
import numpy as np

from restore.imaging.alpha import resize_weighted
from restore.imaging.photo import Photo


def resize_lanczos(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize pixels with OpenCV's Lanczos filter.

    Args:
        pixels: HxW or HxWxC, uint8, uint16 or float32.
        size: (width, height) of the result.

    Returns:
        The resized pixels, or the input itself if it has this size.
    """
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return cv2.resize(pixels, size, interpolation=cv2.INTER_LANCZOS4)


def resize_photo(
    photo: Photo, size: tuple[int, int], interpolation: int = cv2.INTER_LANCZOS4
) -> Photo:
    """Resize a photo to (width, height), its colours weighted by alpha if it is transparent."""
    if (photo.width, photo.height) == size:
        return photo
    if photo.alpha is None:
        return photo.with_pixels(cv2.resize(photo.pixels, size, interpolation=interpolation))
    return photo.with_pixels(*resize_weighted(photo.pixels, photo.alpha, size, interpolation))


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an HxW bool mask to (width, height) by the nearest pixel."""
    if (mask.shape[1], mask.shape[0]) == size:
        return mask
    return cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT) > 0


def blend_pixels(result: np.ndarray, original: np.ndarray, strength: float) -> np.ndarray:
    """Return strength * result + (1 - strength) * original.

    Args:
        result: HxW or HxWxC, uint8 or uint16.
        original: pixels of the same dtype and channels; resized with Lanczos if their size differs.
        strength: from 0 (only the original) to 1 (only the result).
    """
    if strength == 1.0:
        return result
    resized = resize_lanczos(original, (result.shape[1], result.shape[0]))
    if strength == 0.0:
        return resized
    return cv2.addWeighted(result, strength, resized, 1.0 - strength, 0.0)


def blend_photos(result: Photo, original: Photo, strength: float) -> Photo:
    """Blend a restored photo with its original, alpha included; see `blend_pixels`.

    The original, if its size differs, is resized by `resize_photo`.
    """
    if strength == 1.0:
        return result
    original = resize_photo(original, (result.width, result.height))
    alpha = result.alpha
    if alpha is not None and original.alpha is not None:
        alpha = blend_pixels(alpha, original.alpha, strength)
    return result.with_pixels(blend_pixels(result.pixels, original.pixels, strength), alpha)
