"""Identification of a file's format by its content; the file name is never used."""

from __future__ import annotations

import re

from restore.errors import Code, RestoreError

_FORMATS = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("WEBP", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    # 'CR' after the header marks a Canon raw file.
    ("TIFF", re.compile(rb"(II[*+]\x00|MM\x00[*+])....(?!CR)", re.DOTALL)),
    # The size of the info header, in each of its versions, tells a bitmap from text.
    ("BMP", re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00", re.DOTALL)),
    # A bitmap without a file header, as on the clipboard: header size, width, height, one plane,
    # bits per pixel.
    (
        "DIB",
        re.compile(
            rb"(\x0c\x00\x00\x00.{4}|[\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00.{8})"
            rb"\x01\x00[\x01\x04\x08\x10\x18\x20]\x00",
            re.DOTALL,
        ),
    ),
)
_BMP_FILE_HEADER_BYTES = 14
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset(
    {
        *(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
        *(b"mif1", b"mif2", b"msf1"),
    }
)
_MAX_BRANDS = 100
_UNSUPPORTED = (
    ("a camera raw file", re.compile(rb"II[*+]\x00|MM\x00[*+]|....ftypcrx", re.DOTALL)),
    ("a video", re.compile(rb"....ftyp|RIFF....AVI |\x1aE\xdf\xa3", re.DOTALL)),
    ("PDF", re.compile(rb"%PDF")),
    ("PostScript", re.compile(rb"%!PS|\xc5\xd0\xd3\xc6")),
    ("a Photoshop document", re.compile(rb"8BPS")),
    ("JPEG XL", re.compile(rb"\xff\x0a|\x00\x00\x00\x0cJXL ")),
    ("JPEG 2000", re.compile(rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51")),
    ("a ZIP archive (.livp files are, too)", re.compile(rb"PK\x03\x04")),
    ("SVG", re.compile(rb".{0,1000}<svg", re.DOTALL | re.IGNORECASE)),
    ("an HTML page", re.compile(rb".{0,1000}<(!doctype )?html", re.DOTALL | re.IGNORECASE)),
    ("text", re.compile(rb"[\t\n\f\r -\x7e\x80-\xff]{16,1024}\Z")),
)
_MAX_HEAD_BYTES = 1024


def identify(data: bytes, name: str) -> str:
    """Return the format of a file by its content.

    It is 'JPEG', 'PNG', 'GIF', 'WEBP', 'HEIC', 'AVIF', 'TIFF', 'BMP' or 'DIB'.

    Args:
        data: the content of the file.
        name: the photo's name, for error messages.

    Raises:
        RestoreError: PHOTO_FORMAT for every other content.
    """
    for file_format, signature in _FORMATS:
        if signature.match(data):
            return file_format
    brands = _brands(data)
    if brands & _AVIF_BRANDS:
        return "AVIF"
    if brands & _HEIC_BRANDS and b"crx " not in brands:
        return "HEIC"
    raise RestoreError(
        Code.PHOTO_FORMAT,
        _rejection(data),
        "Send JPEG, PNG, WebP, HEIC, AVIF, TIFF, BMP or GIF.",
        photo=name,
    )


def dib_as_bmp(data: bytes) -> bytes:
    """Add a file header to a DIB, a bitmap without one.

    The offset of the pixels is left 0: they follow the header, the masks and the palette.
    """
    size = len(data) + _BMP_FILE_HEADER_BYTES
    return b"BM" + size.to_bytes(4, "little") + bytes(8) + data


def _brands(data: bytes) -> frozenset[bytes]:
    """Return the brands of a file of the ISO base media format; none for other files."""
    if data[4:8] != b"ftyp":
        return frozenset()
    end = min(int.from_bytes(data[:4], "big"), len(data), 4 * _MAX_BRANDS)
    # The version of the first brand lies between it and the others.
    return frozenset({data[8:12], *(data[at : at + 4] for at in range(16, end, 4))})


def _rejection(data: bytes) -> str:
    """Say why content is not supported, with the format that it appears to have."""
    head = data[:_MAX_HEAD_BYTES]
    for description, signature in _UNSUPPORTED:
        if signature.match(head):
            return f"its content looks like {description}, which is not supported"
    return "its content is in no format that is known"
