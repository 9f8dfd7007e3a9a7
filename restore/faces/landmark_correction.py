"""Landmarks of a face in its aligned crop, corrected by the head of CenterFace.

CenterFace places the corners of the mouth and the nose differently from the detectors that face
networks were trained with, by 6 % of the distance of the eyes. `tools/fit_landmarks.py` trains the
head with landmarks of RetinaFace in portraits.
"""

from __future__ import annotations

import numpy as np

from restore.faces.align import TEMPLATE

UNIT_PX = 126.0
"""Unit of the output of the head, in pixels of the template: the distance of the eyes."""

MAX_CORRECTION = 0.2
"""Largest change of a coordinate, in the same unit: the head knows faces from the front only."""


def correct_landmarks(detected: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """Return the landmarks that the head found, near those that CenterFace found.

    Args:
        detected: 5x2, in pixels of the crop of 512x512.
        deviations: 5x2, the output of the head.
    """
    change = TEMPLATE + UNIT_PX * deviations - detected
    limit_px = MAX_CORRECTION * UNIT_PX
    return np.asarray(detected + np.clip(change, -limit_px, limit_px))
