"""Colour spaces of PNG files without an ICC profile: cICP, sRGB, gAMA and cHRM."""

import io
import struct
import zlib

import numpy as np
import pytest
from photofiles import adobe_profile, chunk, deep_picture, levels_apart, picture, png_file
from PIL import Image, ImageCms

from restore.imaging.encode import encode
from restore.imaging.photo import Photo, decode

SRGB_GAMA = chunk(b"gAMA", struct.pack(">I", 45455))
LINEAR_GAMA = chunk(b"gAMA", struct.pack(">I", 100_000))
SRGB_CHROMATICITIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
P3_CHROMATICITIES = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
ICCP = chunk(b"iCCP", b"x\0\0" + zlib.compress(adobe_profile()))
SRGB = chunk(b"sRGB", b"\0")


def chromaticities(*values: int) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *values))


def cicp(primaries: int, transfer: int, matrix: int = 0, full_range: int = 1) -> bytes:
    return chunk(b"cICP", bytes([primaries, transfer, matrix, full_range]))


def colour_as_shown(icc: bytes | None, colour: tuple[int, int, int]) -> np.ndarray:
    """Return the sRGB of a colour of a profile by LittleCMS, relative colorimetric."""
    image = Image.fromarray(np.full((8, 8, 3), colour, np.uint8))
    if icc is not None:
        srgb = ImageCms.createProfile("sRGB")
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        to_srgb = ImageCms.buildTransform(
            profile, srgb, "RGB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
        shown = ImageCms.applyTransform(image, to_srgb)
        assert shown is not None
        image = shown
    return np.array(image)[0, 0].astype(int)


def written_and_read(photo: Photo) -> Photo:
    data, notes = encode(photo, "png", 90)
    assert notes == ()
    return decode(data, "a")


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [SRGB_GAMA],
        [SRGB_GAMA, chromaticities(*SRGB_CHROMATICITIES)],
        [chunk(b"gAMA", struct.pack(">I", 45000))],
        [SRGB, LINEAR_GAMA, chromaticities(*P3_CHROMATICITIES)],
        [cicp(1, 13), ICCP],
    ],
    ids=["none", "gAMA", "gAMA-cHRM", "gAMA-rounded", "sRGB-wins", "cICP-sRGB-wins"],
)
def test_srgb_is_not_converted(chunks: list[bytes]) -> None:
    photo = decode(png_file(picture(), *chunks), "a")
    np.testing.assert_array_equal(photo.pixels, picture())
    assert (photo.icc, photo.converted, photo.warnings) == (None, False, ())


def test_profile_wins_over_gama_and_chrm() -> None:
    chunks = (ICCP, LINEAR_GAMA, chromaticities(*P3_CHROMATICITIES))
    photo = decode(png_file(picture(), *chunks), "a")
    assert (photo.icc, photo.converted) == (adobe_profile(), False)


# The expected colours are computed with the matrices and curves of the standards (H.273).
@pytest.mark.parametrize(
    ("chunks", "colour", "expected"),
    [
        ([LINEAR_GAMA], (55, 55, 55), (128, 128, 128)),
        ([chunk(b"gAMA", struct.pack(">I", 55556))], (128, 128, 128), (146, 146, 146)),
        ([SRGB_GAMA, chromaticities(*P3_CHROMATICITIES)], (200, 150, 130), (209, 148, 126)),
        ([chromaticities(*P3_CHROMATICITIES)], (200, 150, 130), (209, 148, 126)),
        ([cicp(12, 13)], (200, 150, 130), (209, 148, 126)),
        ([cicp(12, 13), ICCP], (200, 150, 130), (209, 148, 126)),
        ([cicp(9, 13)], (200, 150, 130), (226, 142, 126)),
        ([cicp(1, 8)], (55, 55, 55), (128, 128, 128)),
        ([cicp(1, 1)], (128, 128, 128), (140, 140, 140)),
        ([cicp(1, 13, 0, 0)], (126, 126, 126), (128, 128, 128)),
        ([cicp(1, 4)], (128, 128, 128), (128, 128, 128)),
    ],
)
def test_result_shows_the_colours_of_the_file(
    chunks: list[bytes], colour: tuple[int, int, int], expected: tuple[int, int, int]
) -> None:
    flat = np.full((8, 8, 3), colour, np.uint8)
    for pixels in (flat, flat.astype(np.uint16) * 257):
        photo = decode(png_file(pixels, *chunks), "a")
        assert photo.warnings == ()
        again = written_and_read(photo)
        assert again.icc == photo.icc is not None
        stored = again.pixels if again.native is None else again.native
        np.testing.assert_array_equal(stored, pixels)
        assert levels_apart(colour_as_shown(again.icc, colour), np.array(expected)) <= 2


def test_linear_photos_get_tones_that_networks_know() -> None:
    for samples in (picture(), picture()[..., 0], deep_picture(1), deep_picture(4)):
        photo = decode(png_file(samples, LINEAR_GAMA), "a")
        assert photo.converted
        colour = samples[..., :3] if samples.ndim == 3 else samples
        full = np.iinfo(samples.dtype).max
        light = colour / full
        expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        assert np.abs(photo.pixels / full - expected).max() <= 1 / 255
        again = written_and_read(photo)
        np.testing.assert_array_equal(again.native, colour)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (chunk(b"gAMA", bytes(4)), "gAMA is 0"),
        (chunk(b"gAMA", b"\x7f\xff\xff\xff"), "its gamma is"),
        (chromaticities(*[0] * 8), "impossible"),
        (chromaticities(31270, 32900, *[30000] * 4, 15000, 6000), "on a line"),
        (cicp(1, 13, 1), "code points 1, 13, 1, 1"),
        (cicp(255, 13), "code points 255, 13"),
    ],
)
def test_impossible_colour_space_is_ignored_with_a_warning(bad: bytes, reason: str) -> None:
    photo = decode(png_file(picture(), bad), "a")
    np.testing.assert_array_equal(photo.pixels, picture())
    assert photo.icc is None
    [warning] = photo.warnings
    assert reason in warning


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_photo_is_reported_and_keeps_its_values(transfer: int, name: str) -> None:
    photo = decode(png_file(deep_picture(3), cicp(9, transfer)), "a")
    assert f"HDR photo ({name})" in photo.warnings[0]
    again = written_and_read(photo)
    np.testing.assert_array_equal(again.pixels, deep_picture(3))
    white = {16: 148, 18: 191}[transfer]  # 203 nits, BT.2408
    assert colour_as_shown(again.icc, (white,) * 3).min() >= 250
    assert 100 < colour_as_shown(again.icc, (white * 3 // 4,) * 3).mean() < 200
