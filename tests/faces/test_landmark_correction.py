"""The correction of landmarks by the head: it is followed up to a limit."""

import numpy as np

from restore.faces.align import TEMPLATE
from restore.faces.landmark_correction import MAX_CORRECTION, UNIT_PX, correct_landmarks


def test_landmarks_are_those_of_the_head() -> None:
    deviations = np.linspace(-0.1, 0.1, 10).reshape(5, 2)
    detected = TEMPLATE + 5.0
    corrected = correct_landmarks(detected, deviations)
    np.testing.assert_allclose(corrected, TEMPLATE + 126.0 * deviations)


def test_change_of_landmarks_is_limited() -> None:
    detected = TEMPLATE + np.array([(60.0, 0.0), (0.0, -60.0), (0.0, 0.0), (9.0, 9.0), (0.0, 0.0)])
    change = correct_landmarks(detected, np.zeros((5, 2))) - detected
    limit_px = MAX_CORRECTION * UNIT_PX
    expected = [(-limit_px, 0.0), (0.0, limit_px), (0.0, 0.0), (-9.0, -9.0), (0.0, 0.0)]
    np.testing.assert_allclose(change, expected)
