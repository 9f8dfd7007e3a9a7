"""Whole files of every format and layout that is taken, small and large, from which the corpus makes its broken ones."""

import io
import random
import struct
import zlib
from functools import cache
from pathlib import Path

import numpy as np
from bombs import jpeg_segment, noise, png_header
from photofiles import (
    adobe_profile,
    chunk,
    cmyk_profile,
    exif_block,
    grey_profile,
    picture,
    png_file,
    tiff_file,
)
from photofiles import file_of as written
from PIL import Image

from restore.imaging.photo import Photo, encode

SAMPLES = Path(__file__).resolve().parent.parent.parent / "data"
EXIF = (
    b"Exif\0\0II*\0\x08\0\0\0\x02\0"
    + struct.pack("<HHLHH", 274, 3, 1, 6, 0)
    + struct.pack("<HHLL", 34853, 4, 1, 38)
    + bytes(20)
)
ICC = b"\0\0\2\x0clcms\2\x10\0\0mntrRGB XYZ " + bytes(500)


def deep_png(channels, alpha_channels=None):
    alpha = None if alpha_channels is None else noise(channels=alpha_channels, dtype=np.uint16)
    return encode(Photo("a", noise(channels=channels, dtype=np.uint16), alpha), "png", 90)[0]


def frames(format_name, **options):
    return written(
        noise(),
        format_name,
        save_all=True,
        append_images=[Image.fromarray(noise()[::-1])],
        **options,
    )


VALID = {
    "jpeg": written(noise(), "JPEG", quality=90),
    "jpeg-progressive": written(noise(), "JPEG", progressive=True),
    "jpeg-grey": written(noise(channels=1), "JPEG"),
    "jpeg-cmyk": written(Image.fromarray(noise(channels=4), "CMYK"), "JPEG"),
    "mpo": frames("MPO"),
    "png": written(noise(), "PNG"),
    "png-palette": written(Image.fromarray(noise()).quantize(16), "PNG", transparency=3),
    "png-16": deep_png(3),
    "png-grey-alpha-16": deep_png(1, 1),
    "apng": frames("PNG"),
    "webp": written(noise(), "WEBP"),
    "webp-lossless": written(noise(channels=4), "WEBP", lossless=True),
    "webp-animated": frames("WEBP"),
    "gif": written(noise(), "GIF"),
    "bmp": written(noise(), "BMP"),
    "tiff": written(noise(), "TIFF"),
    "tiff-deflate": written(noise(), "TIFF", compression="tiff_adobe_deflate"),
    "tiff-lzw-palette": written(
        Image.fromarray(noise()).quantize(16), "TIFF", compression="tiff_lzw"
    ),
    "tiff-grey-predicted": written(
        noise(channels=1), "TIFF", compression="tiff_lzw", tiffinfo={317: 2}
    ),
    "tiff-16": written(noise(channels=1, dtype=np.uint16), "TIFF"),
}
VALID |= {
    f"{kind.lower()}-tagged": written(noise(), kind, exif=EXIF, icc_profile=ICC)
    for kind in ("JPEG", "PNG", "WEBP")
}
BASELINE = ("jpeg", "jpeg-grey", "png", "webp", "gif", "bmp", "tiff", "tiff-deflate")


def suffix(name):
    """How a file of that kind is usually called."""
    return {"jpeg": "jpg", "mpo": "jpg", "apng": "png"}.get(name.split("-")[0], name.split("-")[0])


def without_adobe(jpeg):
    """A JPEG without Adobe's segment, which says what its inks are."""
    at = jpeg.index(b"\xff\xee")
    return jpeg[:at] + jpeg[at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big") :]


def with_adobe(jpeg, transform):
    return jpeg[:2] + jpeg_segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform])) + jpeg[2:]


