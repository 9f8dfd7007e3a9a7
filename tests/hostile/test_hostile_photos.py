"""Hostile files: each is a coded error or an intact photo, at little cost."""

import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from bombs import BOMBS, bmp_bomb, gif_bomb, jpeg_bomb, noise, png_bomb, tiff_bomb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from originals import EXIF, ICC, VALID, Edit, edited
from photofiles import chunk, file_of
from PIL import Image
from places import PROJECT

from restore.errors import Code, RestoreError
from restore.imaging.encode import encode
from restore.imaging.limits import Limits
from restore.imaging.photo import Photo, decode

SMALL = Limits(max_pixels_in=250_000)
"""Limits with which an edited header cannot make a test slow."""


def outcome(data: bytes, name: str = "a.jpg", limits: Limits = SMALL) -> Photo | RestoreError:
    """Return the photo or its RestoreError; check that a photo is consistent and can be written."""
    result = _decode(data, name, limits)
    if isinstance(result, RestoreError):
        assert result.remedy.endswith(".")
        assert str(result).startswith(f"[{result.code}] photo '{name}': ")
        return result
    photo = result
    assert photo.pixels.dtype in (np.uint8, np.uint16)
    assert photo.pixels.ndim == 2 or photo.pixels.shape[2:] == (3,)
    assert photo.pixels.flags.c_contiguous
    assert photo.alpha is None or (photo.alpha.shape, photo.alpha.dtype) == (
        photo.pixels.shape[:2],
        photo.pixels.dtype,
    )
    again = decode(encode(photo, "png", 90)[0], name)
    assert again.pixels.shape == photo.pixels.shape
    return photo


def _decode(data: bytes, name: str, limits: Limits) -> Photo | RestoreError:
    try:
        return decode(data, name, limits)
    except RestoreError as error:
        return error


def rejection(data: bytes, name: str = "a.jpg", limits: Limits = SMALL) -> RestoreError:
    error = outcome(data, name, limits)
    assert isinstance(error, RestoreError)
    return error


def accepted(data: bytes) -> Photo:
    photo = outcome(data)
    assert isinstance(photo, Photo)
    return photo


# Headers over the limits


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_is_rejected_from_its_header(name: str) -> None:
    error = rejection(BOMBS[name], limits=Limits())
    assert error.code == Code.PHOTO_TOO_MANY_PIXELS
    assert "megapixels, the limit is 50" in error.reason
    assert "60.0 megapixels" in error.reason or "60-mp" not in name


@pytest.mark.parametrize(
    "data",
    [
        png_bomb(1, 50_000_000),
        png_bomb(50_000_000, 1),
        png_bomb(7, 8),
        tiff_bomb(1, 1),
        gif_bomb(8, 7),
    ],
)
def test_photo_below_the_smallest_side_is_rejected(data: bytes) -> None:
    assert rejection(data, limits=Limits()).code == Code.PHOTO_TOO_SMALL


def test_photo_of_the_smallest_side_is_accepted() -> None:
    assert accepted(file_of(noise(8, 8), "PNG")).width == 8


def test_sides_of_zero_are_rejected() -> None:
    for data in (
        png_bomb(0, 10),
        png_bomb(10, 0),
        gif_bomb(0, 0),
        bmp_bomb(0, 10),
        tiff_bomb(0, 5),
        jpeg_bomb(0, 9),
    ):
        assert rejection(data).code in (Code.PHOTO_TOO_SMALL, Code.PHOTO_DAMAGED, Code.PHOTO_FORMAT)


