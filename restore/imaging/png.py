"""The structure of a PNG: its header and its chunks, read and written without decoding."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_HEADER_END = 33
"""Where the first chunk after the header chunk (IHDR) starts."""
PNG_BITS_OFFSET, PNG_COLOUR_TYPE_OFFSET, PNG_INTERLACE_OFFSET = 24, 25, 28
PNG_GREY_ALPHA = 4
"""The colour type of grey with alpha."""
PNG_FILTER_UP = 2
"""The filter of a row that is stored as its difference to the row above."""
PNG_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_PICTURE_CHUNKS = (b"IHDR", b"PLTE", b"IDAT", b"tRNS")
_KEPT_CHUNKS = (*_PICTURE_CHUNKS, *PNG_TEXT_CHUNKS, b"IEND", b"eXIf")


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield each complete PNG chunk as (type, start, end); the range includes length and CRC."""
    start = len(PNG_SIGNATURE)
    while (end := start + 12 + int.from_bytes(data[start : start + 4], "big")) <= len(data):
        yield data[start + 4 : start + 8], start, end
        start = end


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """Return a PNG chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def check_png_checksums(data: bytes) -> None:
    """Verify the checksums of a PNG's complete picture chunks. Raises ValueError."""
    for kind, start, end in png_chunks(data):
        if kind not in _PICTURE_CHUNKS:
            continue
        if zlib.crc32(data[start + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise ValueError(f"its {kind.decode()} chunk at byte {start} has a wrong checksum")


def without_ancillary_chunks(data: bytes) -> bytes:
    """Return a PNG without its colour profile and other chunks that no decoder needs.

    Texts are kept, because Pillow does not read them.
    """
    chunks = (data[start:end] for kind, start, end in png_chunks(data) if kind in _KEPT_CHUNKS)
    return PNG_SIGNATURE + b"".join(chunks)