def layouts():
    """Unusual files that are whole and right, by name."""
    cmyk, rgb, grey = VALID["jpeg-cmyk"], picture(24, 40), picture(24, 40)[..., 0]
    palette, rows = chunk(b"PLTE", bytes(range(48))), np.full((16, 4), 0x1B, np.uint8)
    made = {
        "png-palette-with-alphas": png_header(16, 16, 8, 3)
        + palette
        + chunk(b"tRNS", bytes(range(0, 160, 10)))
        + chunk(b"IDAT", zlib.compress((b"\0" + bytes(range(16))) * 16))
        + chunk(b"IEND", b""),
        "png-grey-with-key": png_file(grey, chunk(b"tRNS", b"\0\x80")),
        "png-rgb-with-key": png_file(rgb, chunk(b"tRNS", b"\0\x40\0\x40\0\x40")),
        "png-16-grey": deep_png(1),
        "png-16-rgba": png_file(noise(channels=4, dtype=np.uint16)),
        "png-16-rgb-with-key": png_file(
            noise(dtype=np.uint16), chunk(b"tRNS", b"\0\x40\0\x40\0\x40")
        ),
        "jpeg-cmyk-without-adobe": without_adobe(cmyk),
        "jpeg-ycck": with_adobe(without_adobe(cmyk), 2),
        "jpeg-cmyk-with-two-adobes": with_adobe(cmyk, 2),
        "jpeg-cmyk-with-profile": written(
            Image.fromarray(noise(channels=4), "CMYK"), "JPEG", icc_profile=cmyk_profile()
        ),
        "jpeg-grey-with-adobe": with_adobe(VALID["jpeg-grey"], 1),
        "jpeg-rgb-by-adobe": with_adobe(VALID["jpeg"], 0),
        "jpeg-subsampled": written(rgb, "JPEG", subsampling=2),
        "jpeg-restarts": written(rgb, "JPEG", restart_marker_blocks=1),
        "tiff-alpha": written(noise(channels=4), "TIFF"),
        "tiff-lab": written(Image.fromarray(noise(), "LAB"), "TIFF"),
        "tiff-cmyk": written(Image.fromarray(noise(channels=4), "CMYK"), "TIFF"),
        "tiff-jpeg": written(rgb, "TIFF", compression="jpeg"),
        "tiff-packbits": written(rgb, "TIFF", compression="packbits"),
        "tiff-fax": written(Image.fromarray(grey).convert("1"), "TIFF", compression="group4"),
        "tiff-motorola-16": tiff_file(noise(dtype=np.uint16), order=">"),
        "bmp-run-length": _run_length(),
        "bmp-palette": written(Image.fromarray(rgb).quantize(16), "BMP"),
        "gif-transparent": written(Image.fromarray(rgb).quantize(16), "GIF", transparency=3),
        "webp-exact": written(noise(channels=4), "WEBP", lossless=True, exact=True),
    }
    made |= {f"png-{bits}-bits": png_file(rows, bits=bits) for bits in (1, 2, 4)}
    for format_name in ("PNG", "TIFF"):
        for mode in ("1", "LA", "P"):
            made[f"{format_name.lower()}-mode-{mode}"] = written(
                Image.fromarray(rgb).convert(mode), format_name
            )
    return made


def _run_length():
    palette = b"".join(bytes([level, level, level, 0]) for level in range(256))
    runs = b"".join(bytes([40, 10 * row]) + b"\0\0" for row in range(24)) + b"\0\1"
    start = 54 + len(palette)
    head = b"BM" + struct.pack("<LLL", start + len(runs), 0, start)
    return (
        head
        + struct.pack("<LllHHLLllLL", 40, 40, 24, 1, 8, 1, len(runs), 0, 0, 256, 0)
        + palette
        + runs
    )


def oriented():
    """The same photo with every orientation, right or wrong, in every format that can say so."""
    made = {}
    for orientation in (0, *range(1, 9), 9, 255, 65_535):
        block = exif_block(orientation)
        made |= {
            f"{kind.lower()}-{orientation}": written(picture(), kind, exif=block)
            for kind in ("JPEG", "PNG", "WEBP")
        }
        made[f"tiff-{orientation}"] = tiff_file(picture(), {274: [orientation]})
    return made


def profiles():
    """ICC profiles by name: too large, of another class, or broken."""
    good = adobe_profile()
    made = {
        "adobe": good,
        "grey": grey_profile(),
        "cmyk": cmyk_profile(),
        "short": good[:131],
        "empty": b"\0",
        "text": b"profile" * 100,
    }
    made |= {
        "4-MB": good + bytes(2**22 - len(good)),
        "over-4-MB": good + bytes(2**22 + 1),
        "device-link": _with(good, 12, b"link"),
    }
    made |= {
        "abstract": _with(good, 12, b"abst"),
        "named": _with(good, 12, b"nmcl"),
        "input": _with(good, 12, b"scnr"),
    }
    made |= {
        "into-lab": _with(good, 20, b"Lab "),
        "of-twelve-colours": _with(good, 16, b"CCLR"),
        "not-acsp": _with(good, 36, b"none"),
    }
    return made | {
        "many-tags": _with(good, 128, b"\xff\xff\xff\xff"),
        "version-9": _with(good, 8, b"\x09\xff"),
    }


def _with(data, at, replacement):
    return data[:at] + replacement + data[at + len(replacement) :]


@cache
def face(margin_px=20):
    """One face, upright, 128 x 128, with so much of the photo around its box of 46 pixels."""
    with Image.open(SAMPLES / "1.jpg") as photo:
        box = (141 - margin_px, 69 - margin_px, 187 + margin_px, 115 + margin_px)
        return np.asarray(photo.convert("RGB").crop(box).resize((128, 128)))


