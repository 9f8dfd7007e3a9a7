"""Colour profiles, CMYK and Lab."""

import io
import zlib
from typing import Any

import numpy as np
import pytest
from photofiles import (
    ADOBE_GAMMA,
    ADOBE_TO_XYZ,
    FORMATS,
    adobe_profile,
    chunk,
    cmyk_profile,
    deep_picture,
    file_of,
    grey_profile,
    levels_apart,
    picture,
    png_file,
    profile,
    scanner_profile,
    srgb_profile,
)
from PIL import Image, ImageCms

from restore.imaging.encode import encode
from restore.imaging.photo import decode

SRGB_TO_XYZ = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)


def adobe_to_srgb(pixels: np.ndarray) -> np.ndarray:
    """Convert by the definitions of the two colour spaces, without LittleCMS."""
    linear = np.clip(
        ((pixels / 255) ** ADOBE_GAMMA) @ ADOBE_TO_XYZ.T @ np.linalg.inv(SRGB_TO_XYZ).T, 0, 1
    )
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def adobe_to_lab(pixels: np.ndarray) -> np.ndarray:
    ratio = ((pixels / 255) ** ADOBE_GAMMA) @ ADOBE_TO_XYZ.T / np.array([0.9642, 1.0, 0.8249])
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])],
        axis=-1,
    )


def test_wide_gamut_is_converted_to_srgb_and_back() -> None:
    muted = picture() // 2 + 64  # inside the gamut of sRGB, unlike the greens of Adobe RGB
    data = file_of(muted, "PNG", icc_profile=adobe_profile())
    photo = decode(data, "a")
    assert photo.converted
    assert np.abs(photo.pixels - adobe_to_srgb(muted)).max() <= 1.5
    assert levels_apart(photo.pixels, muted) > 20, "the conversion must change pixels"
    for format_name, max_delta_e in (("png", 1.0), ("jpg", 4.0)):
        written, notes = encode(photo, format_name, 100)
        image = Image.open(io.BytesIO(written))
        assert image.info["icc_profile"] == adobe_profile()
        delta_e = np.linalg.norm(adobe_to_lab(np.array(image)) - adobe_to_lab(muted), axis=-1)
        assert delta_e.max() < max_delta_e
        assert delta_e.mean() < 1
        assert notes == ()


def test_pixels_are_unchanged_without_a_profile_or_with_srgb() -> None:
    for icc in (None, srgb_profile()):
        photo = decode(file_of(picture(), "PNG", icc_profile=icc), "a")
        np.testing.assert_array_equal(photo.pixels, picture())
        assert (photo.icc, photo.converted, photo.warnings) == (icc, False, ())
        for format_name in FORMATS:
            written = encode(photo, format_name, 90)[0]
            assert Image.open(io.BytesIO(written)).info.get("icc_profile") == icc


def test_black_and_white_points_are_mapped_to_black_and_white() -> None:
    black_and_white = np.zeros((8, 8, 3), np.uint8)
    black_and_white[4:] = 255
    for icc in (adobe_profile(), scanner_profile()):
        photo = decode(file_of(black_and_white, "PNG", icc_profile=icc), "a")
        assert levels_apart(photo.pixels, black_and_white) <= 1


def test_input_only_profile_is_dropped_from_the_result() -> None:
    photo = decode(file_of(picture(), "PNG", icc_profile=scanner_profile()), "a")
    assert photo.converted
    data, notes = encode(photo, "png", 90)
    again = decode(data, "a")
    np.testing.assert_array_equal(again.pixels, photo.pixels)
    assert again.icc is None
    assert "colour profile does not fit" in notes[0]


def test_profile_with_a_wrong_srgb_description_is_converted() -> None:
    mislabelled = adobe_profile().replace(b"Test\0", b"sRGB\0")
    assert decode(file_of(picture(), "PNG", icc_profile=mislabelled), "a").converted


def test_16_bit_colour_is_not_converted() -> None:
    samples = deep_picture(3)
    icc_chunk = chunk(b"iCCP", b"x\0\0" + zlib.compress(adobe_profile()))
    photo = decode(png_file(samples, icc_chunk), "a")
    np.testing.assert_array_equal(photo.pixels, samples)
    assert (photo.icc, photo.converted) == (adobe_profile(), False)
    jpeg, _ = encode(photo, "jpg", 95)
    assert Image.open(io.BytesIO(jpeg)).info["icc_profile"] == adobe_profile()
    written = decode(encode(photo, "png", 95)[0], "a")
    assert written.icc == adobe_profile()
    np.testing.assert_array_equal(written.pixels, samples)


def test_grey_profile_is_kept_for_grey_and_dropped_for_colour() -> None:
    grey = picture()[..., 0]
    photo = decode(file_of(grey, "PNG", icc_profile=grey_profile()), "a")
    np.testing.assert_array_equal(photo.pixels, grey)
    for format_name in ("jpg", "png"):
        data, notes = encode(photo, format_name, 95)
        assert Image.open(io.BytesIO(data)).info["icc_profile"] == grey_profile()
        assert notes == ()
    for result, format_name in (
        (photo.with_pixels(picture()), "png"),
        (photo.with_pixels(picture()), "jpg"),
        (photo, "webp"),
    ):
        data, notes = encode(result, format_name, 95)
        assert "icc_profile" not in Image.open(io.BytesIO(data)).info
        assert "colour profile does not fit" in notes[0]


