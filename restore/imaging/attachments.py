"""What is written with the pixels of a result: EXIF, profile, captions, comments and density."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass, replace

from restore.imaging.exif import EXIF_PREFIX, exif_density, exif_for_output
from restore.imaging.jpeg import MAX_SEGMENT_BYTES
from restore.imaging.metadata import IPTC_RESOURCE, RESOURCE_PREFIX, Metadata
from restore.imaging.png import png_chunk
from restore.imaging.png_texts import XMP_KEYWORD
from restore.imaging.xmp import xmp_for_output
from restore.imaging.xmp_history import Event, with_history

_MAX_JPEG_XMP_BYTES = 65_504  # without the prefix of its segment
_MAX_KEYWORD_CHARACTERS = 79
_INCHES_PER_METRE = 39.3701
_APP13 = 0xED
_METRE = 1
_POSITION_KEYWORD = re.compile(r"gps|latitude|longitude", re.IGNORECASE)
_COMMENT_KEYWORD = "Comment"


@dataclass(frozen=True)
class Attachments:
    """The metadata of one result, which its format can hold.

    Attributes:
        icc: the colour profile.
        exif: the EXIF block.
        xmp: the XMP packet.
        iptc: the IPTC records.
        comment: the comment of a jpg.
        texts: (keyword, text) of the texts of a png.
        dpi: density in pixels per inch, of a jpg or png; webp has it in its EXIF.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    comment: bytes | None = None
    texts: tuple[tuple[str, str], ...] = ()
    dpi: tuple[float, float] | None = None


def attachments_for(
    metadata: Metadata,
    exif: bytes | None,
    icc: bytes | None,
    size: tuple[int, int],
    output_format: str,
    notes: list[str],
    *,
    keep_gps: bool,
) -> Attachments:
    """Select and update the metadata of a result; what its format cannot hold is a warning.

    Args:
        metadata: the photo's metadata.
        exif: the photo's EXIF block.
        icc: the colour profile of the result.
        size: (width, height) of the result in pixels.
        output_format: 'jpg', 'png' or 'webp'.
        notes: warnings are appended here.
        keep_gps: keep the GPS position.
    """
    dpi = metadata.dpi or exif_density(exif)
    added = metadata.dpi if output_format == "webp" else None
    block = exif_for_output(exif, size, output_format, notes, keep_gps=keep_gps, dpi=added)
    xmp = xmp_for_output(metadata.xmp, size, notes, keep_gps=keep_gps)
    if metadata.history:
        xmp = _with_history(xmp, metadata.history, output_format, notes)
    if not keep_gps:  # ImageMagick stores each EXIF tag of a JPEG also as a text of its PNG
        public = tuple(each for each in metadata.texts if not _POSITION_KEYWORD.search(each[0]))
        metadata = replace(metadata, texts=public)
    comment, texts = _captions(metadata, output_format)
    kept = {
        "XMP": output_format != "jpg" or len(xmp or b"") <= _MAX_JPEG_XMP_BYTES,
        "IPTC": output_format == "png"
        or (output_format == "jpg" and len(_resources(metadata.iptc)) <= MAX_SEGMENT_BYTES),
    }
    lost = [
        f"{name} of {len(stored)} bytes"
        for name, stored in (("XMP", xmp), ("IPTC", metadata.iptc))
        if stored and not kept[name]
    ]
    if metadata.comment and not comment and _COMMENT_KEYWORD not in dict(texts):
        lost.append("comment")
    used = {_COMMENT_KEYWORD} if comment else {keyword for keyword, _ in texts}
    if missing := [keyword for keyword, _ in metadata.texts if keyword not in used]:
        lost.append(f"texts ({', '.join(missing)[:200]})")
    if lost:
        notes.append(f"what {output_format} cannot hold was dropped: its {', '.join(lost)}")
    return Attachments(
        icc=icc,
        exif=block,
        xmp=xmp if kept["XMP"] else None,
        iptc=metadata.iptc if kept["IPTC"] else None,
        comment=comment,
        texts=texts,
        dpi=dpi,
    )


