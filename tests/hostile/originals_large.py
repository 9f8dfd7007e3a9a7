"""Intact photos at the limit of what is accepted."""

import io
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

from bombs import png_header
from photofiles import chunk, picture
from PIL import Image

SIZE_PX = (8333, 6000)
"""Just below 50 megapixels."""

_CHANNELS = {0: 1, 2: 3, 6: 4}
"""Channels of a PNG colour type."""


def largest_photos() -> dict[str, tuple[Callable[[], bytes], bool]]:
    """Return builders by file name, and whether the photo can be written as JPEG."""
    wide = {"lossless": True, "quality": 0, "method": 0}
    return {
        "progressive.jpg": (_builder("JPEG", "RGB", progressive=True, subsampling=0), True),
        "baseline.jpg": (_builder("JPEG", "RGB"), True),
        "cmyk.jpg": (_builder("JPEG", "CMYK"), True),
        "rgba.png": (_builder("PNG", "RGBA", compress_level=1), True),
        "deep-rgba.png": (partial(_flat_png, *SIZE_PX, 16, 6), True),
        "one-bit.png": (partial(_flat_png, *SIZE_PX, 1, 0), True),
        "8-high.png": (partial(_flat_png, 6_250_000, 8, 8, 2), False),
        "8-wide.png": (partial(_flat_png, 8, 6_250_000, 8, 2), False),
        "lossless.webp": (_builder("WEBP", "RGB", (16_383, 3051), **wide), True),
        "palette.gif": (_builder("GIF", "P"), True),
        "deflate.tif": (_builder("TIFF", "RGB", compression="tiff_adobe_deflate"), True),
        "lzw-rgba.tif": (_builder("TIFF", "RGBA", compression="tiff_lzw"), True),
    }


def _builder(
    format_name: str, mode: str, size_px: tuple[int, int] = SIZE_PX, **options: Any
) -> Callable[[], bytes]:
    return partial(_build, format_name, mode, size_px, **options)


def _build(format_name: str, mode: str, size_px: tuple[int, int], **options: Any) -> bytes:
    tile = Image.fromarray(picture(64, 64)).convert(mode)
    image = Image.new(mode, size_px)
    if palette := tile.getpalette():
        image.putpalette(palette)
    image.paste(tile, (0, 0))
    out = io.BytesIO()
    image.save(out, format_name, **options)
    return out.getvalue()


def _flat_png(width: int, height: int, bits: int, colour_type: int) -> bytes:
    """Return a PNG of zeros without creating the picture in memory."""
    row_bytes = 1 + -(-width * bits * _CHANNELS[colour_type] // 8)
    compressor, rows = zlib.compressobj(1), max(1, 2**20 // row_bytes)
    body = [
        compressor.compress(bytes(row_bytes * min(rows, height - first)))
        for first in range(0, height, rows)
    ]
    return (
        png_header(width, height, bits, colour_type)
        + chunk(b"IDAT", b"".join(body) + compressor.flush())
        + chunk(b"IEND", b"")
    )
