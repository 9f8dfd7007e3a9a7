"""Small files that are expensive to decode: huge headers, compressed streams, many parts."""

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import numpy as np
from heiffiles import avif_file, heic_file, with_size
from photofiles import chunk, file_of
from PIL import Image

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
MAX_BYTES = 32 * 2**20 - 4096
"""Just below the limit on the size of a file."""


def noise(
    height: int = 24,
    width: int = 40,
    channels: int = 3,
    dtype: type[np.unsignedinteger] = np.uint8,
) -> np.ndarray:
    """Return HxWxC random pixels, without axes of length 1."""
    shape, end = (height, width, channels), int(np.iinfo(dtype).max) + 1
    return np.random.default_rng(5).integers(0, end, shape).astype(dtype).squeeze()


# Headers


def png_header(width: int, height: int, bits: int = 8, colour_type: int = 2) -> bytes:
    return PNG_MAGIC + chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    )


def png_bomb(width: int, height: int) -> bytes:
    return (
        png_header(width, height) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def tiff_directory(
    entries: Sequence[tuple[int, int, int, int]],
    order: Literal["<", ">"] = "<",
    following: int = 0,
) -> bytes:
    """Return a TIFF header and a directory of (tag, type, count, value or offset) entries."""
    rows = b"".join(struct.pack(order + "HHLL", *entry) for entry in entries)
    head = b"II*\0" if order == "<" else b"MM\0*"
    return (
        head
        + struct.pack(order + "LH", 8, len(entries))
        + rows
        + struct.pack(order + "L", following)
    )


def grey_tiff_entries(
    width: int, height: int, *overrides: tuple[int, int, int, int]
) -> list[tuple[int, int, int, int]]:
    """Return the directory entries of an uncompressed 8-bit grey TIFF, some of them replaced."""
    usual = (
        *((256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)),
        *((273, 4, 1, 200), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, width * height)),
    )
    entries = {entry[0]: entry for entry in (*usual, *overrides)}
    return [entries[tag] for tag in sorted(entries)]


def tiff_bomb(width: int, height: int) -> bytes:
    return tiff_directory(grey_tiff_entries(width, height, (279, 4, 1, 8))).ljust(300, b"\0")


def bmp_header(
    width: int,
    height: int,
    bits: int = 24,
    compression: int = 0,
    body_bytes: int = 0,
    palette: bytes = b"",
) -> bytes:
    start = 54 + len(palette)
    fields = (40, width, height, 1, bits, compression, body_bytes, 0, 0, len(palette) // 4, 0)
    return (
        b"BM"
        + struct.pack("<LLL", start + body_bytes, 0, start)
        + struct.pack("<LllHHLLllLL", *fields)
        + palette
    )


def bmp_bomb(width: int, height: int) -> bytes:
    return bmp_header(width, height) + bytes(99)


def gif_bomb(width: int, height: int) -> bytes:
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0)
    return screen + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x08\x01\0\0;"


def jpeg_bomb(width: int, height: int, bits: int = 8, frame: int = 0xC0) -> bytes:
    header = (
        bytes([0xFF, frame]) + struct.pack(">HBHHB", 11, bits, height, width, 1) + b"\x01\x11\0"
    )
    return b"\xff\xd8" + header + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" + bytes(50)


def webp_bomb(width: int, height: int) -> bytes:
    body = b"VP8L" + struct.pack("<LBL", 5, 0x2F, (width - 1) | (height - 1) << 14) + b"\0"
    return b"RIFF" + struct.pack("<L", len(body) + 4) + b"WEBP" + body


SMALL_HEIC, SMALL_AVIF = heic_file(noise()), avif_file(noise())
HEADERS: dict[str, Callable[[int, int], bytes]] = {
    "png": png_bomb,
    "tiff": tiff_bomb,
    "bmp": bmp_bomb,
    "gif": gif_bomb,
    "jpg": jpeg_bomb,
    "webp": webp_bomb,
    "heic": partial(with_size, SMALL_HEIC),
    "avif": partial(with_size, SMALL_AVIF),
}
LARGEST_SIDE_PX = {
    "png": 2**31 - 1,
    "tiff": 2**31 - 1,
    "bmp": 2**31 - 1,
    "gif": 65_535,
    "jpg": 65_500,
    "webp": 16_383,
    "heic": 2**31 - 1,
    "avif": 2**31 - 1,
}

