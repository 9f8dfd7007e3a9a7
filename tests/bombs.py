"""Small files that cost much: headers that claim more than may come in, streams that swell, and files of too many parts."""

import io
import struct
import zlib

import numpy as np
from photofiles import chunk, file_of
from PIL import Image

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
FULL_BYTES = 32 * 2**20 - 4096  # nearly as much as is taken


def noise(height=24, width=40, channels=3, dtype=np.uint8):
    return (
        np.random.default_rng(5)
        .integers(0, np.iinfo(dtype).max + 1, (height, width, channels))
        .astype(dtype)
        .squeeze()
    )


# Headers


def png_header(width, height, bits=8, colour_type=2):
    return PNG_MAGIC + chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    )


def png_bomb(width, height):
    return (
        png_header(width, height) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def tiff_directory(entries, order="<", following=0):
    """A TIFF's head and one directory of (tag, type, count, value or offset)."""
    rows = b"".join(struct.pack(order + "HHLL", *entry) for entry in entries)
    head = b"II*\0" if order == "<" else b"MM\0*"
    return (
        head
        + struct.pack(order + "LH", 8, len(entries))
        + rows
        + struct.pack(order + "L", following)
    )


def tiff_bomb(width, height):
    sides = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 200),
        (277, 3, 1, 1),
    ]
    return tiff_directory([*sides, (278, 4, 1, height), (279, 4, 1, 8)]).ljust(300, b"\0")


def bmp_header(width, height, bits=24, compression=0, body_bytes=0, palette=b""):
    start = 54 + len(palette)
    fields = (40, width, height, 1, bits, compression, body_bytes, 0, 0, len(palette) // 4, 0)
    return (
        b"BM"
        + struct.pack("<LLL", start + body_bytes, 0, start)
        + struct.pack("<LllHHLLllLL", *fields)
        + palette
    )


def bmp_bomb(width, height):
    return bmp_header(width, height) + bytes(99)


def gif_bomb(width, height):
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0)
    return screen + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x08\x01\0\0;"


def jpeg_bomb(width, height, bits=8, frame=0xC0):
    header = (
        bytes([0xFF, frame]) + struct.pack(">HBHHB", 11, bits, height, width, 1) + b"\x01\x11\0"
    )
    return b"\xff\xd8" + header + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" + bytes(50)


def webp_bomb(width, height):
    body = b"VP8L" + struct.pack("<LBL", 5, 0x2F, (width - 1) | (height - 1) << 14) + b"\0"
    return b"RIFF" + struct.pack("<L", len(body) + 4) + b"WEBP" + body


HEADERS = {
    "png": png_bomb,
    "tiff": tiff_bomb,
    "bmp": bmp_bomb,
    "gif": gif_bomb,
    "jpg": jpeg_bomb,
    "webp": webp_bomb,
}
LARGEST_SIDE_PX = {
    "png": 2**31 - 1,
    "tiff": 2**31 - 1,
    "bmp": 2**31 - 1,
    "gif": 65_535,
    "jpg": 65_500,
    "webp": 16_383,
}

BOMBS = {
    "png-60-mp": png_bomb(10_000, 6_000),
    "png-100-mp-past-pillow's-warning": png_bomb(10_000, 10_000),
    "png-31-bits": png_bomb(2**31 - 1, 2**31 - 1),
    "png-one-column-too-many": png_bomb(1, 50_000_001),
    "tiff": tiff_bomb(60_000, 60_000),
    "tiff-60-mp": tiff_bomb(10_000, 6_000),
    "bmp": bmp_bomb(60_000, 60_000),
    "bmp-upside-down": bmp_bomb(10_000, -6_000),
    "gif": gif_bomb(65_535, 65_535),
    "gif-60-mp": gif_bomb(10_000, 6_000),
    "jpeg": jpeg_bomb(65_500, 65_500),
    "jpeg-60-mp": jpeg_bomb(10_000, 6_000),
    "webp": webp_bomb(16_383, 16_383),
    "webp-60-mp": webp_bomb(10_000, 6_000),
}


# Streams that swell


def zeros(mebibytes):
    """A zlib stream of so many MiB of zeros, a thousandth of that."""
    press, block = zlib.compressobj(9), bytes(2**20)
    return b"".join(press.compress(block) for _ in range(mebibytes)) + press.flush()


def png_with(*chunks):
    """A small PNG with chunks before its samples."""
    plain = file_of(noise(), "PNG")
    return plain[:33] + b"".join(chunks) + plain[33:]


def swollen_png(mebibytes):
    """40 x 24 pixels, and samples for thousands of such pictures."""
    return png_header(40, 24) + chunk(b"IDAT", zeros(mebibytes)) + chunk(b"IEND", b"")


