"""What goes out keeps what came with it, says what it could not keep, and is one whole file or none."""

import io

import numpy as np
import pytest
from photofiles import (
    FORMATS,
    adobe_profile,
    deep_picture,
    exif_block,
    file_of,
    grey_profile,
    levels_apart,
    picture,
    srgb_profile,
)
from PIL import ExifTags, Image

from restore.errors import Code, RestoreError
from restore.imaging.photo import Photo, decode, encode, write_atomically

# What goes out


def test_png_carries_everything_exactly():
    for channels, dtype in (
        (1, "u1"),
        (2, "u1"),
        (3, "u1"),
        (4, "u1"),
        (1, "u2"),
        (2, "u2"),
        (3, "u2"),
        (4, "u2"),
    ):
        samples = deep_picture(channels).astype(dtype)
        colour, alpha = (
            (samples, None)
            if channels in (1, 3)
            else (samples[..., :-1].squeeze(), samples[..., -1])
        )
        photo = Photo(
            "a",
            colour,
            alpha,
            icc=grey_profile() if channels < 3 else srgb_profile(),
            exif=exif_block(1),
        )
        data, notes = encode(photo, "png", 90)
        image = Image.open(io.BytesIO(data))
        image.load()
        assert image.info["icc_profile"] == photo.icc
        assert image.getexif()[ExifTags.Base.Make] == "Maker"
        expected_mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels] if dtype == "u1" else None
        assert expected_mode is None or image.mode == expected_mode
        again = decode(data, "a")
        np.testing.assert_array_equal(again.pixels, colour)
        assert (again.alpha is None) if alpha is None else (again.alpha == alpha).all()
        assert notes == ()


def test_16_bits_become_8_by_rounding_with_a_warning():
    levels = np.array([0, 128, 129, 385, 386, 32767, 32768, 65406, 65407, 65535], np.uint16)
    photo = Photo("a", np.tile(levels, (10, 1)), np.tile(levels, (10, 1)))
    data, notes = encode(photo, "webp", 100)
    assert "16 bits became 8" in notes[0]
    np.testing.assert_array_equal(
        decode(data, "a").alpha[0], np.round(levels / 257)
    )  # WebP's alpha is lossless
    flat = Photo("a", np.full((16, 16), 129, np.uint16))
    assert decode(encode(flat, "jpg", 100)[0], "a").pixels[0, 0] == 1  # truncated it would be 0


def test_alpha_is_flattened_on_white_for_jpg_only():
    black = np.zeros((16, 16, 3), np.uint8)
    photo = Photo("a", black, np.full((16, 16), 64, np.uint8))
    data, notes = encode(photo, "jpg", 100)
    assert levels_apart(decode(data, "a").pixels, np.full((16, 16, 3), 191)) <= 1
    assert "flattened on white" in notes[0]
    for format_name in ("png", "webp"):
        written, notes = encode(photo, format_name, 100)
        np.testing.assert_array_equal(decode(written, "a").alpha, 64)
        assert notes == ()
    rounded = Photo(
        "a", np.full((16, 16), 101, np.uint8), np.full((16, 16), 128, np.uint8)
    )  # 177.7
    np.testing.assert_array_equal(decode(encode(rounded, "jpg", 100)[0], "a").pixels, 178)
    opaque = Photo("a", black, np.full((16, 16), 255, np.uint8))
    assert encode(opaque, "jpg", 100)[1] == ()


def test_jpg_keeps_colour_at_full_resolution_and_heeds_quality():
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[:, ::2, 0] = 200
    data, _ = encode(Photo("a", stripes), "jpg", 95)
    assert (
        levels_apart(decode(data, "a").pixels, stripes) < 20
    )  # halved chroma would smear red by more than 50
    for format_name in ("jpg", "webp"):
        assert len(encode(Photo("a", picture(), None), format_name, 30)[0]) < len(
            encode(Photo("a", picture()), format_name, 95)[0]
        )


@pytest.mark.parametrize("format_name", FORMATS)
def test_equal_photos_give_equal_bytes(format_name):
    data = file_of(
        np.dstack([picture(), picture()[..., 0]]),
        "PNG",
        icc_profile=adobe_profile(),
        exif=exif_block(6),
    )
    assert encode(decode(data, "a"), format_name, 90) == encode(decode(data, "a"), format_name, 90)


def test_grey_jpg_is_a_grey_file():
    assert Image.open(io.BytesIO(encode(Photo("a", picture()[..., 0]), "jpg", 90)[0])).mode == "L"


@pytest.mark.parametrize(
    ("shape", "format_name", "code"),
    [
        ((10_001, 10_000), "png", Code.OUTPUT_TOO_LARGE),
        ((10, 65_501), "jpg", Code.OUTPUT_TOO_LARGE),
        ((16_384, 10), "webp", Code.OUTPUT_TOO_LARGE),
        ((10, 10), "gif", Code.OPTION_INVALID),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(shape, format_name, code):
    with pytest.raises(RestoreError, match=r"photo 'a': ") as caught:
        encode(Photo("a", np.broadcast_to(np.uint8(0), shape)), format_name, 90)
    assert caught.value.code == code


# Files


def test_writing_replaces_what_was_there_by_one_readable_file(tmp_path):
    path = tmp_path / "out.jpg"
    path.write_bytes(b"old")
    write_atomically(b"new", path)
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_bytes() == b"new"
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    folder = tmp_path / "taken.jpg"
    folder.mkdir()
    for path in (tmp_path / "absent" / "out.jpg", folder):
        with pytest.raises(RestoreError) as caught:
            write_atomically(b"data", path)
        assert caught.value.code == Code.OUTPUT_UNWRITABLE
        assert str(path.parent) in str(caught.value)
        assert "Name a folder" in caught.value.remedy
    assert [*tmp_path.iterdir()] == [folder]
