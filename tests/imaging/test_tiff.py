"""TIFF: which page is the photo, and 16-bit samples in separate planes."""

import io
import struct
from typing import Any, Literal

import numpy as np
import pytest
from photofiles import alpha_of, decode_error, deep_picture, file_of, picture, tiff_file
from PIL import Image, TiffImagePlugin

from restore.errors import Code
from restore.imaging.photo import decode
from restore.imaging.tiff import MAX_ENTRIES, read_directory, select_page

Order = Literal["<", ">"]


def pages(*images: np.ndarray, **tags: list[dict[int, int]]) -> bytes:
    """Return a TIFF of pages, each with the tags of the same position in `tags`."""
    out = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(out) as writer:
        for pixels, own in zip(images, tags["tags"], strict=True):
            Image.fromarray(pixels).save(writer, "TIFF", tiffinfo=own)
            writer.newFrame()
    return out.getvalue()


FULL, SMALL = picture(96, 128), picture(96, 128)[::4, ::4].copy()
OTHER = picture(100, 60)
FIRST_OF_TWO = "only the first of its 2 pages is used; split the file to restore all"


@pytest.mark.parametrize(
    ("data", "expected", "warning"),
    [
        (pages(SMALL, FULL, tags=[{254: 1}, {}]), FULL, "page 2 of its 2 pages is used"),
        (pages(SMALL, FULL, tags=[{255: 2}, {}]), FULL, "page 2 of its 2 pages is used"),
        (pages(SMALL, FULL, tags=[{}, {}]), FULL, "page 2 of its 2 pages is used"),
        (pages(SMALL, SMALL, FULL, tags=[{254: 1}, {254: 1}, {254: 2}]), FULL, "page 3 of its 3"),
        (pages(SMALL, FULL, tags=[{254: 4}, {}]), FULL, "page 2 of its 2 pages is used"),
        (pages(FULL, SMALL, tags=[{}, {254: 1}]), FULL, ""),
        (pages(FULL, OTHER, tags=[{}, {}]), FULL, FIRST_OF_TWO),
        (pages(OTHER, FULL, tags=[{254: 2}, {254: 2}]), OTHER, FIRST_OF_TWO),
        (pages(FULL, tags=[{}]), FULL, ""),
    ],
    ids=["reduced", "old", "unmarked", "two", "mask", "after", "document", "pages", "single"],
)
def test_first_page_in_full_resolution_is_used(
    data: bytes, expected: np.ndarray, warning: str
) -> None:
    photo = decode(data, "a")
    np.testing.assert_array_equal(photo.pixels, expected)
    assert len(photo.warnings) == bool(warning)
    assert warning in "".join(photo.warnings)


def test_file_of_thumbnails_only_is_a_raw_file() -> None:
    for tags in ([{254: 1}, {254: 1}], [{254: 1}, {50706: 1}], [{}, {50706: 1}]):
        error = decode_error(pages(SMALL, FULL, tags=tags))
        assert error.code == Code.PHOTO_FORMAT
        assert "camera raw" in error.reason


def test_loop_of_pages_ends() -> None:
    data = bytearray(pages(SMALL, SMALL, tags=[{254: 1}, {}]))
    first = read_directory(bytes(data))
    last = read_directory(bytes(data), first.next_offset)
    at = last.offset + 2 + 12 * last.entries
    for target in (first.offset, last.offset, len(data) - 3, 2**32 - 1):
        data[at : at + 4] = struct.pack("<L", target)
        selected, notes = select_page(bytes(data), "a")
        assert read_directory(selected).offset == last.offset
        assert len(notes) == 1


def test_entries_of_all_pages_are_limited() -> None:
    size = 2 + 12 * 100 + 4
    table = b"".join(
        struct.pack("<H", 100) + bytes(1200) + struct.pack("<L", 8 + (index + 1) * size)
        for index in range(2000)
    )
    data = b"II*\0\x08\0\0\0" + table
    assert sum(1 for _ in range(2000)) * 100 > MAX_ENTRIES
    (note,) = select_page(data, "a")[1]
    pages_read = MAX_ENTRIES // 100 + 1
    assert note.startswith(f"only the first of its {pages_read} pages is used")