BOMBS = {
    "png-60-mp": png_bomb(10_000, 6_000),
    "png-100-mp-past-pillow's-warning": png_bomb(10_000, 10_000),
    "png-31-bits": png_bomb(2**31 - 1, 2**31 - 1),
    "png-one-column-too-many": png_bomb(1, 50_000_001),
    "tiff": tiff_bomb(60_000, 60_000),
    "tiff-60-mp": tiff_bomb(10_000, 6_000),
    "bmp": bmp_bomb(60_000, 60_000),
    "bmp-upside-down": bmp_bomb(10_000, -6_000),
    "gif": gif_bomb(65_535, 65_535),
    "gif-60-mp": gif_bomb(10_000, 6_000),
    "jpeg": jpeg_bomb(65_500, 65_500),
    "jpeg-60-mp": jpeg_bomb(10_000, 6_000),
    "webp": webp_bomb(16_383, 16_383),
    "webp-60-mp": webp_bomb(10_000, 6_000),
    "heic": with_size(SMALL_HEIC, 2**31 - 1, 2**31 - 1),
    "heic-60-mp": with_size(SMALL_HEIC, 10_000, 6_000),
    "avif": with_size(SMALL_AVIF, 65_535, 65_535),
    "avif-60-mp": with_size(SMALL_AVIF, 10_000, 6_000),
}


# Streams that expand when decompressed


def zeros(mebibytes: int) -> bytes:
    """Return a zlib stream of zeros, which has a thousandth of their size."""
    compressor, block = zlib.compressobj(9), bytes(2**20)
    return b"".join(compressor.compress(block) for _ in range(mebibytes)) + compressor.flush()


def png_with(*chunks: bytes) -> bytes:
    """Return a small PNG with additional chunks before its samples."""
    plain = file_of(noise(), "PNG")
    return plain[:33] + b"".join(chunks) + plain[33:]


def oversized_png(mebibytes: int) -> bytes:
    """Return a PNG of 40 x 24 pixels with samples for a much larger picture."""
    return png_header(40, 24) + chunk(b"IDAT", zeros(mebibytes)) + chunk(b"IEND", b"")


def oversized_tiff(mebibytes: int) -> bytes:
    """Return a TIFF of 40 x 24 pixels with samples for a much larger picture."""
    stream = zeros(mebibytes)
    entries = grey_tiff_entries(40, 24, (259, 3, 1, 8), (279, 4, 1, len(stream)))
    return tiff_directory(entries).ljust(200, b"\0") + stream


# Too many parts


