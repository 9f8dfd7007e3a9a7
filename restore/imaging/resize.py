"""Resizing and blending of pixels and photos."""

from __future__ import annotations

import cv2
import numpy as np

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
    return cv2.addWeighted(result, strength, resized, 1.0 - strength, 0.0)


def blend_photos(result: Photo, original: Photo, strength: float) -> Photo:
    """Blend a restored photo with its original, alpha included; see `blend_pixels`."""
    if strength == 1.0:
        return result
    alpha = result.alpha
    if alpha is not None and original.alpha is not None:
        alpha = blend_pixels(alpha, original.alpha, strength)
    return result.with_pixels(blend_pixels(result.pixels, original.pixels, strength), alpha)
