"""Files without their end: accepted with a warning if nearly all of the picture is there."""

import io
from typing import Any

import numpy as np
import pytest
from photofiles import chunk, decode_error, exif_block, file_of, levels_apart, picture, png_file
from PIL import Image

from restore.errors import Code
from restore.imaging.jpeg import END_MARKER, all_markers, has_all_scans
from restore.imaging.photo import decode
from restore.imaging.png import png_chunks
from restore.imaging.repair import complete_jpeg

END_IS_MISSING = "the end of its JPEG data is missing"
PICTURE = picture(240, 160)
# The height that JPEG codes in one row of blocks, with and without subsampled chroma.
JPEGS: dict[str, tuple[dict[str, Any], int]] = {
    "subsampled": ({"quality": 80}, 16),
    "full chroma": ({"quality": 95, "subsampling": 0}, 8),
    "restarts": ({"quality": 90, "restart_marker_rows": 1}, 16),
    "optimized": ({"quality": 90, "optimize": True}, 16),
}


def jpeg(**options: Any) -> bytes:
    noise = np.random.default_rng(1).integers(-20, 21, PICTURE.shape)
    pixels = np.clip(PICTURE + noise, 0, 255).astype(np.uint8)
    return file_of(pixels, "JPEG", **options)


@pytest.mark.parametrize("kind", [*JPEGS, "progressive", "grey", "cmyk"])
@pytest.mark.parametrize("tail", [b"", b"\xff", bytes(4000), b"garbage" * 99])
def test_jpeg_without_its_end_marker_is_complete(kind: str, tail: bytes) -> None:
    data = {
        "progressive": lambda: jpeg(progressive=True),
        "grey": lambda: file_of(PICTURE[..., 0], "JPEG"),
        "cmyk": lambda: file_of(Image.fromarray(PICTURE).convert("CMYK"), "JPEG"),
    }.get(kind, lambda: jpeg(**JPEGS[kind][0]))()
    intact = decode(data, "a")
    assert data[-2:] == b"\xff\xd9"
    photo = decode(data[:-2] + tail, "a")
    np.testing.assert_array_equal(photo.pixels, intact.pixels)
    assert photo.warnings[0].startswith(END_IS_MISSING)
    assert not any("rows" in warning for warning in photo.warnings)


def test_zeros_after_a_stuffed_byte_are_removed() -> None:
    """In samples FF is stored as FF 00, whose second byte is none of the zeros that follow it."""
    data = jpeg(quality=95)
    cut = data.rindex(b"\xff\0") + 2
    assert cut > 0.9 * len(data)
    assert complete_jpeg(data[:cut] + bytes(4000)) == complete_jpeg(data[:cut])
    assert complete_jpeg(data[:cut])[0] == data[:cut] + END_MARKER


def test_end_marker_of_a_thumbnail_is_not_that_of_the_photo() -> None:
    thumbnail = file_of(picture(24, 40), "JPEG")
    assert thumbnail.endswith(b"\xff\xd9")
    data = jpeg(exif=exif_block(1) + thumbnail)
    photo = decode(data[:-2], "a")
    np.testing.assert_array_equal(photo.pixels, decode(data, "a").pixels)
    assert photo.warnings == (END_IS_MISSING,)


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("share", [0.01, 0.03, 0.05])
@pytest.mark.parametrize("tail", [b"", bytes(4000), b"\xff\xd9"])
def test_missing_last_rows_are_counted(kind: str, share: float, tail: bytes) -> None:
    options, block_px = JPEGS[kind]
    data = jpeg(**options)
    intact = decode(data, "a").pixels
    photo = decode(data[: -round(share * len(data))] + tail, "a")
    differs = (photo.pixels != intact).any(axis=(1, 2))
    first = int(np.argmax(differs))
    assert 0 < len(intact) - first <= 0.1 * len(intact) + 2 * block_px
    counted = int(photo.warnings[-1].split("its last ")[1].split(" rows")[0])
    # Chroma is interpolated, so that one row above the first missing one may differ.
    assert 0 <= first + 1 - (len(intact) - counted) + block_px <= 2 * block_px
    assert (END_IS_MISSING in photo.warnings) == (tail != b"\xff\xd9")
    assert levels_apart(photo.pixels[:first], intact[:first]) == 0