MEASURE = """
import resource, sys, time
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/tests", sys.argv[1] + "/tests/hostile"]
from bombs import BOMBS, noise
from photofiles import file_of
from restore.errors import RestoreError
from restore.imaging.photo import decode
decode(file_of(noise(), "PNG"), "warm")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
slowest = 0.0
for data in BOMBS.values():
    times = []
    for _ in range(3):
        start = time.process_time()
        try:
            decode(data, "bomb")
        except RestoreError:
            times.append(time.process_time() - start)
    slowest = max(slowest, min(times))
print(slowest, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_rejecting_a_bomb_is_cheap() -> None:
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(PROJECT)], capture_output=True, text=True, check=True
    )
    slowest_s, growth_mb = map(float, run.stdout.split())
    assert slowest_s <= 0.1
    assert growth_mb <= 64


def test_tiff_whose_entries_claim_the_whole_file_is_rejected() -> None:
    rows = b"".join(struct.pack("<HHLL", tag, 1, 900_000, 8) for tag in range(1000, 61_000))
    data = (b"II*\0\x08\0\0\0" + struct.pack("<H", 60_000) + rows + bytes(4)).ljust(10**6, b"\0")
    assert rejection(data).code == Code.PHOTO_DAMAGED


# Other types of files


@pytest.mark.parametrize(
    ("data", "description"),
    [
        (b"\0\0\0\x18ftypisom\0\0\0\0", "a video"),
        (b"\0\0\0\x18ftypcrx \0\0\0\0", "a camera raw file"),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(50), "a camera raw file"),
        (b"%PDF-1.7\n", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "an HTML page"),
        (b"Dear Grandma, here is the photo that you asked for.", "text"),
        (b"BM is how this text begins, and it is no bitmap at all.", "text"),
        (b"8BPS\0\1" + bytes(30), "a Photoshop document"),
        (b"PK\x03\x04" + bytes(30), "a ZIP archive (.livp files are, too)"),
        (b"\xff\x0a" + bytes(30), "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    ],
)
def test_unsupported_type_is_named_in_the_error(data: bytes, description: str) -> None:
    error = rejection(data)
    assert error.code == Code.PHOTO_FORMAT
    assert f"looks like {description}, which is not supported" in error.reason
    assert error.remedy == "Send JPEG, PNG, WebP, HEIC, AVIF, TIFF, BMP or GIF."


@pytest.mark.parametrize("data", [bytes(range(256)), b"hello"])
def test_unknown_type_is_called_unknown(data: bytes) -> None:
    error = rejection(data)
    assert error.code == Code.PHOTO_FORMAT
    assert error.reason == "its content is in no format that is known"
    assert error.remedy == "Send JPEG, PNG, WebP, HEIC, AVIF, TIFF, BMP or GIF."


def test_empty_file_is_rejected() -> None:
    error = rejection(b"")
    assert error.code == Code.PHOTO_DAMAGED
    assert "is empty" in error.reason


def test_out_of_memory_is_not_reported_as_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_args: object, **_options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", exhausted)
    assert rejection(b"\xff\xd8\xff").code == Code.OUT_OF_MEMORY


def test_unsupported_bit_depths_are_rejected() -> None:
    twelve = rejection(jpeg_bomb(40, 40, bits=12))
    assert twelve.code == Code.PHOTO_FORMAT
    assert "12-bit JPEG" in twelve.reason
    floats = rejection(file_of(Image.fromarray(noise(channels=1).astype(np.float32)), "TIFF"))
    assert floats.code == Code.PHOTO_FORMAT
    assert "32-bit floating-point" in floats.reason


def test_raw_file_is_rejected_although_its_thumbnail_is_valid() -> None:
    plain = file_of(noise(), "TIFF")
    accepted(plain)
    tagged = (
        file_of(noise(), "TIFF", tiffinfo={50706: b"\x01\x04\0\0"}),
        file_of(noise(), "TIFF", tiffinfo={254: 1}),
    )
    for data in tagged:
        assert "camera raw" in rejection(data).reason


# Truncated and edited files


@pytest.mark.parametrize("kind", VALID)
def test_truncated_file_is_rejected_or_gives_all_pixels_or_a_warning(kind: str) -> None:
    data = VALID[kind]
    intact = accepted(data)
    # Every tenth, and near the end, where some formats have their directory.
    for size in (
        *(len(data) * tenth // 10 for tenth in range(1, 10)),
        *range(len(data) - 1, len(data) - 250, -7),
    ):
        result = outcome(data[:size])
        if isinstance(result, Photo) and "is missing" not in "".join(result.warnings):
            np.testing.assert_array_equal(result.pixels, intact.pixels)
        elif isinstance(result, Photo):
            assert result.pixels.shape == intact.pixels.shape
            assert size > 0.45 * len(data)  # of two frames, the first
        else:
            assert result.code == Code.PHOTO_DAMAGED
            assert "cut short" in result.reason
    assert rejection(data[: len(data) // 4]).code == Code.PHOTO_DAMAGED


EDITS = st.lists(
    # Half of the edits are in the first tenth, where the headers are.
    st.tuples(
        st.one_of(st.floats(0, 1), st.floats(0, 0.1)),
        st.sampled_from(["set", "set", "remove", "double"]),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=6,
)
FUZZ = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@FUZZ
@given(kind=st.sampled_from(sorted(VALID)), edits=EDITS)
def test_edited_file_is_a_photo_or_a_coded_error(kind: str, edits: list[Edit]) -> None:
    outcome(edited(VALID[kind], edits))


@FUZZ
@given(
    head=st.sampled_from(
        [b"", *(data[:size] for data in VALID.values() for size in (4, 12, 40, 120))]
    ),
    tail=st.binary(max_size=300),
)
def test_any_bytes_are_a_photo_or_a_coded_error(head: bytes, tail: bytes) -> None:
    outcome(head + tail)


@FUZZ
@given(block=st.binary(max_size=200), edits=EDITS)
def test_any_exif_and_profile_keep_the_pixels(block: bytes, edits: list[Edit]) -> None:
    chunks = chunk(b"iCCP", b"x\0\0" + zlib.compress(edited(ICC, edits))) + chunk(
        b"eXIf", EXIF[6:14] + block
    )
    plain = VALID["png-16"]
    photo = accepted(plain[:33] + chunks + plain[33:])
    assert sorted(photo.pixels.shape) == [3, 24, 40]


def test_rejected_files_do_not_affect_the_next_photo() -> None:
    before = decode(VALID["jpeg-tagged"], "a")
    for data in (*BOMBS.values(), VALID["jpeg"][:300], b"", b"text"):
        outcome(data)
    after = decode(VALID["jpeg-tagged"], "a")
    np.testing.assert_array_equal(before.pixels, after.pixels)
    assert (before.exif, before.icc, before.warnings) == (after.exif, after.icc, after.warnings)
