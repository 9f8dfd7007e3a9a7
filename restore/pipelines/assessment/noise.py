"""Noise and film grain of a photo, told from its texture.

Noise is everywhere in a photo, and it is fine: reducing the photo averages it away. Texture covers
a part of a photo, and is as strong in the reduced photo. So the level in the smoothest blocks
counts as noise if it falls from one scale to the next and the other blocks are hardly rougher.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from restore.faces.colour import RGB_TO_YCBCR

BLOCK_PX = 8
MIN_SIDE_PX = 32
"""Smaller pictures have too few blocks."""

SCALES = 2
"""Scales at which noise is looked for: grain of one and of two pixels."""

MAX_DECAY = 0.85
"""Level at the next scale over the level at a scale, up to which it is noise: white noise has 0.5,
scanned grain 0.6 to 0.8; texture 0.9 and more."""

MIN_EVENNESS = 0.5
"""Level of the smoothest tenth over that of half of the blocks. Grain has 0.5 to 0.8, also in
photos with much detail; sharp texture less."""

MIN_LEVEL, MAX_LEVEL = 4.0, 251.0
"""Blocks that reach these levels do not count: clipping removes noise."""

MIN_BLOCKS = 8
_NOISE_FILTER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
"""Returns white noise with its standard deviation, and 0 for ramps (Immerkaer, CVIU 1996)."""


@dataclass(frozen=True)
class Noise:
    """Levels of noise of 255; 0 if what is rough is texture.

    Attributes:
        luminance_levels: of the luminance.
        colour_levels: of the chrominance.
    """

    luminance_levels: float
    colour_levels: float


def measure_noise(rgb: np.ndarray) -> Noise:
    """Measure the noise of HxWx3 uint8."""
    planes = np.moveaxis(rgb.astype(np.float32) @ RGB_TO_YCBCR.T.astype(np.float32), -1, 0)
    luminance, blue, red = (noise_of_plane(np.ascontiguousarray(plane)) for plane in planes)
    return Noise(luminance, max(blue, red))


def noise_of_plane(plane: np.ndarray) -> float:
    """Return the noise of HxW float32 levels; noise of two pixels counts twice.

    Noise that remains in a reduced photo is more visible. Twice its level is that of the white
    noise that would remain.
    """
    levels = list(_levels_of_scales(plane))
    found = 0.0
    for scale, ((level, typical), (next_level, _)) in enumerate(pairwise(levels)):
        if next_level <= MAX_DECAY * level and level >= MIN_EVENNESS * typical:
            found = max(found, level * 2**scale)
    return found


def _levels_of_scales(plane: np.ndarray) -> Iterator[tuple[float, float]]:
    """Yield the level of the smoothest tenth and of half of the blocks, from fine to coarse."""
    for _ in range(SCALES + 1):
        if min(plane.shape) < MIN_SIDE_PX:
            return
        roughness = (_blocks(cv2.filter2D(plane, -1, _NOISE_FILTER)) ** 2).mean(axis=(1, 2))
        blocks = _blocks(plane)
        counted = (blocks.min(axis=(1, 2)) > MIN_LEVEL) & (blocks.max(axis=(1, 2)) < MAX_LEVEL)
        if counted.sum() >= MIN_BLOCKS:
            roughness = roughness[counted]
        smooth, typical = np.sqrt(np.percentile(roughness, (10, 50)))
        yield float(smooth), float(typical)
        plane = cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def _blocks(plane: np.ndarray) -> np.ndarray:
    """Return the whole blocks of HxW as Nx8x8."""
    rows, columns = (side // BLOCK_PX for side in plane.shape)
    whole = plane[: rows * BLOCK_PX, : columns * BLOCK_PX]
    return whole.reshape(rows, BLOCK_PX, columns, BLOCK_PX).swapaxes(1, 2).reshape(-1, 8, 8)
