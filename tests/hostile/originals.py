"""Intact files of every supported format and layout, which the corpus damages."""

import random
import struct
import zlib
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from bombs import jpeg_segment, noise, png_header, run_length_bmp
from heiffiles import avif_file, deep_avif_file, heic_file, phone_heic
from photofiles import (
    adobe_profile,
    chunk,
    cmyk_profile,
    exif_block,
    file_of,
    grey_profile,
    picture,
    png_file,
    tiff_file,
)
from PIL import Image

from restore.imaging.encode import encode
from restore.imaging.photo import Photo

SAMPLES = Path(__file__).resolve().parent.parent.parent / "data"
EXIF = (
    b"Exif\0\0II*\0\x08\0\0\0\x02\0"
    + struct.pack("<HHLHH", 274, 3, 1, 6, 0)
    + struct.pack("<HHLL", 34853, 4, 1, 38)
    + bytes(20)
)
ICC = b"\0\0\2\x0clcms\2\x10\0\0mntrRGB XYZ " + bytes(500)


def deep_png(channels: int, alpha_channels: int | None = None) -> bytes:
    """Return a 16-bit PNG as this project writes it."""
    alpha = None if alpha_channels is None else noise(channels=alpha_channels, dtype=np.uint16)
    return encode(Photo("a", noise(channels=channels, dtype=np.uint16), alpha), "png", 90)[0]


def animation(format_name: str, **options: Any) -> bytes:
    """Return a file with two frames."""
    return file_of(
        noise(),
        format_name,
        save_all=True,
        append_images=[Image.fromarray(noise()[::-1])],
        **options,
    )


VALID = {
    "jpeg": file_of(noise(), "JPEG", quality=90),
    "jpeg-progressive": file_of(noise(), "JPEG", progressive=True),
    "jpeg-grey": file_of(noise(channels=1), "JPEG"),
    "jpeg-cmyk": file_of(Image.fromarray(noise(channels=4), "CMYK"), "JPEG"),
    "mpo": animation("MPO"),
    "png": file_of(noise(), "PNG"),
    "png-palette": file_of(Image.fromarray(noise()).quantize(16), "PNG", transparency=3),
    "png-16": deep_png(3),
    "png-grey-alpha-16": deep_png(1, 1),
    "apng": animation("PNG"),
    "webp": file_of(noise(), "WEBP"),
    "webp-lossless": file_of(noise(channels=4), "WEBP", lossless=True),
    "webp-animated": animation("WEBP"),
    "gif": file_of(noise(), "GIF"),
    "bmp": file_of(noise(), "BMP"),
    "tiff": file_of(noise(), "TIFF"),
    "tiff-deflate": file_of(noise(), "TIFF", compression="tiff_adobe_deflate"),
    "tiff-lzw-palette": file_of(
        Image.fromarray(noise()).quantize(16), "TIFF", compression="tiff_lzw"
    ),
    "tiff-grey-predicted": file_of(
        noise(channels=1), "TIFF", compression="tiff_lzw", tiffinfo={317: 2}
    ),
    "tiff-16": file_of(noise(channels=1, dtype=np.uint16), "TIFF"),
    "heic": heic_file(noise()),
    "heic-phone": phone_heic(),
    "heic-alpha-16": heic_file(noise(channels=4, dtype=np.uint16)),
    "avif": avif_file(noise()),
    "avif-alpha": avif_file(noise(channels=4), exif=EXIF, icc_profile=ICC),
    "avif-10": deep_avif_file(noise(dtype=np.uint16) >> 6, 10),
    "avif-animated": animation("AVIF"),
}
VALID |= {
    f"{kind.lower()}-tagged": file_of(noise(), kind, exif=EXIF, icc_profile=ICC)
    for kind in ("JPEG", "PNG", "WEBP")
}
BASELINE = (
    *("jpeg", "jpeg-grey", "png", "webp", "gif", "bmp", "tiff", "tiff-deflate"),
    *("heic", "heic-phone", "avif"),
)


def suffix(name: str) -> str:
    """Return the file extension for a name such as 'jpeg-grey'."""
    kind = name.split("-", maxsplit=1)[0]
    return {"jpeg": "jpg", "mpo": "jpg", "apng": "png"}.get(kind, kind)


def without_adobe(jpeg: bytes) -> bytes:
    """Return a JPEG without the Adobe segment, which declares its colour transform."""
    at = jpeg.index(b"\xff\xee")
    return jpeg[:at] + jpeg[at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big") :]


def with_adobe(jpeg: bytes, transform: int) -> bytes:
    return jpeg[:2] + jpeg_segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform])) + jpeg[2:]


