"""Similarity transforms from landmarks, and crops."""

import functools

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
    estimate_similarity,
    eye_distance_px,
    fit_similarity,
    is_outside,
    smooth_crop,
)
from restore.faces.convention import CODEFORMER, CONVENTIONS, FACEXLIB
from restore.faces.face import Face
from restore.pipelines.official import codeformer_eye_distance_px, enlarge_small_photo


def random_photo(height: int, width: int, dtype: type[np.unsignedinteger] = np.uint8) -> np.ndarray:
    levels = np.random.default_rng(5).integers(0, 256, (height, width, 3)).astype(np.uint8)
    smooth = cv2.GaussianBlur(levels, (0, 0), 2)
    return smooth if dtype == np.uint8 else smooth.astype(np.uint16) * 257


def similarity_matrix(scale: float, angle: float, x: float, y: float) -> np.ndarray:
    """Return the 2x3 transform that scales, rotates and translates."""
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cosine, -sine, x], [sine, cosine, y]])


def landmarks_in_photo(matrix: np.ndarray) -> np.ndarray:
    """Return the landmarks of the template, transformed from crop to photo."""
    landmarks: np.ndarray = TEMPLATE @ matrix[:, :2].T + matrix[:, 2]
    return landmarks


@given(
    scale=st.floats(0.05, 8),
    angle=st.floats(-3.1, 3.1),
    x=st.floats(-500, 4000),
    y=st.floats(-500, 4000),
)
def test_similarity_maps_landmarks_to_the_template(
    scale: float, angle: float, x: float, y: float
) -> None:
    landmarks = landmarks_in_photo(similarity_matrix(scale, angle, x, y))
    for estimate, tolerance_px in ((estimate_similarity, 0.05), (fit_similarity, 1e-6)):
        found = estimate(landmarks)
        assert found is not None
        assert found.dtype == np.float64
        in_crop = landmarks @ found[:, :2].T + found[:, 2]
        np.testing.assert_allclose(in_crop, TEMPLATE, atol=tolerance_px)


def test_fitted_similarity_has_the_least_squared_error() -> None:
    landmarks = TEMPLATE + np.random.default_rng(0).normal(0, 9, (5, 2))

    def error(matrix: np.ndarray) -> float:
        return float(((landmarks @ matrix[:, :2].T + matrix[:, 2] - TEMPLATE) ** 2).sum())

    fitted = fit_similarity(landmarks)
    assert fitted is not None
    for scale, angle, x in ((1.003, 0.0, 0.0), (1.0, 0.003, 0.0), (1.0, 0.0, 0.5)):
        for sign in (-1, 1):
            change = np.vstack(
                [similarity_matrix(scale**sign, sign * angle, sign * x, 0), [0, 0, 1]]
            )
            assert error(fitted) < error(fitted @ change)


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
    ids=["one point", "origin", "one line", "NaN", "infinite", "huge", "minute"],
)
def test_invalid_landmarks_have_no_similarity(landmarks: np.ndarray) -> None:
    assert estimate_similarity(landmarks) is None
    assert fit_similarity(landmarks) is None


def test_profile_has_a_similarity() -> None:
    squeezed = (TEMPLATE - 256) * (0.15, 1.0) + 256
    assert estimate_similarity(squeezed) is not None


def test_crop_by_the_identity_is_the_photo() -> None:
    photo = random_photo(CROP_PX, CROP_PX)
    np.testing.assert_array_equal(crop(photo, similarity_matrix(1, 0, 0, 0)), photo)


def test_crop_has_the_border_colour_outside_the_photo() -> None:
    result = crop(random_photo(100, 100), similarity_matrix(1, 0, 50, 50))
    np.testing.assert_array_equal(result[0, 0], BORDER_RGB)
    np.testing.assert_array_equal(result[400, 400], BORDER_RGB)
    np.testing.assert_array_equal(result[50:150, 50:150], random_photo(100, 100))


