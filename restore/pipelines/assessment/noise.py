"""Noise and film grain of a photo, told from its texture.

Noise is everywhere in a photo, and it is fine: reducing the photo averages it away. Texture covers
a part of a photo, and is as strong in the reduced photo. So the level in the smoothest blocks
counts as noise if it falls from one scale to the next and the other blocks are hardly rougher.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
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

MIN_COLOUR_EVENNESS = 0.65
"""Likewise for the chrominance, whose noise need not fall: JPEG makes it coarse. Hardly any texture
covers the whole photo in colour: of 490 clean photos, one reaches 3.3 levels, all others 2.2."""

MAX_WHITE_DECAY = 0.62
"""Likewise, up to which noise is white. No texture and no grain is that fine and even, so that less
of it leads to a step."""

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
        is_white: whether the noise of the luminance is white, as that of a sensor.
    """

    luminance_levels: float
    colour_levels: float
    is_white: bool = False


def measure_noise(rgb: np.ndarray) -> Noise:
    """Measure the noise of HxWx3 uint8."""
    planes = np.moveaxis(rgb.astype(np.float32) @ RGB_TO_YCBCR.T.astype(np.float32), -1, 0)
    luminance, blue, red = (list(_levels_of_scales(np.ascontiguousarray(each))) for each in planes)
    colour = max(
        _noise_of(levels, *criteria)
        for levels in (blue, red)
        for criteria in ((MAX_DECAY, MIN_EVENNESS), (math.inf, MIN_COLOUR_EVENNESS))
    )
    level = _noise_of(luminance, MAX_DECAY, MIN_EVENNESS)
    return Noise(level, colour, is_white=_is_white(luminance))


def _noise_of(
    levels: Sequence[tuple[float, float]], max_decay: float, min_evenness: float
) -> float:
    """Return the noise in the levels of all scales; noise of two pixels counts twice.

    Texture has a larger decay, or less evenness.

    Noise that remains in a reduced photo is more visible. Twice its level is that of the white
    noise that would remain.
    """
    found = 0.0
    for scale, ((level, typical), (next_level, _)) in enumerate(pairwise(levels)):
        if next_level <= max_decay * level and level >= min_evenness * typical:
            found = max(found, level * 2**scale)
    return found


def _is_white(levels: Sequence[tuple[float, float]]) -> bool:
    """Tell whether noise of one pixel is all noise that there is."""
    if len(levels) <= 1:
        return False
    (level, typical), (next_level, _) = levels[:2]
    return next_level <= MAX_WHITE_DECAY * level and level >= MIN_EVENNESS * typical


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
