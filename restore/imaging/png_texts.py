"""The texts of a PNG: its tEXt, zTXt and iTXt chunks, read without Pillow.

Pillow stores texts under the names of its own entries, such as `transparency` and `exif`, keeps
only the last of several texts with one keyword, and rejects the whole file if one text is damaged.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from restore.imaging.png import PNG_SIGNATURE, PNG_TEXT_CHUNKS, png_chunks

MAX_TEXT_BYTES = 2**22
"""Limit on one text, decompressed: an EXIF block of 1 MiB has 2 MiB as hexadecimal text."""
MAX_ALL_TEXTS_BYTES = 2**24
XMP_KEYWORD = "XML:com.adobe.xmp"


@dataclass(frozen=True)
class PngTexts:
    """The texts of a PNG.

    Attributes:
        pairs: (keyword, text) in the order of the file. Keywords may repeat.
        xmp: the XMP packet, as stored.
    """

    pairs: tuple[tuple[str, str], ...] = ()
    xmp: bytes | None = None


def without_texts(data: bytes) -> bytes:
    """Return a PNG without its texts; what follows its last complete chunk stays."""
    chunks = list(png_chunks(data))
    if not any(kind in PNG_TEXT_CHUNKS for kind, _, _ in chunks):
        return data
    tail = data[chunks[-1][2] :]
    kept = (data[start:end] for kind, start, end in chunks if kind not in PNG_TEXT_CHUNKS)
    return PNG_SIGNATURE + b"".join(kept) + tail


def read_texts(data: bytes, notes: list[str]) -> PngTexts:
    """Read the texts of a PNG; damaged and very large texts are dropped with a warning.

    Args:
        data: the file. It may be hostile.
        notes: warnings are appended here.
    """
    pairs: list[tuple[str, str]] = []
    xmp: bytes | None = None
    damaged, total = 0, 0
    for kind, start, end in png_chunks(data):
        if kind not in PNG_TEXT_CHUNKS:
            continue
        try:
            keyword, text = _parse(data[start + 4 : end], MAX_ALL_TEXTS_BYTES - total)
            total += len(text)
            if kind == b"iTXt" and keyword == XMP_KEYWORD:
                xmp = xmp or text
            else:
                pairs.append((keyword, _decode(text, kind)))
        except (ValueError, zlib.error):
            damaged += 1
    if damaged:
        subject = "one of its texts is" if damaged == 1 else f"{damaged} of its texts are"
        verb = "was" if damaged == 1 else "were"
        notes.append(f"{subject} damaged or too large and {verb} dropped")
    return PngTexts(tuple(pairs), xmp)


def _parse(chunk: bytes, budget: int) -> tuple[str, bytes]:
    """Return keyword and text of a chunk without its length.

    Raises:
        ValueError or zlib.error: it is damaged, or its text is larger than the budget.
    """
    kind, checksum = chunk[:4], int.from_bytes(chunk[-4:], "big")
    if zlib.crc32(chunk[:-4]) != checksum:
        raise ValueError("its checksum is wrong")
    name, mark, rest = chunk[4:-4].partition(b"\0")
    if not mark:
        raise ValueError("it has no keyword")
    is_compressed = kind == b"zTXt"
    if kind == b"zTXt":
        rest = rest[1:]
    elif kind == b"iTXt":
        is_compressed = rest[:1] == b"\1"
        _language, _, rest = rest[2:].partition(b"\0")
        _translated, _, rest = rest.partition(b"\0")
    limit = min(MAX_TEXT_BYTES, budget)
    if is_compressed:
        rest = zlib.decompressobj().decompress(rest, limit + 1)
    if len(rest) > limit:
        raise ValueError("it is too large")
    return name.decode("latin-1"), rest


def _decode(text: bytes, kind: bytes) -> str:
    if kind == b"iTXt":
        try:
            return text.decode()
        except UnicodeDecodeError:
            pass
    return text.decode("latin-1")
