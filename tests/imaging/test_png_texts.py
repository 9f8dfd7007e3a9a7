"""The texts of PNG files, of any name and content."""

import struct
import zlib

import numpy as np
import pytest
from photofiles import adobe_profile, chunk, exif_block, picture, png_file

from restore.imaging.encode import encode
from restore.imaging.photo import decode


def png_text(keyword: str, text: str) -> bytes:
    return chunk(b"tEXt", f"{keyword}\0{text}".encode("latin-1"))


def test_position_is_removed_from_texts_unless_requested() -> None:
    data = png_file(picture(), png_text("exif:GPSLatitude", "52"), png_text("exif:Make", "M"))
    photo = decode(data, "a")
    written, notes = encode(photo, "png", 90)
    assert b"GPSLatitude" not in written
    assert b"exif:Make" in written
    assert notes == ()
    assert b"GPSLatitude" in encode(photo, "png", 90, keep_gps=True)[0]


def test_texts_with_the_names_of_other_entries_are_texts() -> None:
    names = ("dpi", "xmp", "comment", "photoshop")
    data = png_file(picture(), *(png_text(name, "a text") for name in names))
    photo = decode(data, "a")
    np.testing.assert_array_equal(photo.pixels, picture())
    assert (photo.metadata.dpi, photo.metadata.xmp, photo.warnings) == (None, None, ())
    again = decode(encode(photo, "png", 90)[0], "a")
    assert dict(again.metadata.texts) == dict.fromkeys(names, "a text")


@pytest.mark.parametrize(
    "profile",
    ["\nexif\n 3\nzz\n", "exif", "\nexif\n9\n4578", "", "a 1" + " " * 500_000 + "x"],
    ids=["not hexadecimal", "short", "no exif", "empty", "many spaces"],  # once took minutes
)
def test_damaged_profile_in_a_text_is_ignored(profile: str) -> None:
    data = png_file(picture(), png_text("Raw profile type exif", profile))
    np.testing.assert_array_equal(decode(data, "a").pixels, picture())


TEXT_NAMES = ("transparency", "exif", "icc_profile", "interlace", "gamma", "srgb")


@pytest.mark.parametrize("name", TEXT_NAMES)
def test_text_does_not_replace_what_pillow_stores_under_its_name(name: str) -> None:
    extra = (chunk(b"eXIf", exif_block(6)[6:]), chunk(b"gAMA", struct.pack(">I", 100_000)))
    expected = decode(png_file(picture(), *extra), "a")
    photo = decode(png_file(picture(), *extra, png_text(name, "a text")), "a")
    assert (photo.warnings, photo.orientation) == ((), 6)
    assert photo.icc == expected.icc is not None
    assert photo.metadata.texts == ((name, "a text"),)


def test_repeated_texts_are_kept() -> None:
    data = png_file(picture(), png_text("Author", "A"), png_text("Author", "B"))
    written, notes = encode(decode(data, "a"), "png", 90)
    assert decode(written, "a").metadata.texts == (("Author", "A"), ("Author", "B"))
    assert notes == ()


@pytest.mark.parametrize(
    "body",
    [b"no end of the keyword", b"z\0\0not zlib", b"z\0\0" + zlib.compress(bytes(2**25))],
)
def test_damaged_text_loses_nothing_else(body: bytes) -> None:
    profile_chunk = chunk(b"iCCP", b"a\0\0" + zlib.compress(adobe_profile()))
    data = png_file(picture(), profile_chunk, chunk(b"zTXt", body), png_text("Title", "kept"))
    photo = decode(data, "a")
    assert photo.icc == adobe_profile()
    assert photo.metadata.texts == (("Title", "kept"),)
    assert photo.warnings == ("one of its texts is damaged or too large and was dropped",)