def test_profile_is_dropped_if_a_converted_photo_becomes_16_bit_or_grey() -> None:
    photo = decode(file_of(picture(), "PNG", icc_profile=adobe_profile()), "a")
    for pixels in (photo.pixels.astype(np.uint16) * 257, photo.pixels[..., 0]):
        data, notes = encode(photo.with_pixels(pixels), "png", 95)
        again = decode(data, "a")
        np.testing.assert_array_equal(again.pixels, pixels)
        assert again.icc is None
        assert "colour profile does not fit" in notes[0]


@pytest.mark.parametrize(
    ("icc", "mode"),
    [
        (b"not a profile", "RGB"),
        (adobe_profile()[:200], "RGB"),
        (cmyk_profile(), "RGB"),
        (adobe_profile(), "L"),
        (adobe_profile(device_class=b"link"), "RGB"),
        (profile(b"RGB ", {}), "RGB"),
        (adobe_profile() + bytes(4 * 2**20), "RGB"),
    ],
    ids=["junk", "cut", "cmyk-on-rgb", "rgb-on-grey", "device-link", "no-tables", "4-MiB"],
)
def test_unusable_profile_is_dropped_with_a_warning(icc: bytes, mode: str) -> None:
    pixels = picture() if mode == "RGB" else picture()[..., 0]
    for format_name in ("PNG", "TIFF", "JPEG"):
        photo = decode(file_of(pixels, format_name, icc_profile=icc), "a")
        assert photo.icc is None
        assert "colour profile" in photo.warnings[0]
        assert levels_apart(photo.pixels, pixels) <= (30 if format_name == "JPEG" else 0)


CMYK_COLOURS = np.array(
    [[255, 0, 0, 0], [0, 255, 0, 0], [0, 0, 255, 0], [0, 0, 0, 255], [0, 0, 0, 0], [0, 0, 0, 128]],
    np.uint8,
)
EXPECTED_RGB = np.array(
    [[0, 255, 255], [255, 0, 255], [255, 255, 0], [0, 0, 0], [255, 255, 255], [127, 127, 127]]
)


def cmyk_jpeg(kind: str, **options: Any) -> bytes:
    """Return a JPEG of six ink patches.

    Args:
        kind: 'adobe' for inverted CMYK as Adobe writes it, 'bare' for the same without the Adobe
            marker, 'ycck' for YCbCr of the inks and an inverted K.
        options: for Pillow's writer, which inverts the samples.
    """
    ink = CMYK_COLOURS.copy()
    if kind == "ycck":
        ycc = np.array(Image.fromarray(ink[None, :, :3].copy()).convert("YCbCr"))[0]
        ink = np.column_stack([255 - ycc, ink[:, 3]])
    patches = np.repeat(np.repeat(ink[None], 16, 0), 16, 1)
    data = file_of(
        np.ascontiguousarray(patches), "JPEG", "CMYK", quality=98, subsampling=0, **options
    )
    adobe = data.index(b"Adobe")
    if kind == "ycck":
        return data[: adobe + 11] + b"\x02" + data[adobe + 12 :]
    return data if kind == "adobe" else data[: adobe - 4] + data[adobe + 12 :]


@pytest.mark.parametrize("kind", ["adobe", "bare", "ycck"])
def test_cmyk_jpeg_without_a_profile(kind: str) -> None:
    photo = decode(cmyk_jpeg(kind), "a")
    assert levels_apart(photo.pixels[8, 8::16], EXPECTED_RGB) <= 4
    assert (photo.format, photo.icc) == ("JPEG", None)
    assert "approximate" in photo.warnings[0]


def test_cmyk_jpeg_is_converted_by_its_profile_which_is_dropped() -> None:
    photo = decode(cmyk_jpeg("adobe", icc_profile=cmyk_profile()), "a")
    cyan, magenta, *_, white, grey = photo.pixels[8, 8::16].astype(int)
    assert cyan[0] > 190  # cyan is yellow in this profile
    assert cyan[2] < 90
    assert magenta.max() < 20
    assert white.min() > 250
    assert 60 < grey.mean() < 200
    assert (photo.icc, photo.converted, photo.warnings) == (None, False, ())
    assert all(
        "icc_profile" not in Image.open(io.BytesIO(encode(photo, f, 90)[0])).info for f in FORMATS
    )


def test_lab_and_cmyk_tiff_are_converted_to_srgb() -> None:
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    lab = ImageCms.applyTransform(Image.fromarray(picture()), to_lab)
    assert lab is not None
    # 8-bit Lab is coarse in blue.
    assert levels_apart(decode(file_of(lab, "TIFF"), "a").pixels, picture()) <= 8
    cmyk = np.ascontiguousarray(np.repeat(np.repeat(CMYK_COLOURS[None], 16, 0), 16, 1))
    photo = decode(file_of(cmyk, "TIFF", "CMYK"), "a")
    assert levels_apart(photo.pixels[8, 8::16], EXPECTED_RGB) <= 1
