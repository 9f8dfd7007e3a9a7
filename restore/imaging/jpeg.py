"""The structure of a JPEG: its markers and scans, found without decoding."""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_HEADER_GAP = 150_003
"""Bytes that are searched for the next marker of the header. Pillow reads them one at a time."""

MAX_SEGMENT_BYTES = 65_533
"""The largest body of a segment."""

END_MARKER = b"\xff\xd9"
START_OF_SCAN, END_OF_IMAGE, BASELINE_FRAME, PROGRESSIVE_FRAME = 0xDA, 0xD9, 0xC0, 0xC2
_NON_FRAME_MARKERS = (0xC4, 0xC8, 0xCC)  # in the range of the frame headers C0 to CF
_MARKER = re.compile(rb"\xff[^\x00\xff]")
# Inside a scan FF 00 is a sample, and D0 to D7 are restart markers.
_MARKER_IN_SCAN = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")
_COEFFICIENTS = 64


def header_markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield (marker, position) of a JPEG's markers, from the second up to the first scan."""
    position = 2
    while found := _MARKER.search(data, position, position + MAX_HEADER_GAP):
        marker = data[found.start() + 1]
        yield marker, found.start()
        if marker == START_OF_SCAN:
            return
        position = segment_end(data, found.start())


def scan_markers(data: bytes, position: int) -> Iterator[tuple[int, int]]:
    """Yield (marker, position) after the first scan header, up to the end of the image.

    Args:
        data: the content of the file.
        position: where the samples of the first scan start.
    """
    while found := _MARKER_IN_SCAN.search(data, position):
        marker = data[found.start() + 1]
        yield marker, found.start()
        if marker == END_OF_IMAGE:
            return
        position = segment_end(data, found.start())


def segment_end(data: bytes, position: int) -> int:
    """Return where the segment of the marker at `position` ends; some markers have no segment."""
    marker = data[position + 1]
    if marker == 0x01 or 0xD0 <= marker <= 0xD9:
        return position + 2
    return position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")


def jpeg_bits(data: bytes) -> int:
    """Return the bits per sample in a JPEG's frame header, or 8 if there is no frame header."""
    for marker, position in header_markers(data):
        if is_frame(marker):
            return data[position + 4] if position + 4 < len(data) else 8
    return 8


def is_frame(marker: int) -> bool:
    """Return whether a marker starts a frame header."""
    return 0xC0 <= marker <= 0xCF and marker not in _NON_FRAME_MARKERS


def all_markers(data: bytes) -> list[tuple[int, int]]:
    """Return (marker, position) of all markers from the second up to the end of the image."""
    markers = list(header_markers(data))
    if markers and markers[-1][0] == START_OF_SCAN:
        markers += scan_markers(data, segment_end(data, markers[-1][1]))
    return markers


def has_all_scans(data: bytes, markers: list[tuple[int, int]]) -> bool:
    """Return whether every coefficient of every component is coded to its last bit by some scan.

    The samples of the scans are not read: the last one may be cut short.

    Args:
        data: the content of the file.
        markers: as from `all_markers`.
    """
    frame = next((position for marker, position in markers if is_frame(marker)), None)
    if frame is None or frame + 9 >= len(data):
        return False
    components = {
        data[at] for at in range(frame + 10, segment_end(data, frame), 3) if at < len(data)
    }
    coded: set[tuple[int, int]] = set()
    for marker, position in markers:
        if marker == START_OF_SCAN:
            coded |= _finished_by(data[position + 4 : segment_end(data, position)])
    return coded >= {(each, index) for each in components for index in range(_COEFFICIENTS)}


def _finished_by(header: bytes) -> set[tuple[int, int]]:
    """Return the (component, coefficient) pairs whose last bit a scan codes."""
    count = header[0] if header else 0
    if len(header) < 2 * count + 4:
        return set()
    first, last, bits = header[2 * count + 1 : 2 * count + 4]
    if bits & 15:  # the low bits follow in a later scan
        return set()
    last = min(last, _COEFFICIENTS - 1)
    return {
        (header[1 + 2 * index], coefficient)
        for index in range(count)
        for coefficient in range(first, last + 1)
    }
