"""ToneCurve: a change of tones that can be undone exactly, channel by channel.

Networks expect the tones of sRGB. A photo in a linear space looks almost black to them. A curve
changes tones without clipping colours, unlike a conversion to sRGB.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

MAX_MERGED_LEVELS = 24
"""More levels of one curve must not become one level: it would clip what a task changes."""

_MAX_FALL_LEVELS = 1.0
_LEVELS = np.arange(256)


@dataclass(frozen=True, eq=False)
class ToneCurve:
    """A rising curve from the levels of a space to those of sRGB.

    Attributes:
        levels: levels of the space at the knots, 0 to 255, strictly rising.
        srgb_levels: the levels of sRGB that they show as, likewise.
    """

    levels: np.ndarray
    srgb_levels: np.ndarray

    @staticmethod
    def from_measured(srgb_levels: np.ndarray) -> ToneCurve | None:
        """Return the curve through measured levels of sRGB; None if they fall or hardly rise.

        Args:
            srgb_levels: what each of 256 levels of grey shows as, rounded or not.
        """
        if (np.diff(srgb_levels) < -_MAX_FALL_LEVELS).any():
            return None
        rising = np.maximum.accumulate(srgb_levels)
        knots, group = np.unique(rising, return_inverse=True)
        merged = np.bincount(group)
        if merged.max() > MAX_MERGED_LEVELS:
            return None
        # Several levels can be rounded to one level of sRGB: the knot lies in their middle.
        return ToneCurve(np.bincount(group, _LEVELS) / merged, knots)

    def to_srgb(self, pixels: np.ndarray) -> np.ndarray:
        """Convert uint8 or uint16 pixels of any shape to the tones of sRGB."""
        return _look_up(self.levels, self.srgb_levels, pixels)

    def from_srgb(self, pixels: np.ndarray, native: np.ndarray | None) -> np.ndarray:
        """Convert pixels back; unchanged ones get the exact values that they had.

        Args:
            pixels: uint8 or uint16 of any shape.
            native: the pixels before `to_srgb`, or None. They are not used if their shape differs.
        """
        result = _look_up(self.srgb_levels, self.levels, pixels)
        if native is not None and (native.shape, native.dtype) == (pixels.shape, pixels.dtype):
            np.copyto(result, native, where=self.to_srgb(native) == pixels)
        return result


def _look_up(source: np.ndarray, target: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    full = np.iinfo(pixels.dtype).max
    levels = np.arange(full + 1) * (255 / full)
    table = np.rint(np.interp(levels, source, target) * (full / 255)).astype(pixels.dtype)
    return cv2.LUT(pixels, table) if pixels.dtype == np.uint8 else table[pixels]
