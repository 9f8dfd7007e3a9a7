"""The parts that a file is made of (segments, chunks, blocks, scans, runs), counted and summed up before a decoder walks them.

Pillow steps through parts in Python: 32 MiB of empty ones took it 5 to 25 seconds and up to 1.5 GB, whatever the size of the
picture, and a JPEG of 200 kB whose thousand scans are all empty took 15. No real photo comes near these limits.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

from restore.errors import Code, RestoreError

MAX_PARTS = 150_000
"""A GIF of 32 MiB has 131,586 blocks, as its format allows 255 bytes a block; all else needs far fewer."""
MAX_SCANS = 64
"""libjpeg's own order of progressive scans has 10. At 50 megapixels an empty scan takes up to 50 ms."""
MAX_RUN_BYTES = 4_000_000
"""Of a run-length coded BMP, its bytes and its pixels: Pillow unpacks each run in Python."""

_FIRST_MARKER = re.compile(rb"\xff[^\x00\xff]")
_MARKER_AMONG_SAMPLES = re.compile(
    rb"\xff[\x02-\xcf\xd8-\xfe]"
)  # FF 00 is a sample, D0 to D7 restart
_PICTURE_CHUNKS = (b"IHDR", b"PLTE", b"IDAT", b"tRNS")


def check_parts(data: bytes, kind: str, name: str) -> None:
    """Refuse a JPEG, PNG, GIF or BMP whose header alone would keep a decoder busy. Raises RestoreError with PHOTO_FORMAT."""
    if kind == "JPEG":
        _first_scan(data, name)
    elif kind == "PNG":
        for count, _ in enumerate(png_chunks(data)):
            _check_count(count, name)
    elif kind == "GIF":
        _check_gif(data, name)
    elif kind == "BMP" and data[14] >= 40 and int.from_bytes(data[30:34], "little") in (1, 2):
        pixels = abs(
            int.from_bytes(data[18:22], "little", signed=True)
            * int.from_bytes(data[22:26], "little", signed=True)
        )
        if max(len(data), pixels) > MAX_RUN_BYTES:
            raise _refusal(
                f"it is a run-length coded BMP of more than {MAX_RUN_BYTES / 1e6:g} million bytes or pixels",
                name,
            )


def check_samples(data: bytes, kind: str, name: str) -> None:
    """Look over the samples of a file whose header is within the limits.

    Raises ValueError for a PNG that does not match its own checksums, which no reader holds against the samples of a whole
    picture, and RestoreError with PHOTO_FORMAT for a JPEG of too many scans.
    """
    if kind == "PNG":
        for chunk, start, end in png_chunks(data):
            if chunk in _PICTURE_CHUNKS and zlib.crc32(data[start + 4 : end - 4]) != int.from_bytes(
                data[end - 4 : end], "big"
            ):
                raise ValueError(
                    f"its {chunk.decode()} chunk at byte {start} does not match its checksum"
                )
    elif kind == "JPEG" and (at := _first_scan(data, name)) is not None:
        scans = 1
        while (found := _MARKER_AMONG_SAMPLES.search(data, at)) and data[found.start() + 1] != 0xD9:
            at = _after_marker(data, found.start())
            scans += data[found.start() + 1] == 0xDA
            if scans > MAX_SCANS:
                raise _refusal(f"it has more than {MAX_SCANS} scans", name)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Walk a PNG's whole chunks: name, start and end in bytes, length and checksum included."""
    at = 8
    while (end := at + 12 + int.from_bytes(data[at : at + 4], "big")) <= len(data):
        yield data[at + 4 : at + 8], at, end
        at = end


def jpeg_bits(data: bytes) -> int:
    """Return the sample precision that a JPEG's frame header declares; 8 where there is none."""
    for marker, at in _jpeg_markers(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return data[at + 4] if at + 4 < len(data) else 8
    return 8


def _jpeg_markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Walk a JPEG's markers from its second one to its first scan, with where each is."""
    at = 2
    while found := _FIRST_MARKER.search(
        data, at, at + MAX_PARTS + 3
    ):  # farther off, there are too many bytes before it
        marker = data[found.start() + 1]
        yield marker, found.start()
        if marker == 0xDA:
            return
        at = _after_marker(data, found.start())


def _after_marker(data: bytes, at: int) -> int:
    """Return where the segment of a marker ends; those without one are two bytes."""
    alone = data[at + 1] == 0x01 or 0xD0 <= data[at + 1] <= 0xD9
    return at + 2 if alone else at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def _first_scan(data: bytes, name: str) -> int | None:
    """Return where a JPEG's samples begin, if they do. Each byte between segments counts as a part, as Pillow reads it alone."""
    count, last = 0, 2
    for marker, at in _jpeg_markers(data):
        count += 1 + max(0, at - last)
        _check_count(count, name)
        last = _after_marker(data, at)
        if marker == 0xDA:
            return last
    _check_count(count + max(0, len(data) - last), name)
    return None


def _check_gif(data: bytes, name: str) -> None:
    """Count a GIF's blocks up to its second frame, which Pillow looks for."""
    at, count, frames = 13 + _gif_palette_bytes(data[10:11]), 0, 0
    while at < len(data) and frames < 2:
        introducer = data[at]
        if introducer == 0x2C:
            frames += 1
            at += 11 + _gif_palette_bytes(data[at + 9 : at + 10])
        elif introducer == 0x21:
            at += 2
        else:  # Pillow skips what is no block, a byte at a time
            at += 1
        while introducer in (0x21, 0x2C) and at < len(data):
            size = data[at]
            at += 1 + size
            count += 1
            if not size or count > MAX_PARTS:
                break
        count += 1
        _check_count(count, name)


def _gif_palette_bytes(flags: bytes) -> int:
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


def _check_count(count: int, name: str) -> None:
    if count > MAX_PARTS:
        raise _refusal(f"it is made of more than {MAX_PARTS} parts", name)


def _refusal(reason: str, name: str) -> RestoreError:
    return RestoreError(
        Code.PHOTO_FORMAT,
        reason,
        "Save it anew with an image editor, as plain JPEG or PNG.",
        photo=name,
    )
