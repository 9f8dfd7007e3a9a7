"""Whether a restored face may be pasted: it must still be the picture that it was restored from.

A face network may fail without an error: its output is black, flat, noise, or another picture.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from restore.faces.masks import geometric_mask
from restore.imaging.convert import to_grey

MAX_SHIFT_LEVELS = 40.0
"""Largest change of the mean luminance of a face. The lite network: at most 0.4."""

MIN_CONTRAST, MAX_CONTRAST = 0.4, 2.5
"""Range of the spread of brightness over a face, relative to before. The lite network: 1.00 to
1.04."""

MIN_CORRELATION = 0.4
"""Lowest correlation of brightness over a face with that before. The lite network: 0.998
and more."""

MAX_GRAIN_LEVELS = 40.0
"""Largest RMS difference of neighbouring pixels. Faces have 1 to 8, white noise 100."""

MIN_SPREAD_LEVELS = 6.0
"""Faces whose brightness spreads less have no structure that could be lost."""

_BLOCK_PX = 32
"""Brightness is compared in blocks, because networks add and move fine detail."""


@dataclass(frozen=True)
class FaceChange:
    """How a restored face differs from its crop, in luminance within the face.

    Attributes:
        shift: change of the mean, in levels.
        contrast: standard deviation of blocks over that before; 1 if there was no structure.
        correlation: of blocks with those before, -1 to 1; 1 if there was no structure.
        grain: RMS difference of neighbouring pixels of the restored face, in levels.
    """

    shift: float
    contrast: float
    correlation: float
    grain: float

    def reason_not_to_paste(self) -> str:
        """Return why the face must not be pasted, or an empty string."""
        if abs(self.shift) > MAX_SHIFT_LEVELS:
            return f"the network changed its brightness by {self.shift:.0f} levels"
        if not MIN_CONTRAST <= self.contrast <= MAX_CONTRAST:
            return f"the network changed its contrast to {100 * self.contrast:.0f}%"
        if self.correlation < MIN_CORRELATION:
            return f"the network's output does not resemble it (correlation {self.correlation:.2f})"
        if self.grain > MAX_GRAIN_LEVELS:
            return f"the network's output is noise of {self.grain:.0f} levels"
        return ""


def measure_change(restored: np.ndarray, crop: np.ndarray) -> FaceChange:
    """Compare a restored face with its crop.

    Args:
        restored: SxSx3 RGB, levels of 0 to 255.
        crop: the face before restoration, likewise.
    """
    luminance, before = (to_grey(face.astype(np.float32)) for face in (restored, crop))
    side = block_count(luminance.shape[0])
    blocks, blocks_before = (
        cv2.resize(array, (side, side), interpolation=cv2.INTER_AREA)
        for array in (luminance, before)
    )
    grain = np.diff(luminance, axis=1)[inside_face(luminance.shape[0])[:, 1:]]
    return change_of(blocks, blocks_before, float(np.sqrt(np.mean(grain**2))))


def block_count(side_px: int) -> int:
    """Return how many blocks a side of a face has."""
    return max(1, round(side_px / _BLOCK_PX))


def change_of(blocks: np.ndarray, blocks_before: np.ndarray, grain: float) -> FaceChange:
    """Return how a face changed.

    Args:
        blocks: means of the luminance in blocks of the restored face, square.
        blocks_before: the same of its crop.
        grain: as in `FaceChange`.
    """
    inside = inside_face(len(blocks))
    blocks, blocks_before = blocks[inside], blocks_before[inside]
    contrast, correlation = 1.0, 1.0
    if blocks_before.std() >= MIN_SPREAD_LEVELS:
        contrast = float(blocks.std() / blocks_before.std())
        covariance = np.mean((blocks - blocks.mean()) * (blocks_before - blocks_before.mean()))
        correlation = float(covariance / max(blocks.std() * blocks_before.std(), 1e-6))
    return FaceChange(
        shift=float(blocks.mean() - blocks_before.mean()),
        contrast=contrast,
        correlation=correlation,
        grain=grain,
    )


@functools.cache
def inside_face(side: int) -> np.ndarray:
    """Return where the template's face is, as side x side bool."""
    mask = cv2.resize(geometric_mask(), (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(mask > 0.5)