def swollen_tiff(mebibytes):
    stream = zeros(mebibytes)
    sides = [
        (256, 4, 1, 40),
        (257, 4, 1, 24),
        (258, 3, 1, 8),
        (259, 3, 1, 8),
        (262, 3, 1, 1),
        (273, 4, 1, 200),
        (277, 3, 1, 1),
    ]
    return (
        tiff_directory([*sides, (278, 4, 1, 24), (279, 4, 1, len(stream))]).ljust(200, b"\0")
        + stream
    )


# Too many parts


def repeated(unit, size_bytes=FULL_BYTES):
    return unit * (size_bytes // len(unit))


def jpeg_segment(marker, body):
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def huffman_table(kind, value):
    """A table of one code, the bit 0."""
    return jpeg_segment(0xC4, bytes([kind << 4, 1]) + bytes(15) + bytes([value]))


def scans_bomb(width, height, scans):
    """A grey progressive JPEG in which every scan after the first says of all blocks, in 15 bits for 32,767, that they have nothing."""
    blocks = -(-width // 8) * -(-height // 8)
    bits = ("0" + "1" * 14) * (blocks // 32_767 + 1)
    bits += "1" * (-len(bits) % 8)
    nothing = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    frame = jpeg_segment(0xC2, struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0")
    tables = (
        jpeg_segment(0xDB, b"\0" + bytes([1] * 64)) + huffman_table(0, 0) + huffman_table(1, 0xE0)
    )
    first = jpeg_segment(0xDA, b"\1\1\0\0\0\0") + bytes(-(-blocks // 8))
    return (
        b"\xff\xd8"
        + tables
        + frame
        + first
        + (jpeg_segment(0xDA, b"\1\1\0\1\x3f\0") + nothing) * scans
        + b"\xff\xd9"
    )


def run_length_bmp(width, height, runs, bits=8):
    palette = b"".join(bytes([level, level, level, 0]) for level in range(256 if bits == 8 else 16))
    return bmp_header(width, height, bits, 1 if bits == 8 else 2, len(runs), palette) + runs


def strips_bomb(width, height):
    """A TIFF whose every row is a strip, and all strips the same bytes."""
    sides = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, height, 400),
    ]
    head = tiff_directory(
        [*sides, (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, height, 400 + 4 * height)]
    ).ljust(400, b"\0")
    return head + struct.pack("<L", 100) * height + struct.pack("<L", width) * height


def big_tiff(entries):
    """A BigTIFF directory of so many entries, each of one number."""
    rows = b"".join(
        struct.pack("<HHQQ", 256 + index % 60_000, 3, 1, 40) for index in range(entries)
    )
    return b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, entries) + rows


def _within(data, at, unit, size_bytes):
    return data[:at] + repeated(unit, size_bytes) + data[at:]


def _gif():
    out = io.BytesIO()
    Image.fromarray(noise()).quantize(16).save(out, "GIF")
    data = out.getvalue()
    return data, 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)


def floods(size_bytes=FULL_BYTES):
    """Files of too many parts by name, each a function that builds it."""
    jpeg, png, (gif, blocks) = file_of(noise(), "JPEG"), file_of(noise(), "PNG"), _gif()
    runs = {"runs": b"\1\5", "literals": b"\0\5abcde\0", "line-ends": b"\0\0"}
    built = {
        f"png-{kind.decode()}": (png, 33, chunk(kind, body))
        for kind, body in ((b"teSt", b""), (b"IDAT", b""), (b"tEXt", b"a\0b"))
    }
    built["png-after"] = png, len(png) - 12, chunk(b"teSt", b"")
    segments = {
        "comments": jpeg_segment(0xFE, b""),
        "fill": b"\xff",
        "junk": b"a",
        "exif": jpeg_segment(0xE1, b"Exif\0\0"),
    }
    segments |= {
        "icc": jpeg_segment(0xE2, b"ICC_PROFILE\0\1\1"),
        "tables": jpeg_segment(0xDB, b"\0" + bytes([1] * 64)),
    }
    segments |= {"huffman": huffman_table(0, 0), "restarts": b"\xff\xd0"}
    built |= {
        f"jpeg-{name}": (jpeg, 20, unit) for name, unit in segments.items()
    }  # after JFIF's segment
    built |= {
        f"gif-{name}": (gif, blocks, unit)
        for name, unit in (("comments", b"!\xfe\0"), ("nothing", b"\0"))
    }
    built |= {
        "gif-after": (gif, len(gif) - 1, b"!\xfe\0"),
        "gif-samples": (gif, len(gif) - 2, b"\1\0"),
    }
    made = {name: lambda parts=parts: _within(*parts, size_bytes) for name, parts in built.items()}
    made |= {
        f"bmp-{name}": lambda unit=unit: run_length_bmp(7000, 7000, repeated(unit, size_bytes))
        for name, unit in runs.items()
    }
    made["bmp-4-bits"] = lambda: run_length_bmp(7000, 7000, repeated(b"\xff\x12", size_bytes), 4)
    made["tiff-strips"] = lambda: strips_bomb(8, min(size_bytes // 8, 4_000_000))
    made["tiff-entries"] = lambda: big_tiff(size_bytes // 20)
    return made
