"""The items of a HEIC or AVIF file, read without decoding (ISO/IEC 14496-12 and 23008-12).

Decoders of these formats look at every item of a file, and copy its metadata for every picture that
it describes. The limits here bound this work. Items that reach beyond the end of the file, which
decoders may replace by an empty area, make the file damaged.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

MAX_ITEMS = 1000
"""The limit of libheif. A photo of 48 megapixels from a phone has about 300 items."""
MAX_BOXES = 10_000
MAX_EXTENTS = 10_000
MAX_CLAIMED_SHARE = 8
"""Limit on the bytes of metadata of all pictures together, relative to the size of the file."""

_FULL_BOX_BYTES = 4  # version and flags
_HIDDEN = 1
_IN_FILE, _IN_META = 0, 1

Property = tuple[bytes, bytes]
"""The type and the content of a property of an item."""


@dataclass(frozen=True)
class Extent:
    """A part of an item.

    Attributes:
        in_meta: whether it is in the box `idat` instead of the file.
        start, end: its range there in bytes.
    """

    in_meta: bool
    start: int
    end: int


@dataclass
class Item:
    """An item: a picture, a tile of a picture, or metadata.

    Attributes:
        kind: its type, such as b'hvc1', b'grid' or b'Exif'.
        content_type: the media type of items of the type b'mime'.
        is_hidden: whether it is no picture of its own.
        extents: where its bytes are.
        properties: its properties in order.
    """

    kind: bytes
    content_type: bytes = b""
    is_hidden: bool = False
    extents: list[Extent] = field(default_factory=list)
    properties: list[Property] = field(default_factory=list)

    def property(self, kind: bytes) -> bytes | None:
        """Return the content of the first property of a type."""
        return next((body for name, body in self.properties if name == kind), None)


@dataclass(frozen=True)
class Container:
    """The items of a file.

    Attributes:
        data: the content of the file.
        primary: the number of the picture to show.
        items: all items by their numbers.
        references: (type, number of the item, numbers of the items that it refers to).
        is_sequence: whether the file has an animation or a video beside its items.
    """

    data: bytes
    primary: int
    items: Mapping[int, Item]
    references: tuple[tuple[bytes, int, tuple[int, ...]], ...]
    is_sequence: bool
    idat: bytes

    def sources(self, number: int) -> tuple[int, ...]:
        """Return the items from which a picture is composed, such as the tiles of a grid."""
        return tuple(
            each
            for kind, item, to in self.references
            if (kind, item) == (b"dimg", number)
            for each in to
        )

    def referring(self, kind: bytes, number: int) -> tuple[int, ...]:
        """Return the items that refer to an item, such as its metadata (b'cdsc')."""
        return tuple(item for name, item, to in self.references if name == kind and number in to)

    def content(self, number: int) -> bytes:
        """Return the bytes of an item.

        Raises:
            ValueError: they are more than the file has.
        """
        extents = self.items[number].extents
        if sum(extent.end - extent.start for extent in extents) > len(self.data):
            raise ValueError(f"item {number} is larger than the file")
        return b"".join(
            (self.idat if extent.in_meta else self.data)[extent.start : extent.end]
            for extent in extents
        )


def read_container(data: bytes) -> Container:
    """Read the items of a file.

    Raises:
        ValueError: the boxes are damaged, or an item reaches beyond the end of the file.
        struct.error: a box is too short.
    """
    top = list(_boxes(data, 0, len(data), stops_at_damage=True))
    meta = next((body for kind, body in top if kind == b"meta"), None)
    if meta is None:
        raise ValueError("it has no still picture")
    boxes = dict(reversed(list(_boxes(data, meta[0] + _FULL_BOX_BYTES, meta[1]))))
    for kind in (b"pitm", b"iinf", b"iloc", b"iprp"):
        if kind not in boxes:
            raise ValueError(f"its box {kind.decode()} is missing")
    items = _read_infos(data, boxes[b"iinf"])
    idat = data[slice(*boxes[b"idat"])] if b"idat" in boxes else b""
    _read_locations(data, boxes[b"iloc"], items, len(idat))
    _read_properties(data, boxes[b"iprp"], items)
    references = tuple(_read_references(data, boxes[b"iref"])) if b"iref" in boxes else ()
    version, at = data[boxes[b"pitm"][0]], boxes[b"pitm"][0] + _FULL_BOX_BYTES
    (primary,) = struct.unpack_from(">I" if version else ">H", data, at)
    if primary not in items:
        raise ValueError("its primary picture is missing")
    is_sequence = any(kind == b"moov" for kind, _ in top)
    container = Container(data, primary, items, references, is_sequence, idat)
    _check_metadata(container)
    return container


def _boxes(
    data: bytes, start: int, end: int, *, stops_at_damage: bool = False
) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Yield the type and the range of the content of each box in a range of the file.

    Args:
        data: the content of the file.
        start, end: the range.
        stops_at_damage: ignore everything from the first box on that does not fit. Other programs
            append data to photos.
    """
    for _ in range(MAX_BOXES):
        if start + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, body)
            body += 8
        following = end if size == 0 else start + size
        if following < body or (following > end and kind != b"mdat"):
            if stops_at_damage:
                return
            raise ValueError(f"its box at byte {start} has a wrong size")
        yield kind, (body, min(following, end))
        start = following
    raise ValueError(f"it has more than {MAX_BOXES} boxes")


