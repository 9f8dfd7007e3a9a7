"""Containers of HEIC and AVIF: items, references, and limits on all of them."""

import struct

import pytest
from heiffiles import heic_file, phone_heic
from photofiles import decode_error, exif_block, picture

from restore.errors import Code
from restore.imaging.isobmff import MAX_ITEMS, read_container


def box(kind: bytes, body: bytes, version: int | None = None) -> bytes:
    head = b"" if version is None else struct.pack(">I", version << 24)
    return struct.pack(">I4s", 8 + len(head) + len(body), kind) + head + body


def item_info(number: int, kind: bytes = b"hvc1") -> bytes:
    return box(b"infe", struct.pack(">HH4sB", number, 0, kind, 0), version=2)


def container(*, items: int = 1, extents: bytes = b"", references: bytes = b"") -> bytes:
    """Return a file with items that have no properties.

    Args:
        items: their number.
        extents: the content of iloc after its sizes of 4 bytes for offsets and lengths.
        references: the content of iref.
    """
    infos = b"".join(item_info(number + 1) for number in range(items))
    parts = [
        box(b"pitm", struct.pack(">H", 1), version=0),
        box(b"iinf", struct.pack(">H", items) + infos, version=0),
        box(b"iloc", b"\x44\x00" + (extents or struct.pack(">H", 0)), version=0),
        box(b"iprp", box(b"ipco", b"") + box(b"ipma", struct.pack(">I", 0), version=0)),
        box(b"iref", references, version=0),
    ]
    return box(b"ftyp", b"heic\0\0\0\0") + box(b"meta", b"".join(parts), version=0)


def test_items_and_their_metadata_are_found() -> None:
    file = read_container(phone_heic())
    assert file.items[file.primary].kind == b"grid"
    assert len(file.sources(file.primary)) == 12
    [number] = file.referring(b"cdsc", file.primary)
    assert file.items[number].kind == b"Exif"
    assert exif_block(6).removeprefix(b"Exif\0\0") in file.content(number)


def test_minimal_container_is_read() -> None:
    extents = struct.pack(">HHHHII", 1, 1, 0, 1, 4, 4)
    file = read_container(container(extents=extents))
    assert file.content(file.primary) == b"ftyp"
    assert file.items[1].property(b"ispe") is None
    assert not file.is_sequence


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no still picture"),
        (box(b"ftyp", b"heic\0\0\0\0"), "no still picture"),
        (container()[:-1], "no still picture"),
        (container(items=MAX_ITEMS + 1), "more than 1000 items"),
        (container().replace(b"pitm", b"free"), "box pitm is missing"),
        (container().replace(b"infe", b"free"), "primary picture is missing"),
        (container(extents=struct.pack(">HHHHII", 1, 1, 0, 1, 4, 10_000)), "reaches beyond"),
        (container(extents=struct.pack(">HHHH", 1, 1, 0, 1)), "too short"),
        (
            container(extents=struct.pack(">HHHH", 1, 1, 0, 65_535) + bytes(8 * 65_535)),
            "more than 10000 extents",
        ),
    ],
)
def test_damaged_container_is_rejected(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_container(data)


def test_metadata_of_many_pictures_are_rejected() -> None:
    numbers = struct.pack(">HH", 1, 500) + struct.pack(">500H", *[1] * 500)
    extents = struct.pack(">HHHHII", 1, 1, 0, 1, 0, 900)
    data = container(extents=extents, references=box(b"cdsc", numbers))
    with pytest.raises(ValueError, match="too many pictures"):
        read_container(data)


def test_item_that_repeats_the_file_is_rejected() -> None:
    extents = struct.pack(">HHHH", 1, 1, 0, 50) + struct.pack(">II", 0, 200) * 50
    file = read_container(container(extents=extents))
    with pytest.raises(ValueError, match="larger than the file"):
        file.content(1)


def test_pictures_that_contain_themselves_are_rejected() -> None:
    data = phone_heic()
    at = data.index(b"dimg") + 4
    assert data[at + 2 : at + 4] == struct.pack(">H", 12)
    loop = data[: at + 4] + data[at : at + 2] * 12 + data[at + 28 :]
    error = decode_error(loop)
    assert error.code == Code.PHOTO_DAMAGED
    assert "composed of too many others" in error.reason


def test_missing_property_is_rejected() -> None:
    data = bytearray(heic_file(picture()))
    data[data.index(b"ipma") + 4 + 4 + 4 + 2 + 1] |= 0x7F
    assert "property 127 is missing" in decode_error(bytes(data)).reason
