"""Decoding: every supported format, bit depth, alpha and layout."""

import io
import struct
import zipfile
import zlib
from typing import Any, Literal

import numpy as np
import pytest
from photofiles import (
    FORMATS,
    adobe_profile,
    alpha_of,
    chunk,
    decode_error,
    deep_picture,
    exif_block,
    file_of,
    levels_apart,
    picture,
    png_file,
    tiff_file,
)
from PIL import Image

from restore.errors import Code
from restore.imaging.encode import encode
from restore.imaging.photo import decode


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_format_is_identified_by_content(format_name: str) -> None:
    options: dict[str, Any] = {}
    if format_name in ("WEBP", "JPEG"):
        options = {"lossless": True} if format_name == "WEBP" else {"quality": 95}
    pixels = picture() if format_name != "GIF" else np.repeat(np.repeat(picture(6, 8), 8, 0), 8, 1)
    photo = decode(file_of(pixels, format_name, **options), "a.txt")
    assert photo.format == format_name
    assert (photo.width, photo.height, photo.bits, photo.is_grey) == (64, 48, 8, False)
    assert levels_apart(photo.pixels, pixels) <= (8 if format_name == "JPEG" else 0)
    assert (photo.alpha, photo.icc, photo.exif, photo.warnings) == (None, None, None, ())


@pytest.mark.parametrize("format_name", ["PNG", "TIFF", "BMP", "GIF"])
def test_grey_file_gives_grey_photo(format_name: str) -> None:
    grey = picture()[..., 0]
    photo = decode(file_of(grey, format_name), "a")
    assert photo.is_grey
    np.testing.assert_array_equal(photo.pixels, grey)


def test_rgb_file_with_equal_channels_stays_rgb() -> None:
    rgb = np.dstack([picture()[..., 0]] * 3)
    assert decode(file_of(rgb, "PNG"), "a").pixels.shape == (48, 64, 3)


def test_one_bit_file_gives_black_and_white() -> None:
    bits = picture()[..., 0] > 120
    for format_name in ("PNG", "TIFF", "BMP", "GIF"):
        photo = decode(file_of(Image.fromarray(bits), format_name), "a")
        np.testing.assert_array_equal(photo.pixels, bits * np.uint8(255))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("format_name", ["PNG", "TIFF", "WEBP"])
def test_alpha_is_separated_from_colour(mode: str, format_name: str) -> None:
    colour = picture() if mode == "RGBA" else picture()[..., 0]
    alpha = picture()[..., 1]
    options: dict[str, Any] = {"lossless": True, "exact": True} if format_name == "WEBP" else {}
    photo = decode(file_of(np.dstack([colour, alpha]), format_name, **options), "a")
    np.testing.assert_array_equal(photo.alpha, alpha)
    expected = np.dstack([colour] * 3) if (mode, format_name) == ("LA", "WEBP") else colour
    np.testing.assert_array_equal(photo.pixels, expected)


def test_premultiplied_tiff_alpha_is_undone() -> None:
    rgba = np.full((8, 8, 4), (100, 50, 25, 128), np.uint8)
    photo = decode(tiff_file(rgba, {338: [1]}), "a")
    assert levels_apart(photo.pixels[0, 0], np.array([199, 100, 50])) <= 1
    assert alpha_of(photo)[0, 0] == 128


