"""The directories of a TIFF file or an EXIF block: integer tags, sizes, layout, and the pages."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from PIL import ExifTags

from restore.errors import Code, RestoreError
from restore.imaging.containers import MAX_PARTS

MAX_ENTRIES = 65_535
"""The count of a classic TIFF has 16 bits; that of a BigTIFF has 64. Also of all pages together."""
_MAX_INTEGERS_PER_TAG = 8
_MAX_DEPTH = 2  # EXIF and GPS directories inside the first one, and one more level inside them
_MAX_CLAIMED_SHARE = 4

# Tags, by their numbers in the TIFF 6.0 specification and its extensions.
SUBFILE_TYPE, OLD_SUBFILE_TYPE, WIDTH, HEIGHT = 254, 255, 256, 257
BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC, SAMPLES_PER_PIXEL = 258, 259, 262, 277
STRIP_OFFSETS, ORIENTATION, STRIP_BYTES, PLANAR_CONFIGURATION = 273, 274, 279, 284
COLOUR_MAP, TILE_OFFSETS, TILE_BYTES = 320, 324, 325
EXTRA_SAMPLES, SAMPLE_FORMAT, DNG_VERSION = 338, 339, 50706
_REDUCED_RESOLUTION, _TRANSPARENCY_MASK, _OLD_REDUCED_RESOLUTION = 1, 4, 2
_SEPARATE_PLANES, _SIGNED, _FLOATING_POINT, _PLAIN_ALPHA = 2, 2, 3, 2
_RAW_PHOTOMETRICS = (32803, 34892)  # colour filter array, linear raw

_MAX_THUMBNAIL_SIDE_PX = 512
_MIN_THUMBNAIL_FACTOR = 2
_MAX_ASPECT_DIFFERENCE = 0.03

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
        offset: where the directory starts.
        entries: the number of its entries.
        next_offset: where the directory of the next page starts, or 0.
    """

    tags: Tags
    claimed_bytes: int
    parts: int
    complete: bool
    intact: bool
    offset: int
    entries: int
    next_offset: int

    def value(self, tag: int, default: int) -> int:
        """Return the first value of an integer tag."""
        return self.tags.get(tag, (default,))[0]

    @property
    def has_separate_planes(self) -> bool:
        return (
            self.value(PLANAR_CONFIGURATION, 1) == _SEPARATE_PLANES
            and self.value(SAMPLES_PER_PIXEL, 1) > 1
        )

    @property
    def bits(self) -> int:
        """The largest number of bits per sample."""
        return max(self.tags.get(BITS_PER_SAMPLE, (1,)))

    @property
    def is_picture(self) -> bool:
        """Whether it is neither a thumbnail nor a transparency mask."""
        return not (
            self.value(SUBFILE_TYPE, 0) & (_REDUCED_RESOLUTION | _TRANSPARENCY_MASK)
            or self.value(OLD_SUBFILE_TYPE, 0) == _OLD_REDUCED_RESOLUTION
        )

    @property
    def is_raw(self) -> bool:
        """Whether it is a page of a camera raw file."""
        return DNG_VERSION in self.tags or self.value(PHOTOMETRIC, 0) in _RAW_PHOTOMETRICS


class Encoding:
    """Byte order and field sizes of a classic TIFF or a BigTIFF."""

    def __init__(self, tiff: bytes) -> None:
        self.order = "<" if tiff[:2] == b"II" else ">"
        self.is_big = b"+" in tiff[2:4]
        self.offset = self.order + ("Q" if self.is_big else "L")
        self.count = self.order + ("Q" if self.is_big else "H")
        self.entry = self.order + ("HHQ8s" if self.is_big else "HHL4s")
        self.inline_bytes = 8 if self.is_big else 4
        self.entry_bytes = struct.calcsize(self.entry)
        self.first_offset_at = 8 if self.is_big else 4


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
    encoding = Encoding(tiff)
    if offset is None:
        (offset,) = struct.unpack_from(encoding.offset, tiff, encoding.first_offset_at)
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
        if size > encoding.inline_bytes:
            (start,) = struct.unpack(encoding.offset, field)
            claimed_bytes += min(size, len(tiff))
            data_end = max(data_end, start + size)
        if tag in (STRIP_OFFSETS, TILE_OFFSETS):
            parts = max(parts, length)
        if length <= _MAX_INTEGERS_PER_TAG and (values := _integers(tiff, encoding, position)):
            tags[tag] = values
    claimed_bytes += _claimed_by_children(tiff, tags, depth)
    complete = present == count
    intact = complete and data_end <= len(tiff)
    end = first + present * encoding.entry_bytes
    link = tiff[end : end + encoding.inline_bytes]
    following = 0
    if complete and len(link) == encoding.inline_bytes:
        (following,) = struct.unpack(encoding.offset, link)
    return Directory(tags, claimed_bytes, parts, complete, intact, offset, count, following)


def read_integers(tiff: bytes, directory: Directory, tag: int) -> tuple[int, ...]:
    """Return all values of an integer tag of a complete directory, or () if it has none."""
    position = _position(tiff, directory, tag)
    return () if position is None else _integers(tiff, Encoding(tiff), position)


def read_bytes(tiff: bytes, directory: Directory, tag: int) -> bytes:
    """Return the data of a tag of a complete directory, of any type, or b'' if it has none."""
    position = _position(tiff, directory, tag)
    return b"" if position is None else _data(tiff, Encoding(tiff), position)


