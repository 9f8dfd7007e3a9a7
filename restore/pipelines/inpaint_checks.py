"""Checks of the holes of a photo, and of what was filled into them."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from restore.errors import Code, RestoreError
from restore.imaging.photo import Photo

MAX_EXCESS = 0.1
"""How far the mean colour of a fill may lie outside of the colours around its hole, as a fraction
of the range of levels. The lite network reached 0.001 in 294 random holes in photos. Black would
exceed it in 90 % of these holes, and white in 86 %; the others have black or white around them."""

RING_SHARE, MIN_RING_PX = 0.25, 16
"""Width of the ring around a hole, as a fraction of the hole's longer side, and at least."""

COMMON_PERCENT = (5, 95)
"""The colours of a ring lie between these percentiles of each channel."""

MIN_HOLE_PX, MAX_HOLES = 64, 50
"""Smaller holes, and all but the largest ones, are not checked."""


def check_mask(mask: np.ndarray, name: str) -> None:
    """Check that there is something to fill in a photo, and something to fill it from.

    Args:
        mask: HxW bool, True in the holes.
        name: name of the photo.

    Raises:
        RestoreError: MASK.
    """
    if not mask.any():
        raise RestoreError(
            Code.MASK,
            "the mask is empty, so there is nothing to fill",
            "Mark the area to fill: white on black in a mask, or a polygon as points.",
            photo=name,
        )
    if mask.all():
        raise RestoreError(
            Code.MASK,
            "the mask covers all of it",
            "Leave some of the photo black in the mask, because the fill is made from it. White is"
            " filled.",
            photo=name,
        )


def fill_warnings(
    before: Photo, after: Photo, mask: np.ndarray, max_width_px: int | None = None
) -> Iterator[str]:
    """Yield warnings about fills that do not suit their surroundings, or that changed nothing.

    Args:
        before: the photo.
        after: the photo with its holes filled.
        mask: HxW bool, True in the holes.
        max_width_px: width of a hole that the network can fill; None: any.
    """
    if after.alpha is before.alpha and np.array_equal(after.pixels[mask], before.pixels[mask]):
        yield "the photo has not changed: the hole has the colours of its fill already"
        return
    if _is_hidden(after, mask):
        yield (
            "most of the hole is transparent in the photo and stays so: the fill cannot be seen;"
            " make the photo opaque there before"
        )
    yield from width_warnings(mask, max_width_px)
    worst = max(fill_excesses(after.pixels, mask), default=0.0)
    if worst > MAX_EXCESS:
        yield (
            "the fill of a hole is much lighter, darker or more colourful than everything around"
            " it; it may be wrong"
        )


def width_warnings(mask: np.ndarray, max_width_px: int | None) -> Iterator[str]:
    """Yield a warning about holes that are too wide for a network.

    Args:
        mask: HxW bool, True in the holes.
        max_width_px: width of a hole that the network can fill; None: any.
    """
    if max_width_px is not None and (width_px := hole_width_px(mask)) > max_width_px:
        yield (
            f"the widest hole is about {width_px} px wide, and the embedded network fills holes"
            f" wider than {max_width_px} px with a smear; use the official network"
            " (`restore weights fetch inpaint`), a smaller photo, or a smaller hole"
        )


def hole_width_px(mask: np.ndarray) -> int:
    """Return the diameter of the largest circle that fits into the holes.

    Args:
        mask: HxW bool, True in the holes, with a pixel outside of them.
    """
    distances = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return round(2.0 * float(distances.max()))


def fill_excesses(pixels: np.ndarray, mask: np.ndarray) -> Iterator[float]:
    """Yield for each hole how far its mean colour is outside of the colours around it.

    Args:
        pixels: HxW or HxWx3 of the filled photo.
        mask: HxW bool, True in the holes.

    Yields:
        0 for a mean within the colours of the ring around the hole, up to 1, for the channel that
        is furthest outside.
    """
    full = np.iinfo(pixels.dtype).max
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]  # the first is the background
    for index in np.argsort(-areas)[:MAX_HOLES]:
        if areas[index] < MIN_HOLE_PX:
            return
        x, y, width, height, _ = stats[index + 1]
        ring_px = max(MIN_RING_PX, round(RING_SHARE * max(width, height)))
        window = np.s_[
            max(0, y - ring_px) : y + height + ring_px, max(0, x - ring_px) : x + width + ring_px
        ]
        hole = labels[window] == index + 1
        distances = cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, 3)
        ring = (distances <= ring_px) & ~mask[window]
        if ring.any():
            levels = pixels[window]
            low, high = np.percentile(levels[ring], COMMON_PERCENT, axis=0)
            mean = levels[hole].mean(axis=0)
            yield float(np.maximum(low - mean, mean - high).max(initial=0.0) / full)


def _is_hidden(photo: Photo, mask: np.ndarray) -> bool:
    if photo.alpha is None:
        return False
    return bool((photo.alpha[mask] < photo.alpha.max() / 2).mean() > 0.5)
