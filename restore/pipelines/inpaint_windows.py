"""Windows of a photo in which the inpainting network fills the holes of a mask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from restore.pipelines.context import StepContext

MAX_SINGLE_WINDOW_PX = 1280
"""Long side up to which the whole photo is one window, as officially."""

MIN_WINDOW_PX = 512
MIN_CONTEXT_PX = 64

Box = tuple[slice, slice]
"""Rows and columns."""


@dataclass(frozen=True)
class HoleWindow:
    """A window of the photo, and the holes that are filled with it.

    Attributes:
        window: rows and columns that the network sees.
        hole: bool of the window's size, True where this window fills the photo. Other holes in the
            window are hidden from the network, but filled with another window.
    """

    window: Box
    hole: np.ndarray


def plan_windows(mask: np.ndarray, context: StepContext) -> Iterator[HoleWindow]:
    """Choose few windows that contain all holes with context around them.

    On each side a hole has at least its own width or height of context, or reaches the edge of the
    photo. The largest hole gets a window, which also serves all holes whose own windows lie within
    it; this repeats with the remaining holes.

    Args:
        mask: HxW bool, True in the holes.
        context: told about the progress.

    Yields:
        Windows whose holes together are the mask, without overlap.
    """
    height, width = mask.shape
    if max(height, width) <= MAX_SINGLE_WINDOW_PX:
        context.progress("holes", 0, 1)
        yield HoleWindow(np.s_[0:height, 0:width], mask)
        return
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    boxes = stats[1:]  # the first component is the background
    starts_x, ends_x = _add_context(boxes[:, cv2.CC_STAT_LEFT], boxes[:, cv2.CC_STAT_WIDTH], width)
    starts_y, ends_y = _add_context(boxes[:, cv2.CC_STAT_TOP], boxes[:, cv2.CC_STAT_HEIGHT], height)
    areas = (ends_x - starts_x) * (ends_y - starts_y)
    remaining = np.argsort(-areas, kind="stable")
    while remaining.size:
        context.progress("holes", count - 1 - remaining.size, count - 1)
        largest = remaining[0]
        x0, x1 = _widen(starts_x[largest], ends_x[largest], width)
        y0, y1 = _widen(starts_y[largest], ends_y[largest], height)
        is_inside = (
            (starts_x[remaining] >= x0)
            & (ends_x[remaining] <= x1)
            & (starts_y[remaining] >= y0)
            & (ends_y[remaining] <= y1)
        )
        is_filled = np.zeros(count, np.bool_)
        is_filled[remaining[is_inside] + 1] = True
        window = np.s_[y0:y1, x0:x1]
        yield HoleWindow(window, is_filled[labels[window]])
        remaining = remaining[~is_inside]


def _add_context(
    starts: np.ndarray, sizes: np.ndarray, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return starts and ends of holes along one axis with their context."""
    context_px = np.maximum(sizes, MIN_CONTEXT_PX)
    return np.maximum(starts - context_px, 0), np.minimum(starts + sizes + context_px, length)


def _widen(start: int, end: int, length: int) -> tuple[int, int]:
    """Widen a window to at least MIN_WINDOW_PX around the same centre, within the photo."""
    size = max(end - start, min(MIN_WINDOW_PX, length))
    start = min(max((start + end - size) // 2, 0), length - size)
    return int(start), int(start + size)