def _position(tiff: bytes, directory: Directory, tag: int) -> int | None:
    encoding = Encoding(tiff)
    first = directory.offset + struct.calcsize(encoding.count)
    positions = range(first, first + directory.entries * encoding.entry_bytes, encoding.entry_bytes)
    wanted = struct.pack(encoding.order + "H", tag)
    return next((at for at in positions if tiff[at : at + 2] == wanted), None)


def _integers(tiff: bytes, encoding: Encoding, position: int) -> tuple[int, ...]:
    """Return the values of the entry at `position`, or () if it holds no integers."""
    _, kind, length, _ = struct.unpack_from(encoding.entry, tiff, position)
    if kind not in _INTEGER_TYPES or not (field := _data(tiff, encoding, position)):
        return ()
    return struct.unpack(f"{encoding.order}{length}{_INTEGER_TYPES[kind]}", field)


def _data(tiff: bytes, encoding: Encoding, position: int) -> bytes:
    """Return the data of the entry at `position`, or b'' if it is not inside the file."""
    _, kind, length, field = struct.unpack_from(encoding.entry, tiff, position)
    size = length * _TYPE_BYTES.get(kind, 0)
    if size > encoding.inline_bytes:
        (start,) = struct.unpack(encoding.offset, field)
        field = tiff[start : start + size]
    return field[:size] if len(field) >= size else b""


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


def select_page(data: bytes, name: str) -> tuple[bytes, tuple[str, ...]]:
    """Make the first page that shows the photo in full the first page of a TIFF.

    Thumbnails and masks are skipped, and a small first page if a later one has the same aspect.

    Returns:
        The file, with another first offset if its first page is not the one, and warnings.

    Raises:
        RestoreError: PHOTO_FORMAT for a camera raw file.
        ValueError: the first directory is damaged.
        struct.error: there is no directory.
    """
    pages = _pages(data)
    pictures = [page for page in pages if page.is_picture]
    if not pictures or any(page.is_raw for page in pages):
        # The first image of a raw file is its thumbnail.
        raise RestoreError(
            Code.PHOTO_FORMAT,
            "its content looks like a camera raw file, which is not supported",
            "Export it from the raw converter as JPEG, PNG or TIFF.",
            photo=name,
        )
    chosen = next((page for page in pictures if _is_thumbnail(pictures[0], page)), pictures[0])
    if chosen is pages[0]:
        note = f"only the first of its {len(pictures)} pages is used; split the file to restore all"
        return data, (note,) if len(pictures) > 1 else ()
    encoding = Encoding(data)
    start, end = encoding.first_offset_at, 2 * encoding.first_offset_at
    number, first = pages.index(chosen) + 1, struct.pack(encoding.offset, chosen.offset)
    note = f"page {number} of its {len(pages)} pages is used; the pages before it are thumbnails"
    return data[:start] + first + data[end:], (note,)


def _pages(data: bytes) -> list[Directory]:
    """Return the directories of a TIFF's pages, as far as they can be read."""
    pages = [read_directory(data)]
    entries, seen = pages[0].entries, {0, pages[0].offset}
    while (offset := pages[-1].next_offset) not in seen and entries <= MAX_ENTRIES:
        seen.add(offset)
        try:
            page = read_directory(data, offset, depth=_MAX_DEPTH)  # without its children
        except (struct.error, ValueError):
            break
        entries += page.entries
        pages.append(page)
    return pages


def _is_thumbnail(page: Directory, other: Directory) -> bool:
    """Return whether a page is small and shows, by its aspect, the same as a larger page."""
    width, height = page.value(WIDTH, 0), page.value(HEIGHT, 0)
    other_width, other_height = other.value(WIDTH, 0), other.value(HEIGHT, 0)
    if not width or not height or not other_height or max(width, height) > _MAX_THUMBNAIL_SIDE_PX:
        return False
    is_larger = min(other_width / width, other_height / height) >= _MIN_THUMBNAIL_FACTOR
    aspect = width / height
    return is_larger and abs(other_width / other_height / aspect - 1) <= _MAX_ASPECT_DIFFERENCE


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
    if _FLOATING_POINT in directory.tags.get(SAMPLE_FORMAT, (1,)):
        reason = f"it is a TIFF of {directory.bits}-bit floating-point samples"
        raise unsupported_layout(reason, name)
    if _SIGNED in directory.tags.get(SAMPLE_FORMAT, (1,)) and directory.bits <= 8:
        # Decoders take them as unsigned, so that dark and light are exchanged.
        raise unsupported_layout("it is a TIFF of signed 8-bit samples", name)
    is_grey_alpha = directory.value(SAMPLES_PER_PIXEL, 1) == 2 and not directory.has_separate_planes
    if directory.bits == 16 and is_grey_alpha:
        # Pillow and OpenCV return wrong samples without an error.
        raise unsupported_layout("it is a 16-bit TIFF of interleaved grey and alpha", name)
    if (
        directory.has_separate_planes
        and directory.tags.get(EXTRA_SAMPLES, (_PLAIN_ALPHA,))[0] != _PLAIN_ALPHA
    ):
        # Pillow cannot read the samples of 8 bits, nor the header of 16 bits.
        raise unsupported_layout("it is a TIFF of separate planes, one of unknown meaning", name)
    return directory


def unsupported_layout(reason: str, name: str) -> RestoreError:
    """Return the error for a TIFF layout that cannot be decoded correctly."""
    return RestoreError(
        Code.PHOTO_FORMAT, reason, "Save it as PNG of 8 or 16 bits or as JPEG.", photo=name
    )