@pytest.mark.parametrize("kind", [*JPEGS, "progressive"])
@pytest.mark.parametrize("tail", [b"", bytes(9000)])
def test_jpeg_of_which_much_is_missing_is_rejected(kind: str, tail: bytes) -> None:
    data = jpeg(**JPEGS.get(kind, ({"progressive": True}, 16))[0])
    # The last half of a progressive JPEG holds the last bits of fine detail.
    kept = len(data) // 4 if kind == "progressive" else len(data) * 2 // 3
    error = decode_error(data[:kept] + tail)
    assert error.code == Code.PHOTO_DAMAGED
    assert "cut short" in error.reason


def test_missing_rows_of_a_jpeg_with_an_end_marker_are_a_warning() -> None:
    data = jpeg(quality=95, subsampling=0)
    photo = decode(data[: len(data) // 2] + data[-2:], "a")
    counted = int(photo.warnings[0].split("its last ")[1].split(" rows")[0])
    assert 0.3 <= counted / 240 <= 0.7
    assert decode(data, "a").warnings == ()


def test_grey_bottom_is_not_a_missing_one() -> None:
    grey = Image.new("RGB", (96, 64), (128, 128, 128))
    data = file_of(grey, "JPEG")
    assert decode(data, "a").warnings == ()
    assert decode(data[:-2], "a").warnings == (END_IS_MISSING,)


def test_scans_are_complete_if_each_coefficient_is_coded_to_its_last_bit() -> None:
    data = jpeg(progressive=True)
    markers = all_markers(data)
    scans = [index for index, (marker, _) in enumerate(markers) if marker == 0xDA]
    assert has_all_scans(data, markers)
    assert len(scans) > 4
    assert not has_all_scans(data, markers[: scans[-1]])
    assert not has_all_scans(data, [])
    assert not has_all_scans(b"\xff\xd8\xff\xc0\0\x08", [(0xC0, 2)])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_last_rows_of_a_png_are_filled(channels: int, dtype: type[np.unsignedinteger]) -> None:
    shape = (60, 40) if channels == 1 else (60, 40, channels)
    samples = np.random.default_rng(1).integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    note = chunk(b"tEXt", b"Comment\0kept")
    data = png_file(samples, note)
    intact, photo = decode(data, "a"), decode(data[: -len(data) // 25], "a")
    missing = int(photo.warnings[0].split("the last ")[1].split(" of its 60 rows")[0])
    assert 1 <= missing <= 4
    for name in ("pixels", "alpha"):
        whole, cut = getattr(intact, name), getattr(photo, name)
        if whole is not None:
            np.testing.assert_array_equal(cut[:-missing], whole[:-missing])
            assert (cut[-missing:] == cut[-missing - 1]).all()
    assert photo.metadata.texts == (("Comment", "kept"),)
    assert decode_error(data[: len(data) // 2]).code == Code.PHOTO_DAMAGED


def test_png_with_damaged_samples_is_not_completed() -> None:
    data = png_file(picture(60, 40))
    at = next(start for kind, start, _ in png_chunks(data) if kind == b"IDAT")
    broken = bytearray(data[:-60])
    broken[at + 20] ^= 255
    assert decode_error(bytes(broken)).code == Code.PHOTO_DAMAGED
    huge = data[:16] + (2**31 - 1).to_bytes(4, "big") + data[20:-60]
    assert decode_error(huge).code in (Code.PHOTO_DAMAGED, Code.PHOTO_TOO_MANY_PIXELS)


def test_animated_png_that_is_cut_short_becomes_a_picture() -> None:
    first = Image.fromarray(picture(60, 40))
    out = io.BytesIO()
    first.save(out, "PNG", save_all=True, append_images=[Image.fromarray(picture(60, 40)[::-1])])
    data = out.getvalue()
    end = next(end for kind, _, end in png_chunks(data) if kind == b"IDAT")
    photo = decode(data[: end - 40], "a")
    assert photo.height == 60
    assert "repeat the row above" in photo.warnings[0]
