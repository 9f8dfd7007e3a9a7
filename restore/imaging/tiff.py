"""The directory of a TIFF file or EXIF block: its integer tags, what it lays claim to, and the layouts that are refused."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from PIL import ExifTags

from restore.errors import Code, RestoreError
from restore.imaging.containers import MAX_PARTS

# The bytes of each field type of TIFF, and how struct reads those that hold whole numbers.
_TYPE_BYTES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_INTEGER_TYPES = {1: "B", 3: "H", 4: "L", 13: "L", 16: "Q"}


@dataclass(frozen=True)
class Directory:
    """One TIFF directory: its integer tags, the bytes that it and its EXIF children lay claim to, and what of it is in the file."""

    values: dict[int, tuple[int, ...]]
    claimed_bytes: int
    parts: int  # strips or tiles
    complete: bool  # all entries are there
    intact: bool  # and all that they point at


def read_directory(tiff: bytes, offset: int | None = None, depth: int = 0) -> Directory:
    """Read the directory of a TIFF or EXIF block without following its data.

    Raises struct.error where there is none, ValueError where it has more entries than a TIFF can (a BigTIFF may say so).

    Pillow copies what every entry points at, so 64k entries that point at the same megabytes are a bomb: the sum is taken here.
    """
    order = "<" if tiff[:2] == b"II" else ">"
    big = b"+" in tiff[2:4]
    count_format, entry_format, inline_bytes = ("Q", "HHQ8s", 8) if big else ("H", "HHL4s", 4)
    if offset is None:
        (offset,) = struct.unpack_from(order + ("Q" if big else "L"), tiff, 8 if big else 4)
    (count,) = struct.unpack_from(order + count_format, tiff, offset)
    if count > 65_535:
        raise ValueError(f"its directory has {count} entries")
    first, step = (
        offset + struct.calcsize(order + count_format),
        struct.calcsize(order + entry_format),
    )
    present = min(count, (len(tiff) - first) // step)
    values: dict[int, tuple[int, ...]] = {}
    claimed_bytes, last, parts = 0, 0, 0
    for index in range(present):
        tag, kind, length, field = struct.unpack_from(
            order + entry_format, tiff, first + index * step
        )
        size = length * _TYPE_BYTES.get(kind, 0)
        (start,) = struct.unpack(order + ("Q" if big else "L"), field)
        if size > inline_bytes:
            claimed_bytes += min(size, len(tiff))
            last = max(last, start + size)
        if tag in (273, 324):
            parts = max(parts, length)
        if kind in _INTEGER_TYPES and 0 < length <= 8:
            body = field if size <= inline_bytes else tiff[start : start + size]
            if len(body) >= size:
                values[tag] = struct.unpack_from(f"{order}{length}{_INTEGER_TYPES[kind]}", body)
    for pointer in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo, ExifTags.IFD.Interop):
        if pointer in values and depth < 2 and values[pointer][0] + 2 <= len(tiff):
            claimed_bytes += read_directory(tiff, values[pointer][0], depth + 1).claimed_bytes
    intact = present == count and last <= len(tiff)
    return Directory(values, claimed_bytes, parts, complete=present == count, intact=intact)


def checked_tags(data: bytes, name: str) -> dict[int, tuple[int, ...]]:
    """Return a TIFF's integer tags; refuse what the readers would get wrong or could be killed by."""
    directory = read_directory(data)
    tags = directory.values
    if not directory.complete or directory.claimed_bytes > 4 * len(data):
        raise ValueError("its directory does not fit the file")
    if directory.parts > MAX_PARTS:
        raise layout_refusal(f"it is a TIFF of more than {MAX_PARTS} strips or tiles", name)
    bits, samples = max(tags.get(258, (1,))), tags.get(277, (1,))[0]
    if 3 in tags.get(339, (1,)):
        raise layout_refusal(f"it is a TIFF of {bits}-bit floating-point samples", name)
    if (
        50706 in tags or tags.get(254, (0,))[0] & 1
    ):  # DNG, and raws whose first image is their thumbnail
        reason = "its content looks like a camera raw file, which is not taken"
        raise RestoreError(
            Code.PHOTO_FORMAT,
            reason,
            "Export it from the raw converter as JPEG, PNG or TIFF.",
            photo=name,
        )
    if bits == 16 and (samples == 2 or (samples > 2 and tags.get(284, (1,))[0] == 2)):
        # Both readers give wrong samples here, without a word.
        raise layout_refusal(
            "it is a 16-bit TIFF with grey and alpha or with separate planes", name
        )
    return tags


def layout_refusal(reason: str, name: str) -> RestoreError:
    """Say that a TIFF's layout cannot be read right."""
    return RestoreError(
        Code.PHOTO_FORMAT, reason, "Save it as PNG of 8 or 16 bits or as JPEG.", photo=name
    )
