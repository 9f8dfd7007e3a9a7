"""Length of the scratches, tears and cracks of a photo."""

from __future__ import annotations

import cv2
import numpy as np
from torch import nn

from restore.faces.colour import RGB_TO_YCBCR, Tone
from restore.imaging.convert import to_8_bits, to_grey, to_rgb
from restore.imaging.photo import Photo
from restore.pipelines.old_photo_scratches import (
    MAX_LONG_SIDE_PX,
    detect_scratches_lite,
    reduce_to,
)
from restore.pipelines.old_photo_strips import components
from restore.pipelines.rules import PixelRules

THRESHOLD = 0.9
"""Probability of a scratch; high, so that only clear scratches count."""

MIN_LENGTH = 0.05
"""Of a scratch, as a fraction of the photo's diagonal. Foliage, snow and prints contain many
shorter structures."""

DARK_WEIGHT = 1 / 3
"""Weight of a scratch that is darker than the photo around it. Dark lines are more often branches
or wires; most damage is bare paper."""

MAX_CHROMA_LEVELS = 30.0
"""Chroma above which a light strip in a photo in colour is an object."""

RING_PX = 3
"""Width of the ring around a scratch with which it is compared."""


def measure_scratches(photo: Photo, net: nn.Module, tone: Tone) -> tuple[float, float]:
    """Return the total length of clear scratches, and the share of the photo that they cover.

    The length is in diagonals of the photo, with dark scratches weighted. Both are 0 if so much
    was detected that nothing would be filled.

    Args:
        photo: the photo.
        net: the lite network that finds scratches.
        tone: the tone of the photo.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    luminance = reduce_to(to_grey(to_8_bits(photo.pixels)), MAX_LONG_SIDE_PX)
    # With adapted probabilities, a third of the cracked photos would be missed in addition.
    found = detect_scratches_lite(luminance, net, THRESHOLD, is_adapted=False)
    if found.mean() > PixelRules.max_scratched_share:
        return 0.0, 0.0
    chroma = _chroma(photo, luminance.shape) if tone == "colour" else None
    diagonal_px, length = float(np.hypot(*luminance.shape)), 0.0
    for window, region in components(found, margin_px=RING_PX):
        length_px = _length_px(region)
        if length_px < MIN_LENGTH * diagonal_px:
            continue
        if chroma is not None and np.median(chroma[window][region]) > MAX_CHROMA_LEVELS:
            continue
        weight = 1.0 if _is_light(luminance[window], region) else DARK_WEIGHT
        length += weight * length_px / diagonal_px
    return length, float(found.mean())


def _length_px(region: np.ndarray) -> float:
    """Return the diagonal of the box around an area: HxW bool."""
    rows, columns = np.nonzero(region)
    return float(np.hypot(np.ptp(rows) + 1, np.ptp(columns) + 1))


def _is_light(luminance: np.ndarray, region: np.ndarray) -> bool:
    side = 2 * RING_PX + 1
    near = cv2.dilate(region.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    ring = luminance[near & ~region]
    return len(ring) == 0 or float(np.median(luminance[region])) > float(np.median(ring))


def _chroma(photo: Photo, shape: tuple[int, ...]) -> np.ndarray:
    """Return the distance of each pixel from grey, in levels: HxW float."""
    rgb = to_rgb(to_8_bits(photo.pixels))
    small = cv2.resize(rgb, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    blue_red = small.astype(np.float32) @ RGB_TO_YCBCR[1:].T.astype(np.float32)
    return np.asarray(np.linalg.norm(blue_red, axis=-1))
