"""Hostile files with unusual or damaged EXIF, ICC and XMP metadata."""

import struct
from collections.abc import Iterator

from bombs import jpeg_segment, noise, png_with
from originals import EXIF, VALID, profiles, suffix
from photofiles import adobe_profile, chunk, exif_block, file_of
from specimens import ACCEPTED, Specimen, specimen_of

MAX_JPEG_SEGMENT_BYTES = 65_000


def metadata_specimens() -> Iterator[Specimen]:
    yield from _exif()
    yield from _profiles()
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
