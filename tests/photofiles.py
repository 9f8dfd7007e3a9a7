"""Builders of test photos: pixels, image files, colour profiles and EXIF blocks."""

import io
import struct
import zlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from restore.errors import RestoreError
from restore.imaging.limits import LIMITS, Limits
from restore.imaging.photo import Photo, decode

FORMATS = ("jpg", "png", "webp")
ADOBE_TO_XYZ = np.array(
    [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
)
ADOBE_GAMMA = 563 / 256


def decode_error(data: bytes, name: str = "a.jpg", limits: Limits = LIMITS) -> RestoreError:
    """Decode a file that must be rejected, and return the error."""
    with pytest.raises(RestoreError) as caught:
        decode(data, name, limits)
    assert str(caught.value).startswith(f"[{caught.value.code}] photo '{name}': ")
    return caught.value


def alpha_of(photo: Photo) -> np.ndarray:
    """Return the alpha of a photo that must have one."""
    assert photo.alpha is not None
    return photo.alpha


def picture(height: int = 48, width: int = 64) -> np.ndarray:
    """Return a smooth RGB picture that differs from each of its reflections and rotations."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = 70 + 110 * x / width, 60 + 120 * y / height
    return (
        np.stack([red, green, 90 + 60 * np.sin(x / 9 + y / 23)], axis=-1).round().astype(np.uint8)
    )


def deep_picture(channels: int, height: int = 20, width: int = 30) -> np.ndarray:
    """Return random 16-bit pixels."""
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(channels).integers(0, 65536, shape).astype(np.uint16)


def file_of(
    pixels: np.ndarray | Image.Image, format_name: str, mode: str | None = None, **options: Any
) -> bytes:
    """Encode pixels with Pillow."""
    out = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels, mode)
    image.save(out, format_name, **options)
    return out.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a PNG chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_file(samples: np.ndarray, *chunks: bytes, bits: int | None = None) -> bytes:
    """Return a PNG of grey (1 channel), grey with alpha (2), RGB (3) or RGBA (4) samples.

    Args:
        samples: HxW or HxWxC, uint8 or uint16.
        chunks: further chunks, placed before the samples.
        bits: bits per sample if the uint8 rows hold packed samples.
    """
    height, row = len(samples), samples.reshape(len(samples), -1)
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    width = row.shape[1] // channels if bits is None else row.shape[1] * 8 // bits
    depth = bits or samples.dtype.itemsize * 8
    raw = b"".join(b"\0" + line.astype(line.dtype.newbyteorder(">")).tobytes() for line in row)
    header = struct.pack(
        ">IIBBBBB", width, height, depth, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0
    )
    body = b"".join(
        [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(raw)), chunk(b"IEND", b"")]
    )
    return b"\x89PNG\r\n\x1a\n" + body


def tiff_file(
    samples: np.ndarray,
    tags: Mapping[int, list[int]] | None = None,
    *,
    order: Literal["<", ">"] = "<",
) -> bytes:
    """Return an uncompressed TIFF with one strip; `tags` are SHORT values that override or add."""
    height, width = samples.shape[:2]
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    strip = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    entries = {
        256: [width],
        257: [height],
        258: [samples.dtype.itemsize * 8] * channels,
        259: [1],
        262: [2 if channels > 2 else 1],
    }
    entries |= {277: [channels], 278: [height], 284: [1]} | dict(tags or {})
    start = 8 + 2 + 12 * (len(entries) + 2) + 4
    extra, rows = b"", []
    for tag in sorted([*entries, 273, 279]):
        if tag in (273, 279):
            rows.append(struct.pack(order + "HHLL", tag, 4, 1, 4096 if tag == 273 else len(strip)))
            continue
        values = struct.pack(f"{order}{len(entries[tag])}H", *entries[tag])
        field = (
            values.ljust(4, b"\0")
            if len(values) <= 4
            else struct.pack(order + "L", start + len(extra))
        )
        extra += values if len(values) > 4 else b""
        rows.append(struct.pack(order + "HHL", tag, 3, len(entries[tag])) + field)
    head = (
        (b"II*\0" if order == "<" else b"MM\0*")
        + struct.pack(order + "LH", 8, len(rows))
        + b"".join(rows)
        + bytes(4)
        + extra
    )
    return head.ljust(4096, b"\0") + strip


def profile(
    space: bytes,
    tags: Mapping[bytes, bytes],
    device_class: bytes = b"mntr",
    pcs: bytes = b"XYZ ",
) -> bytes:
    """Return an ICC profile of version 2 with these tags."""
    all_tags = {
        b"desc": b"desc\0\0\0\0\0\0\0\x05Test\0" + bytes(78),
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
    } | dict(tags)
    table, body, at = b"", b"", 128 + 4 + 12 * len(all_tags)
    for name, data in all_tags.items():
        padded = data + bytes(-len(data) % 4)
        table += name + struct.pack(">II", at + len(body), len(data))
        body += padded
    size = at + len(body)
    head = (
        struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02400000, device_class, space, pcs)
        + bytes(12)
        + b"acsp"
        + bytes(28)
    )
    return (
        (head + struct.pack(">3i", 63190, 65536, 54061)).ljust(128, b"\0")
        + struct.pack(">I", len(all_tags))
        + table
        + body
    )


def xyz(*values: float) -> bytes:
    """Return the data of an XYZ tag."""
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def curve(gamma: float) -> bytes:
    """Return the data of a tone curve tag."""
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def adobe_profile(**options: bytes) -> bytes:
    """Return a profile of the Adobe RGB (1998) space."""
    columns = {
        name: xyz(*ADOBE_TO_XYZ[:, index]) for index, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))
    }
    columns[b"wtpt"] = xyz(0.9505, 1.0, 1.0891)  # as in Adobe's own profile
    return profile(
        b"RGB ", columns | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve(ADOBE_GAMMA)), **options
    )


def grey_profile() -> bytes:
    return profile(b"GRAY", {b"kTRC": curve(1.8)})


def cmyk_profile() -> bytes:
    """Return a profile in which cyan is yellow and the other inks are black."""
    corners = bytearray()
    for c, m, y, k in np.ndindex(2, 2, 2, 2):
        lightness, b = (0, 0) if m or y or k else (80, 70) if c else (100, 0)
        corners += bytes([round(lightness * 2.55), 128, 128 + b])
    ramp = bytes(range(256))
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut = b"mft1\0\0\0\0\x04\x03\x02\0" + identity + ramp * 4 + bytes(corners) + ramp * 3
    return profile(b"CMYK", {b"A2B0": lut}, device_class=b"prtr", pcs=b"Lab ")


def scanner_profile() -> bytes:
    """Return an input-only RGB profile by a table, whose darkest colour is L* 20."""
    corners = bytearray()
    for r, g, b in np.ndindex(2, 2, 2):
        corners += bytes([51 + 68 * (r + g + b), 128 + 40 * (r - g), 128 + 40 * (g - b)])
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    ramp = bytes(range(256))
    lut = b"mft1\0\0\0\0\x03\x03\x02\0" + identity + ramp * 3 + bytes(corners) + ramp * 3
    return profile(b"RGB ", {b"A2B0": lut, b"A2B1": lut}, device_class=b"scnr", pcs=b"Lab ")


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif_block(orientation: int | None = None, comment_bytes: int = 0, gps: bool = True) -> bytes:
    """Return an EXIF block with a maker, a date, a width, and optionally a GPS position."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = "1926:05:04 03:02:01"
    details[ExifTags.Base.ExifImageWidth] = 4000
    if comment_bytes:
        details[ExifTags.Base.UserComment] = b"c" * comment_bytes
    if gps:
        exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return exif.tobytes()


def exif_of(data: bytes) -> Image.Exif:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image.getexif()


def levels_apart(a: np.ndarray, b: np.ndarray) -> int:
    """Return the largest difference of two arrays."""
    return int(np.abs(a.astype(int) - b.astype(int)).max())