def layouts() -> dict[str, bytes]:
    """Return valid files with unusual layouts, by name."""
    return {**_png_layouts(), **_jpeg_layouts(), **_tiff_layouts(), **_other_layouts()}


def _png_layouts() -> dict[str, bytes]:
    rgb, grey = picture(24, 40), picture(24, 40)[..., 0]
    key, rows = chunk(b"tRNS", b"\0\x40\0\x40\0\x40"), np.full((16, 4), 0x1B, np.uint8)
    files = {
        "png-palette-with-alphas": png_header(16, 16, 8, 3)
        + chunk(b"PLTE", bytes(range(48)))
        + chunk(b"tRNS", bytes(range(0, 160, 10)))
        + chunk(b"IDAT", zlib.compress((b"\0" + bytes(range(16))) * 16))
        + chunk(b"IEND", b""),
        "png-grey-with-key": png_file(grey, chunk(b"tRNS", b"\0\x80")),
        "png-rgb-with-key": png_file(rgb, key),
        "png-16-grey": deep_png(1),
        "png-16-rgba": png_file(noise(channels=4, dtype=np.uint16)),
        "png-16-rgb-with-key": png_file(noise(dtype=np.uint16), key),
    }
    files |= {f"png-{bits}-bits": png_file(rows, bits=bits) for bits in (1, 2, 4)}
    return files | {f"png-mode-{mode}": _in_mode("PNG", mode) for mode in ("1", "LA", "P")}


def _jpeg_layouts() -> dict[str, bytes]:
    cmyk, inks = VALID["jpeg-cmyk"], Image.fromarray(noise(channels=4), "CMYK")
    return {
        "jpeg-cmyk-without-adobe": without_adobe(cmyk),
        "jpeg-ycck": with_adobe(without_adobe(cmyk), 2),
        "jpeg-cmyk-with-two-adobes": with_adobe(cmyk, 2),
        "jpeg-cmyk-with-profile": file_of(inks, "JPEG", icc_profile=cmyk_profile()),
        "jpeg-grey-with-adobe": with_adobe(VALID["jpeg-grey"], 1),
        "jpeg-rgb-by-adobe": with_adobe(VALID["jpeg"], 0),
        "jpeg-subsampled": file_of(picture(24, 40), "JPEG", subsampling=2),
        "jpeg-restarts": file_of(picture(24, 40), "JPEG", restart_marker_blocks=1),
    }


def _tiff_layouts() -> dict[str, bytes]:
    rgb, grey = picture(24, 40), picture(24, 40)[..., 0]
    files = {
        "tiff-alpha": file_of(noise(channels=4), "TIFF"),
        "tiff-lab": file_of(Image.fromarray(noise(), "LAB"), "TIFF"),
        "tiff-cmyk": file_of(Image.fromarray(noise(channels=4), "CMYK"), "TIFF"),
        "tiff-jpeg": file_of(rgb, "TIFF", compression="jpeg"),
        "tiff-packbits": file_of(rgb, "TIFF", compression="packbits"),
        "tiff-fax": file_of(Image.fromarray(grey).convert("1"), "TIFF", compression="group4"),
        "tiff-motorola-16": tiff_file(noise(dtype=np.uint16), order=">"),
    }
    return files | {f"tiff-mode-{mode}": _in_mode("TIFF", mode) for mode in ("1", "LA", "P")}


def _other_layouts() -> dict[str, bytes]:
    palette = Image.fromarray(picture(24, 40)).quantize(16)
    runs = b"".join(bytes([40, 10 * row]) + b"\0\0" for row in range(24)) + b"\0\1"
    return {
        "bmp-run-length": run_length_bmp(40, 24, runs),
        "bmp-palette": file_of(palette, "BMP"),
        "gif-transparent": file_of(palette, "GIF", transparency=3),
        "webp-exact": file_of(noise(channels=4), "WEBP", lossless=True, exact=True),
    }


def _in_mode(format_name: str, mode: str) -> bytes:
    return file_of(Image.fromarray(picture(24, 40)).convert(mode), format_name)


def oriented() -> dict[str, bytes]:
    """Return a photo with every valid and some invalid orientations, in four formats."""
    files: dict[str, bytes] = {}
    for orientation in (0, *range(1, 9), 9, 255, 65_535):
        block = exif_block(orientation)
        for kind in ("JPEG", "PNG", "WEBP"):
            files[f"{kind.lower()}-{orientation}"] = file_of(picture(), kind, exif=block)
        files[f"tiff-{orientation}"] = tiff_file(picture(), {274: [orientation]})
    return files


