"""Opening photos: files, names, facts and orientation."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from photofiles import (
    FORMATS,
    adobe_profile,
    chunk,
    decode_error,
    exif_block,
    exif_of,
    file_of,
    grey_profile,
    picture,
    png_file,
    tiff_file,
)
from PIL import ExifTags, Image, ImageOps

from restore.errors import Code, RestoreError
from restore.imaging.encode import encode
from restore.imaging.limits import LIMITS, Limits, check_pixels
from restore.imaging.photo import decode, open_photo


def test_photo_name_is_the_file_name_or_the_given_one(tmp_path: Path) -> None:
    path = tmp_path / "grandma.png"
    path.write_bytes(file_of(picture(), "PNG"))
    assert open_photo(path).name == "grandma.png"
    photo = open_photo(str(path), name="images[0]")
    assert photo.name == "images[0]"
    np.testing.assert_array_equal(photo.pixels, picture())


def test_photo_that_cannot_be_read_is_named_once_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    path = tmp_path / "a.jpg"
    path.write_bytes(b"photo")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(RestoreError) as caught:
        open_photo(path)
    assert caught.value.reason == f"'{path}' cannot be read (permission denied)"


@pytest.mark.parametrize("name", ["absent.jpg", ".", "a\0b.jpg", "x" * 5000])
def test_missing_file_is_named_in_the_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(RestoreError) as caught:
        open_photo(tmp_path / name)
    assert caught.value.code == Code.PHOTO_MISSING
    assert str(tmp_path) in str(caught.value)


def test_file_above_the_size_limit_is_rejected_without_reading(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    with path.open("wb") as file:
        file.truncate(33 * 2**20)
    with pytest.raises(
        RestoreError, match=r"\[E202\] photo 'large.jpg': 33.0 MiB, the limit is 32"
    ):
        open_photo(path)
    error = decode_error(bytes(2**20 + 1), limits=Limits(max_bytes=2**20))
    assert error.code == Code.PHOTO_TOO_LARGE


def test_facts_are_complete_and_json() -> None:
    data = file_of(picture()[..., 0], "PNG", icc_profile=grey_profile(), exif=exif_block(6))
    assert json.loads(json.dumps(decode(data, "a.png").facts())) == {
        "name": "a.png",
        "format": "PNG",
        "width": 48,
        "height": 64,
        "bits": 8,
        "grey": True,
        "alpha": False,
        "icc": "Test",
        "converted_tones": False,
        "orientation": 6,
        "exif": True,
        "warnings": [],
    }


def test_with_pixels_keeps_metadata() -> None:
    photo = decode(file_of(picture(), "PNG", icc_profile=adobe_profile(), exif=exif_block(6)), "a")
    larger = photo.with_pixels(np.zeros((10, 20, 3), np.uint8))
    assert (larger.width, larger.height, larger.megapixels) == (20, 10, 0.0002)
    assert (larger.name, larger.icc, larger.exif) == (photo.name, photo.icc, photo.exif)


@pytest.mark.shared
def test_shared_photos_survive_every_format(shared: Path) -> None:
    for path in sorted((shared / "photos" / "test" / "formats").iterdir()):
        photo = open_photo(path)
        reference = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert reference is not None
        assert photo.pixels.shape[:2] == reference.shape[:2]
        assert photo.pixels.dtype == reference.dtype
        for format_name in FORMATS:
            again = decode(encode(photo, format_name, 95)[0], "a")
            assert again.pixels.shape[:2] == photo.pixels.shape[:2]
        png = decode(encode(photo, "png", 95)[0], "a")
        np.testing.assert_array_equal(png.pixels, photo.pixels)


STORE: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a[::-1], 1),
    8: lambda a: np.rot90(a, -1),
}
"""For each EXIF orientation, how a camera stores an upright picture."""


@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations_give_the_same_upright_photo(orientation: int) -> None:
    # JPEG compresses blocks of one colour equally in every orientation.
    upright = np.repeat(np.repeat(picture(3, 5), 8, 0), 8, 1)
    stored = np.ascontiguousarray(STORE[orientation](upright))
    exif = exif_block(orientation)
    jpeg = decode(file_of(stored, "JPEG", quality=100, subsampling=0, exif=exif), "a")
    np.testing.assert_array_equal(
        jpeg.pixels, decode(file_of(upright, "JPEG", quality=100, subsampling=0), "a").pixels
    )
    alpha = upright[..., 1].astype(np.uint16) * 200
    deep = np.dstack([upright.astype(np.uint16) * 250, alpha])
    stored_deep = np.ascontiguousarray(STORE[orientation](deep))
    tiff = tiff_file(stored_deep, {274: [orientation], 338: [2]})
    for data in (png_file(stored_deep, chunk(b"eXIf", exif[6:])), tiff):
        photo = decode(data, "a")
        np.testing.assert_array_equal(photo.pixels, deep[..., :3])
        np.testing.assert_array_equal(photo.alpha, alpha)
        assert photo.orientation == orientation
    np.testing.assert_array_equal(
        decode(tiff_file(stored, {274: [orientation]}), "a").pixels, upright
    )
    for format_name in FORMATS:
        again = encode(jpeg, format_name, 100)[0]
        assert exif_of(again)[ExifTags.Base.Orientation] == 1
        assert decode(again, "a").pixels.shape == upright.shape


def test_orientations_match_pillow() -> None:
    for orientation in range(1, 9):
        data = file_of(picture(), "PNG", exif=exif_block(orientation))
        expected = np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
        np.testing.assert_array_equal(decode(data, "a").pixels, expected)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_invalid_orientation_is_ignored(orientation: int) -> None:
    photo = decode(file_of(picture(), "PNG", exif=exif_block(orientation)), "a")
    np.testing.assert_array_equal(photo.pixels, picture())
    assert photo.orientation == 1
    assert exif_of(encode(photo, "png", 90)[0])[ExifTags.Base.Orientation] == 1


def test_number_of_pixels_in_a_refusal_is_above_the_limit() -> None:
    """It is rounded up: `50.0 megapixels, the limit is 50` would be confusing."""
    with pytest.raises(RestoreError, match=r"50\.1 megapixels, the limit is 50\."):
        check_pixels(1000, 50_010, "a.png", LIMITS)
    check_pixels(1000, 50_000, "a.png", LIMITS)
