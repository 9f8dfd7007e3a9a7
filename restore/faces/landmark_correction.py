"""Corrects the landmarks of CenterFace by a linear function of themselves.

CenterFace places the corners of the mouth and the nose differently from the detectors that face
networks were trained with, by 6 % of the distance of the eyes. `tools/fit_landmarks.py` fits the
function to landmarks of RetinaFace in portraits.
"""

from __future__ import annotations

import numpy as np
from torch import nn

from restore.faces.align import TEMPLATE

UNIT_PX = 126.0
"""Unit of the linear function, in pixels of the template: the distance of the eyes."""

MAX_CORRECTION = 0.2
"""Largest change of a coordinate, in the same unit: the fit knows faces from the front only."""


def correct_landmarks(landmarks: np.ndarray, correction: nn.Linear) -> np.ndarray:
    """Return corrected landmarks.

    Args:
        landmarks: 5x2, in any unit, at any place and rotation.
        correction: from the deviations of landmarks from the template, as x and y in turn, to
            changes.
    """
    aligned, factor = align(landmarks)
    weight, bias = (
        parameter.detach().double().cpu().numpy()
        for parameter in (correction.weight, correction.bias)
    )
    deviation = (aligned - TEMPLATE).ravel() / UNIT_PX
    change = np.clip(weight @ deviation + bias, -MAX_CORRECTION, MAX_CORRECTION) * UNIT_PX
    moved = change.reshape(5, 2) @ (1.0, 1.0j) / factor
    return np.asarray(landmarks + np.stack([moved.real, moved.imag], axis=1))


def align(landmarks: np.ndarray) -> tuple[np.ndarray, complex]:
    """Move landmarks to the template by the similarity with the least squared error.

    Returns:
        The 5x2 landmarks in pixels of the template, and the rotation and scale as one complex
        number.
    """
    points, template = landmarks @ (1.0, 1.0j), TEMPLATE @ (1.0, 1.0j)
    centred = points - points.mean()
    factor = complex(np.vdot(centred, template - template.mean()) / np.vdot(centred, centred))
    aligned = factor * centred + template.mean()
    return np.stack([aligned.real, aligned.imag], axis=1), factor
