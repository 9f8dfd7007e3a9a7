"""Quality of a JPEG, from its quantisation tables and from the borders of its blocks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from restore.imaging.photo import Photo

BLOCK_PX = 8
STANDARD_MEAN = 57.625
"""Mean of the luminance table of the JPEG standard, which is quality 50."""

MAX_ACTIVITY_LEVELS = 2.5
"""Mean difference of neighbouring pixels up to which an area is smooth, so that blocks show."""

MIN_SMOOTH_PX = 50
"""Smooth pixels at each of the eight positions in a block."""

MAX_STEP_LEVELS = 60.0
"""Larger steps are rare between blocks of any JPEG (of quality 3, blocks have a mean in steps of 32
levels): they are edges of the picture."""

MAX_EDGE_SHARE = 0.14
"""Share of such edges at the borders of blocks above which the blocks belong to the picture. Photos
of quality 3 have 0.11 at most; a QR code has 0.17, enlarged pixel art 0.2 or more."""

_NEIGHBOURS = np.array([[1, 1, 1, 0, 1, 1, 1]], np.float32) / 6


@dataclass(frozen=True)
class Blocks:
    """How visible the blocks of a JPEG are.

    Attributes:
        step_levels: how much larger the difference of neighbouring pixels is at the borders of
            blocks than elsewhere, in levels of 255, in the direction in which it is smaller. 0
            where the blocks belong to the picture.
        smooth_share: fraction of the photo in which such steps can be seen.
    """

    step_levels: float
    smooth_share: float


def table_quality(photo: Photo) -> int | None:
    """Return the quality, 1 to 100, whose standard luminance table is as coarse as the photo's.

    None for a photo that is no JPEG.
    """
    if photo.coding is None or not photo.coding.tables:
        return None
    percent = 100.0 * float(np.mean(photo.coding.tables[0])) / STANDARD_MEAN
    quality = 100.0 - percent / 2.0 if percent <= 100.0 else 5000.0 / percent
    return int(np.clip(round(quality), 1, 100))


def measure_blocks(luminance: np.ndarray) -> Blocks:
    """Measure the blocks of HxW uint8, whose grid may be shifted.

    A photo that was compressed, enlarged and stored again has no grid of eight pixels.
    """
    plane = luminance.astype(np.float32)
    measured = [_measure_columns(plane), _measure_columns(np.ascontiguousarray(plane.T))]
    return Blocks(*(min(values) for values in zip(*measured, strict=True)))


def _measure_columns(plane: np.ndarray) -> tuple[float, float]:
    """Return the step at vertical borders of blocks, and the share of smooth pixels."""
    if plane.shape[1] <= 2 * BLOCK_PX:
        return 0.0, 0.0
    differences = np.abs(np.diff(plane, axis=1))
    activity = cv2.filter2D(differences, -1, _NEIGHBOURS)
    smooth, excess = activity < MAX_ACTIVITY_LEVELS, differences - activity
    steps, edge_shares = np.zeros(BLOCK_PX), np.zeros(BLOCK_PX)
    for position in range(BLOCK_PX):
        values = excess[:, position::BLOCK_PX][smooth[:, position::BLOCK_PX]]
        if len(values) >= MIN_SMOOTH_PX:
            steps[position] = values.mean()
            edge_shares[position] = (values > MAX_STEP_LEVELS).mean()
    border = int(steps.argmax())
    if edge_shares[border] > MAX_EDGE_SHARE:
        return 0.0, float(smooth.mean())
    return float(steps[border] - np.median(np.delete(steps, border))), float(smooth.mean())
