"""Edits of XMP packets for a result."""

import time

import pytest

from restore.imaging.xmp import xmp_for_output

SIZE = (640, 480)


def edited(body: str, *, keep_gps: bool = False) -> tuple[str | None, list[str]]:
    notes: list[str] = []
    xmp = xmp_for_output(f"<x>{body}</x>".encode(), SIZE, notes, keep_gps=keep_gps)
    return (None if xmp is None else xmp.decode().removeprefix("<x>").removesuffix("</x>")), notes


@pytest.mark.parametrize(
    ("stored", "written"),
    [
        ('<r tiff:Orientation="6"/>', '<r tiff:Orientation="1"/>'),
        ("<r tiff:Orientation = '8'/>", "<r tiff:Orientation = '1'/>"),
        ("<tiff:Orientation>6</tiff:Orientation>", "<tiff:Orientation>1</tiff:Orientation>"),
        ('<r tiff:ImageWidth="9" tiff:ImageLength="8"/>', None),
        ('<r exif:PixelXDimension="9"\n exif:PixelYDimension="8"/>', None),
        ("<exif:PixelXDimension>4000</exif:PixelXDimension>", None),
        ("<xmp:Thumbnails><a>data</a></xmp:Thumbnails>b", "b"),
        ('<r a="b" xmpNote:HasExtendedXMP="0123"/>', '<r a="b"/>'),
        ('<r dc:title="tiff:Orientation=6"/>', '<r dc:title="tiff:Orientation=6"/>'),
    ],
)
def test_facts_of_the_old_picture_are_updated(stored: str, written: str | None) -> None:
    result, notes = edited(stored)
    expected = written or (
        stored.replace('"9"', '"640"').replace('"8"', '"480"').replace(">4000<", ">640<")
    )
    assert result == expected
    assert notes == []


@pytest.mark.parametrize(
    "position",
    [
        '<r exif:GPSLatitude="52,30N"/>',
        "<r a='b' exif:GPSLatitude = '52,30N' c='d'/>",
        "<exif:GPSLatitude>52,30N</exif:GPSLatitude>",
        "<q:GPSLongitude a='b'>\n52,30N</q:GPSLongitude >",
        '<r drone-dji:GpsLatitude="52,30N" drone-dji:GpsLongtitude="52,30N"/>',
        "<geo:lat>52,30N</geo:lat><geo:long>52,30N</geo:long>",
        '<r dwc:decimalLatitude="52,30N"/>',
        "<a><exif:GPSLatitude>52,30N</exif:GPSLatitude><exif:GPSAltitude/></a>",
    ],
)
def test_position_is_removed_unless_requested(position: str) -> None:
    result, notes = edited(position + "<photoshop:City>Berlin</photoshop:City>")
    assert result is not None
    assert "52,30N" not in result
    assert "gps" not in result.lower()
    assert "Berlin" in result
    assert notes == []
    assert "52,30N" in (edited(position, keep_gps=True)[0] or "")


def test_position_that_cannot_be_removed_drops_the_packet() -> None:
    for position in ("<exif:GPSLatitude>52,30N", "<r exif:GPSLatitude=52/>"):
        result, notes = edited(position)
        assert result is None
        assert "cannot be removed" in notes[0]


def test_packet_in_another_encoding_is_dropped() -> None:
    notes: list[str] = []
    assert xmp_for_output("<é/>".encode("utf-16"), SIZE, notes, keep_gps=False) is None
    assert "not UTF-8" in notes[0]
    assert xmp_for_output(None, SIZE, notes, keep_gps=False) is None


@pytest.mark.parametrize(
    "part",
    ["<a:gps>", " a:gps", " ", "<a:gps ", "a" * 64, "<xmp:Thumbnails>", "<tiff:Orientation "],
)
def test_hostile_packet_of_the_largest_size_takes_little_time(part: str) -> None:
    xmp = (part * (2**20 // len(part))).encode()
    start = time.process_time()
    xmp_for_output(xmp, SIZE, [], keep_gps=False)
    assert time.process_time() - start < 2
