"""The area of pasted faces."""

import numpy as np

from restore.faces.area import MARGIN_PX, mark_face


def test_area_of_two_faces_at_the_edge_and_outside() -> None:
    area = np.zeros((60, 100), np.bool_)
    mask = np.zeros((64, 64), np.float32)
    mask[16:48, 16:48] = 0.1
    mark_face(area, mask, np.array([[0.5, 0.0, 20.0], [0.0, 0.5, 10.0]]))
    mark_face(area, mask, np.array([[1.0, 0.0, 70.0], [0.0, 1.0, -20.0]]))
    mark_face(area, mask, np.array([[1.0, 0.0, 500.0], [0.0, 1.0, 500.0]]))
    expected = np.zeros_like(area)
    expected[18 - MARGIN_PX : 34 + MARGIN_PX, 28 - MARGIN_PX : 44 + MARGIN_PX] = True
    expected[: 28 + MARGIN_PX, 86 - MARGIN_PX :] = True
    np.testing.assert_array_equal(area, expected)