def test_palette_with_transparency() -> None:
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) % 4, "L").convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    for data in (
        file_of(image, "PNG", transparency=bytes([0, 128, 255])),
        file_of(image, "GIF", transparency=0),
    ):
        photo = decode(data, "a")
        np.testing.assert_array_equal(
            photo.pixels[0, :4], [[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]
        )
        assert alpha_of(photo)[0, 0] == 0
        assert alpha_of(photo)[0, 2] == alpha_of(photo)[0, 3] == 255


def test_transparent_value_becomes_alpha_at_every_depth() -> None:
    grey = np.tile(np.arange(8, dtype=np.uint8), (8, 1))
    expected = np.where(grey == 3, 0, 255)
    np.testing.assert_array_equal(
        decode(png_file(grey, chunk(b"tRNS", b"\0\3")), "a").alpha, expected
    )
    packed = np.tile(np.array([0x01, 0x23, 0x45, 0x67], np.uint8), (8, 1))
    four_bits = decode(png_file(packed, chunk(b"tRNS", b"\0\3"), bits=4), "a")
    np.testing.assert_array_equal(four_bits.pixels, grey * 17)
    np.testing.assert_array_equal(four_bits.alpha, expected)
    deep = decode(
        png_file(grey.astype(np.uint16) * 1000, chunk(b"tRNS", struct.pack(">H", 3000))), "a"
    )
    np.testing.assert_array_equal(deep.alpha, np.where(grey == 3, 0, 65535))
    rgb = deep_picture(3)
    keyed = decode(png_file(rgb, chunk(b"tRNS", struct.pack(">3H", *rgb[2, 5]))), "a")
    np.testing.assert_array_equal(keyed.pixels, rgb)
    assert alpha_of(keyed)[2, 5] == 0
    assert np.count_nonzero(alpha_of(keyed) == 0) == 1


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_png_is_read_and_written_with_16_bits(channels: int) -> None:
    samples = deep_picture(channels)
    first = decode(png_file(samples), "a")
    again = decode(encode(first, "png", 95)[0], "a")
    colour, alpha = (
        (samples, None) if channels in (1, 3) else (samples[..., :-1].squeeze(), samples[..., -1])
    )
    for photo in (first, again):
        assert (photo.bits, photo.is_grey, photo.warnings) == (16, channels < 3, ())
        np.testing.assert_array_equal(photo.pixels, colour)
        assert (photo.alpha is None) == (alpha is None)
        assert alpha is None or np.array_equal(alpha_of(photo), alpha)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bit_tiff_is_read_with_16_bits(channels: int, order: Literal["<", ">"]) -> None:
    samples = deep_picture(channels)
    photo = decode(tiff_file(samples, {338: [2]} if channels == 4 else None, order=order), "a")
    np.testing.assert_array_equal(photo.pixels, samples[..., :3] if channels == 4 else samples)
    assert channels != 4 or np.array_equal(alpha_of(photo), samples[..., 3])


def test_unspecified_extra_sample_is_not_alpha() -> None:
    samples = deep_picture(4)
    photo = decode(tiff_file(samples, {338: [0]}), "a")
    np.testing.assert_array_equal(photo.pixels, samples[..., :3])
    assert photo.alpha is None


def test_16_bit_premultiplied_tiff_is_read_with_8_bits_and_a_warning() -> None:
    rgba = np.full((8, 8, 4), (100 * 257, 50 * 257, 25 * 257, 128 * 257), np.uint16)
    photo = decode(tiff_file(rgba, {338: [1]}), "a")
    assert levels_apart(photo.pixels[0, 0], np.array([199, 100, 50])) <= 1
    assert photo.warnings == ("its 16 bits could only be read as 8",)


def test_32_bit_tiff_is_accepted_if_its_values_fit_16_bits() -> None:
    values = deep_picture(1).astype(np.int32)
    photo = decode(file_of(values, "TIFF"), "a")
    assert photo.bits == 16
    np.testing.assert_array_equal(photo.pixels, values)
    assert decode_error(file_of(values * 70000, "TIFF")).code == Code.PHOTO_FORMAT


def test_white_is_zero_and_12_bit_tiff() -> None:
    grey = deep_picture(1)
    np.testing.assert_array_equal(decode(tiff_file(grey, {262: [0]}), "a").pixels, 65535 - grey)
    grey_8 = (grey // 256).astype(np.uint8)
    np.testing.assert_array_equal(decode(tiff_file(grey_8, {262: [0]}), "a").pixels, 255 - grey_8)
    packed = np.tile(np.array([0x00, 0x0F, 0xFF], np.uint8), (8, 4))  # pairs of 0 and 4095
    twelve = decode(tiff_file(packed, {256: [8], 258: [12]}), "a")
    np.testing.assert_array_equal(twelve.pixels, np.tile(np.array([0, 65535], np.uint16), (8, 4)))


def test_tiff_tag_without_values_is_ignored() -> None:
    np.testing.assert_array_equal(
        decode(tiff_file(deep_picture(3), {338: []}), "a").pixels, deep_picture(3)
    )


def test_tiff_with_truncated_directory_is_rejected() -> None:
    # The last tag, ExtraSamples, says that alpha is premultiplied.
    data = tiff_file(np.full((8, 8, 4), (100, 50, 25, 128), np.uint8), {338: [1]})
    directory = data[8 : 8 + 2 + 12 * data[8] + 4]
    moved = data[:4] + struct.pack("<L", len(data)) + data[8:] + directory
    assert levels_apart(decode(moved, "a").pixels[0, 0], np.array([199, 100, 50])) <= 1
    assert decode_error(moved[:-16]).code == Code.PHOTO_DAMAGED


def test_tiff_layout_that_decoders_misread_is_rejected() -> None:
    error = decode_error(tiff_file(deep_picture(2), {338: [2]}), "a.tif")
    assert error.code == Code.PHOTO_FORMAT
    assert "16-bit TIFF of interleaved grey and alpha" in error.reason


def test_error_of_a_cut_gif_names_no_object_in_memory() -> None:
    message = str(decode_error(file_of(picture(), "GIF")[:20]))
    assert "damaged or cut short (cannot identify image file)" in message


def test_only_the_first_frame_is_used() -> None:
    first, second = (
        Image.fromarray(np.repeat(np.repeat(c, 8, 0), 8, 1))
        for c in (picture(6, 8), picture(6, 8)[::-1])
    )
    expected = np.array(first)
    for format_name in ("GIF", "PNG", "WEBP", "TIFF"):
        options: dict[str, Any] = {"lossless": True} if format_name == "WEBP" else {}
        data = file_of(first, format_name, save_all=True, append_images=[second], **options)
        photo = decode(data, "a")
        np.testing.assert_array_equal(photo.pixels, expected)
        (warning,) = photo.warnings
        assert warning.startswith(
            "only the first of its 2 pages" if format_name == "TIFF" else "only its first frame"
        )
    mpo = decode(
        file_of(first, "MPO", save_all=True, append_images=[second], quality=100, subsampling=0),
        "a",
    )
    assert levels_apart(mpo.pixels, expected) <= 2
    assert (mpo.format, mpo.warnings) == ("JPEG", ())


def test_data_after_a_jpeg_is_dropped() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("evil.txt", "payload")
    jpeg = file_of(picture(), "JPEG")
    photo = decode(jpeg + archive.getvalue(), "a")
    np.testing.assert_array_equal(photo.pixels, decode(jpeg, "a").pixels)
    assert all(b"payload" not in encode(photo, format_name, 90)[0] for format_name in FORMATS)


@pytest.mark.parametrize(
    "bad", [chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(2**21))), b"\0\0\0\4tEXta\0bb\0\0\0\0"]
)
def test_png_with_damaged_ancillary_chunks_is_decoded_without_them(bad: bytes) -> None:
    photo = decode(png_file(picture(), bad, chunk(b"eXIf", exif_block(3)[6:])), "a")
    np.testing.assert_array_equal(photo.pixels, picture()[::-1, ::-1])
    assert "dropped" in photo.warnings[0]


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_damaged_profile_is_reported(kind: str) -> None:
    if kind == "jpeg":
        data = file_of(picture(), "JPEG", icc_profile=adobe_profile())
        data = data.replace(b"ICC_PROFILE\0\1\1", b"ICC_PROFILE\0\1\2")  # the first of two parts
    else:
        body = bytearray(zlib.compress(adobe_profile()))
        body[20] ^= 255
        data = png_file(picture(), chunk(b"iCCP", b"x\0\0" + bytes(body)))
    assert Image.open(io.BytesIO(data)).size == (64, 48)
    photo = decode(data, "a")
    assert photo.icc is None
    assert "colour profile" in photo.warnings[0]