def _with_history(
    xmp: bytes | None, history: tuple[Event, ...], output_format: str, notes: list[str]
) -> bytes | None:
    """Add the history to XMP, unless the format can hold the XMP only without it."""
    extended = with_history(xmp, history, notes)
    size = len(extended or b"")
    if output_format == "jpg" and size > _MAX_JPEG_XMP_BYTES >= len(xmp or b""):
        notes.append(
            f"the steps were not recorded: its XMP would have {size} bytes, jpg holds at most"
            f" {_MAX_JPEG_XMP_BYTES}"
        )
        return xmp
    return extended


def _captions(
    metadata: Metadata, output_format: str
) -> tuple[bytes | None, tuple[tuple[str, str], ...]]:
    """Return the comment and the texts that a format can hold.

    The comment of a jpg is the text 'Comment' of a png, and the reverse.
    """
    if output_format == "webp":
        return None, ()
    text = dict(metadata.texts).get(_COMMENT_KEYWORD)
    if output_format == "jpg":
        comment = metadata.comment or (text.encode() if text else None)
        return (comment if comment and len(comment) <= MAX_SEGMENT_BYTES else None), ()
    texts = tuple(each for each in metadata.texts if _is_keyword(each[0]))
    if metadata.comment and text is None:
        texts += ((_COMMENT_KEYWORD, _as_text(metadata.comment)),)
    return None, texts


def _is_keyword(name: str) -> bool:
    """Return whether a name may be the keyword of a PNG's text: 1 to 79 characters of Latin-1."""
    return 1 <= len(name) <= _MAX_KEYWORD_CHARACTERS and name.isprintable() and _is_latin(name)


def _is_latin(text: str) -> bool:
    return not text or max(text) <= "\xff"


def _as_text(comment: bytes) -> str:
    comment = comment.rstrip(b"\0").replace(b"\0", b" ")
    try:
        return comment.decode()
    except UnicodeDecodeError:
        return comment.decode("latin-1")


def _resources(iptc: bytes | None) -> bytes:
    """Return IPTC records as the body of a Photoshop segment."""
    if not iptc:
        return b""
    head = struct.pack(">4sHHL", b"8BIM", IPTC_RESOURCE, 0, len(iptc))
    return RESOURCE_PREFIX + head + iptc + bytes(len(iptc) % 2)


def iptc_segment(iptc: bytes | None) -> bytes:
    """Return the segment of a JPEG that holds IPTC records; no bytes without them."""
    body = _resources(iptc)
    return struct.pack(">BBH", 0xFF, _APP13, len(body) + 2) + body if body else b""


def png_chunks_of(attachments: Attachments) -> bytes:
    """Return the chunks of a PNG that hold metadata, in the order that the format requires."""
    chunks = []
    if attachments.icc:
        chunks.append((b"iCCP", b"ICC profile\x00\x00" + zlib.compress(attachments.icc)))
    if attachments.dpi:
        density = (round(dpi * _INCHES_PER_METRE) for dpi in attachments.dpi)
        chunks.append((b"pHYs", struct.pack(">LLB", *density, _METRE)))
    if attachments.exif:
        chunks.append((b"eXIf", attachments.exif.removeprefix(EXIF_PREFIX)))
    if attachments.xmp:
        chunks.append((b"iTXt", XMP_KEYWORD.encode() + bytes(5) + attachments.xmp))
    if attachments.iptc:
        profile = _resources(attachments.iptc).removeprefix(RESOURCE_PREFIX)
        coded = f"\niptc\n{len(profile):8}\n{profile.hex()}\n".encode()
        chunks.append((b"zTXt", b"Raw profile type iptc\x00\x00" + zlib.compress(coded)))
    chunks += [_text_chunk(keyword, text) for keyword, text in attachments.texts]
    return b"".join(png_chunk(kind, body) for kind, body in chunks)


def _text_chunk(keyword: str, text: str) -> tuple[bytes, bytes]:
    name = keyword.encode("latin-1")
    if _is_latin(text):
        return b"tEXt", name + b"\0" + text.replace("\0", " ").encode("latin-1")
    return b"iTXt", name + bytes(5) + text.replace("\0", " ").encode()
