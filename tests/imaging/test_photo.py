"""photo: what comes in is known by its content, whole, and at its own depth, or refused with a reason."""

import io
import json
import struct
import zipfile

import cv2
import numpy as np
import pytest
from photofiles import (
    FORMATS,
    adobe_profile,
    chunk,
    deep_picture,
    exif_block,
    file_of,
    grey_profile,
    levels_apart,
    picture,
    png_file,
    tiff_file,
)
from PIL import Image

from restore.errors import Code, RestoreError
from restore.imaging.photo import LIMITS, Limits, decode, encode, open_photo


def refused(data, name="a.jpg", limits=LIMITS):
    with pytest.raises(RestoreError) as caught:
        decode(data, name, limits)
    assert str(caught.value).startswith(f"[{caught.value.code}] photo '{name}': ")
    return caught.value


# What is taken, and how it arrives


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_every_format_is_known_by_content_whatever_its_name(format_name):
    options = (
        {"lossless": True}
        if format_name == "WEBP"
        else {"quality": 95}
        if format_name == "JPEG"
        else {}
    )
    pixels = picture() if format_name != "GIF" else np.repeat(np.repeat(picture(6, 8), 8, 0), 8, 1)
    photo = decode(file_of(pixels, format_name, **options), "a.txt")
    assert (photo.format, photo.width, photo.height, photo.bits, photo.is_grey) == (
        format_name,
        64,
        48,
        8,
        False,
    )
    assert levels_apart(photo.pixels, pixels) <= (8 if format_name == "JPEG" else 0)
    assert (photo.alpha, photo.icc, photo.exif, photo.warnings) == (None, None, None, ())


@pytest.mark.parametrize("format_name", ["PNG", "TIFF", "BMP", "GIF"])
def test_grey_stays_grey(format_name):
    grey = picture()[..., 0]
    photo = decode(file_of(grey, format_name), "a")
    assert photo.is_grey
    np.testing.assert_array_equal(photo.pixels, grey)


def test_colour_with_equal_channels_stays_colour():
    assert decode(file_of(np.dstack([picture()[..., 0]] * 3), "PNG"), "a").pixels.shape == (
        48,
        64,
        3,
    )


def test_one_bit_becomes_black_and_white():
    bits = picture()[..., 0] > 120
    for format_name in ("PNG", "TIFF", "BMP", "GIF"):
        photo = decode(file_of(Image.fromarray(bits), format_name), "a")
        np.testing.assert_array_equal(photo.pixels, bits * np.uint8(255))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("format_name", ["PNG", "TIFF", "WEBP"])
def test_alpha_comes_beside_the_colour(mode, format_name):
    colour = picture() if mode == "RGBA" else picture()[..., 0]
    alpha = picture()[..., 1]
    options = {"lossless": True, "exact": True} if format_name == "WEBP" else {}
    photo = decode(file_of(np.dstack([colour, alpha]), format_name, **options), "a")
    np.testing.assert_array_equal(photo.alpha, alpha)
    expected = np.dstack([colour] * 3) if (mode, format_name) == ("LA", "WEBP") else colour
    np.testing.assert_array_equal(photo.pixels, expected)


def test_premultiplied_tiff_alpha_is_undone():
    rgba = np.full((8, 8, 4), (100, 50, 25, 128), np.uint8)
    photo = decode(tiff_file(rgba, {338: [1]}), "a")
    assert levels_apart(photo.pixels[0, 0], np.array([199, 100, 50])) <= 1
    assert photo.alpha[0, 0] == 128


def test_palette_with_transparency():
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
        assert photo.alpha[0, 0] == 0
        assert photo.alpha[0, 2] == photo.alpha[0, 3] == 255


def test_a_transparent_value_becomes_alpha_at_every_depth():
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
    assert keyed.alpha[2, 5] == 0
    assert (keyed.alpha == 0).sum() == 1


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_png_is_read_and_written_at_16_bits(channels):
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
        assert alpha is None or (photo.alpha == alpha).all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bit_tiff_is_read_at_16_bits(channels, order):
    samples = deep_picture(channels)
    photo = decode(tiff_file(samples, {338: [2]} if channels == 4 else None, order=order), "a")
    np.testing.assert_array_equal(photo.pixels, samples[..., :3] if channels == 4 else samples)
    assert channels != 4 or (photo.alpha == samples[..., 3]).all()


def test_an_unspecified_extra_sample_is_not_alpha():
    samples = deep_picture(4)
    photo = decode(tiff_file(samples, {338: [0]}), "a")
    np.testing.assert_array_equal(photo.pixels, samples[..., :3])
    assert photo.alpha is None


def test_deep_premultiplied_tiff_is_read_at_8_bits_and_says_so():
    rgba = np.full((8, 8, 4), (100 * 257, 50 * 257, 25 * 257, 128 * 257), np.uint16)
    photo = decode(tiff_file(rgba, {338: [1]}), "a")
    assert levels_apart(photo.pixels[0, 0], np.array([199, 100, 50])) <= 1
    assert photo.warnings == ("its 16 bits could only be read as 8",)


def test_integer_tiff_of_32_bits_is_taken_where_its_values_fit():
    values = deep_picture(1).astype(np.int32)
    photo = decode(file_of(values, "TIFF"), "a")
    assert photo.bits == 16
    np.testing.assert_array_equal(photo.pixels, values)
    assert refused(file_of(values * 70000, "TIFF")).code == Code.PHOTO_FORMAT


