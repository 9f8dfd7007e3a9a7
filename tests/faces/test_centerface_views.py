"""Views of an aligned crop: where a face is in the crop itself, and the mean over views."""

import dataclasses

import numpy as np
import pytest
import torch

from restore.faces.align import CROP_PX, TEMPLATE
from restore.faces.centerface_views import mean_of, mirrored_back, shift, shifted_back
from restore.faces.face import Face

FACE = Face((0.0, 0.0, 512.0, 512.0), 0.8, TEMPLATE)


@pytest.mark.parametrize("shift_px", [-2, 0, 3])
def test_shifted_crop_and_its_face(shift_px: int) -> None:
    crops = torch.zeros(1, 3, 192, 192, dtype=torch.uint8)
    crops[:, :, 60, 90] = 200
    moved = shift(crops, shift_px)
    assert moved.shape == crops.shape
    assert moved.amax(dim=1)[0].nonzero().tolist() == [[60 + shift_px, 90 + shift_px]]
    seen = dataclasses.replace(FACE, landmarks=TEMPLATE + shift_px * CROP_PX / 192)
    back = shifted_back(seen, shift_px)
    assert back is not None
    np.testing.assert_allclose(back.landmarks, TEMPLATE)


def test_mirrored_face_keeps_the_order_of_landmarks() -> None:
    mirrored = mirrored_back(FACE)
    assert mirrored is not None
    np.testing.assert_allclose(mirrored.landmarks[0], (511 - TEMPLATE[1, 0], TEMPLATE[1, 1]))
    again = mirrored_back(mirrored)
    assert again is not None
    np.testing.assert_allclose(again.landmarks, TEMPLATE)


def test_view_without_a_face_lowers_the_score() -> None:
    other = Face(FACE.box, 0.4, TEMPLATE + 2.0)
    mean = mean_of([FACE, None, other])
    assert mean is not None
    assert mean.score == pytest.approx(0.4)
    np.testing.assert_allclose(mean.landmarks, TEMPLATE + 1.0)
    assert mean_of([None, None]) is None
    assert shifted_back(None, 2) is mirrored_back(None) is None
