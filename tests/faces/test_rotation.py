"""Turning photos, and the faces found in them back."""

import numpy as np
import pytest
from facefakes import face_at

from restore.faces.align import estimate_similarity
from restore.faces.face import Face
from restore.faces.rotation import quarters_of, turn, turn_face_back


@pytest.mark.parametrize("quarters", range(4))
def test_face_of_a_turned_photo_is_turned_back_to_its_pixels(quarters: int) -> None:
    width, height = 70, 40
    landmarks = np.array([(3, 5), (60, 6), (30, 20), (10, 33), (55, 39)], np.float64)
    outline = np.stack([np.arange(68.0) + 1, np.arange(68.0) % 40], axis=1)
    marked = np.zeros((height, width, 73), np.uint8)
    for index, (x, y) in enumerate(np.concatenate([landmarks, outline])):
        marked[int(y), int(x), index] = 1
    box = np.zeros((height, width), np.uint8)
    box[5:34, 3:61] = 1
    turned, turned_box = turn(marked, quarters), turn(box, quarters)
    points = np.array([np.argwhere(turned[..., index])[0][::-1] for index in range(73)])
    ys, xs = np.nonzero(turned_box)
    edges = (float(xs.min()), float(ys.min()), xs.max() + 1.0, ys.max() + 1.0)
    face = turn_face_back(Face(edges, 0.9, points[:5], points[5:]), quarters, width, height)
    assert face.outline is not None
    np.testing.assert_array_equal(face.landmarks, landmarks)
    np.testing.assert_array_equal(face.outline, outline)
    assert face.box == (3.0, 5.0, 61.0, 34.0)
    assert turned.flags.c_contiguous


@pytest.mark.parametrize(
    ("tilt_deg", "quarters"), [(0, 0), (40, 0), (-40, 0), (90, 3), (-80, 1), (170, 2), (-100, 1)]
)
def test_quarters_make_a_face_upright(tilt_deg: float, quarters: int) -> None:
    matrix = estimate_similarity(face_at(100, 100, 40, tilt_deg).landmarks)
    assert matrix is not None
    assert quarters_of(matrix) == quarters