def test_white_is_zero_and_12_bits_in_tiff():
    grey = deep_picture(1)
    np.testing.assert_array_equal(decode(tiff_file(grey, {262: [0]}), "a").pixels, 65535 - grey)
    grey_8 = (grey // 256).astype(np.uint8)
    np.testing.assert_array_equal(decode(tiff_file(grey_8, {262: [0]}), "a").pixels, 255 - grey_8)
    packed = np.tile(np.array([0x00, 0x0F, 0xFF], np.uint8), (8, 4))  # pairs of 0 and 4095
    twelve = decode(tiff_file(packed, {256: [8], 258: [12]}), "a")
    np.testing.assert_array_equal(twelve.pixels, np.tile(np.array([0, 65535], np.uint16), (8, 4)))


def test_a_tag_without_values_is_as_good_as_absent():
    np.testing.assert_array_equal(
        decode(tiff_file(deep_picture(3), {338: []}), "a").pixels, deep_picture(3)
    )


def test_a_tiff_that_lost_the_end_of_its_directory_is_not_guessed_at():
    data = tiff_file(
        np.full((8, 8, 4), (100, 50, 25, 128), np.uint8), {338: [1]}
    )  # premultiplied, told by the last tag
    directory = data[8 : 8 + 2 + 12 * data[8] + 4]
    moved = data[:4] + struct.pack("<L", len(data)) + data[8:] + directory
    assert levels_apart(decode(moved, "a").pixels[0, 0], np.array([199, 100, 50])) <= 1
    assert refused(moved[:-16]).code == Code.PHOTO_DAMAGED


def test_layouts_that_readers_get_wrong_are_refused():
    for data in (tiff_file(deep_picture(2), {338: [2]}), tiff_file(deep_picture(3), {284: [2]})):
        error = refused(data, "a.tif")
        assert error.code == Code.PHOTO_FORMAT
        assert "16-bit TIFF" in error.reason


def test_only_the_first_frame_is_used():
    first, second = (
        Image.fromarray(np.repeat(np.repeat(c, 8, 0), 8, 1))
        for c in (picture(6, 8), picture(6, 8)[::-1])
    )
    expected = np.array(first)
    for format_name, options in (
        ("GIF", {}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
    ):
        data = file_of(first, format_name, save_all=True, append_images=[second], **options)
        photo = decode(data, "a")
        np.testing.assert_array_equal(photo.pixels, expected)
        assert photo.warnings == ("only its first frame is used",)
    mpo = decode(
        file_of(first, "MPO", save_all=True, append_images=[second], quality=100, subsampling=0),
        "a",
    )
    assert levels_apart(mpo.pixels, expected) <= 2
    assert (mpo.format, mpo.warnings) == ("JPEG", ())


def test_a_jpeg_with_a_zip_behind_it_is_the_jpeg_alone():
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("evil.txt", "payload")
    jpeg = file_of(picture(), "JPEG")
    photo = decode(jpeg + archive.getvalue(), "a")
    np.testing.assert_array_equal(photo.pixels, decode(jpeg, "a").pixels)
    assert all(b"payload" not in encode(photo, format_name, 90)[0] for format_name in FORMATS)


# Files


def test_a_file_is_read_under_its_own_name_or_a_given_one(tmp_path):
    path = tmp_path / "grandma.png"
    path.write_bytes(file_of(picture(), "PNG"))
    assert open_photo(path).name == "grandma.png"
    photo = open_photo(str(path), name="images[0]")
    assert photo.name == "images[0]"
    np.testing.assert_array_equal(photo.pixels, picture())


@pytest.mark.parametrize("name", ["absent.jpg", ".", "a\0b.jpg", "x" * 5000])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(RestoreError) as caught:
        open_photo(tmp_path / name)
    assert caught.value.code == Code.PHOTO_MISSING
    assert str(tmp_path) in str(caught.value)


def test_a_file_over_the_limit_is_refused_unread(tmp_path):
    path = tmp_path / "large.jpg"
    with path.open("wb") as file:
        file.truncate(33 * 2**20)
    with pytest.raises(
        RestoreError, match=r"\[E202\] photo 'large.jpg': 33.0 MiB, the limit is 32"
    ):
        open_photo(path)
    assert refused(bytes(2**20 + 1), limits=Limits(max_bytes=2**20)).code == Code.PHOTO_TOO_LARGE


def test_facts_are_json_and_complete():
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
        "converted_to_srgb": False,
        "orientation": 6,
        "exif": True,
        "warnings": [],
    }


def test_with_pixels_keeps_everything_else():
    photo = decode(file_of(picture(), "PNG", icc_profile=adobe_profile(), exif=exif_block(6)), "a")
    larger = photo.with_pixels(np.zeros((10, 20, 3), np.uint8))
    assert (larger.width, larger.height, larger.megapixels) == (20, 10, 0.0002)
    assert (larger.name, larger.icc, larger.exif, larger.converted) == (
        photo.name,
        photo.icc,
        photo.exif,
        True,
    )


@pytest.mark.shared
def test_shared_photos_come_through_every_format(shared):
    for path in sorted((shared / "photos" / "test" / "formats").iterdir()):
        photo = open_photo(path)
        reference = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert photo.pixels.shape[:2] == reference.shape[:2]
        assert photo.pixels.dtype == reference.dtype
        for format_name in FORMATS:
            again = decode(encode(photo, format_name, 95)[0], "a")
            assert again.pixels.shape[:2] == photo.pixels.shape[:2]
        png = decode(encode(photo, "png", 95)[0], "a")
        np.testing.assert_array_equal(png.pixels, photo.pixels)