def scenes():
    """Photos that decode well and are hard on what follows, each a function that builds it."""
    made = {}
    for name, colour in (("black", 0), ("white", 255), ("grey", 128), ("red", (255, 0, 0))):
        made[f"all-{name}.png"] = lambda colour=colour: written(
            Image.new("RGB", (96, 64), colour), "PNG"
        )
    made["all-black-16.png"] = lambda: encode(
        Photo("a", np.zeros((64, 96, 3), np.uint16)), "png", 90
    )[0]
    made["all-transparent.png"] = lambda: written(Image.new("RGBA", (96, 64), (9, 9, 9, 0)), "PNG")
    for height, width in ((8, 1200), (1200, 8), (8, 8), (9, 600), (600, 9)):
        made[f"strip-{width}x{height}.png"] = lambda height=height, width=width: written(
            picture(height, width), "PNG"
        )
    made["lines.png"] = lambda: written(
        np.repeat(np.arange(96, dtype=np.uint8)[:, None] % 2 * 255, 96, 1), "PNG"
    )
    made["noise.png"] = lambda: written(noise(96, 128), "PNG")
    made["300-faces.jpg"] = lambda: written(
        np.tile(face(1), (17, 18, 1)), "JPEG"
    )  # all 306 are found
    for name, place in {
        "top-left": np.s_[40:, 40:],
        "right": np.s_[:, :90],
        "bottom": np.s_[:90],
        "whole": np.s_[:],
    }.items():
        made[f"face-at-border-{name}.jpg"] = lambda place=place: written(
            np.ascontiguousarray(face()[place]), "JPEG"
        )
    for turns in (1, 2, 3):
        made[f"face-turned-{90 * turns}.jpg"] = lambda turns=turns: written(
            np.ascontiguousarray(np.rot90(face(), turns)), "JPEG"
        )
    made["face-mirrored.jpg"] = lambda: written(np.ascontiguousarray(face()[:, ::-1]), "JPEG")
    return made


def giants():
    """Photos as large as is just taken, by file name, with whether a result of their size can be written as JPEG."""
    return {
        "progressive.jpg": (
            lambda: _giant("JPEG", "RGB", (8333, 6000), progressive=True, subsampling=0),
            True,
        ),
        "baseline.jpg": (lambda: _giant("JPEG", "RGB", (8333, 6000)), True),
        "cmyk.jpg": (lambda: _giant("JPEG", "CMYK", (8333, 6000)), True),
        "rgba.png": (lambda: _giant("PNG", "RGBA", (8333, 6000), compress_level=1), True),
        "deep-rgba.png": (lambda: _flat_png(8333, 6000, 16, 6), True),
        "one-bit.png": (lambda: _flat_png(8333, 6000, 1, 0), True),
        "8-high.png": (lambda: _flat_png(6_250_000, 8, 8, 2), False),
        "8-wide.png": (lambda: _flat_png(8, 6_250_000, 8, 2), False),
        "lossless.webp": (
            lambda: _giant("WEBP", "RGB", (16_383, 3051), lossless=True, quality=0, method=0),
            True,
        ),
        "palette.gif": (lambda: _giant("GIF", "P", (8333, 6000)), True),
        "deflate.tif": (
            lambda: _giant("TIFF", "RGB", (8333, 6000), compression="tiff_adobe_deflate"),
            True,
        ),
        "lzw-rgba.tif": (
            lambda: _giant("TIFF", "RGBA", (8333, 6000), compression="tiff_lzw"),
            True,
        ),
    }


def _giant(format_name, mode, size_px, **options):
    tile = Image.fromarray(picture(64, 64)).convert(mode)
    image = Image.new(mode, size_px)
    if mode == "P":
        image.putpalette(tile.getpalette())
    image.paste(tile, (0, 0))
    out = io.BytesIO()
    image.save(out, format_name, **options)
    return out.getvalue()


def _flat_png(width, height, bits, colour_type):
    """A PNG of zeros, which never is in memory as a picture."""
    row_bytes = 1 + -(-width * bits * {0: 1, 2: 3, 6: 4}[colour_type] // 8)
    press, rows = zlib.compressobj(1), max(1, 2**20 // row_bytes)
    body = [
        press.compress(bytes(row_bytes * min(rows, height - first)))
        for first in range(0, height, rows)
    ]
    return (
        png_header(width, height, bits, colour_type)
        + chunk(b"IDAT", b"".join(body) + press.flush())
        + chunk(b"IEND", b"")
    )


def bent(data, edits):
    """Overwrite, remove or double a few bytes, at places from 0 to 1."""
    out = bytearray(data)
    for place, kind, value in edits:
        at = int(place * (len(out) - 1))
        if kind == "set":
            out[at] = value
        elif kind == "remove":
            del out[at : at + value]
        else:
            out[at:at] = out[at : at + value]
        if not out:
            break
    return bytes(out)


def random_edits(chance: random.Random):
    """One to six edits; half of them hit the first bytes, where the headers are."""
    kinds = ("set", "set", "remove", "double")
    reach = (1.0, 0.1)
    return [
        (chance.random() * chance.choice(reach), chance.choice(kinds), chance.randrange(256))
        for _ in range(chance.randint(1, 6))
    ]
