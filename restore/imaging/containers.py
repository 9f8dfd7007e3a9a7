"""Limits on the parts of a file (segments, chunks, blocks, scans), checked before decoding.

Pillow processes parts in Python. A file of 32 MiB of empty parts took it 5 to 25 seconds and up to
1.5 GB, and a JPEG of 200 kB with a thousand empty scans took 15 seconds. Real photos are far below
these limits.
"""

from __future__ import annotations

from restore.errors import Code, RestoreError
from restore.imaging.jpeg import (
    END_OF_IMAGE,
    START_OF_SCAN,
    header_markers,
    scan_markers,
    segment_end,
)
from restore.imaging.png import check_png_checksums, png_chunks
from restore.imaging.webp import webp_chunks

MAX_PARTS = 150_000
"""A GIF of 32 MiB has up to 131,586 blocks of 255 bytes; other formats need far fewer parts."""
MAX_SCANS = 64
"""libjpeg's default progressive JPEG has 10 scans. An empty scan of 50 megapixels takes 50 ms."""
MAX_RLE_BMP_SIZE = 4_000_000
"""Limit on the bytes and the pixels of a run-length encoded BMP: Pillow decodes it in Python."""

_GIF_IMAGE, _GIF_EXTENSION = 0x2C, 0x21
_BMP_RUN_LENGTH_ENCODINGS = (1, 2)
_BMP_FIRST_HEADER_WITH_ENCODING_BYTES = 40


def check_parts(data: bytes, file_format: str, name: str) -> None:
    """Reject a file with too many parts before its first sample, or a large run-length BMP.

    Raises:
        RestoreError: PHOTO_FORMAT.
    """
    if file_format == "JPEG":
        _find_first_scan(data, name)
    elif file_format == "PNG":
        for count, _ in enumerate(png_chunks(data)):
            _check_count(count, name)
    elif file_format == "WEBP":
        for count, _ in enumerate(webp_chunks(data)):
            _check_count(count, name)
    elif file_format == "GIF":
        _check_gif_blocks(data, name)
    elif file_format == "BMP":
        _check_bmp_encoding(data, name)


def check_samples(data: bytes, file_format: str, name: str) -> None:
    """Check the encoded samples of a file whose header is within the limits.

    Raises:
        ValueError: a PNG chunk does not match its checksum, or a JPEG has no end marker. Decoders
            do not verify the checksums of picture chunks, and take zeros for samples.
        RestoreError: PHOTO_FORMAT for a JPEG with too many scans.
    """
    if file_format == "PNG":
        check_png_checksums(data)
    elif file_format == "JPEG":
        _check_jpeg_scans(data, name)


def _find_first_scan(data: bytes, name: str) -> int | None:
    """Return where a JPEG's samples start, or None if there are none; check the parts before.

    Bytes between segments count as parts, because Pillow reads them one at a time. A marker behind
    more than MAX_HEADER_GAP bytes is not found; these bytes are too many parts.
    """
    count, end = 0, 2
    for marker, position in header_markers(data):
        count += 1 + max(0, position - end)
        _check_count(count, name)
        end = segment_end(data, position)
        if marker == START_OF_SCAN:
            return end
    _check_count(count + max(0, len(data) - end), name)
    return None


def _check_jpeg_scans(data: bytes, name: str) -> None:
    start = _find_first_scan(data, name)
    if start is None:
        return
    scans, marker = 1, START_OF_SCAN
    for marker, _ in scan_markers(data, start):
        scans += marker == START_OF_SCAN
        if scans > MAX_SCANS:
            raise _unsupported(f"it has more than {MAX_SCANS} scans", name)
    if marker != END_OF_IMAGE:
        raise ValueError("its end marker is missing")


def _check_gif_blocks(data: bytes, name: str) -> None:
    """Count a GIF's blocks up to its second frame, which is as far as Pillow reads."""
    position, count, frames = 13 + _gif_palette_bytes(data[10:11]), 0, 0
    while position < len(data) and frames < 2:
        introducer = data[position]
        if introducer == _GIF_IMAGE:
            frames += 1
            position += 11 + _gif_palette_bytes(data[position + 9 : position + 10])
        elif introducer == _GIF_EXTENSION:
            position += 2
        else:  # Pillow skips other bytes one at a time
            position += 1
        if introducer in (_GIF_IMAGE, _GIF_EXTENSION):
            position, blocks = _skip_gif_blocks(data, position, MAX_PARTS + 1 - count)
            count += blocks
        count += 1
        _check_count(count, name)


def _skip_gif_blocks(data: bytes, position: int, max_blocks: int) -> tuple[int, int]:
    """Return the position after a series of blocks, and their number; stop after `max_blocks`."""
    blocks = 0
    while position < len(data) and blocks < max_blocks:
        size = data[position]
        position += 1 + size
        blocks += 1
        if not size:
            break
    return position, blocks


def _gif_palette_bytes(flags: bytes) -> int:
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


def _check_bmp_encoding(data: bytes, name: str) -> None:
    if (
        data[14] < _BMP_FIRST_HEADER_WITH_ENCODING_BYTES
        or int.from_bytes(data[30:34], "little") not in _BMP_RUN_LENGTH_ENCODINGS
    ):
        return
    width = int.from_bytes(data[18:22], "little", signed=True)
    height = int.from_bytes(data[22:26], "little", signed=True)
    if max(len(data), abs(width * height)) > MAX_RLE_BMP_SIZE:
        limit = f"{MAX_RLE_BMP_SIZE / 1e6:g} million bytes or pixels"
        raise _unsupported(f"it is a run-length encoded BMP of more than {limit}", name)


def _check_count(count: int, name: str) -> None:
    if count > MAX_PARTS:
        raise _unsupported(f"it has more than {MAX_PARTS} parts", name)


def _unsupported(reason: str, name: str) -> RestoreError:
    return RestoreError(
        Code.PHOTO_FORMAT,
        reason,
        "Save it again with an image editor, as plain JPEG or PNG.",
        photo=name,
    )