def repeated(unit: bytes, size_bytes: int = MAX_BYTES) -> bytes:
    return unit * (size_bytes // len(unit))


def jpeg_segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def huffman_table(kind: int, value: int) -> bytes:
    """Return a table with one code, the bit 0."""
    return jpeg_segment(0xC4, bytes([kind << 4, 1]) + bytes(15) + bytes([value]))


def scans_bomb(width: int, height: int, scans: int) -> bytes:
    """Return a grey progressive JPEG whose scans, after the first one, are empty.

    15 bits mark 32,767 blocks as empty, so a scan is small.
    """
    blocks = -(-width // 8) * -(-height // 8)
    bits = ("0" + "1" * 14) * (blocks // 32_767 + 1)
    bits += "1" * (-len(bits) % 8)
    empty = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    frame = jpeg_segment(0xC2, struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0")
    tables = (
        jpeg_segment(0xDB, b"\0" + bytes([1] * 64)) + huffman_table(0, 0) + huffman_table(1, 0xE0)
    )
    first = jpeg_segment(0xDA, b"\1\1\0\0\0\0") + bytes(-(-blocks // 8))
    return (
        b"\xff\xd8"
        + tables
        + frame
        + first
        + (jpeg_segment(0xDA, b"\1\1\0\1\x3f\0") + empty) * scans
        + b"\xff\xd9"
    )


def run_length_bmp(width: int, height: int, runs: bytes, bits: int = 8) -> bytes:
    palette = b"".join(bytes([level, level, level, 0]) for level in range(256 if bits == 8 else 16))
    return bmp_header(width, height, bits, 1 if bits == 8 else 2, len(runs), palette) + runs


def strips_bomb(width: int, height: int) -> bytes:
    """Return a TIFF with one strip per row; all strips are the same bytes."""
    strips = ((273, 4, height, 400), (278, 4, 1, 1), (279, 4, height, 400 + 4 * height))
    head = tiff_directory(grey_tiff_entries(width, height, *strips)).ljust(400, b"\0")
    return head + struct.pack("<L", 100) * height + struct.pack("<L", width) * height


def big_tiff(entries: int) -> bytes:
    """Return a BigTIFF directory with this number of entries."""
    rows = b"".join(
        struct.pack("<HHQQ", 256 + index % 60_000, 3, 1, 40) for index in range(entries)
    )
    return b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, entries) + rows


def _insert(data: bytes, position: int, unit: bytes, size_bytes: int) -> bytes:
    return data[:position] + repeated(unit, size_bytes) + data[position:]


def _gif() -> tuple[bytes, int]:
    """Return a GIF, and the position of its first block."""
    out = io.BytesIO()
    Image.fromarray(noise()).quantize(16).save(out, "GIF")
    data = out.getvalue()
    return data, 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)


def floods(size_bytes: int = MAX_BYTES) -> dict[str, Callable[[], bytes]]:
    """Return builders of files with too many parts, by name."""
    builders: dict[str, Callable[[], bytes]] = {
        name: partial(_insert, *arguments, size_bytes)
        for name, arguments in {
            **_png_floods(),
            **_jpeg_floods(),
            **_gif_floods(),
            **_webp_floods(),
        }.items()
    }
    runs = {"runs": b"\1\5", "literals": b"\0\5abcde\0", "line-ends": b"\0\0"}
    for name, unit in runs.items():
        builders[f"bmp-{name}"] = partial(_run_length_flood, unit, size_bytes)
    builders["bmp-4-bits"] = partial(_run_length_flood, b"\xff\x12", size_bytes, bits=4)
    builders["tiff-strips"] = partial(strips_bomb, 8, min(size_bytes // 8, 4_000_000))
    builders["tiff-entries"] = partial(big_tiff, size_bytes // 20)
    return builders


Flood = tuple[bytes, int, bytes]
"""A file, a position in it, and a part that is inserted there many times."""


def _png_floods() -> dict[str, Flood]:
    png = file_of(noise(), "PNG")
    return {
        "png-teSt": (png, 33, chunk(b"teSt", b"")),
        "png-IDAT": (png, 33, chunk(b"IDAT", b"")),
        "png-tEXt": (png, 33, chunk(b"tEXt", b"a\0b")),
        "png-after": (png, len(png) - 12, chunk(b"teSt", b"")),
    }


def _jpeg_floods() -> dict[str, Flood]:
    jpeg, after_jfif = file_of(noise(), "JPEG"), 20
    segments = {
        "comments": jpeg_segment(0xFE, b""),
        "fill": b"\xff",
        "junk": b"a",
        "exif": jpeg_segment(0xE1, b"Exif\0\0"),
        "icc": jpeg_segment(0xE2, b"ICC_PROFILE\0\1\1"),
        "tables": jpeg_segment(0xDB, b"\0" + bytes([1] * 64)),
        "huffman": huffman_table(0, 0),
        "restarts": b"\xff\xd0",
    }
    return {f"jpeg-{name}": (jpeg, after_jfif, unit) for name, unit in segments.items()}


def _webp_floods() -> dict[str, Flood]:
    webp, first_chunk, empty = file_of(noise(), "WEBP", exif=b"Exif\0\0II*\0"), 30, b"\0\0\0\0"
    return {
        "webp-before": (webp, first_chunk, b"junk" + empty),
        "webp-after": (webp, len(webp), b"junk" + empty),
    }


def _gif_floods() -> dict[str, Flood]:
    gif, first_block = _gif()
    return {
        "gif-comments": (gif, first_block, b"!\xfe\0"),
        "gif-nothing": (gif, first_block, b"\0"),
        "gif-after": (gif, len(gif) - 1, b"!\xfe\0"),
        "gif-samples": (gif, len(gif) - 2, b"\1\0"),
    }


def _run_length_flood(unit: bytes, size_bytes: int, bits: int = 8) -> bytes:
    return run_length_bmp(7000, 7000, repeated(unit, size_bytes), bits)
