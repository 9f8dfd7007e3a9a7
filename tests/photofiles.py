"""Image files, colour profiles and EXIF blocks built by hand, as no writer makes them, and the pictures in them."""

import io
import struct
import zlib

import numpy as np
from PIL import ExifTags, Image, ImageCms

FORMATS = ("jpg", "png", "webp")
ADOBE_TO_XYZ = np.array(
    [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
)
ADOBE_GAMMA = 563 / 256


def picture(height=48, width=64):
    """Smooth, and unlike itself under every mirroring and turn."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = 70 + 110 * x / width, 60 + 120 * y / height
    return (
        np.stack([red, green, 90 + 60 * np.sin(x / 9 + y / 23)], axis=-1).round().astype(np.uint8)
    )


def deep_picture(channels, height=20, width=30):
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(channels).integers(0, 65536, shape).astype(np.uint16)


def file_of(pixels, format_name, mode=None, **options):
    out = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels, mode)
    image.save(out, format_name, **options)
    return out.getvalue()


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_file(samples, *chunks, bits=None):
    """A PNG whose colour type follows from the channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA; uint8 rows may be packed bits."""
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


def tiff_file(samples, tags=None, *, order="<"):
    """An uncompressed TIFF of one strip; `tags` are SHORTs that replace or add to the usual ones."""
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
    entries |= {277: [channels], 278: [height], 284: [1]} | (tags or {})
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


def profile(space, tags, device_class=b"mntr", pcs=b"XYZ "):
    """An ICC profile of version 2 from its tags' data."""
    tags = {
        b"desc": b"desc\0\0\0\0\0\0\0\x05Test\0" + bytes(78),
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
    } | tags
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
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
        + struct.pack(">I", len(tags))
        + table
        + body
    )


def xyz(*values):
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def curve(gamma):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def adobe_profile(**options):
    columns = {
        name: xyz(*ADOBE_TO_XYZ[:, index]) for index, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))
    }
    columns[b"wtpt"] = xyz(0.9505, 1.0, 1.0891)  # as Adobe's own profile has it
    return profile(
        b"RGB ", columns | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve(ADOBE_GAMMA)), **options
    )


def grey_profile():
    return profile(b"GRAY", {b"kTRC": curve(1.8)})


def cmyk_profile():
    """Inks of another world: cyan prints yellow, the others are black."""
    corners = bytearray()
    for c, m, y, k in np.ndindex(2, 2, 2, 2):
        lightness, b = (0, 0) if m or y or k else (80, 70) if c else (100, 0)
        corners += bytes([round(lightness * 2.55), 128, 128 + b])
    ramp = bytes(range(256))
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut = b"mft1\0\0\0\0\x04\x03\x02\0" + identity + ramp * 4 + bytes(corners) + ramp * 3
    return profile(b"CMYK", {b"A2B0": lut}, device_class=b"prtr", pcs=b"Lab ")


def scanner_profile():
    """RGB by a table, one way only; its black is no darker than L* 20."""
    corners = bytearray()
    for r, g, b in np.ndindex(2, 2, 2):
        corners += bytes([51 + 68 * (r + g + b), 128 + 40 * (r - g), 128 + 40 * (g - b)])
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    ramp = bytes(range(256))
    lut = b"mft1\0\0\0\0\x03\x03\x02\0" + identity + ramp * 3 + bytes(corners) + ramp * 3
    return profile(b"RGB ", {b"A2B0": lut, b"A2B1": lut}, device_class=b"scnr", pcs=b"Lab ")


def srgb_profile():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif_block(orientation=None, comment_bytes=0, gps=True):
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


def exif_of(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image.getexif()


def levels_apart(a, b):
    return np.abs(a.astype(int) - b.astype(int)).max()
