"""Landmarks to a similarity, a similarity to a crop, and what is no face."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from restore.faces.align import (
    BORDER_RGB,
    CROP_PX,
    TEMPLATE,
    crop,
    eye_distance_px,
    is_outside,
    similarity,
    smooth_crop,
)
from restore.faces.convention import CODEFORMER, CONVENTIONS, FACEXLIB
from restore.faces.face import Face
from restore.pipelines.official import codeformer_eye_distance_px, enlarge_small_photo


def noise(height: int, width: int, dtype: type = np.uint8) -> np.ndarray:
    levels = np.random.default_rng(5).integers(0, 256, (height, width, 3)).astype(np.uint8)
    smooth = cv2.GaussianBlur(levels, (0, 0), 2)
    return smooth if dtype == np.uint8 else smooth.astype(np.uint16) * 257


def matrix_of(scale: float, angle: float, x: float, y: float) -> np.ndarray:
    """The 2x3 similarity that scales, turns and shifts."""
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cosine, -sine, x], [sine, cosine, y]])


def placed(matrix: np.ndarray) -> np.ndarray:
    """The photo's landmarks of a template face, for a matrix from the crop to the photo."""
    return TEMPLATE @ matrix[:, :2].T + matrix[:, 2]


@given(
    scale=st.floats(0.05, 8),
    angle=st.floats(-3.1, 3.1),
    x=st.floats(-500, 4000),
    y=st.floats(-500, 4000),
)
def test_the_similarity_takes_the_landmarks_to_the_template(scale, angle, x, y):
    landmarks = placed(matrix_of(scale, angle, x, y))
    found = similarity(landmarks)
    assert found is not None
    assert found.dtype == np.float64
    np.testing.assert_allclose(landmarks @ found[:, :2].T + found[:, 2], TEMPLATE, atol=0.05)


@pytest.mark.parametrize(
    "landmarks",
    [
        np.full((5, 2), 40.0),
        np.zeros((5, 2)),
        np.stack([np.arange(5.0), 2 * np.arange(5.0)], axis=1) * 30,
        np.where(np.eye(5, 2) > 0, np.nan, TEMPLATE),
        np.where(np.eye(5, 2) > 0, np.inf, TEMPLATE),
        TEMPLATE * 1e7,
        TEMPLATE * 1e-5,
    ],
    ids=["one spot", "origin", "one line", "NaN", "infinite", "huge", "minute"],
)
def test_landmarks_that_are_no_face_give_no_similarity(landmarks):
    assert similarity(landmarks) is None


def test_a_face_in_profile_is_a_face():
    squeezed = (TEMPLATE - 256) * (0.15, 1.0) + 256
    assert similarity(squeezed) is not None


def test_the_crop_of_a_template_face_is_the_photo_itself():
    photo = noise(CROP_PX, CROP_PX)
    np.testing.assert_array_equal(crop(photo, matrix_of(1, 0, 0, 0)), photo)


def test_a_crop_shows_the_border_where_the_photo_ends():
    result = crop(noise(100, 100), matrix_of(1, 0, 50, 50))
    np.testing.assert_array_equal(result[0, 0], BORDER_RGB)
    np.testing.assert_array_equal(result[400, 400], BORDER_RGB)
    np.testing.assert_array_equal(result[50:150, 50:150], noise(100, 100))


@pytest.mark.parametrize("angle", [0.0, 0.4, 2.0])
@pytest.mark.parametrize("shift", [(0, 0), (-300, 200), (450, -40)])
def test_sixteen_bits_are_cropped_as_eight_and_not_rounded(angle, shift):
    matrix = matrix_of(1.7, angle, *shift)
    eight, sixteen = (crop(noise(300, 400, dtype), matrix) for dtype in (np.uint8, np.uint16))
    assert (eight.dtype, sixteen.dtype) == (np.uint8, np.float32)
    assert np.abs(sixteen - eight).max() <= 0.6
    levels = crop(noise(300, 400).astype(np.float32), matrix)
    np.testing.assert_allclose(levels, sixteen, atol=1e-3)


def test_a_crop_of_nothing_is_all_border():
    for dtype in (np.uint8, np.uint16):
        assert (crop(noise(60, 60, dtype), matrix_of(1, 0, 5000, 0)) == BORDER_RGB).all()


def test_a_face_far_to_the_right_of_a_very_wide_photo_is_found():
    photo = np.zeros((64, 40_000, 3), np.uint8)
    photo[:, 39_000:39_010] = 200
    assert (crop(photo, matrix_of(1, 0, -38_900, 0))[10, 100:110] == 200).all()


def test_the_distance_of_the_eyes_right_and_with_the_official_bug():
    landmarks = np.array([(10.0, 20.0), (40.0, 24.0), (31.0, 50.0), (12.0, 70.0), (38.0, 71.0)])
    face = Face((0, 0, 50, 80), 0.9, landmarks)
    assert eye_distance_px(face) == pytest.approx(np.hypot(30, 4))
    row = [*face.box, face.score, *landmarks.ravel()]  # the detector's row, by CodeFormer's indices
    assert codeformer_eye_distance_px(face) == pytest.approx(
        np.hypot(row[6] - row[8], row[7] - row[9])
    )


def test_a_face_cannot_be_changed():
    landmarks = TEMPLATE.copy()
    face = Face((10, 20, 110, 170), 0.9, landmarks)
    landmarks[:] = 0
    assert face.size_px == 100
    with pytest.raises(ValueError, match="read-only"):
        face.landmarks[0, 0] = 1
    with pytest.raises(ValueError, match="5x2"):
        Face((0, 0, 1, 1), 0.9, np.zeros((4, 2)))


def test_only_codeformer_enlarges_and_only_small_photos():
    assert {name: row.name for name, row in CONVENTIONS.items()} == {
        "codeformer": "codeformer",
        "facexlib": "facexlib",
    }
    small, large = noise(300, 380), noise(512, 520)
    assert enlarge_small_photo(small, CODEFORMER).shape == (512, 649, 3)
    assert enlarge_small_photo(large, CODEFORMER) is large
    assert enlarge_small_photo(small, FACEXLIB) is small


@pytest.mark.parametrize("factor", [1.0, 1.9, 2.0, 3.3, 8.0])
def test_a_large_face_is_averaged_down_and_lies_where_a_sampled_one_does(factor):
    waves = cv2.GaussianBlur(np.random.default_rng(1).standard_normal((1400, 1400, 3)), (0, 0), 25)
    smooth = cv2.normalize(waves, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    matrix = similarity((TEMPLATE - 256) * factor + (700, 650))
    inner = np.s_[236:276, 236:276]
    assert (
        np.abs(smooth_crop(smooth, matrix)[inner].astype(int) - crop(smooth, matrix)[inner]).max()
        <= 3
    )
    noise = np.clip(128 + np.random.default_rng(2).normal(0, 25, smooth.shape), 0, 255).astype(
        np.uint8
    )
    sampled, averaged = (float(cut(noise, matrix)[inner].std()) for cut in (crop, smooth_crop))
    assert averaged < sampled / int(factor) + 2


def test_a_crop_beside_the_photo_is_outside():
    matrix = similarity((TEMPLATE - 256) / 4 + (100, 100))
    assert not is_outside(matrix, 200, 200)
    assert not is_outside(similarity((TEMPLATE - 256) / 4 + (-50, 100)), 200, 200)
    assert is_outside(similarity((TEMPLATE - 256) / 4 + (-100, 100)), 200, 200)
