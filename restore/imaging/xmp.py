"""XMP packets: edits for a result, without parsing the XML, so that all other bytes stay."""

from __future__ import annotations

import re

_MAX_EDITS = 200
"""Each edit may search the whole packet; real packets have a few."""

_NAME = rb"(?!xmlns:)[\w.-]+:"
_POSITION = _NAME + rb"(?i:gps[\w.-]*|(?:decimal)?(?:latitude|longitude)|lat|long|lon)"
_POSITION_ATTRIBUTE = re.compile(rb"\s" + _POSITION + rb"\s*=\s*(?:\"[^\"]*\"|'[^']*')")
_POSITION_ELEMENT = re.compile(
    rb"<(" + _POSITION + rb")(?:\s[^<>]*)?(?:/>|(?<!/)>.*?</\1\s*>)", re.DOTALL
)
_ANY_POSITION = re.compile(rb"[\s</]" + _POSITION + rb"\s*[=>/\s]")
_THUMBNAILS = re.compile(rb"<(xmp|xap):Thumbnails\b.*?</\1:Thumbnails\s*>", re.DOTALL)
_EXTENSION = re.compile(rb"\sxmpNote:HasExtendedXMP\s*=\s*(?:\"[^\"]*\"|'[^']*')")


def xmp_for_output(
    xmp: bytes | None, size: tuple[int, int], notes: list[str], *, keep_gps: bool
) -> bytes | None:
    """Return the XMP packet of a result.

    Orientation and sizes are updated, thumbnails of the old picture and the reference to an
    extended packet are removed, and the GPS position too unless `keep_gps` is set. Names of places
    are captions, and stay.

    Args:
        xmp: the photo's packet. It may be hostile.
        size: (width, height) of the result in pixels.
        notes: warnings are appended here.
        keep_gps: keep the GPS position.
    """
    if xmp is None:
        return None
    try:
        xmp.decode()
    except UnicodeDecodeError:
        notes.append("its XMP is not UTF-8 and was dropped")
        return None
    if len(_ANY_POSITION.findall(xmp)) + xmp.count(b":Thumbnails") > _MAX_EDITS:
        notes.append("its XMP has too many positions or thumbnails and was dropped")
        return None
    values = {"tiff:Orientation": 1, "tiff:ImageWidth": size[0], "tiff:ImageLength": size[1]}
    values |= {"exif:PixelXDimension": size[0], "exif:PixelYDimension": size[1]}
    for name, value in values.items():
        stored = rf"([\s<]{name}\s*(?:=\s*[\"']|>)\s*)\d+".encode()
        xmp = re.sub(stored, rb"\g<1>%d" % value, xmp)
    xmp = _EXTENSION.sub(b"", _THUMBNAILS.sub(b"", xmp))
    if keep_gps:
        return xmp
    xmp = _POSITION_ELEMENT.sub(b"", _POSITION_ATTRIBUTE.sub(b"", xmp))
    if _ANY_POSITION.search(xmp):
        notes.append("its XMP has a position that cannot be removed, and was dropped")
        return None
    return xmp