@pytest.mark.parametrize("angle", [0.0, 0.4, 2.0])
@pytest.mark.parametrize("shift", [(0, 0), (-300, 200), (450, -40)])
def test_16_bit_crop_is_float_and_equals_the_8_bit_crop(
    angle: float, shift: tuple[int, int]
) -> None:
    matrix = similarity_matrix(1.7, angle, *shift)
    eight, sixteen = (
        crop(random_photo(300, 400, dtype), matrix) for dtype in (np.uint8, np.uint16)
    )
    assert (eight.dtype, sixteen.dtype) == (np.uint8, np.float32)
    assert np.abs(sixteen - eight).max() <= 0.6
    levels = crop(random_photo(300, 400).astype(np.float32), matrix)
    np.testing.assert_allclose(levels, sixteen, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_crop_outside_the_photo_is_all_border(dtype: type[np.unsignedinteger]) -> None:
    assert (crop(random_photo(60, 60, dtype), similarity_matrix(1, 0, 5000, 0)) == BORDER_RGB).all()


def test_crop_at_the_right_of_a_very_wide_photo() -> None:
    photo = np.zeros((64, 40_000, 3), np.uint8)
    photo[:, 39_000:39_010] = 200
    assert (crop(photo, similarity_matrix(1, 0, -38_900, 0))[10, 100:110] == 200).all()


def test_eye_distance_and_the_official_fault() -> None:
    landmarks = np.array([(10.0, 20.0), (40.0, 24.0), (31.0, 50.0), (12.0, 70.0), (38.0, 71.0)])
    face = Face((0, 0, 50, 80), 0.9, landmarks)
    assert eye_distance_px(face) == pytest.approx(np.hypot(30, 4))
    row = [*face.box, face.score, *landmarks.ravel()]  # as CodeFormer indexes it
    assert codeformer_eye_distance_px(face) == pytest.approx(
        np.hypot(row[6] - row[8], row[7] - row[9])
    )


def test_face_is_immutable() -> None:
    landmarks = TEMPLATE.copy()
    face = Face((10, 20, 110, 170), 0.9, landmarks)
    landmarks[:] = 0
    assert face.size_px == 100
    with pytest.raises(ValueError, match="read-only"):
        face.landmarks[0, 0] = 1
    with pytest.raises(ValueError, match="5x2"):
        Face((0, 0, 1, 1), 0.9, np.zeros((4, 2)))


def test_only_codeformer_enlarges_small_photos() -> None:
    assert {name: row.name for name, row in CONVENTIONS.items()} == {
        "codeformer": "codeformer",
        "facexlib": "facexlib",
    }
    small, large = random_photo(300, 380), random_photo(512, 520)
    assert enlarge_small_photo(small, CODEFORMER).shape == (512, 649, 3)
    assert enlarge_small_photo(large, CODEFORMER) is large
    assert enlarge_small_photo(small, FACEXLIB) is small


@functools.cache
def smooth_and_grainy_photo() -> tuple[np.ndarray, np.ndarray]:
    waves = cv2.GaussianBlur(np.random.default_rng(1).standard_normal((1400, 1400, 3)), (0, 0), 25)
    smooth = (255 * (waves - waves.min()) / np.ptp(waves)).astype(np.uint8)
    grain = np.random.default_rng(2).normal(128, 25, smooth.shape).clip(0, 255).astype(np.uint8)
    return smooth, grain


@pytest.mark.parametrize("factor", [1.0, 1.9, 2.0, 3.3, 8.0])
def test_smooth_crop_averages_and_keeps_the_position(factor: float) -> None:
    smooth, grain = smooth_and_grainy_photo()
    matrix = estimate_similarity((TEMPLATE - 256) * factor + (700, 650))
    assert matrix is not None
    inner = np.s_[236:276, 236:276]
    difference = smooth_crop(smooth, matrix)[inner].astype(int) - crop(smooth, matrix)[inner]
    assert np.abs(difference).max() <= 3
    sampled, averaged = (
        float(function(grain, matrix)[inner].std()) for function in (crop, smooth_crop)
    )
    assert averaged < sampled / int(factor) + 2


@pytest.mark.parametrize(("x", "expected"), [(100, False), (-50, False), (-100, True)])
def test_crop_is_outside_if_it_shows_no_pixel(x: int, expected: bool) -> None:
    matrix = estimate_similarity((TEMPLATE - 256) / 4 + (x, 100))
    assert matrix is not None
    assert is_outside(matrix, 200, 200) == expected
