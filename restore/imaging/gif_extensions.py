"""XMP and the colour profile of a GIF: application extensions, which Pillow does not read."""

from __future__ import annotations

_XMP_EXTENSION = b"!\xff\x0bXMP DataXMP"
_ICC_EXTENSION = b"!\xff\x0bICCRGBG1012"
_XMP_END = bytes([1, 255, 254, 253])
"""The start of the trailer that leads decoders from any byte of the packet to its end."""


def gif_entries(data: bytes) -> dict[str, bytes]:
    """Return XMP and colour profile of a GIF, as the entries of `image.info` for other formats."""
    entries = {}
    if (packet := _after(data, _XMP_EXTENSION)) is not None:
        end = data.find(_XMP_END, packet)
        if end > packet:
            entries["xmp"] = data[packet:end]
    if (blocks := _after(data, _ICC_EXTENSION)) is not None:
        entries["icc_profile"] = _join_blocks(data, blocks)
    return entries


def _after(data: bytes, start: bytes) -> int | None:
    position = data.find(start)
    return None if position < 0 else position + len(start)


def _join_blocks(data: bytes, position: int) -> bytes:
    parts = []
    while position < len(data) and data[position]:
        parts.append(data[position + 1 : position + 1 + data[position]])
        position += 1 + data[position]
    return b"".join(parts)
