"""The directory of a TIFF file or an EXIF block: its integer tags, its size, and its layout."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from PIL import ExifTags

from restore.errors import Code, RestoreError
from restore.imaging.containers import MAX_PARTS

MAX_ENTRIES = 65_535
"""The count of a classic TIFF has 16 bits; that of a BigTIFF has 64."""
_MAX_INTEGERS_PER_TAG = 8
_MAX_DEPTH = 2  # EXIF and GPS directories inside the first one, and one more level inside them
_MAX_CLAIMED_SHARE = 4

# Tags, by their numbers in the TIFF 6.0 specification and its extensions.
SUBFILE_TYPE, BITS_PER_SAMPLE, PHOTOMETRIC, SAMPLES_PER_PIXEL = 254, 258, 262, 277
STRIP_OFFSETS, TILE_OFFSETS, PLANAR_CONFIGURATION = 273, 324, 284
EXTRA_SAMPLES, SAMPLE_FORMAT, DNG_VERSION = 338, 339, 50706
_REDUCED_RESOLUTION, _SEPARATE_PLANES, _FLOATING_POINT = 1, 2, 3

_TYPE_BYTES = dict(enumerate((1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4), start=1))
_TYPE_BYTES |= {16: 8, 17: 8, 18: 8}
"""Bytes per value of each field type."""
_INTEGER_TYPES = {1: "B", 3: "H", 4: "L", 13: "L", 16: "Q"}
"""struct codes of the unsigned integer field types."""

Tags = dict[int, tuple[int, ...]]


@dataclass(frozen=True)
class Directory:
    """One TIFF directory.

    Attributes:
        tags: the values of its short integer tags.
        claimed_bytes: the sum of the bytes that its entries, and those of its EXIF and GPS
            directories, point at.
        parts: the number of strips or tiles.
        complete: whether all entries are inside the file.
        intact: whether also all data that they point at is inside the file.
    """

    tags: Tags
    claimed_bytes: int
    parts: int
    complete: bool
    intact: bool


class _Encoding:
    """Byte order and field sizes of a classic TIFF or a BigTIFF."""

    def __init__(self, tiff: bytes) -> None:
        self.order = "<" if tiff[:2] == b"II" else ">"
        self.is_big = b"+" in tiff[2:4]
        self.offset = self.order + ("Q" if self.is_big else "L")
        self.count = self.order + ("Q" if self.is_big else "H")
        self.entry = self.order + ("HHQ8s" if self.is_big else "HHL4s")
        self.inline_bytes = 8 if self.is_big else 4
        self.entry_bytes = struct.calcsize(self.entry)


def read_directory(tiff: bytes, offset: int | None = None, depth: int = 0) -> Directory:
    """Read a directory of a TIFF file or EXIF block, without following its data.

    Pillow copies the data of every entry. 64k entries that point at the same megabytes would
    exhaust memory, so the bytes that they claim are added up here.

    Args:
        tiff: a TIFF file, or an EXIF block without its prefix.
        offset: where the directory starts; by default the first one.
        depth: nesting level of the directory.

    Raises:
        struct.error: there is no directory.
        ValueError: it has more than MAX_ENTRIES entries.
    """
    encoding = _Encoding(tiff)
    if offset is None:
        (offset,) = struct.unpack_from(encoding.offset, tiff, 8 if encoding.is_big else 4)
    (count,) = struct.unpack_from(encoding.count, tiff, offset)
    if count > MAX_ENTRIES:
        raise ValueError(f"its directory has {count} entries")
    first = offset + struct.calcsize(encoding.count)
    present = min(count, (len(tiff) - first) // encoding.entry_bytes)
    tags: Tags = {}
    claimed_bytes, data_end, parts = 0, 0, 0
    for index in range(present):
        position = first + index * encoding.entry_bytes
        tag, kind, length, field = struct.unpack_from(encoding.entry, tiff, position)
        size = length * _TYPE_BYTES.get(kind, 0)
        (start,) = struct.unpack(encoding.offset, field)
        if size > encoding.inline_bytes:
            claimed_bytes += min(size, len(tiff))
            data_end = max(data_end, start + size)
        if tag in (STRIP_OFFSETS, TILE_OFFSETS):
            parts = max(parts, length)
        if kind in _INTEGER_TYPES and 0 < length <= _MAX_INTEGERS_PER_TAG:
            body = field if size <= encoding.inline_bytes else tiff[start : start + size]
            if len(body) >= size:
                code = f"{encoding.order}{length}{_INTEGER_TYPES[kind]}"
                tags[tag] = struct.unpack_from(code, body)
    claimed_bytes += _claimed_by_children(tiff, tags, depth)
    complete = present == count
    return Directory(tags, claimed_bytes, parts, complete, complete and data_end <= len(tiff))


def _claimed_by_children(tiff: bytes, tags: Tags, depth: int) -> int:
    """Return the bytes that the EXIF, GPS and interoperability directories claim."""
    if depth >= _MAX_DEPTH:
        return 0
    pointers = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo, ExifTags.IFD.Interop)
    return sum(
        read_directory(tiff, tags[pointer][0], depth + 1).claimed_bytes
        for pointer in pointers
        if pointer in tags and tags[pointer][0] + 2 <= len(tiff)
    )


def check_directory(data: bytes, name: str) -> Directory:
    """Read a TIFF's first directory; reject layouts that decoders misread or that exhaust memory.

    Raises:
        RestoreError: PHOTO_FORMAT.
        ValueError: the directory is damaged.
        struct.error: there is no directory.
    """
    directory = read_directory(data)
    if not directory.complete or directory.claimed_bytes > _MAX_CLAIMED_SHARE * len(data):
        raise ValueError("its directory does not fit the file")
    if directory.parts > MAX_PARTS:
        raise unsupported_layout(f"it is a TIFF of more than {MAX_PARTS} strips or tiles", name)
    tags = directory.tags
    bits, samples = max(tags.get(BITS_PER_SAMPLE, (1,))), tags.get(SAMPLES_PER_PIXEL, (1,))[0]
    if _FLOATING_POINT in tags.get(SAMPLE_FORMAT, (1,)):
        raise unsupported_layout(f"it is a TIFF of {bits}-bit floating-point samples", name)
    if DNG_VERSION in tags or tags.get(SUBFILE_TYPE, (0,))[0] & _REDUCED_RESOLUTION:
        # The first image of a raw file is its thumbnail.
        raise RestoreError(
            Code.PHOTO_FORMAT,
            "its content looks like a camera raw file, which is not supported",
            "Export it from the raw converter as JPEG, PNG or TIFF.",
            photo=name,
        )
    is_planar = tags.get(PLANAR_CONFIGURATION, (1,))[0] == _SEPARATE_PLANES
    if bits == 16 and (samples == 2 or (samples > 2 and is_planar)):
        # Pillow and OpenCV return wrong samples without an error.
        reason = "it is a 16-bit TIFF with grey and alpha or with separate planes"
        raise unsupported_layout(reason, name)
    return directory


def unsupported_layout(reason: str, name: str) -> RestoreError:
    """Return the error for a TIFF layout that cannot be decoded correctly."""
    return RestoreError(
        Code.PHOTO_FORMAT, reason, "Save it as PNG of 8 or 16 bits or as JPEG.", photo=name
    )
