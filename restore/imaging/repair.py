"""Completion of files whose end is missing, and how much of the picture is missing."""

from __future__ import annotations

import io
import random
import zlib

import numpy as np
from PIL import Image

from restore.imaging.jpeg import (
    END_MARKER,
    END_OF_IMAGE,
    PROGRESSIVE_FRAME,
    all_markers,
    has_all_scans,
)
from restore.imaging.limits import LIMITS
from restore.imaging.png import (
    PNG_BITS_OFFSET,
    PNG_COLOUR_TYPE_OFFSET,
    PNG_FILTER_UP,
    PNG_HEADER_END,
    PNG_INTERLACE_OFFSET,
    PNG_SIGNATURE,
    check_png_checksums,
    png_chunk,
    png_chunks,
    without_ancillary_chunks,
)

MAX_MISSING_SHARE = 0.1
"""A picture of which a larger share of the pixels is missing is refused."""

_BLOCK_PX = 8
_FILL_LEVEL = 128
"""libjpeg fills blocks without data with this grey."""
_PROBE_RUN_BYTES = 512
_MIN_PADDING_BYTES = 16
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_ANIMATION_CHUNKS = (b"acTL", b"fcTL", b"fdAT")


def _probe() -> bytes:
    """Return samples that decode to something else than libjpeg's grey, in any restart interval."""
    chance = random.Random(1)
    runs = [bytes(chance.randrange(255) for _ in range(_PROBE_RUN_BYTES)) for _ in range(9)]
    intervals = (bytes([255, 0xD0 + index]) + run for index, run in enumerate(runs[1:]))
    return runs[0] + b"".join(intervals)


_PROBE = _probe()


def complete_jpeg(data: bytes) -> tuple[bytes, str]:
    """Add the end marker to a JPEG without one, if nearly all of the picture is there.

    Returns:
        The file and a warning.

    Raises:
        ValueError: the JPEG has an end marker, or more than MAX_MISSING_SHARE is missing.
        Another of DECODER_ERRORS: it is damaged.
    """
    markers = all_markers(data)
    if markers and markers[-1][0] == END_OF_IMAGE:
        raise ValueError("its end marker is there")
    if not has_all_scans(data, markers):
        raise ValueError("some of its scans are missing")
    samples = _without_padding(data)
    note = "the end of its JPEG data is missing"
    if PROGRESSIVE_FRAME in {marker for marker, _ in markers}:
        note += ", and with it perhaps some fine detail"
    elif (share := _missing(samples)[0]) > MAX_MISSING_SHARE:
        raise ValueError(f"{share:.0%} of the picture is missing")
    return samples + END_MARKER, note


def _without_padding(samples: bytes) -> bytes:
    """Remove what an interrupted transfer leaves in the place of samples: many zeros, half a code.

    A few zeros may be samples, and FF 00 is one.
    """
    kept = samples.rstrip(b"\0")
    if len(samples) - len(kept) < _MIN_PADDING_BYTES:
        kept = samples
    elif kept.endswith(b"\xff"):
        kept += b"\0"
    return kept.removesuffix(b"\xff")


def missing_rows(data: bytes, pixels: np.ndarray) -> int:
    """Return how many rows at the end of a decoded JPEG have no samples, at least in part.

    libjpeg fills them with grey without an error. Only a JPEG that ends with this grey is examined.
    In a progressive JPEG the missing samples are not those of the last rows.

    Args:
        data: a JPEG with an end marker.
        pixels: HxW or HxWxC, uint8, as decoded, without a change of colour.
    """
    if (pixels[-1, -_BLOCK_PX:] != _FILL_LEVEL).any():
        return 0
    markers = all_markers(data)
    is_progressive = PROGRESSIVE_FRAME in {marker for marker, _ in markers}
    if is_progressive or not markers or markers[-1][0] != END_OF_IMAGE:
        return 0
    return min(_missing(data[: markers[-1][1]])[1], len(pixels))


def _missing(samples: bytes) -> tuple[float, int]:
    """Return the share of a JPEG without samples, and its rows.

    Where samples are missing, the picture depends on what follows them. Two endings are compared,
    in an eighth of the size.

    Args:
        samples: a JPEG with sequential scans, without its end marker.
    """
    plain, probed = (_read_small(samples + ending + END_MARKER) for ending in (b"", _PROBE))
    differs = (plain != probed).reshape(*plain.shape[:2], -1).any(axis=2)
    first = int(np.argmax(differs)) if differs.any() else differs.size
    rows = len(differs) - first // differs.shape[1]
    return 1 - first / differs.size, rows * _BLOCK_PX


def _read_small(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        image.draft(None, (image.width // _BLOCK_PX, image.height // _BLOCK_PX))
        return np.array(image)


def reduce_png(data: bytes) -> tuple[bytes, str]:
    """Return a PNG without the chunks that no decoder needs, and a warning."""
    dropped = "its colour profile could not be read and was dropped"
    return without_ancillary_chunks(data), dropped


def complete_png(data: bytes) -> tuple[bytes, str]:
    """Fill the rows at the end of a PNG that is cut short, by repeating the last row.

    Returns:
        The file and a warning.

    Raises:
        ValueError: the PNG is complete, interlaced or damaged, or more than MAX_MISSING_SHARE of
            its rows is missing.
        zlib.error: its samples are damaged.
    """
    check_png_checksums(data)
    chunks = list(png_chunks(data))
    if any(kind == b"IEND" for kind, _, _ in chunks):
        raise ValueError("its end is there")
    samples = b"".join(data[start + 8 : end - 4] for kind, start, end in chunks if kind == b"IDAT")
    cut = chunks[-1][2] if chunks else len(PNG_SIGNATURE)
    if data[cut + 4 : cut + 8] == b"IDAT":
        samples += data[cut + 8 :]
    filtered, missing, height = _complete_rows(data, samples)
    head = b"".join(
        data[start:end]
        for kind, start, end in chunks
        if kind != b"IDAT" and kind not in _PNG_ANIMATION_CHUNKS
    )
    body = png_chunk(b"IDAT", zlib.compress(filtered, 0)) + png_chunk(b"IEND", b"")
    note = "the end of its PNG data is missing"
    if missing:
        note += f": the last {missing} of its {height} rows repeat the row above them"
    return PNG_SIGNATURE + head + body, note


def _complete_rows(data: bytes, samples: bytes) -> tuple[bytearray, int, int]:
    """Return all filtered rows of a PNG, the number of missing ones, and its height."""
    if len(data) < PNG_HEADER_END or data[PNG_INTERLACE_OFFSET]:
        raise ValueError("it is interlaced or has no header")
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    if width * height > LIMITS.max_pixels_in:
        raise ValueError(f"its header says {width} x {height} px")
    bits, colour_type = data[PNG_BITS_OFFSET], data[PNG_COLOUR_TYPE_OFFSET]
    row_bytes = 1 + -(-width * bits * _PNG_CHANNELS[colour_type] // 8)
    filtered = bytearray(zlib.decompressobj().decompress(samples, row_bytes * height))
    missing = height - len(filtered) // row_bytes
    if missing > MAX_MISSING_SHARE * height:
        raise ValueError(f"{missing} of its {height} rows are missing")
    del filtered[(height - missing) * row_bytes :]
    filtered += (bytes([PNG_FILTER_UP]) + bytes(row_bytes - 1)) * missing
    return filtered, missing, height
