"""Files with too many parts are rejected before decoding; real photos are accepted."""

import zlib

import numpy as np
import pytest
from bombs import big_tiff, floods, run_length_bmp, scans_bomb, strips_bomb
from photofiles import chunk, decode_error, file_of, picture, png_file
from PIL import Image

from restore.errors import Code
from restore.imaging.containers import (
    MAX_PARTS,
    MAX_SCANS,
    check_parts,
    check_samples,
)
from restore.imaging.limits import Limits
from restore.imaging.photo import decode
from restore.imaging.png import png_chunks

FLOODS = floods(4_200_000)
"""Files of this many bytes; enough for too many parts of every kind but tables."""


@pytest.mark.parametrize(
    "name", [name for name in FLOODS if name not in ("jpeg-tables", "tiff-strips")]
)
def test_too_many_parts_are_rejected(name: str) -> None:
    error = decode_error(FLOODS[name]())
    assert error.code == (Code.PHOTO_DAMAGED if name == "tiff-entries" else Code.PHOTO_FORMAT)
    assert (
        "more than 150000 parts" in error.reason
        or "run-length" in error.reason
        or "entries" in error.reason
    )


def test_tiff_strips_and_entries_are_counted() -> None:
    assert "strips or tiles" in decode_error(strips_bomb(8, MAX_PARTS + 1)).reason
    assert "its directory has 65536 entries" in decode_error(big_tiff(65_536)).reason
    assert decode(strips_bomb(8, 2000), "a").height == 2000


def test_a_tenth_of_the_part_limit_is_accepted() -> None:
    many = MAX_PARTS // 10
    png, jpeg = file_of(picture(), "PNG"), file_of(picture(), "JPEG")
    plain = decode(png, "a")
    for data in (
        png[:33] + chunk(b"teSt", b"") * many + png[33:],
        png[:-12] + chunk(b"teSt", b"") * many + png[-12:],
    ):
        np.testing.assert_array_equal(decode(data, "a").pixels, plain.pixels)
    np.testing.assert_array_equal(
        decode(jpeg[:20] + b"\xff" * many + jpeg[20:], "a").pixels, decode(jpeg, "a").pixels
    )


def test_gif_may_have_the_most_blocks_of_a_file_at_the_size_limit() -> None:
    blocks = 32 * 2**20 // 256
    gif = file_of(Image.fromarray(picture()).quantize(16), "GIF")
    check_parts(gif[:-2] + (b"\xff" + bytes(255)) * blocks + gif[-2:], "GIF", "a")
    # Blocks after the second frame are not read.
    check_parts(gif[:-1] * 2 + b"!\xfe\0" * MAX_PARTS, "GIF", "a")


def test_jpeg_scans_are_counted_up_to_the_end_of_the_image() -> None:
    assert decode(scans_bomb(64, 64, MAX_SCANS - 1), "a").width == 64
    assert f"more than {MAX_SCANS} scans" in decode_error(scans_bomb(64, 64, MAX_SCANS)).reason
    progressive = file_of(picture(), "JPEG", progressive=True)
    assert decode(progressive + b"\xff\xda" * 1000, "a").width == 64
    comment = b"\xff\xfe\x10\x02" + b"\xff\xda" * 2048
    np.testing.assert_array_equal(
        decode(progressive[:2] + comment + progressive[2:], "a").pixels,
        decode(progressive, "a").pixels,
    )


def test_pixel_limit_is_checked_before_the_number_of_scans() -> None:
    error = decode_error(scans_bomb(64, 64, 1000), limits=Limits(max_pixels_in=1000))
    assert error.code == Code.PHOTO_TOO_MANY_PIXELS


def test_run_length_encoding_is_accepted_for_small_bitmaps_only() -> None:
    rows = b"".join(bytes([40, level]) + b"\0\0" for level in range(24)) + b"\0\1"
    photo = decode(run_length_bmp(40, 24, rows), "a")
    np.testing.assert_array_equal(
        photo.pixels, np.repeat(np.arange(24, dtype=np.uint8)[::-1, None], 40, axis=1)
    )
    assert "run-length" in decode_error(run_length_bmp(2001, 2000, b"\0\1")).reason
    assert "run-length" in decode_error(run_length_bmp(2001, -2000, b"\0\1")).reason


def test_png_checksums_are_verified() -> None:
    raw = b"".join(b"\0" + row.tobytes() for row in picture(16, 16))
    data = png_file(picture(16, 16))
    at, end = next((start, end) for kind, start, end in png_chunks(data) if kind == b"IDAT")
    # Uncompressed samples: only the checksum shows the damage.
    stored = data[:at] + chunk(b"IDAT", zlib.compress(raw, 0)) + data[end:]
    np.testing.assert_array_equal(decode(stored, "a").pixels, picture(16, 16))
    for place in (at + 100, len(stored) - 14):
        broken = stored[:place] + bytes([stored[place] ^ 1]) + stored[place + 1 :]
        error = decode_error(broken)
        assert error.code == Code.PHOTO_DAMAGED
        assert "has a wrong checksum" in error.reason
        with pytest.raises(ValueError, match=f"IDAT chunk at byte {at}"):
            check_samples(broken, "PNG", "a")
