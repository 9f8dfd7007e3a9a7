"""Files that lie, are cut, or are no photos: each is a coded error or an intact photo, cheaply, and nothing else."""

import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from bombs import BOMBS, bmp_bomb, gif_bomb, jpeg_bomb, noise, png_bomb, tiff_bomb
from conftest import PROJECT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from originals import EXIF, ICC, VALID, bent
from photofiles import chunk, file_of
from PIL import Image

from restore.errors import Code, RestoreError
from restore.imaging.photo import Limits, Photo, decode, encode

SMALL = Limits(max_pixels_in=250_000)  # so that a mutated header cannot make a test slow


def decoded(data, name, limits):
    try:
        return decode(data, name, limits)
    except RestoreError as error:
        return error


def outcome(data, name="a.jpg", limits=SMALL):
    """The photo or its RestoreError; anything else fails the test. A photo must hold together and be writable."""
    result = decoded(data, name, limits)
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
    np.testing.assert_array_equal(
        decode(encode(photo, "png", 90)[0], name).pixels.shape, photo.pixels.shape
    )
    return photo


# Headers over the limits


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_from_its_header(name):
    error = outcome(BOMBS[name], limits=Limits())
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
def test_a_photo_without_breadth_is_refused(data):
    assert outcome(data, limits=Limits()).code == Code.PHOTO_TOO_SMALL


def test_eight_pixels_a_side_are_enough():
    assert outcome(file_of(noise(8, 8), "PNG")).width == 8


def test_zero_sides_are_refused():
    for data in (
        png_bomb(0, 10),
        png_bomb(10, 0),
        gif_bomb(0, 0),
        bmp_bomb(0, 10),
        tiff_bomb(0, 5),
        jpeg_bomb(0, 9),
    ):
        assert outcome(data).code in (Code.PHOTO_TOO_SMALL, Code.PHOTO_DAMAGED, Code.PHOTO_FORMAT)


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


def test_refusing_a_bomb_costs_next_to_nothing():
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(PROJECT)], capture_output=True, text=True, check=True
    )
    slowest_s, grown_mb = map(float, run.stdout.split())
    assert slowest_s <= 0.1
    assert grown_mb <= 64


def test_a_tiff_whose_entries_all_claim_the_file_is_refused():
    rows = b"".join(struct.pack("<HHLL", tag, 1, 900_000, 8) for tag in range(1000, 61_000))
    data = (b"II*\0\x08\0\0\0" + struct.pack("<H", 60_000) + rows + bytes(4)).ljust(10**6, b"\0")
    assert outcome(data).code == Code.PHOTO_DAMAGED


# What is no photo


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0", "HEIC"),
        (b"\0\0\0\x18ftypavif\0\0\0\0", "AVIF"),
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
        (b"PK\x03\x04" + bytes(30), "a ZIP archive"),
        (b"\xff\x0a" + bytes(30), "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (bytes(range(256)), "no known image"),
    ],
)
def test_what_is_no_photo_is_named_for_what_it_is(data, said):
    error = outcome(data)
    assert error.code == Code.PHOTO_FORMAT
    assert f"looks like {said}, which is not taken" in error.reason
    assert error.remedy == "Send JPEG, PNG, WebP, TIFF, BMP or GIF."


def test_an_empty_file_is_said_to_be_empty():
    error = outcome(b"")
    assert error.code == Code.PHOTO_DAMAGED
    assert "is empty" in error.reason


def test_running_out_of_memory_is_not_called_damage(monkeypatch):
    def exhausted(*_args, **_options):
        raise MemoryError

    monkeypatch.setattr(Image, "open", exhausted)
    assert decoded(b"\xff\xd8\xff", "a", SMALL).code == Code.OUT_OF_MEMORY


def test_depths_that_are_not_taken():
    twelve = outcome(jpeg_bomb(40, 40, bits=12))
    assert twelve.code == Code.PHOTO_FORMAT
    assert "12-bit JPEG" in twelve.reason
    floats = outcome(file_of(Image.fromarray(noise(channels=1).astype(np.float32)), "TIFF"))
    assert floats.code == Code.PHOTO_FORMAT
    assert "32-bit floating-point" in floats.reason


def test_a_raw_file_is_not_mistaken_for_its_thumbnail():
    plain = file_of(noise(), "TIFF")
    assert isinstance(outcome(plain), Photo)
    tagged = (
        file_of(noise(), "TIFF", tiffinfo={50706: b"\x01\x04\0\0"}),
        file_of(noise(), "TIFF", tiffinfo={254: 1}),
    )
    for data in tagged:
        assert "camera raw" in outcome(data).reason


# Files that are cut or bent


@pytest.mark.parametrize("kind", VALID)
def test_a_cut_file_is_refused_or_whole(kind):
    data = VALID[kind]
    whole = outcome(data)
    # Every tenth, and near the end, where some formats have their directory.
    for size in (
        *(len(data) * tenth // 10 for tenth in range(1, 10)),
        *range(len(data) - 1, len(data) - 250, -7),
    ):
        cut = outcome(data[:size])
        if isinstance(cut, Photo):
            np.testing.assert_array_equal(cut.pixels, whole.pixels)
        else:
            assert cut.code == Code.PHOTO_DAMAGED
            assert "cut short" in cut.reason
    assert outcome(data[: len(data) // 4]).code == Code.PHOTO_DAMAGED


EDITS = st.lists(
    # Half of the edits hit the first bytes, where the headers are.
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
def test_a_bent_file_is_a_photo_or_a_coded_error(kind, edits):
    outcome(bent(VALID[kind], edits))


@FUZZ
@given(
    head=st.sampled_from(
        [b"", *(data[:size] for data in VALID.values() for size in (4, 12, 40, 120))]
    ),
    tail=st.binary(max_size=300),
)
def test_any_bytes_are_a_photo_or_a_coded_error(head, tail):
    outcome(head + tail)


@FUZZ
@given(block=st.binary(max_size=200), edits=EDITS)
def test_any_exif_and_profile_leave_the_photo_alone(block, edits):
    chunks = chunk(b"iCCP", b"x\0\0" + zlib.compress(bent(ICC, edits))) + chunk(
        b"eXIf", EXIF[6:14] + block
    )
    plain = VALID["png-16"]
    photo = outcome(plain[:33] + chunks + plain[33:])
    assert sorted(photo.pixels.shape) == [3, 24, 40]


def test_a_refused_photo_leaves_no_trace_on_the_next():
    before = decode(VALID["jpeg-tagged"], "a")
    for data in (*BOMBS.values(), VALID["jpeg"][:300], b"", b"text"):
        outcome(data)
    after = decode(VALID["jpeg-tagged"], "a")
    np.testing.assert_array_equal(before.pixels, after.pixels)
    assert (before.exif, before.icc, before.warnings) == (after.exif, after.icc, after.warnings)
