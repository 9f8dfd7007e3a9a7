"""Wide damage in reduced photos: what of a detection is kept, and its outline in the photo."""

from __future__ import annotations

import math

import cv2
import numpy as np

from restore.pipelines.old_photo_strips import (
    components,
    dilate,
    edge_distances,
    measure_strip,
)

MIN_COARSE_THRESHOLD = 0.5
"""Probability that wide damage needs at least. Small objects are thin lines in a reduced photo."""

MIN_WIDE_CERTAINTY = 0.8
"""Mean probability of wide damage, from 0 at the threshold to 1. Petals, trunks and stripes, which
are thin in a reduced photo, are detected less surely than tears."""

MIN_CROSSING = 0.9
"""Share of the width or height of the photo from which wide damage crosses it."""

MIN_CROSSING_CERTAINTY = 0.6
"""Mean probability of wide damage that crosses the photo, as few objects do."""

MIN_WIDE_LENGTH = 0.15
"""Length of wide damage, as a fraction of the long side."""

MIN_ELONGATION = 6.0
"""Length of wide damage in widths."""

MAX_WIDTH = 0.075
"""Width of wide damage, as a fraction of the long side; a wider area is a part of the photo."""

FRAME_WIDTH = 0.05
"""Width of the frame of a print, as a fraction of each side; strips inside of it are kept."""

MAX_WIDE_SPREAD_LEVELS = 7.0
"""Range of the middle half of the levels inside of wide damage: bare paper, a crack or tape is
flat. Most objects that are detected as surely have a lit and a shaded side."""

MIN_WIDE_CONTRAST_LEVELS = 25.0
"""Difference between wide damage and the photo on either side of it."""

CORE_DEPTH = 0.6
"""Depth of the core of a coarse area, as a fraction of its greatest depth."""

MAX_FOUND_SHARE = 0.9
"""Share of wide damage above which it is left to what was found at a finer size. A coarse outline
is wider by up to one coarse pixel on each side."""

RING_PX = 4
"""Width of the ring around wide damage that it is compared with."""


def probability_at(certainty: float, threshold: float) -> float:
    """Return the probability of a certainty, which is 0 at the threshold and 1 at probability 1."""
    return threshold + certainty * (1.0 - threshold)


def keep_wide_damage(
    luminance: np.ndarray, probability: np.ndarray, threshold: float
) -> np.ndarray:
    """Return what is certain, long, flat, and lighter or darker than the photo on both sides.

    Args:
        luminance: HxW uint8, reduced.
        probability: HxW in [0, 1], that of scratches.
        threshold: probability from which a pixel is a scratch, at least MIN_COARSE_THRESHOLD here.

    Returns:
        HxW bool.
    """
    threshold = max(threshold, MIN_COARSE_THRESHOLD)
    found = probability >= threshold
    kept = np.zeros_like(found)
    inner = _inside_frame(found.shape)
    for window, region in components(found, margin_px=RING_PX):
        in_photo = region & inner[window]
        crosses = _crosses(region, found.shape)
        certainty = MIN_CROSSING_CERTAINTY if crosses else MIN_WIDE_CERTAINTY
        if (
            in_photo.sum() > 0.5 * region.sum()
            and probability[window][region].mean() >= probability_at(certainty, threshold)
            and _is_wide_damage(luminance[window], region, max(found.shape))
        ):
            kept[window] |= region
    return kept


def _crosses(region: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Tell whether an HxW bool area extends over the width or the height of a photo."""
    _, _, width, height = cv2.boundingRect(region.astype(np.uint8))
    return height >= MIN_CROSSING * shape[0] or width >= MIN_CROSSING * shape[1]


def _inside_frame(shape: tuple[int, ...]) -> np.ndarray:
    inner = np.zeros(shape, bool)
    top, left = (math.ceil(FRAME_WIDTH * side) for side in shape)
    inner[top : shape[0] - top, left : shape[1] - left] = True
    return inner


def _is_wide_damage(luminance: np.ndarray, region: np.ndarray, long_side_px: int) -> bool:
    distances = edge_distances(region)
    width_px, length_px = measure_strip(distances)
    if width_px > MAX_WIDTH * long_side_px:
        return False
    if length_px < max(MIN_WIDE_LENGTH * long_side_px, MIN_ELONGATION * width_px):
        return False
    levels = luminance.astype(np.float32)
    inside = levels[region & (distances >= min(2.0, float(distances.max())))]
    lower, upper = np.percentile(inside, (25.0, 75.0))
    if upper - lower > MAX_WIDE_SPREAD_LEVELS:
        return False
    around = levels[dilate(region, RING_PX) & ~dilate(region, 1)]
    difference = float(np.median(inside)) - around
    quartiles = np.percentile(difference, (25.0, 75.0))
    return bool(quartiles[0] > MIN_WIDE_CONTRAST_LEVELS or quartiles[1] < -MIN_WIDE_CONTRAST_LEVELS)


def fit_to_levels(luminance: np.ndarray, coarse: np.ndarray, filled: np.ndarray) -> np.ndarray:
    """Enlarge a coarse mask to the pixels in it and beside it that have the levels of the damage.

    Areas are left out that were found at a finer size already: their outlines are better there.

    Args:
        luminance: HxW uint8.
        coarse: hxw bool, smaller.
        filled: HxW bool, what was found at finer sizes, with the margin that is filled around it.

    Returns:
        HxW bool.
    """
    height, width = luminance.shape
    enlarged = cv2.resize(coarse.astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    reach_px = 2 * round(max(luminance.shape) / max(coarse.shape))
    fitted = np.zeros_like(filled)
    for window, region in components(enlarged > 0, margin_px=reach_px):
        distances = edge_distances(region)
        core = region & (distances >= CORE_DEPTH * distances.max())
        levels = luminance[window].astype(np.float32)
        is_alike = np.abs(levels - np.median(levels[core])) < MIN_WIDE_CONTRAST_LEVELS
        damage = region & is_alike
        if (damage & filled[window]).sum() > MAX_FOUND_SHARE * damage.sum():
            continue
        fitted[window] |= core | (dilate(region, reach_px) & is_alike)
    return fitted
