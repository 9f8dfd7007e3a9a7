"""Conversions between bit depths and between grey and RGB pixels."""

from __future__ import annotations

import cv2
import numpy as np

MAX_TINT_LEVELS = 2
"""Difference of the channels, in levels of 255, up to which an RGB photo counts as grey."""

BAND_ROWS = 512
"""Rows that are compared at once, which bounds the memory."""


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
    return pixels if pixels.ndim == 3 else cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)


def to_grey(pixels: np.ndarray) -> np.ndarray:
    """Convert HxWx3 RGB pixels to HxW luminance (BT.601); return HxW pixels unchanged."""
    return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)


def grey_if_equal(pixels: np.ndarray) -> np.ndarray:
    """Convert HxWx3 pixels to grey if no channel differs by more than MAX_TINT_LEVELS.

    Returns:
        HxW, or the input itself if it is grey already or has colour.
    """
    if pixels.ndim == 2:
        return pixels
    max_tint = MAX_TINT_LEVELS * (np.iinfo(pixels.dtype).max // 255)
    for top in range(0, len(pixels), BAND_ROWS):
        red, green, blue = cv2.split(pixels[top : top + BAND_ROWS])
        for first, second in ((red, green), (green, blue), (blue, red)):
            if int(cv2.absdiff(first, second).max()) > max_tint:
                return pixels
    return to_grey(pixels)


def add_tint(grey: np.ndarray, tinted: np.ndarray) -> np.ndarray:
    """Convert a grey result to RGB with the small differences of the channels of its input.

    Args:
        grey: HxW result of any size, of the dtype of `tinted`.
        tinted: HxWx3, for which `grey_if_equal` is grey.

    Returns:
        HxWx3. It equals `tinted` where the result equals the input.
    """
    result, luminance = to_rgb(grey), to_grey(tinted)
    for channel in range(3):
        values = cv2.extractChannel(tinted, channel)
        if np.array_equal(values, luminance):
            continue
        tint = cv2.subtract(values, luminance, dtype=cv2.CV_32F)
        if tint.shape != grey.shape:
            size = (grey.shape[1], grey.shape[0])
            tint = cv2.resize(tint, size, interpolation=cv2.INTER_LINEAR)
        depth = cv2.CV_8U if grey.dtype == np.uint8 else cv2.CV_16U
        result[..., channel] = cv2.add(grey, tint, dtype=depth)
    return result
