"""Which damage can be seen, by a limit of its contrast; scans with and without damage.

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

from training.degradations import jpeg_round_trip, quantise
from training.scratch_drawing import MIN_CHANGE_LEVELS
from training.scratch_scores import grow

MIN_CONTRAST = 3.0
DIFFERENCE_SIGMA_PX = 0.6
DETAIL_SIGMA_PX = 4.0  # what is smoother is no detail
DETAIL_WINDOW_PX = 15


def scan(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add a little blur, grain and, with probability 0.5, JPEG; HxW uint8."""
    if rng.random() < 0.4:
        photo = cv2.GaussianBlur(photo, (0, 0), rng.uniform(0.3, 0.9))
    sigma = rng.uniform(0.0, 7.0)
    noisy = photo + sigma * rng.standard_normal(photo.shape).astype(np.float32)
    quantised = quantise(noisy)
    if rng.random() < 0.5:
        return jpeg_round_trip(quantised, int(rng.integers(45, 96)))
    return quantised


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
    """Return the pixels of an HxW bool mask whose damage can be seen; see `damage_contrast`."""
    return np.asarray(mask & (damage_contrast(scanned, undamaged) > MIN_CONTRAST))


def damage_contrast(scanned: np.ndarray, undamaged: np.ndarray) -> np.ndarray:
    """Return the contrast of damage in standard deviations of the detail and grain around it.

    Args:
        scanned: HxW uint8.
        undamaged: HxW uint8, the scan without damage, from `scan_both`.

    Returns:
        HxW float32; at most MIN_CONTRAST where the scans differ by up to MIN_CHANGE_LEVELS.
    """
    reference = undamaged.astype(np.float32)
    difference = cv2.GaussianBlur(scanned - reference, (0, 0), DIFFERENCE_SIGMA_PX)
    change = cv2.dilate(np.abs(difference), np.ones((3, 3), np.uint8))
    detail = reference - cv2.GaussianBlur(reference, (0, 0), DETAIL_SIGMA_PX)
    window = (DETAIL_WINDOW_PX, DETAIL_WINDOW_PX)
    deviation = np.sqrt(np.maximum(cv2.blur(detail**2, window), 0.0))
    return np.asarray(change / np.maximum(deviation, MIN_CHANGE_LEVELS / MIN_CONTRAST))


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