def profiles() -> dict[str, bytes]:
    """Return ICC profiles by name: valid, too large, of another class, or damaged."""
    valid = adobe_profile()
    return {
        "adobe": valid,
        "grey": grey_profile(),
        "cmyk": cmyk_profile(),
        "short": valid[:131],
        "empty": b"\0",
        "text": b"profile" * 100,
        "4-MB": valid + bytes(2**22 - len(valid)),
        "over-4-MB": valid + bytes(2**22 + 1),
        "device-link": _replace(valid, 12, b"link"),
        "abstract": _replace(valid, 12, b"abst"),
        "named": _replace(valid, 12, b"nmcl"),
        "input": _replace(valid, 12, b"scnr"),
        "into-lab": _replace(valid, 20, b"Lab "),
        "of-twelve-colours": _replace(valid, 16, b"CCLR"),
        "not-acsp": _replace(valid, 36, b"none"),
        "many-tags": _replace(valid, 128, b"\xff\xff\xff\xff"),
        "version-9": _replace(valid, 8, b"\x09\xff"),
    }


def _replace(data: bytes, at: int, replacement: bytes) -> bytes:
    return data[:at] + replacement + data[at + len(replacement) :]


@cache
def face(margin_px: int = 20) -> np.ndarray:
    """Return 128 x 128 pixels of an upright face, with a margin around its box of 46 pixels."""
    with Image.open(SAMPLES / "1.jpg") as photo:
        box = (141 - margin_px, 69 - margin_px, 187 + margin_px, 115 + margin_px)
        return np.asarray(photo.convert("RGB").crop(box).resize((128, 128)))


def scenes() -> dict[str, Callable[[], bytes]]:
    """Return builders of valid photos that are difficult for the tasks, by file name."""
    colours = (("black", 0), ("white", 255), ("grey", 128), ("red", (255, 0, 0)))
    builders: dict[str, Callable[[], bytes]] = {
        f"all-{name}.png": partial(file_of, Image.new("RGB", (96, 64), colour), "PNG")
        for name, colour in colours
    }
    black = Photo("a", np.zeros((64, 96, 3), np.uint16))
    builders["all-black-16.png"] = partial(bytes, encode(black, "png", 90)[0])
    transparent = Image.new("RGBA", (96, 64), (9, 9, 9, 0))
    builders["all-transparent.png"] = partial(file_of, transparent, "PNG")
    for height, width in ((8, 1200), (1200, 8), (8, 8), (9, 600), (600, 9)):
        strip = picture(height, width)
        builders[f"strip-{width}x{height}.png"] = partial(file_of, strip, "PNG")
    lines = np.repeat(np.arange(96, dtype=np.uint8)[:, None] % 2 * 255, 96, 1)
    builders["lines.png"] = partial(file_of, lines, "PNG")
    builders["noise.png"] = partial(file_of, noise(96, 128), "PNG")
    return builders | _face_scenes()


def _face_scenes() -> dict[str, Callable[[], bytes]]:
    parts = {
        "at-border-top-left": face()[40:, 40:],
        "at-border-right": face()[:, :90],
        "at-border-bottom": face()[:90],
        "at-border-whole": face(),
        "turned-90": np.rot90(face(), 1),
        "turned-180": np.rot90(face(), 2),
        "turned-270": np.rot90(face(), 3),
        "mirrored": face()[:, ::-1],
    }
    builders: dict[str, Callable[[], bytes]] = {
        f"face-{name}.jpg": partial(file_of, np.ascontiguousarray(pixels), "JPEG")
        for name, pixels in parts.items()
    }
    # All of the 306 faces are detected.
    builders["300-faces.jpg"] = partial(file_of, np.tile(face(1), (17, 18, 1)), "JPEG")
    return builders


Edit = tuple[float, str, int]
"""Position as a fraction of the file, 'set', 'remove' or 'double', and a byte or a length."""


def edited(data: bytes, edits: Sequence[Edit]) -> bytes:
    """Overwrite, remove or repeat bytes of a file."""
    out = bytearray(data)
    for position, kind, value in edits:
        at = int(position * (len(out) - 1))
        if kind == "set":
            out[at] = value
        elif kind == "remove":
            del out[at : at + value]
        else:
            out[at:at] = out[at : at + value]
        if not out:
            break
    return bytes(out)


def random_edits(chance: random.Random) -> list[Edit]:
    """Return one to six edits; half of them are in the first tenth, where the headers are."""
    kinds = ("set", "set", "remove", "double")
    return [
        (chance.random() * chance.choice((1.0, 0.1)), chance.choice(kinds), chance.randrange(256))
        for _ in range(chance.randint(1, 6))
    ]
