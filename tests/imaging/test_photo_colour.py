"""Colour profiles."""

import io
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from photofiles import (
    FORMATS,
    adobe_profile,
    alpha_of,
    chunk,
    cmyk_profile,
    deep_picture,
    exif_block,
    file_of,
    levels_apart,
    picture,
    png_file,
    profile,
    scanner_profile,
    srgb_profile,
)
from PIL import Image, ImageCms

from restore.imaging.encode import encode
from restore.imaging.icc import Chromaticities, gamma_curve, rgb_profile, sampled_curve
from restore.imaging.icc import grey_profile as build_grey_profile
from restore.imaging.photo import Photo, decode

SRGB = Chromaticities((0.3127, 0.3290), (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
ROMM = Chromaticities((0.3457, 0.3585), (0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001))


def srgb_levels(linear: np.ndarray) -> np.ndarray:
    """Return the level of sRGB of a light from 0 to 1, without LittleCMS."""
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def stored(photo: Photo) -> np.ndarray:
    """Return the pixels of a photo's file."""
    return photo.pixels if photo.native is None else photo.native


def with_profile(pixels: np.ndarray, icc: bytes) -> bytes:
    """Return a PNG of any channels and depth with a profile."""
    return png_file(pixels, chunk(b"iCCP", b"x\0\0" + zlib.compress(icc)))


def with_tones(pixels: np.ndarray, gamma: float, wide: bool) -> bytes:
    """Return a PNG whose profile has these tones, and the primaries of sRGB or of ROMM RGB."""
    curve = gamma_curve(gamma)
    if pixels.ndim == 2 or pixels.shape[2] == 2:
        return with_profile(pixels, build_grey_profile("grey", curve))
    return with_profile(pixels, rgb_profile("colour", ROMM if wide else SRGB, curve))


def test_wide_gamut_keeps_its_values_and_its_profile() -> None:
    vivid = picture()
    vivid[:20, :20], vivid[30:, 30:] = (255, 20, 20), (10, 240, 30)  # outside of sRGB
    photo = decode(with_profile(vivid, adobe_profile()), "a")
    np.testing.assert_array_equal(photo.pixels, vivid)
    assert (photo.converted, photo.native, photo.warnings) == (False, None, ())
    for format_name, max_mean_difference in (("png", 0.0), ("jpg", 1.0), ("webp", 6.0)):
        written, notes = encode(photo, format_name, 100)
        image = Image.open(io.BytesIO(written))
        assert image.info["icc_profile"] == adobe_profile()
        assert np.abs(np.array(image).astype(int) - vivid).mean() <= max_mean_difference
        assert notes == ()


@given(
    gamma=st.floats(0.4, 3.2),
    wide=st.booleans(),
    channels=st.sampled_from([1, 2, 3, 4]),
    dtype=st.sampled_from([np.uint8, np.uint16]),
    orientation=st.integers(1, 8),
)
def test_unchanged_photo_keeps_every_value(
    gamma: float, wide: bool, channels: int, dtype: type, orientation: int
) -> None:
    samples: np.ndarray = deep_picture(channels).astype(dtype)  # 8 bits: the low bytes
    data = with_tones(samples, gamma, wide)
    exif = chunk(b"eXIf", exif_block(orientation).removeprefix(b"Exif\0\0"))
    photo = decode(data[:33] + exif + data[33:], "a")
    same = photo.with_pixels(photo.pixels.copy(), photo.alpha)
    again = decode(encode(same, "png", 90)[0], "a")
    upright = decode(png_file(samples, exif), "a")
    np.testing.assert_array_equal(stored(again), upright.pixels)
    np.testing.assert_array_equal(stored(again), stored(photo))
    if channels in (2, 4):
        np.testing.assert_array_equal(alpha_of(again), alpha_of(upright))
    assert again.icc == photo.icc
    assert photo.warnings == ()


@given(gamma=st.floats(1.0, 3.2), dtype=st.sampled_from([np.uint8, np.uint16]))
def test_changed_values_are_not_clipped(gamma: float, dtype: type) -> None:
    """A result is clipped at most where it is black or white in the tones of sRGB."""
    full = np.iinfo(dtype).max
    ramp: np.ndarray = np.tile(np.linspace(0, full, 256), (8, 1)).astype(dtype)
    photo = decode(with_tones(ramp, gamma, wide=False), "a")
    changed: np.ndarray = np.tile(np.linspace(0.04, 0.96, 256) * full, (8, 1)).astype(dtype)
    written = decode(encode(photo.with_pixels(changed), "png", 90)[0], "a")
    values = stored(written)[0]
    assert values.min() > 0
    assert values.max() < full
    assert (np.diff(values.astype(int)) >= 0).all()


def test_tones_far_from_srgb_are_converted_for_networks() -> None:
    for gamma, converted in ((1.0, True), (1.4, True), (1.8, False), (2.4, False)):
        grey_chart = np.tile(np.arange(256, dtype=np.uint8), (8, 1))
        for chart in (grey_chart, np.dstack([grey_chart] * 3)):
            for scale in (1, 257):
                deep = chart.astype(np.uint16) * 257 if scale == 257 else chart
                photo = decode(with_tones(deep, gamma, wide=False), "a")
                linear = (chart / 255) ** gamma
                expected = srgb_levels(linear) if converted else chart
                assert photo.converted is converted
                assert levels_apart(photo.pixels / scale, expected) <= 1


def test_enlarged_photo_keeps_its_tones() -> None:
    for dtype in (np.uint8, np.uint16):
        flat = np.full((8, 8, 3), np.iinfo(dtype).max // 5, dtype)
        photo = decode(with_tones(flat, 1.0, wide=True), "a")
        larger = photo.with_pixels(photo.pixels.repeat(2, 0).repeat(2, 1))
        again = decode(encode(larger, "png", 90)[0], "a")
        assert levels_apart(stored(again), flat.repeat(2, 0).repeat(2, 1)) <= 1


def test_16_linear_bits_keep_their_shadows_in_8_bits() -> None:
    dark = np.tile(np.linspace(0, 1500, 64), (16, 1)).astype(np.uint16)
    for samples in (dark, np.dstack([dark] * 3)):
        photo = decode(with_tones(samples, 1.0, wide=True), "a")
        image = Image.open(io.BytesIO(encode(photo, "jpg", 100)[0]))
        if samples.ndim == 3:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
            ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), inPlace=True)
        else:
            assert "icc_profile" not in image.info
        assert levels_apart(np.array(image), srgb_levels(samples / 65535)) <= 3


def test_profile_without_usable_tones_keeps_the_values_with_a_warning() -> None:
    for light in (1 - np.linspace(0, 1, 64), np.linspace(0, 2, 64)):  # negative, clipped
        icc = rgb_profile("x", SRGB, sampled_curve(light))
        photo = decode(with_profile(picture(), icc), "a")
        np.testing.assert_array_equal(photo.pixels, picture())
        assert (photo.icc, photo.converted) == (icc, False)
        assert "the tones of its colour profile are unusual" in photo.warnings[0]


def test_profile_that_exchanges_colours_is_reported() -> None:
    exchanged = Chromaticities(SRGB.white, SRGB.green, SRGB.blue, SRGB.red)
    icc = rgb_profile("x", exchanged, gamma_curve(2.2))
    photo = decode(with_profile(picture(), icc), "a")
    assert "exchanges colours" in photo.warnings[0]
    assert decode(encode(photo, "png", 90)[0], "a").icc == icc


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


def test_input_only_profile_is_kept() -> None:
    photo = decode(with_profile(picture(), scanner_profile()), "a")
    data, notes = encode(photo, "png", 90)
    again = decode(data, "a")
    np.testing.assert_array_equal(stored(again), picture())
    assert again.icc == scanner_profile()
    assert notes == ()


def test_16_bit_colour_keeps_its_values_in_every_format() -> None:
    samples = deep_picture(3)
    photo = decode(with_profile(samples, adobe_profile()), "a")
    np.testing.assert_array_equal(photo.pixels, samples)
    jpeg, _ = encode(photo, "jpg", 95)
    assert Image.open(io.BytesIO(jpeg)).info["icc_profile"] == adobe_profile()
    written = decode(encode(photo, "png", 95)[0], "a")
    assert written.icc == adobe_profile()
    np.testing.assert_array_equal(written.pixels, samples)


def test_grey_profile_is_kept_for_grey_and_becomes_srgb_for_colour() -> None:
    chart = np.tile(np.arange(256, dtype=np.uint8), (8, 1))
    for gamma, converted in ((1.4, True), (1.8, False)):
        icc = build_grey_profile("grey", gamma_curve(gamma))
        photo = decode(with_profile(chart, icc), "a")
        assert photo.converted is converted
        expected = srgb_levels((chart / 255) ** gamma)
        for format_name in ("jpg", "png"):
            data, notes = encode(photo, format_name, 100)
            image = Image.open(io.BytesIO(data))
            assert image.info["icc_profile"] == icc
            assert levels_apart(np.array(image), chart) <= (0 if format_name == "png" else 2)
            assert notes == ()
        coloured = photo.with_pixels(np.dstack([photo.pixels] * 3))
        for result, format_name in ((coloured, "png"), (coloured, "jpg"), (photo, "webp")):
            data, notes = encode(result, format_name, 100)
            image = Image.open(io.BytesIO(data))
            assert "icc_profile" not in image.info
            limit = 1 if format_name == "png" else 8
            assert levels_apart(np.array(image)[..., 1], expected) <= limit
            assert notes == ()


def test_grey_profile_without_usable_tones_is_dropped_from_colour_with_a_warning() -> None:
    negative = build_grey_profile("grey", sampled_curve(1 - np.linspace(0, 1, 64)))
    photo = decode(with_profile(picture()[..., 0].copy(), negative), "a")
    data, notes = encode(photo.with_pixels(picture()), "png", 90)
    assert "colour profile does not fit the result" in notes[0]
    np.testing.assert_array_equal(decode(data, "a").pixels, picture())


def test_result_of_another_depth_or_without_colour_keeps_the_profile() -> None:
    photo = decode(with_profile(picture(), adobe_profile()), "a")
    for pixels in (photo.pixels.astype(np.uint16) * 257, photo.pixels[..., 0]):
        data, notes = encode(photo.with_pixels(pixels), "png", 95)
        again = decode(data, "a")
        expected = pixels if pixels.ndim == 3 else np.dstack([pixels] * 3)
        np.testing.assert_array_equal(again.pixels, expected)
        assert again.icc == adobe_profile()
        assert notes == ()


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
