"""Corrects the landmarks of CenterFace by a linear function of themselves.

CenterFace places the corners of the mouth and the nose differently from the detectors that face
networks were trained with, by 6 % of the distance of the eyes. `tools/fit_landmarks.py` fits the
function to landmarks of RetinaFace in portraits.
"""

from __future__ import annotations

import numpy as np
from torch import nn

from restore.faces.align import TEMPLATE, fit_similarity

UNIT_PX = 126.0
"""Unit of the linear function, in pixels of the template: the distance of the eyes."""

MAX_CORRECTION = 0.2
"""Largest change of a coordinate, in the same unit: the fit knows faces from the front only."""


def correct_landmarks(landmarks: np.ndarray, correction: nn.Linear) -> np.ndarray:
    """Return corrected landmarks; unchanged if they are not a face.

    Args:
        landmarks: 5x2, in any unit, at any place and rotation.
        correction: from the deviations of landmarks from the template, as x and y in turn, to
            changes.
    """
    aligned = align(landmarks)
    if aligned is None:
        return landmarks
    points, factor = aligned
    weight, bias = (
        parameter.detach().double().cpu().numpy()
        for parameter in (correction.weight, correction.bias)
    )
    deviation = (points - TEMPLATE).ravel() / UNIT_PX
    change = np.clip(weight @ deviation + bias, -MAX_CORRECTION, MAX_CORRECTION) * UNIT_PX
    moved = change.reshape(5, 2) @ (1.0, 1.0j) / factor
    return np.asarray(landmarks + np.stack([moved.real, moved.imag], axis=1))


def align(landmarks: np.ndarray) -> tuple[np.ndarray, complex] | None:
    """Move landmarks to the template by the similarity with the least squared error.

    Returns:
        The 5x2 landmarks in pixels of the template, and the rotation and scale as one complex
        number; None if the landmarks are not a face.
    """
    matrix = fit_similarity(landmarks)
    if matrix is None:
        return None
    return landmarks @ matrix[:, :2].T + matrix[:, 2], complex(matrix[0, 0], matrix[1, 0])
