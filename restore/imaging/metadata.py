"""Metadata beside EXIF and the colour profile: captions, comments and the density, as stored."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from PIL import Image

from restore.imaging.decoder_errors import DECODER_ERRORS
from restore.imaging.exif import EXIF_PREFIX, MAX_EXIF_BYTES, exif_density, valid_density
from restore.imaging.png_texts import PngTexts
from restore.imaging.tiff import Directory, read_bytes, read_directory
from restore.imaging.xmp_history import Event

MAX_BLOCK_BYTES = 2**20
"""Limit on XMP, on IPTC, on a comment and on all texts together."""
MAX_TEXTS = 1000

XMP_PREFIX = b"http://ns.adobe.com/xap/1.0/\x00"
EXTENDED_XMP_PREFIX = b"http://ns.adobe.com/xmp/extension/\x00"
RESOURCE_PREFIX = b"Photoshop 3.0\x00"
IPTC_RESOURCE = 0x0404
_RAW_PROFILE = "Raw profile type "
_TIFF_XMP, _TIFF_IPTC, _TIFF_RESOURCES = 700, 33723, 34377
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*")
_IPTC_MARKER = 0x1C
_JFIF_UNITS = {1: 1.0, 2: 2.54}
"""Factors from a JFIF density to pixels per inch, by its unit: inches or centimetres."""


@dataclass(frozen=True)
class Metadata:
    """Metadata of a photo beside EXIF and the colour profile.

    Attributes:
        xmp: the XMP packet.
        iptc: the IPTC records, without the resource that contains them.
        comment: the comment of a JPEG or GIF, in any encoding.
        texts: (keyword, text) of the texts of a PNG.
        dpi: horizontal and vertical density in pixels per inch.
        history: what was done to the photo, to be added to its XMP.
    """

    xmp: bytes | None = None
    iptc: bytes | None = None
    comment: bytes | None = None
    texts: tuple[tuple[str, str], ...] = ()
    dpi: tuple[float, float] | None = None
    history: tuple[Event, ...] = ()


NO_METADATA = Metadata()


@dataclass(frozen=True)
class Embedded:
    """What a file holds beside its samples.

    Attributes:
        exif: the EXIF block.
        icc: the colour profile.
        metadata: everything else.
    """

    exif: bytes | None
    icc: bytes | None
    metadata: Metadata


def read_embedded(
    image: Image.Image, exif: bytes | None, texts: PngTexts, notes: list[str]
) -> Embedded:
    """Return what a loaded image holds beside its samples.

    Args:
        image: as loaded by Pillow; for a TIFF with the entries of `tiff_entries` in its `info`.
        exif: the EXIF block that was made of a TIFF's tags, or None.
        texts: the texts of a PNG, which Pillow has not seen.
        notes: warnings are appended here.
    """
    info, profiles = image.info, _raw_profiles(texts)
    is_jpeg, app1 = image.format in ("JPEG", "MPO"), profiles.get("app1", b"")
    segments = getattr(image, "applist", ()) if is_jpeg else ()
    blocks = [body for kind, body in segments if kind == "APP1"]
    comments = [body for kind, body in segments if kind == "COM"]
    if any(body.startswith(EXTENDED_XMP_PREFIX) for body in blocks):
        notes.append("its extended XMP was dropped")
    stored = _jpeg_exif(blocks) if is_jpeg else info.get("exif")
    app1_exif, app1_xmp = app1.startswith(EXIF_PREFIX), app1.startswith(XMP_PREFIX)
    xmp_texts = (profiles.get("xmp"), app1.removeprefix(XMP_PREFIX) if app1_xmp else None)
    resources = info.get("photoshop")
    iptc = resources.get(IPTC_RESOURCE) if isinstance(resources, dict) else None
    raw_iptc = (_iptc_of(profiles.get(name)) for name in ("iptc", "8bim"))
    return Embedded(
        exif=_first((exif, stored, profiles.get("exif"), app1 if app1_exif else None)),
        icc=_first((info.get("icc_profile"), profiles.get("icc"), profiles.get("icm"))),
        metadata=Metadata(
            xmp=limited(_first((info.get("xmp"), texts.xmp, *xmp_texts)), "XMP", notes),
            iptc=limited(_first((iptc, *raw_iptc)), "IPTC", notes),
            comment=limited(_first((b"\n".join(comments), info.get("comment"))), "comment", notes),
            texts=_plain_texts(texts, notes),
            dpi=_density(image, exif, notes),
        ),
    )


def tiff_entries(data: bytes, directory: Directory) -> dict[str, object]:
    """Return XMP and IPTC of a TIFF, as the entries of `image.info` for other formats."""
    xmp, iptc, resources = (
        read_bytes(data, directory, tag) for tag in (_TIFF_XMP, _TIFF_IPTC, _TIFF_RESOURCES)
    )
    if iptc and iptc[0] != _IPTC_MARKER:  # stored as 32-bit integers of the other byte order
        words = struct.unpack(f"<{len(iptc) // 4}L", iptc[: len(iptc) // 4 * 4])
        iptc = struct.pack(f">{len(words)}L", *words)
    return {"xmp": xmp, "photoshop": {IPTC_RESOURCE: iptc or _iptc_of(resources)}}


def _jpeg_exif(segments: Iterable[bytes]) -> bytes | None:
    """Return the EXIF of a JPEG: the first block with entries, of one or several segments.

    Pillow joins all segments, so that a second block would be part of the first.
    """
    blocks: list[bytes] = []
    for body in segments:
        if not body.startswith(EXIF_PREFIX):
            continue
        part = body.removeprefix(EXIF_PREFIX)
        if not blocks or part[:4] in _TIFF_SIGNATURES:
            blocks.append(part)
        elif len(blocks[-1]) <= MAX_EXIF_BYTES:  # a longer block is dropped anyway
            blocks[-1] += part
    best = next((block for block in blocks if _has_entries(block)), blocks[0] if blocks else None)
    return None if best is None else EXIF_PREFIX + best


def _has_entries(block: bytes) -> bool:
    try:
        return read_directory(block).entries > 0
    except DECODER_ERRORS:
        return False


def _raw_profiles(texts: PngTexts) -> dict[str, bytes]:
    """Return the profiles that ImageMagick and ExifTool store as hexadecimal texts of a PNG."""
    profiles: dict[str, bytes] = {}
    for key, text in texts.pairs:
        fields = text.split(maxsplit=2)  # a name, the size, and the bytes
        if key.startswith(_RAW_PROFILE) and len(fields) == 3:
            with suppress(ValueError):
                name = key.removeprefix(_RAW_PROFILE).strip().lower()
                profiles[name] = bytes.fromhex(fields[2])
    return profiles


def _first(candidates: Iterable[object]) -> bytes | None:
    """Return the first bytes; a text of a PNG may have the name of another entry."""
    return next((each for each in candidates if isinstance(each, bytes) and each), None)


def limited(block: bytes | None, name: str, notes: list[str]) -> bytes | None:
    """Return a block of metadata; None, with a warning, if it is larger than MAX_BLOCK_BYTES."""
    if block is None or len(block) <= MAX_BLOCK_BYTES:
        return block
    limit = f"the limit is {MAX_BLOCK_BYTES}"
    notes.append(f"its {name} of {len(block)} bytes was dropped, {limit}")
    return None


def _iptc_of(resources: bytes | None) -> bytes | None:
    """Return the IPTC records of Photoshop resources, or of bare records."""
    if not resources or resources[0] == _IPTC_MARKER:
        return resources
    resources = resources.removeprefix(RESOURCE_PREFIX)
    at = 0
    while resources[at : at + 4] == b"8BIM" and at + 8 <= len(resources):
        code = int.from_bytes(resources[at + 4 : at + 6], "big")
        at += 6 + (resources[at + 6] + 2) // 2 * 2  # the name, with its length, has an even size
        size = int.from_bytes(resources[at : at + 4], "big")
        if code == IPTC_RESOURCE:
            return resources[at + 4 : at + 4 + size]
        at += 4 + size + size % 2
    return None


def _plain_texts(texts: PngTexts, notes: list[str]) -> tuple[tuple[str, str], ...]:
    """Return the texts of a PNG that are not the coded form of other metadata."""
    kept: list[tuple[str, str]] = []
    total = 0
    for key, text in texts.pairs:
        if key.startswith(_RAW_PROFILE):
            continue
        total += len(key) + len(text)
        if len(kept) >= MAX_TEXTS or total > MAX_BLOCK_BYTES:
            notes.append(f"its texts beyond {MAX_TEXTS} or {MAX_BLOCK_BYTES} bytes were dropped")
            break
        kept.append((key, text))
    return tuple(kept)


def _density(
    image: Image.Image, exif: bytes | None, notes: list[str]
) -> tuple[float, float] | None:
    """Return the density in pixels per inch that the file itself states, without EXIF.

    A file may state the shape of its pixels without a unit. Results cannot: a warning.
    """
    if image.format == "TIFF":  # Pillow invents 1 dpi where there is none
        return exif_density(exif)
    density: object = image.info.get("dpi")
    shape: object = image.info.get("aspect")  # of a PNG
    if image.format in ("JPEG", "MPO"):  # Pillow adds 72 dpi where there is none
        stored = image.info.get("jfif_density", ())
        factor = _JFIF_UNITS.get(image.info.get("jfif_unit", 0))
        density = tuple(value * factor for value in stored) if factor else None
        shape = None if factor else stored
    if isinstance(shape, tuple) and len(shape) == 2 and shape[0] != shape[1] and all(shape):
        ratio = f"{shape[0]}:{shape[1]}"
        notes.append(f"it states pixels that are not square ({ratio}), which the result does not")
    return valid_density(density)
