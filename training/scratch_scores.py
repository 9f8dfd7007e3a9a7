"""F1, precision and recall of detected scratches, exact and with a tolerance of one pixel."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

MIN_LONG = 0.05  # of the diagonal; from this length damage is long

MaskPair = tuple[np.ndarray, np.ndarray]
"""(detected mask, true mask), both HxW bool."""


def compute_scores(pairs: Iterable[MaskPair]) -> dict[str, float]:
    """Return F1, precision and recall over all pixels, exact and with one pixel of tolerance."""
    counts = np.sum([_count_pixels(detected, true) for detected, true in pairs], axis=0)
    both, near_detected, near_true, all_detected, all_true = (int(count) for count in counts)
    precision, recall = both / max(all_detected, 1), both / max(all_true, 1)
    near_precision, near_recall = near_detected / max(all_detected, 1), near_true / max(all_true, 1)
    return {
        "f1": _f1(precision, recall),
        "precision": precision,
        "recall": recall,
        "near_f1": _f1(near_precision, near_recall),
        "near_precision": near_precision,
        "near_recall": near_recall,
    }


def _count_pixels(detected: np.ndarray, true: np.ndarray) -> list[int]:
    """Count correct pixels, detected near true, true near detected, detected, and true pixels."""
    near_detected, near_true = grow(detected), grow(true)
    masks = (detected & true, detected & near_true, true & near_detected, detected, true)
    return [int(mask.sum()) for mask in masks]


def long_recall(pairs: Iterable[MaskPair]) -> float:
    """Return the share of the pixels of long damage that are found, within one pixel."""
    found = long = 0
    for detected, true in pairs:
        _, labels, stats, _ = cv2.connectedComponentsWithStats(true.astype(np.uint8))
        lengths = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
        is_long = lengths >= MIN_LONG * np.hypot(*true.shape)
        is_long[0] = False  # the background
        mask = is_long[labels]
        found, long = found + int((mask & grow(detected)).sum()), long + int(mask.sum())
    return found / max(long, 1)


def _f1(precision: float, recall: float) -> float:
    return 2.0 * precision * recall / max(precision + recall, 1e-9)


def grow(mask: np.ndarray) -> np.ndarray:
    """Add the pixels within one pixel of a HxW bool mask."""
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
