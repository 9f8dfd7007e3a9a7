"""Hostile files with unusual or damaged EXIF, ICC, XMP, IPTC and texts."""

import struct
import zlib
from collections.abc import Iterator

from bombs import jpeg_segment, noise, png_with
from originals import EXIF, VALID, profiles, suffix
from photofiles import adobe_profile, chunk, exif_block, file_of
from specimens import ACCEPTED, Specimen, specimen_of

MAX_JPEG_SEGMENT_BYTES = 65_000


def metadata_specimens() -> Iterator[Specimen]:
    yield from _exif()
    yield from _profiles()
    yield from _captions()
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="9"' + b" a" * 400_000
    data = png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))
    yield specimen_of("metadata-xmp.png", "metadata", data, ACCEPTED)


def _exif() -> Iterator[Specimen]:
    loop = EXIF[6:14] + struct.pack("<HHHLLL", 1, 34665, 4, 1, 8, 8)
    blocks = {
        "64-kB": exif_block(6, comment_bytes=64_000),
        "500-kB": exif_block(6, comment_bytes=500_000),
        "2-MB": exif_block(6, comment_bytes=2 * 10**6),
        "empty": b"Exif\0\0",
        "text": b"Exif\0\0" + b"text" * 99,
        "own": EXIF,
        "loop": b"Exif\0\0" + loop,
        "entries": b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(12 * 65_535),
    }
    for name, block in blocks.items():
        is_large = len(block) > MAX_JPEG_SEGMENT_BYTES
        for kind in ("PNG", "WEBP") if is_large else ("JPEG", "PNG", "WEBP"):
            data = file_of(noise(), kind, exif=block)
            file_name = f"metadata-exif-{name}.{suffix(kind.lower())}"
            yield specimen_of(file_name, "metadata", data, ACCEPTED)
    segments = jpeg_segment(0xE1, exif_block(6, comment_bytes=60_000)) * 20
    data = VALID["jpeg"][:2] + segments + VALID["jpeg"][2:]
    yield specimen_of("metadata-exif-20-segments.jpg", "metadata", data, ACCEPTED)


def _profiles() -> Iterator[Specimen]:
    for name, icc in profiles().items():
        for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
            data = file_of(noise(), kind, icc_profile=icc)
            file_name = f"metadata-icc-{name}.{suffix(kind.lower())}"
            yield specimen_of(file_name, "metadata", data, ACCEPTED)
    for number, total in ((0, 0), (1, 0), (9, 3), (255, 255)):
        body = b"ICC_PROFILE\0" + bytes([number, total]) + adobe_profile()
        data = VALID["jpeg"][:2] + jpeg_segment(0xE2, body) * 3 + VALID["jpeg"][2:]
        file_name = f"metadata-icc-segment-{number}-of-{total}.jpg"
        yield specimen_of(file_name, "metadata", data, ACCEPTED)


def _captions() -> Iterator[Specimen]:
    """XMP, IPTC and texts of hostile sizes and contents."""
    parts = {
        "positions": b"<a:gps>" * 140_000,
        "attributes": b' a:gps="1"' * 100_000,
        "thumbnails": b"<xmp:Thumbnails>" * 60_000,
        "spaces": b" " * 10**6,
        "not-text": bytes(range(256)) * 4000,
        "open-position": b"<exif:GPSLatitude>52,30N",
    }
    for name, xmp in parts.items():
        data = file_of(noise(), "WEBP", xmp=xmp)
        yield specimen_of(f"metadata-xmp-{name}.webp", "metadata", data, ACCEPTED)
        body = b"http://ns.adobe.com/xap/1.0/\0" + xmp[:60_000]
        data = VALID["jpeg"][:2] + jpeg_segment(0xE1, body) * 5 + VALID["jpeg"][2:]
        yield specimen_of(f"metadata-xmp-{name}.jpg", "metadata", data, ACCEPTED)
    resources = {
        "long": b"8BIM\4\4\0\0\xff\xff\xff\xff" + bytes(99),
        "many": b"8BIM\4\4\0\0\0\0\0\0" * 4000,
        "cut": b"8BIM\4",
        "name": b"8BIM\4\4\xff",
        "records": b"\x1c" * 50_000,
    }
    for name, body in resources.items():
        segment = jpeg_segment(0xED, b"Photoshop 3.0\0" + body)
        data = VALID["jpeg"][:2] + segment * 9 + VALID["jpeg"][2:]
        yield specimen_of(f"metadata-iptc-{name}.jpg", "metadata", data, ACCEPTED)
        coded = f"\niptc\n{len(body)}\n{body.hex()}\n".encode()
        text = b"Raw profile type iptc\0\0" + zlib.compress(coded)
        data = png_with(chunk(b"zTXt", text))
        yield specimen_of(f"metadata-iptc-{name}.png", "metadata", data, ACCEPTED)
    for keyword in ("exif", "app1", "icc", "xmp", "8bim"):
        for number, coded in enumerate((b"\nx\n9\n45", b"\nx\n4\n49492a00\n", b"\n" * 10**5)):
            data = png_with(chunk(b"tEXt", b"Raw profile type " + keyword.encode() + b"\0" + coded))
            yield specimen_of(f"metadata-raw-{keyword}-{number}.png", "metadata", data, ACCEPTED)
    comments = jpeg_segment(0xFE, b"c" * 60_000) * 100
    data = VALID["jpeg"][:2] + comments + VALID["jpeg"][2:]
    yield specimen_of("metadata-100-comments.jpg", "metadata", data, ACCEPTED)
