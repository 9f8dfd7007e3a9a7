"""EXIF: reading it safely and writing it with a result."""

import struct

import numpy as np
import pytest
from photofiles import FORMATS, chunk, exif_block, exif_of, file_of, picture, png_file
from PIL import ExifTags, Image

from restore.imaging.encode import encode
from restore.imaging.exif import exif_density, exif_for_output, valid_density
from restore.imaging.photo import Photo, decode


def tiff_exif() -> Image.Exif:
    exif = Image.Exif()
    exif.load(exif_block())
    return exif


def png_with_exif(block: bytes) -> bytes:
    return png_file(picture(), chunk(b"eXIf", block))


@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("keep_gps", [False, True])
def test_exif_is_kept_and_gps_only_on_request(source: str, target: str, keep_gps: bool) -> None:
    stored = tiff_exif() if source == "TIFF" else exif_block(1)
    photo = decode(file_of(picture(), source, exif=stored), "a")
    data, notes = encode(photo.with_pixels(picture(96, 128)), target, 95, keep_gps=keep_gps)
    exif = exif_of(data)
    assert exif[ExifTags.Base.Make] == "Maker"
    gps = {ExifTags.GPS.GPSLatitudeRef: "N"} if keep_gps else {}
    assert dict(exif.get_ifd(ExifTags.IFD.GPSInfo)) == gps
    details = exif.get_ifd(ExifTags.IFD.Exif)
    assert details[ExifTags.Base.DateTimeOriginal] == "1926:05:04 03:02:01"
    assert details[ExifTags.Base.ExifImageWidth] == 128  # of the result, not of the input
    assert ExifTags.Base.ImageWidth not in exif  # describes the layout of a TIFF
    assert notes == ()
    assert photo.exif is not None
    assert photo.exif.startswith(b"Exif\0\0")


def test_exif_too_large_for_jpeg_is_dropped_with_a_warning() -> None:
    photo = decode(file_of(picture(), "PNG", exif=exif_block(comment_bytes=70_000)), "a")
    data, notes = encode(photo, "jpg", 90)
    assert len(exif_of(data)) == 0
    assert "jpg holds at most 65533" in notes[0]
    details = exif_of(encode(photo, "png", 90)[0]).get_ifd(ExifTags.IFD.Exif)
    assert details[ExifTags.Base.UserComment] == b"c" * 70_000


def test_jpeg_with_the_largest_exif_is_accepted() -> None:
    photo = decode(file_of(picture(), "JPEG", exif=exif_block(6, comment_bytes=65_000)), "a")
    assert photo.orientation == 6
    assert encode(photo, "jpg", 90)[0]


@pytest.mark.parametrize(
    "block",
    [
        b"junk",
        b"This is no TIFF, but it is long enough for one.",
        b"XX\0*\0\0\0\x08" + bytes(6),
        b"II*\0\xff\xff\xff\x7f",
        b"II*\0",
    ],
)
def test_damaged_exif_is_dropped(block: bytes) -> None:
    photo = decode(png_with_exif(block), "a")
    np.testing.assert_array_equal(photo.pixels, picture())
    assert photo.exif is None
    assert "EXIF" in photo.warnings[0]


def test_empty_exif_is_ignored() -> None:
    photo = decode(png_with_exif(b""), "a")
    np.testing.assert_array_equal(photo.pixels, picture())
    assert photo.exif is None


CLAIMS = b"\x87\x13" + b"".join(struct.pack("<HHLL", tag, 1, 60_000, 8) for tag in range(1, 5000))
"""A directory of 4,999 entries that all point at the same 60,000 bytes."""


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (b"II*\0\x08\0\0\0" + CLAIMS, "claim more"),
        (
            b"II*\0\x08\0\0\0\x01\0"
            + struct.pack("<HHLLL", ExifTags.IFD.Exif, 4, 1, 26, 0)
            + CLAIMS,
            "claim more",
        ),
        (bytes(2**20 + 1), "the limit is"),
    ],
    ids=["claims", "nested claims", "too large"],
)
def test_exif_that_exhausts_memory_is_dropped(block: bytes, reason: str) -> None:
    photo = decode(png_with_exif(block), "a")
    np.testing.assert_array_equal(photo.pixels, picture())
    assert photo.exif is None
    assert reason in photo.warnings[0]


def test_readable_part_of_damaged_exif_is_used() -> None:
    good, bad = struct.pack("<HHLHH", 274, 3, 1, 3, 0), struct.pack("<HHLL", 271, 2, 900, 500)
    photo = decode(png_with_exif(b"II*\0\x08\0\0\0\x02\0" + bad + good + bytes(4)), "a")
    np.testing.assert_array_equal(photo.pixels, picture()[::-1, ::-1])
    assert photo.warnings == ("a part of its EXIF cannot be read and was dropped",)


def test_unreadable_exif_is_not_written() -> None:
    data, notes = encode(Photo("a", picture(), exif=b"Exif\0\0GPS 52.5N"), "jpg", 90)
    assert b"52.5N" not in data
    assert "EXIF cannot be written" in notes[0]


def test_orientation_stored_as_a_byte_and_a_repeated_prefix_are_read() -> None:
    block = exif_block(6)[6:]
    for unusual in (
        b"MM\0*\0\0\0\x08" + struct.pack(">HHHLB3xL", 1, 274, 1, 1, 6, 0),
        b"Exif\0\0" + block,
    ):
        photo = decode(png_with_exif(unusual), "a")
        assert (photo.orientation, photo.warnings) == (6, ())
        np.testing.assert_array_equal(photo.pixels, np.rot90(picture(), -1))


def test_orientation_that_does_not_exist_becomes_upright() -> None:
    photo = decode(png_with_exif(exif_block(0)), "a")
    assert photo.orientation == 1
    assert exif_of(encode(photo, "png", 95)[0])[ExifTags.Base.Orientation] == 1


@pytest.mark.parametrize("density", [(0, 300), (300, 0), (300, 1e6), (300,), None, ("a", 1)])
def test_impossible_density_is_dropped(density: object) -> None:
    assert valid_density(density) is None
    assert valid_density((300, 72)) == (300.0, 72.0)


def test_density_of_a_block_is_not_replaced() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    notes: list[str] = []
    for expected in (300.0, 72.0):
        block = exif_for_output(
            exif.tobytes(), (9, 9), "webp", notes, keep_gps=False, dpi=(300.0, 300.0)
        )
        assert exif_density(block) == (expected, expected)
        exif[ExifTags.Base.XResolution] = exif[ExifTags.Base.YResolution] = 72.0
    assert notes == []