def _read_infos(data: bytes, box: tuple[int, int]) -> dict[int, Item]:
    """Read the type of each item (box iinf)."""
    start = box[0] + _FULL_BOX_BYTES + (4 if data[box[0]] else 2)
    items: dict[int, Item] = {}
    for kind, (at, end) in _boxes(data, start, box[1]):
        version = data[at]
        if kind != b"infe" or version < 2:
            continue
        layout = ">H2x4s" if version == 2 else ">I2x4s"
        number, item_kind = struct.unpack_from(layout, data, at + _FULL_BOX_BYTES)
        texts = data[at + _FULL_BOX_BYTES + struct.calcsize(layout) : end].split(b"\0")
        content_type = texts[1] if item_kind == b"mime" and len(texts) > 1 else b""
        items[number] = Item(item_kind, content_type, bool(data[at + 3] & _HIDDEN))
        if len(items) > MAX_ITEMS:
            raise ValueError(f"it has more than {MAX_ITEMS} items")
    return items


def _read_locations(
    data: bytes, box: tuple[int, int], items: dict[int, Item], idat_bytes: int
) -> None:
    """Read where the bytes of each item are (box iloc)."""
    at, end = box
    version = data[at]
    offset_bytes, length_bytes = data[at + 4] >> 4, data[at + 4] & 15
    base_bytes, index_bytes = data[at + 5] >> 4, (data[at + 5] & 15) if version else 0
    reader = _Reader(data, at + 6, end)
    wide = 4 if version >= 2 else 2
    extents = 0
    for _ in range(reader.read(wide)):
        number = reader.read(wide)
        in_meta = bool(version) and _construction(reader.read(2)) == _IN_META
        reader.read(2)  # the file: always this one
        base = reader.read(base_bytes)
        limit = idat_bytes if in_meta else len(data)
        for _ in range(reader.read(2)):
            extents += 1
            if extents > MAX_EXTENTS:
                raise ValueError(f"it has more than {MAX_EXTENTS} extents")
            reader.read(index_bytes)
            start = base + reader.read(offset_bytes)
            stop = start + (reader.read(length_bytes) or limit - start)
            if not start <= stop <= limit:
                raise ValueError(f"item {number} reaches beyond the end of the file")
            if number in items:
                items[number].extents.append(Extent(in_meta, start, stop))


def _construction(field_value: int) -> int:
    method = field_value & 15
    if method not in (_IN_FILE, _IN_META):
        raise ValueError(f"an item is stored by the unknown method {method}")
    return method


def _read_properties(data: bytes, box: tuple[int, int], items: dict[int, Item]) -> None:
    """Read the properties of each item (box iprp)."""
    boxes = list(_boxes(data, *box))
    stored = [
        (kind, data[slice(*body)])
        for name, ipco in boxes
        if name == b"ipco"
        for kind, body in _boxes(data, *ipco)
    ]
    for name, (at, end) in boxes:
        if name != b"ipma":
            continue
        version, is_wide = data[at], data[at + 3] & 1
        reader = _Reader(data, at + 4, end)
        for _ in range(reader.read(4)):
            item = items.get(reader.read(4 if version else 2))
            for _ in range(reader.read(1)):
                # The highest bit says whether a reader must know the property.
                index = reader.read(2) & 0x7FFF if is_wide else reader.read(1) & 0x7F
                if index > len(stored):
                    raise ValueError(f"its property {index} is missing")
                if item is not None and index:
                    item.properties.append(stored[index - 1])


def _read_references(
    data: bytes, box: tuple[int, int]
) -> Iterator[tuple[bytes, int, tuple[int, ...]]]:
    """Yield which items refer to which ones (box iref)."""
    wide = 4 if data[box[0]] else 2
    for kind, (at, end) in _boxes(data, box[0] + _FULL_BOX_BYTES, box[1]):
        reader = _Reader(data, at, end)
        number = reader.read(wide)
        yield kind, number, tuple(reader.read(wide) for _ in range(reader.read(2)))


def _check_metadata(container: Container) -> None:
    sizes = {
        number: sum(extent.end - extent.start for extent in item.extents)
        for number, item in container.items.items()
    }
    claimed = sum(
        sizes.get(number, 0) * len(to)
        for kind, number, to in container.references
        if kind == b"cdsc"
    )
    if claimed > MAX_CLAIMED_SHARE * len(container.data):
        raise ValueError("its metadata belong to too many pictures")


class _Reader:
    """Reads unsigned big-endian numbers of 0 to 15 bytes, one after the other."""

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self._data, self._at, self._end = data, start, end

    def read(self, size: int) -> int:
        """Raises ValueError beyond the end."""
        start, self._at = self._at, self._at + size
        if self._at > self._end:
            raise ValueError("a box is too short")
        return int.from_bytes(self._data[start : self._at], "big")
