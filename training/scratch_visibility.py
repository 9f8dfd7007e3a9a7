"""Which damage of the scratch evaluation can be seen, by a limit of its contrast.

A pixel is labelled as damaged where damage changes the photo by MIN_CHANGE_LEVELS. The scan then
adds blur and grain, and the photo may have fine detail of its own, such as hair or foliage. A pixel
of the label counts as **visible** if the scan differs from that of the undamaged photo by more than

- MIN_CHANGE_LEVELS, and
- MIN_CONTRAST standard deviations of the fine detail and grain around it.

Three standard deviations are the usual limit of detection. Both scans have the same grain. The
difference is smoothed a little, and the largest within a pixel counts, as for the label itself.
"""

from __future__ import annotations

import copy

import cv2
import numpy as np

from training.recipe_scratches import MIN_CHANGE_LEVELS, scan
from training.scratch_scores import grow

MIN_CONTRAST = 3.0
DIFFERENCE_SIGMA_PX = 0.6
DETAIL_SIGMA_PX = 4.0  # what is smoother is no detail
DETAIL_WINDOW_PX = 15


def scan_both(
    damaged: np.ndarray, clean: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Scan a damaged photo and the undamaged one with the same blur, grain and JPEG.

    Args:
        damaged: HxW float32 in 0 to 255.
        clean: HxW float32 in 0 to 255.
        rng: random generator, which is advanced as by one scan.

    Returns:
        Both scans, HxW uint8.
    """
    undamaged = scan(clean, copy.deepcopy(rng))
    return scan(damaged, rng), undamaged


def visible_damage(mask: np.ndarray, scanned: np.ndarray, undamaged: np.ndarray) -> np.ndarray:
    """Return the pixels of a mask whose damage can be seen.

    Args:
        mask: HxW bool, the damage.
        scanned: HxW uint8.
        undamaged: HxW uint8, the scan without damage, from `scan_both`.

    Returns:
        HxW bool, a part of `mask`.
    """
    reference = undamaged.astype(np.float32)
    difference = cv2.GaussianBlur(scanned - reference, (0, 0), DIFFERENCE_SIGMA_PX)
    change = cv2.dilate(np.abs(difference), np.ones((3, 3), np.uint8))
    detail = reference - cv2.GaussianBlur(reference, (0, 0), DETAIL_SIGMA_PX)
    window = (DETAIL_WINDOW_PX, DETAIL_WINDOW_PX)
    deviation = np.sqrt(np.maximum(cv2.blur(detail**2, window), 0.0))
    return np.asarray(mask & (change > np.maximum(MIN_CHANGE_LEVELS, MIN_CONTRAST * deviation)))


def without_faint_damage(
    detected: np.ndarray, mask: np.ndarray, visible: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Remove damage that cannot be seen, so that it is neither missed nor correct.

    Args:
        detected: HxW bool.
        mask: HxW bool, all damage.
        visible: HxW bool, the visible part of it.

    Returns:
        (detected pixels, without those next to faint damage only; visible damage)
    """
    near_faint = grow(mask & ~visible) & ~grow(visible)
    return detected & ~near_faint, visible