def planar(samples: np.ndarray, *, order: Order, strips: int = 1, **tags: Any) -> bytes:
    """Return an uncompressed TIFF of separate planes, each in a number of strips."""
    height, _, channels = samples.shape
    rows = -(-height // strips)
    parts = [
        samples[top : top + rows, :, index].astype(samples.dtype.newbyteorder(order)).tobytes()
        for index in range(channels)
        for top in range(0, height, rows)
    ]
    starts = [4096 + sum(len(part) for part in parts[:index]) for index in range(len(parts))]
    data = tiff_file(samples, {284: [2], 278: [rows], **tags.get("tags", {})}, order=order)
    rows_at = {273: starts, 279: [len(part) for part in parts]}
    head = bytearray(data[:4096])
    directory = read_directory(bytes(data))
    extra_at = 2048
    for index in range(directory.entries):
        at = 10 + 12 * index
        (tag,) = struct.unpack_from(order + "H", head, at)
        if tag not in rows_at:
            continue
        body = struct.pack(f"{order}{len(parts)}L", *rows_at[tag])
        field = body if len(parts) == 1 else struct.pack(order + "L", extra_at)
        struct.pack_into(order + "HHL", head, at, tag, 4, len(parts))
        head[at + 8 : at + 12] = field
        head[extra_at : extra_at + len(body)] = body
        extra_at += len(body)
    return bytes(head) + b"".join(parts)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("strips", [1, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_separate_planes(order: Order, strips: int, dtype: type[np.unsignedinteger]) -> None:
    samples = deep_picture(4).astype(dtype)
    colour = planar(samples[..., :3], order=order, strips=strips)
    np.testing.assert_array_equal(decode(colour, "a").pixels, samples[..., :3])
    photo = decode(planar(samples, order=order, strips=strips, tags={338: [2]}), "a")
    np.testing.assert_array_equal(photo.pixels, samples[..., :3])
    np.testing.assert_array_equal(alpha_of(photo), samples[..., 3])


@pytest.mark.parametrize("orientation", [3, 6])
def test_separate_planes_are_turned_upright(orientation: int) -> None:
    samples = deep_picture(3)
    data = planar(samples, order="<", tags={274: [orientation]})
    expected = np.rot90(samples, {3: 2, 6: -1}[orientation])
    np.testing.assert_array_equal(decode(data, "a").pixels, expected)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("predictor", [1, 2])
def test_compressed_planes(compression: str, predictor: int) -> None:
    samples = deep_picture(3)
    strips = []
    for index in range(3):
        data = file_of(
            samples[..., index], "TIFF", compression=compression, tiffinfo={317: predictor}
        )
        with Image.open(io.BytesIO(data)) as image:
            tags = image.tag_v2  # type: ignore[attr-defined]
            (offset,), (size,) = tags[273], tags[279]
            code = tags[259]
        strips.append(data[offset : offset + size])
    tags_of = {259: [code], 317: [predictor]}
    data = planar(samples, order="<", tags=tags_of)
    at = 4096
    out = bytearray(data[:at])
    starts = [at + sum(map(len, strips[:index])) for index in range(3)]
    for tag, values in ((273, starts), (279, [len(strip) for strip in strips])):
        entry = next(
            10 + 12 * index
            for index in range(read_directory(data).entries)
            if struct.unpack_from("<H", data, 10 + 12 * index) == (tag,)
        )
        (body_at,) = struct.unpack_from("<L", data, entry + 8)
        struct.pack_into("<3L", out, body_at, *values)
    np.testing.assert_array_equal(decode(bytes(out) + b"".join(strips), "a").pixels, samples)


def test_planes_that_cannot_be_read_are_rejected() -> None:
    samples = deep_picture(4)
    for meaning in (0, 1):
        for dtype in (np.uint8, np.uint16):
            unclear = planar(samples.astype(dtype), order="<", tags={338: [meaning]})
            assert decode_error(unclear).code == Code.PHOTO_FORMAT
    inks = planar(samples, order="<", tags={262: [5]})
    assert decode_error(inks).code == Code.PHOTO_FORMAT
    cut = planar(samples[..., :3], order="<")
    assert decode_error(cut[:-500]).code == Code.PHOTO_DAMAGED


def test_orientation_that_only_xmp_states_does_not_turn_a_tiff() -> None:
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    for samples in (picture(), np.ascontiguousarray(deep_picture(3)[..., 0])):
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[700], tags.tagtype[700] = xmp, 1
        photo = decode(file_of(samples, "TIFF", tiffinfo=tags), "a")
        np.testing.assert_array_equal(photo.pixels, samples)
        assert (photo.orientation, photo.metadata.xmp, photo.warnings) == (1, xmp, ())


def test_palette_of_8_bit_values_is_read() -> None:
    indices = np.arange(64, dtype=np.uint8).reshape(8, 8)
    palette = np.arange(768).reshape(3, 256) % 256
    palette[1] = 255 - palette[1]
    for factor, warnings in ((1, 1), (257, 0)):
        tags = {262: [3], 320: [int(value) * factor for value in palette.ravel()]}
        photo = decode(tiff_file(indices, tags), "a")
        np.testing.assert_array_equal(photo.pixels, palette.T[indices])
        assert len(photo.warnings) == warnings


def test_signed_8_bit_samples_are_rejected() -> None:
    error = decode_error(tiff_file(picture()[..., 0], {339: [2]}), "a.tif")
    assert error.code == Code.PHOTO_FORMAT
    assert "signed 8-bit" in error.reason
