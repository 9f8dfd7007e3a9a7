"""16-bit TIFFs with separate planes: each plane is read alone, because decoders misread them."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

from restore.imaging.tiff import (
    BITS_PER_SAMPLE,
    COMPRESSION,
    EXTRA_SAMPLES,
    HEIGHT,
    ORIENTATION,
    PHOTOMETRIC,
    SAMPLES_PER_PIXEL,
    STRIP_BYTES,
    STRIP_OFFSETS,
    TILE_BYTES,
    TILE_OFFSETS,
    WIDTH,
    Directory,
    Encoding,
    read_integers,
    unsupported_layout,
)

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_COLOURS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3}
_FILL_ORDER, _ROWS_PER_STRIP, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT = 266, 278, 317, 322, 323
_COPIED = (
    *(WIDTH, HEIGHT, COMPRESSION, ORIENTATION, _FILL_ORDER),
    *(_ROWS_PER_STRIP, _PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT),
)
_LONG = 4
_HEADER_BYTES = 8


def read_planes(data: bytes, directory: Directory, name: str) -> tuple[np.ndarray, ...]:
    """Read a 16-bit grey or RGB TIFF with separate planes.

    Returns:
        The colour, HxW or HxWx3, uint16, and alpha, HxW, if the TIFF has one.

    Raises:
        RestoreError: PHOTO_FORMAT for other colours.
        ValueError: the planes do not have the same number of parts, or cannot be read.
    """
    photometric = directory.value(PHOTOMETRIC, _BLACK_IS_ZERO)
    colours = _COLOURS.get(photometric)
    if colours is None:
        raise unsupported_layout("it is a 16-bit TIFF with separate planes of other colours", name)
    planes = directory.value(SAMPLES_PER_PIXEL, 1)
    # `check_directory` accepts no other extra sample than alpha.
    has_alpha = EXTRA_SAMPLES in directory.tags and planes > colours
    used = [_read_plane(data, directory, index, planes) for index in range(colours + has_alpha)]
    pixels = np.dstack(used[:colours]) if colours > 1 else used[0]
    if photometric == _WHITE_IS_ZERO:
        pixels = 65535 - pixels
    return pixels, *used[colours:]


def _read_plane(data: bytes, directory: Directory, index: int, planes: int) -> np.ndarray:
    """Read one plane by a directory that describes it as a grey picture."""
    encoding = Encoding(data)
    entries = {tag: directory.tags[tag][:1] for tag in _COPIED if tag in directory.tags}
    entries |= {BITS_PER_SAMPLE: (16,), PHOTOMETRIC: (_BLACK_IS_ZERO,), SAMPLES_PER_PIXEL: (1,)}
    for tag in (STRIP_OFFSETS, STRIP_BYTES, TILE_OFFSETS, TILE_BYTES):
        if values := read_integers(data, directory, tag):
            parts, rest = divmod(len(values), planes)
            if rest:
                raise ValueError(f"its {planes} planes have {len(values)} parts")
            entries[tag] = values[index * parts : (index + 1) * parts]
    # A file within the size limit has offsets of 32 bits, so a BigTIFF becomes a classic one.
    head = struct.pack(encoding.order + "2sHL", data[:2], 42, len(data))
    body = _directory(entries, len(data), encoding.order)
    with Image.open(io.BytesIO(head + data[_HEADER_BYTES:] + body), formats=["TIFF"]) as image:
        plane = np.array(image)
    sides = [directory.value(HEIGHT, 0), directory.value(WIDTH, 0)]
    if plane.ndim != 2 or sorted(plane.shape) != sorted(sides):  # Pillow has turned it upright
        raise ValueError("its planes cannot be read")
    return plane.astype(np.uint16)


def _directory(entries: dict[int, tuple[int, ...]], offset: int, order: str) -> bytes:
    """Return a TIFF directory of LONG values, with its data behind it.

    Args:
        entries: values by tag.
        offset: where it will start in the file.
        order: '<' or '>'.
    """
    data_at = offset + 2 + 12 * len(entries) + 4
    rows, extra = b"", b""
    for tag, values in sorted(entries.items()):
        body = struct.pack(f"{order}{len(values)}L", *values)
        field = body if len(values) == 1 else struct.pack(order + "L", data_at + len(extra))
        rows += struct.pack(order + "HHL", tag, _LONG, len(values)) + field
        extra += body if len(values) > 1 else b""
    return struct.pack(order + "H", len(entries)) + rows + bytes(4) + extra
