"""The correction of landmarks: exact for similar faces, limited for others."""

import numpy as np
import pytest
import torch
from torch import nn

from restore.faces.align import TEMPLATE
from restore.faces.landmark_correction import MAX_CORRECTION, UNIT_PX, align, correct_landmarks


def correction_of(weight: float, bias: float) -> nn.Linear:
    """A correction with one weight on the diagonal and one bias."""
    layer = nn.Linear(10, 10)
    with torch.no_grad():
        layer.weight.copy_(weight * torch.eye(10))
        layer.bias.fill_(bias)
    return layer


def moved(landmarks: np.ndarray, scale: float, turn_deg: float) -> np.ndarray:
    """The landmarks moved, scaled and rotated."""
    factor = scale * np.exp(1j * np.deg2rad(turn_deg))
    points = factor * (landmarks @ (1.0, 1.0j)) + (30 - 7j)
    return np.stack([points.real, points.imag], axis=1)


@pytest.mark.parametrize(("scale", "turn_deg"), [(1.0, 0.0), (0.05, 30.0), (8.0, -170.0)])
def test_correction_follows_the_face(scale: float, turn_deg: float) -> None:
    layer = correction_of(0.0, 0.1)
    expected = moved(TEMPLATE + 0.1 * UNIT_PX, scale, turn_deg)
    corrected = correct_landmarks(moved(TEMPLATE, scale, turn_deg), layer)
    np.testing.assert_allclose(corrected, expected, atol=1e-5 * scale * UNIT_PX)


def test_deviation_from_the_template_is_weighted() -> None:
    face = TEMPLATE + np.array([(0, 0), (0, 0), (12.0, 0), (0, 0), (0, 0)])
    aligned = align(face)
    assert aligned is not None
    points, factor = aligned
    expected = face + 0.5 * np.stack(
        [
            ((points - TEMPLATE) @ (1.0, 1.0j) / factor).real,
            ((points - TEMPLATE) @ (1.0, 1.0j) / factor).imag,
        ],
        axis=1,
    )
    np.testing.assert_allclose(correct_landmarks(face, correction_of(0.5, 0.0)), expected)


def test_landmarks_that_are_no_face_stay() -> None:
    line = np.stack([np.arange(5.0), np.arange(5.0)], axis=1)
    for points in (line, np.full((5, 2), np.nan)):
        np.testing.assert_array_equal(correct_landmarks(points, correction_of(0.0, 0.1)), points)


def test_correction_is_limited() -> None:
    corrected = correct_landmarks(TEMPLATE, correction_of(0.0, 3.0))
    np.testing.assert_allclose(corrected, TEMPLATE + MAX_CORRECTION * UNIT_PX)
