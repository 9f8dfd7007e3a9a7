"""Where official rules differ from those of requests."""

import numpy as np
import pytest
from facefakes import face_at

from restore.faces.convention import CODEFORMER, FACEXLIB
from restore.imaging.photo import Photo
from restore.pipelines.official import OfficialFrame, OfficialRules
from restore.pipelines.rules import PixelRules

PRODUCT, OFFICIAL = PixelRules(), OfficialRules()


def test_levels_are_rounded_and_officially_truncated() -> None:
    levels = np.array([0.2, 0.8, 254.7])
    np.testing.assert_array_equal(PRODUCT.round_levels(levels), [0, 1, 255])
    np.testing.assert_array_equal(OFFICIAL.round_levels(levels), [0, 0, 254])


def test_small_photo_is_enlarged_officially_with_codeformer_only() -> None:
    photo = Photo("a", np.zeros((100, 200, 3), np.uint8), np.zeros((100, 200), np.uint8))
    assert PRODUCT.prepare_photo(photo, CODEFORMER) is photo
    prepared = OFFICIAL.prepare_photo(photo, CODEFORMER)
    assert prepared.pixels.shape == (512, 1024, 3)
    assert prepared.alpha is None
    assert OFFICIAL.prepare_photo(photo, FACEXLIB).pixels.shape == (100, 200, 3)


def test_eye_distance_is_wrong_officially_with_codeformer_only() -> None:
    face = face_at(100, 100, 40)
    left, right = face.landmarks[:2]
    expected = pytest.approx(float(np.hypot(*(left - right))))
    assert PRODUCT.eye_distance_px(face, CODEFORMER) == expected
    assert OFFICIAL.eye_distance_px(face, FACEXLIB) == expected
    assert OFFICIAL.eye_distance_px(face, CODEFORMER) != expected


def test_colours_of_toned_photos_are_not_kept_officially() -> None:
    assert PRODUCT.keeps_colour("toned", turned_grey=False)
    assert not PRODUCT.keeps_colour("colour", turned_grey=False)
    assert not PRODUCT.keeps_colour("grey", turned_grey=True)
    assert not OFFICIAL.keeps_colour("toned", turned_grey=False)


def test_aligned_faces_officially_have_the_size_of_the_network() -> None:
    assert PRODUCT.aligned_size((300, 200), 512) == (300, 200)
    assert OFFICIAL.aligned_size((300, 200), 512) == (512, 512)


def test_pasted_levels_officially_wrap_around() -> None:
    values = np.array([-1.0, 99.7, 260.0])
    pixels = np.zeros((1, 1, 3), np.uint8)
    np.testing.assert_array_equal(PRODUCT.face_frame(pixels).to_levels(values), [0, 100, 255])
    official = OFFICIAL.face_frame(pixels)
    assert isinstance(official, OfficialFrame)
    np.testing.assert_array_equal(official.to_levels(values), [255, 99, 4])
