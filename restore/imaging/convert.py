"""Conversions between bit depths and between grey and RGB pixels."""

from __future__ import annotations

import cv2
import numpy as np


def to_8_bits(pixels: np.ndarray) -> np.ndarray:
    """Convert pixels to 8 bits per sample.

    Args:
        pixels: HxW or HxWxC, uint8 or uint16.

    Returns:
        uint8 pixels of the same shape: the input itself if it is uint8, else rounded levels.
    """
    if pixels.dtype == np.uint8:
        return pixels
    # OpenCV needs no float copy of the photo.
    return np.asarray(cv2.convertScaleAbs(pixels, alpha=1 / 257)).reshape(pixels.shape)


def to_depth(pixels: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Convert uint8 pixels to `dtype`, which is uint8 or uint16."""
    return pixels if dtype == np.uint8 else pixels.astype(np.uint16) * np.uint16(257)


def to_float_levels(pixels: np.ndarray) -> np.ndarray:
    """Convert uint16 pixels to float32 levels from 0 to 255; return uint8 pixels unchanged."""
    if pixels.dtype == np.uint8:
        return pixels
    return pixels.astype(np.float32) * np.float32(255 / 65535)


def to_rgb(pixels: np.ndarray) -> np.ndarray:
    """Convert HxW grey pixels to HxWx3; return HxWx3 pixels unchanged."""
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def to_grey(pixels: np.ndarray) -> np.ndarray:
    """Convert HxWx3 RGB pixels to HxW luminance (BT.601); return HxW pixels unchanged."""
    return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
