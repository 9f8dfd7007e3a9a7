"""The primary picture of a HEIC or AVIF file: its limits, and what its container says about it.

The container decides the orientation (properties irot and imir); that of the EXIF block only
repeats it and is not applied, as the standard says. Thumbnails, depth and gain maps, and the videos
of live photos are not read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from restore.errors import Code, RestoreError
from restore.imaging.av1 import largest_frame
from restore.imaging.cicp import (
    SRGB_PRIMARIES,
    SRGB_TRANSFER,
    UNSPECIFIED,
    code_point_profile,
)
from restore.imaging.exif import EXIF_PREFIX, UPRIGHT
from restore.imaging.isobmff import Container, Item, read_container
from restore.imaging.limits import Limits, check_pixels, too_many_pixels
from restore.imaging.metadata import Metadata, limited

HEIF_FORMATS = ("HEIC", "AVIF")
MAX_DECODED_SHARE = 4
"""Limit on the pixels of all tiles and planes that are decoded, relative to that of the photo."""
MAX_DEPTH = 4
"""Limit on pictures that are composed of composed pictures."""
MAX_PARTS = 5000

_CODED = {"HEIC": b"hvc1", "AVIF": b"av01"}
_COMPOSED = (b"grid", b"iovl", b"iden")
_PICTURES = (*_COMPOSED, b"hvc1", b"av01", b"av02", b"vvc1", b"avc1", b"jpeg", b"j2k1", b"unci")
_XMP_TYPE = b"application/rdf+xml"
_ICC_KINDS = (b"prof", b"rICC")
_ALPHA_TYPES = (
    b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha",
    b"urn:mpeg:hevc:2015:auxid:1",
)
_ORIENTATIONS = {
    (0, None): UPRIGHT,
    (0, 0): 4,
    (0, 1): 2,
    (1, None): 8,
    (1, 0): 5,
    (1, 1): 7,
    (2, None): 3,
    (2, 0): 2,
    (2, 1): 4,
    (3, None): 6,
    (3, 0): 7,
    (3, 1): 5,
}
"""EXIF orientations by the quarter turns to the left (irot) and the axis of the mirror (imir)."""


@dataclass(frozen=True)
class StillPicture:
    """The primary picture of a file that is within the limits and not decoded yet.

    Attributes:
        name: the photo's name, for error messages.
        container: the items of the file.
        coded: the item with its first samples: itself, or its first tile.
        size: (width, height) as coded, before rotation and crop.
        orientation: the EXIF orientation that its transformations are equal to.
        notes: warnings.
    """

    name: str
    container: Container
    coded: Item
    size: tuple[int, int]
    orientation: int
    notes: tuple[str, ...]

    @property
    def item(self) -> Item:
        """The picture itself."""
        return self.container.items[self.container.primary]

    def exif(self) -> bytes | None:
        """Return its EXIF block.

        Raises:
            ValueError: it has a wrong size.
        """
        block = self._metadata(b"Exif")
        if block is None or len(block) < struct.calcsize(">I"):
            return None
        # The block starts with the offset of its TIFF header, which may follow the prefix.
        (offset,) = struct.unpack_from(">I", block)
        return EXIF_PREFIX + block[4 + offset :].removeprefix(EXIF_PREFIX)

    def metadata(self, notes: list[str]) -> Metadata:
        """Return its XMP; warnings are appended to `notes`."""
        return Metadata(xmp=limited(self._metadata(b"mime", _XMP_TYPE), "XMP", notes))

    def profile(self, notes: list[str], *, is_grey: bool) -> bytes | None:
        """Return its colour profile, or one of its code points (nclx); None for sRGB.

        Args:
            notes: warnings are appended here.
            is_grey: whether its samples are grey.
        """
        code_points = None
        for kind, body in (*self.item.properties, *self.coded.properties):
            if kind == b"colr" and body[:4] in _ICC_KINDS:
                return body[4:]
            if kind == b"colr" and body[:4] == b"nclx" and code_points is None:
                code_points = struct.unpack_from(">HH", body, 4)
        if code_points is None:
            return None
        primaries, transfer = code_points
        if primaries == UNSPECIFIED:
            primaries = SRGB_PRIMARIES
        if transfer == UNSPECIFIED:
            transfer = SRGB_TRANSFER
        try:  # decoders return the full range, whatever range the file has
            return code_point_profile(primaries, transfer, notes, full_range=True, is_grey=is_grey)
        except ValueError as error:
            notes.append(f"its nclx colour space was ignored ({error})")
        return None

    def _metadata(self, kind: bytes, content_type: bytes = b"") -> bytes | None:
        container = self.container
        for number in container.referring(b"cdsc", container.primary):
            item = container.items.get(number)
            if item and (item.kind, item.content_type) == (kind, content_type):
                return container.content(number)
        return None


def check_still_picture(data: bytes, file_format: str, name: str, limits: Limits) -> StillPicture:
    """Read the container of a file, and check the size of what has to be decoded.

    Args:
        data: the content of the file.
        file_format: 'HEIC' or 'AVIF'.
        name: the photo's name, for error messages.
        limits: the limits to apply.

    Raises:
        RestoreError: PHOTO_FORMAT, PHOTO_TOO_MANY_PIXELS or PHOTO_TOO_SMALL.
        ValueError, struct.error: the container is damaged.
    """
    container = read_container(data)
    picture = container.items[container.primary]
    size = _size_of(picture)
    check_pixels(*size, name, limits)
    parts = list(_parts(container, container.primary))
    decoded_px = 0
    for number in parts:
        item = container.items[number]
        if item.kind != _CODED[file_format]:
            raise _unsupported_coding(item.kind, name)
        width, height = _size_of(item)
        if file_format == "AVIF":
            frame = largest_frame(container.content(number))
            if frame[0] > width or frame[1] > height:
                stated = f"its container says {width}x{height}"
                raise ValueError(f"its AV1 frame has {frame[0]}x{frame[1]} pixels, {stated}")
        decoded_px += width * height
        if decoded_px > MAX_DECODED_SHARE * limits.max_pixels_in:
            raise too_many_pixels(decoded_px, name, limits)
    coded, orientation = container.items[parts[0]], _orientation_of(picture)
    return StillPicture(name, container, coded, size, orientation, tuple(_notes(container)))


def _parts(container: Container, number: int, depth: int = 0) -> Iterator[int]:
    """Yield the coded pictures that are decoded for a picture, as often as they are decoded.

    Raises:
        ValueError: they are too many, or one is missing.
    """
    if depth > MAX_DEPTH:
        raise ValueError("its pictures are composed of too many others")
    item, count = container.items.get(number), 0
    if item is None:
        raise ValueError(f"its picture {number} is missing")
    alphas = [
        each
        for each in container.referring(b"auxl", number)
        if (container.items[each].property(b"auxC") or b"")[4:].startswith(_ALPHA_TYPES)
    ]
    sources = container.sources(number) if item.kind in _COMPOSED else ()
    if item.kind in _COMPOSED and not sources:
        raise ValueError(f"its picture {number} has no parts")
    if not sources:
        yield number
    for part in (*sources, *alphas):
        for each in _parts(container, part, depth + 1):
            yield each
            count += 1
            if count > MAX_PARTS:
                raise ValueError(f"it has more than {MAX_PARTS} parts")


def _size_of(item: Item) -> tuple[int, int]:
    """Return (width, height) of a picture. Raises ValueError if it has none."""
    body = item.property(b"ispe")
    if body is None:
        raise ValueError("a picture has no size")
    width, height = struct.unpack_from(">II", body, 4)
    return width, height


def _orientation_of(item: Item) -> int:
    turns, axis = item.property(b"irot"), item.property(b"imir")
    return _ORIENTATIONS[turns[0] & 3 if turns else 0, axis[0] & 1 if axis else None]


def _notes(container: Container) -> Iterator[str]:
    """Yield a warning about further pictures that somebody may want to see."""
    if container.is_sequence:
        yield "only its still picture is used, not its animation"
    derived = {
        number
        for kind, item, to in container.references
        for number in (to if kind == b"dimg" else (item,) if kind in (b"thmb", b"auxl") else ())
    }
    shown = [
        number
        for number, item in container.items.items()
        if item.kind in _PICTURES and not item.is_hidden and number not in derived
    ]
    if len(shown) > 1:
        yield f"only its primary picture is used, of {len(shown)}"


def _unsupported_coding(kind: bytes, name: str) -> RestoreError:
    return RestoreError(
        Code.PHOTO_FORMAT,
        f"its picture is coded as {kind!r}, which is not supported",
        "Save it again with an image editor, as JPEG or PNG.",
        photo=name,
    )
