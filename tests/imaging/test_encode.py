"""Encoding as PNG, JPEG and WebP."""

import io

import numpy as np
import pytest
from photofiles import (
    FORMATS,
    adobe_profile,
    alpha_of,
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
from restore.imaging.encode import encode
from restore.imaging.photo import Photo, decode


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_keeps_samples_profile_and_exif(channels: int, dtype: type[np.unsignedinteger]) -> None:
    samples = deep_picture(channels).astype(dtype)
    colour, alpha = (
        (samples, None) if channels in (1, 3) else (samples[..., :-1].squeeze(), samples[..., -1])
    )
    icc = grey_profile() if channels < 3 else srgb_profile()
    data, notes = encode(Photo("a", colour, alpha, icc=icc, exif=exif_block(1)), "png", 90)
    image = Image.open(io.BytesIO(data))
    image.load()
    assert image.info["icc_profile"] == icc
    assert image.getexif()[ExifTags.Base.Make] == "Maker"
    if dtype == np.uint8:
        assert image.mode == {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    again = decode(data, "a")
    np.testing.assert_array_equal(again.pixels, colour)
    assert (again.alpha is None) == (alpha is None)
    assert alpha is None or np.array_equal(alpha_of(again), alpha)
    assert notes == ()


def test_16_bits_are_rounded_to_8_with_a_warning() -> None:
    levels = np.array([0, 128, 129, 385, 386, 32767, 32768, 65406, 65407, 65535], np.uint16)
    photo = Photo("a", np.tile(levels, (10, 1)), np.tile(levels, (10, 1)))
    data, notes = encode(photo, "webp", 100)
    assert "16 bits were reduced to 8" in notes[0]
    # The alpha of a WebP is lossless.
    np.testing.assert_array_equal(alpha_of(decode(data, "a"))[0], np.round(levels / 257))
    flat = Photo("a", np.full((16, 16), 129, np.uint16))
    assert decode(encode(flat, "jpg", 100)[0], "a").pixels[0, 0] == 1, "truncation would give 0"


def test_alpha_is_flattened_on_white_for_jpg_only() -> None:
    black = np.zeros((16, 16, 3), np.uint8)
    photo = Photo("a", black, np.full((16, 16), 64, np.uint8))
    data, notes = encode(photo, "jpg", 100)
    assert levels_apart(decode(data, "a").pixels, np.full((16, 16, 3), 191)) <= 1
    assert "flattened on white" in notes[0]
    for format_name in ("png", "webp"):
        written, notes = encode(photo, format_name, 100)
        np.testing.assert_array_equal(decode(written, "a").alpha, 64)
        assert notes == ()
    # The exact value is 177.7.
    rounded = Photo("a", np.full((16, 16), 101, np.uint8), np.full((16, 16), 128, np.uint8))
    np.testing.assert_array_equal(decode(encode(rounded, "jpg", 100)[0], "a").pixels, 178)
    opaque = Photo("a", black, np.full((16, 16), 255, np.uint8))
    assert encode(opaque, "jpg", 100)[1] == ()


def test_jpg_has_full_chroma_resolution_and_uses_quality() -> None:
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[:, ::2, 0] = 200
    data, _ = encode(Photo("a", stripes), "jpg", 95)
    # Chroma subsampling would change red by more than 50.
    assert levels_apart(decode(data, "a").pixels, stripes) < 20
    for format_name in ("jpg", "webp"):
        low, high = (encode(Photo("a", picture()), format_name, quality)[0] for quality in (30, 95))
        assert len(low) < len(high)


@pytest.mark.parametrize("format_name", FORMATS)
def test_equal_photos_give_equal_bytes(format_name: str) -> None:
    data = file_of(
        np.dstack([picture(), picture()[..., 0]]),
        "PNG",
        icc_profile=adobe_profile(),
        exif=exif_block(6),
    )
    assert encode(decode(data, "a"), format_name, 90) == encode(decode(data, "a"), format_name, 90)


def test_grey_photo_gives_grey_jpg() -> None:
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
def test_too_large_output_and_unknown_format_are_rejected(
    shape: tuple[int, int], format_name: str, code: Code
) -> None:
    with pytest.raises(RestoreError, match=r"photo 'a': ") as caught:
        encode(Photo("a", np.broadcast_to(np.uint8(0), shape)), format_name, 90)
    assert caught.value.code == code
