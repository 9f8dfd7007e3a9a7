"""The area to fill in each photo of a request: sizes, orientation, polygons and transparency."""

import json

import numpy as np
import pytest

from restore.errors import Code, RestoreError
from restore.imaging.masks import combine_masks, mask_from_photo, transparent_hole
from restore.imaging.photo import Photo, turn_upright
from restore.report import Report

TRIANGLE = json.dumps([[1, 2], [9, 2], [5, 8]])


def new_report() -> Report:
    return Report("a.png", "inpaint")


def photo_of(width: int, height: int, orientation: int = 1) -> Photo:
    return Photo("a.png", np.zeros((height, width, 3), np.uint8), orientation=orientation)


def half_white(width: int = 40, height: int = 30) -> Photo:
    """Return a mask whose upper half is white."""
    pixels = np.zeros((height, width), np.uint8)
    pixels[: height // 2] = 255
    return Photo("m.png", pixels)


@pytest.mark.parametrize(("width", "height"), [(80, 60), (20, 15), (41, 31)])
def test_mask_with_the_same_aspect_is_resized_with_a_warning(width: int, height: int) -> None:
    report = new_report()
    mask = mask_from_photo(half_white(), photo_of(width, height), report)
    assert mask.shape == (height, width)
    assert mask.dtype == np.bool_
    assert mask[: height // 2].all()
    assert not mask[height // 2 + 1 :].any()
    [warning] = report.warnings
    assert "'m.png' has 40x30" in warning
    assert f"{width}x{height}" in warning


@pytest.mark.parametrize(("width", "height"), [(30, 40), (40, 31), (400, 304), (40, 29)])
def test_mask_with_another_aspect_is_refused(width: int, height: int) -> None:
    message = rf"'m\.png' has 40x30 pixels, the photo {width}x{height}"
    with pytest.raises(RestoreError, match=message) as caught:
        mask_from_photo(half_white(), photo_of(width, height), new_report())
    assert caught.value.code is Code.MASK


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_mask_of_the_photo_before_it_was_turned_is_turned_too(orientation: int) -> None:
    stored, report = half_white(), new_report()
    mask = mask_from_photo(stored, photo_of(30, 40, orientation), report)
    np.testing.assert_array_equal(mask, turn_upright(stored.pixels, orientation) > 0)
    [warning] = report.warnings
    assert "turned like the photo" in warning


def test_mask_with_an_orientation_of_its_own_is_not_turned_again() -> None:
    upright = half_white(30, 40)
    turned = Photo("m.png", upright.pixels, orientation=6)
    report = new_report()
    mask = mask_from_photo(turned, photo_of(30, 40, 6), report)
    np.testing.assert_array_equal(mask, upright.pixels > 0)
    assert report.warnings == []
    with pytest.raises(RestoreError, match="40x30"):
        mask_from_photo(
            Photo("m.png", half_white().pixels, orientation=6), photo_of(30, 40, 6), report
        )


def test_hole_that_is_lost_by_resizing_is_refused() -> None:
    pixels = np.zeros((300, 400), np.uint8)
    pixels[0, 0] = 255
    with pytest.raises(RestoreError, match="marks no hole at the photo's size"):
        mask_from_photo(Photo("m.png", pixels), photo_of(40, 30), new_report())


def test_masks_and_polygons_are_united() -> None:
    photos, reports = [photo_of(40, 30)] * 2, [new_report(), new_report()]
    both = combine_masks(photos, [half_white()], TRIANGLE, reports)
    masks = combine_masks(photos, [half_white()], None, reports)
    polygons = combine_masks(photos, [], TRIANGLE, reports)
    for union, mask, polygon in zip(both, masks, polygons, strict=True):
        assert union is not None
        assert mask is not None
        assert polygon is not None
        np.testing.assert_array_equal(union, mask | polygon)
    assert combine_masks(photos, [], None, reports) == [None, None]


def test_each_photo_gets_its_own_mask() -> None:
    other = Photo("n.png", half_white().pixels[::-1])
    first, second = combine_masks(
        [photo_of(40, 30)] * 2, [half_white(), other], None, [new_report()] * 2
    )
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first, second[::-1])


def test_empty_mask_is_refused_with_the_name_of_its_photo() -> None:
    empty = Photo("m.png", np.zeros((30, 40), np.uint8))
    for points in (None, TRIANGLE):
        with pytest.raises(RestoreError, match=r"photo 'a\.png': the mask 'm\.png' marks no hole"):
            combine_masks([photo_of(40, 30)], [empty], points, [new_report()])


def test_count_of_masks_must_fit_the_photos() -> None:
    with pytest.raises(RestoreError, match="2 masks for 3 photos") as caught:
        combine_masks([photo_of(4, 4)] * 3, [half_white()] * 2, None, [new_report()] * 3)
    assert caught.value.code is Code.MASK


class TestTransparentHole:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_what_was_erased_is_the_hole(self, dtype: type) -> None:
        full = np.iinfo(dtype).max
        alpha: np.ndarray = np.full((30, 40), full, dtype)
        alpha[3:9, 5:12] = 0
        alpha[9, 5:12] = full // 2
        report = new_report()
        hole = transparent_hole(Photo("a.png", np.zeros((30, 40), dtype), alpha), report)
        np.testing.assert_array_equal(hole, alpha < full)
        assert "its transparent part was taken for the hole (4.1% of the photo)" in report.notes
        assert report.warnings == []

    @pytest.mark.parametrize("level", [255, 254, 128, 0])
    def test_photo_of_one_alpha_has_no_hole(self, level: int) -> None:
        alpha = np.full((30, 40), level, np.uint8)
        photo = Photo("a.png", np.zeros((30, 40), np.uint8), alpha)
        assert transparent_hole(photo, new_report()) is None
        assert transparent_hole(photo.with_pixels(photo.pixels), new_report()) is None

    def test_large_transparent_part_gives_a_warning(self) -> None:
        alpha = np.zeros((30, 40), np.uint8)
        alpha[:10] = 255
        report = new_report()
        transparent_hole(Photo("a.png", np.zeros((30, 40), np.uint8), alpha), report)
        assert any("67% of the photo" in warning for warning in report.warnings)
