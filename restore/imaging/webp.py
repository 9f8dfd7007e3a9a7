"""The structure of a WebP: its chunks, read without decoding."""

from __future__ import annotations

from collections.abc import Iterator

_FIRST_CHUNK = 12
_CHUNK_HEADER_BYTES = 8
_FRAME = b"ANMF"
_FRAME_HEADER_BYTES = 16
_LOSSY_PICTURE, _LOSSLESS_PICTURE = b"VP8 ", b"VP8L"


def webp_chunks(data: bytes) -> Iterator[bytes]:
    """Yield the type of each chunk; the chunks of a frame of an animation follow it."""
    start = _FIRST_CHUNK
    while (body := start + _CHUNK_HEADER_BYTES) <= len(data):
        kind = data[start : start + 4]
        yield kind
        size = int.from_bytes(data[start + 4 : body], "little")
        start = body + (_FRAME_HEADER_BYTES if kind == _FRAME else size + size % 2)


def is_lossless_webp(data: bytes) -> bool:
    """Return whether the first picture is lossless. Profiles and metadata may precede it."""
    pictures = (kind for kind in webp_chunks(data) if kind in (_LOSSY_PICTURE, _LOSSLESS_PICTURE))
    return next(pictures, None) == _LOSSLESS_PICTURE
