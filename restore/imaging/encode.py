"""Encoding of photos as PNG, JPEG or WebP, with their colour profile and EXIF."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
from PIL import Image

from restore.imaging.attachments import (
    Attachments,
    attachments_for,
    iptc_segment,
    png_chunks_of,
)
from restore.imaging.coding import (
    SAME_FORMAT,
    Coding,
    distinct_tables,
    is_not_written,
    output_format_of,
)
from restore.imaging.colour import from_working_space
from restore.imaging.convert import to_8_bits
from restore.imaging.limits import check_output_size
from restore.imaging.photo import Photo
from restore.imaging.png import (
    PNG_FILTER_UP,
    PNG_GREY_ALPHA,
    PNG_HEADER_END,
    PNG_SIGNATURE,
    png_chunk,
)

_MAX_SMALL_DIFFERENCE = 2
_MAX_SHARE_OF_LARGE_DIFFERENCES = 0.5


def encode(
    photo: Photo, output_format: str, quality: int, *, keep_gps: bool = False
) -> tuple[bytes, tuple[str, ...]]:
    """Encode a photo; equal photos give equal bytes.

    PNG keeps bit depth, grey and alpha. JPEG has 8 bits, no chroma subsampling, and alpha is
    flattened on white. WebP has 8 bits and no grey.

    Args:
        photo: the photo.
        output_format: 'jpg', 'png', 'webp', or 'same' for the photo's own format, see
            `output_format_of`. A JPEG then keeps its quantisation tables if its size is unchanged
            and they keep most of the result, and a lossless WebP stays lossless.
        quality: 1 to 100, for jpg and webp.
        keep_gps: keep the GPS position in the EXIF data.

    Returns:
        The content of the file, and warnings about what it cannot hold.

    Raises:
        RestoreError: OPTION_INVALID or OUTPUT_TOO_LARGE.
    """
    notes: list[str] = []
    keeps_format = output_format == SAME_FORMAT
    coding = photo.coding if keeps_format else None
    output_format = output_format_of(output_format, photo.format)
    if keeps_format and is_not_written(photo.format):
        notes.append(f"{photo.format} is not written: the result is {output_format}")
    check_output_size(photo.name, photo.width, photo.height, output_format)
    pixels, icc = from_working_space(
        photo.pixels,
        photo.icc,
        notes,
        bits=16 if output_format == "png" else 8,
        holds_grey=output_format != "webp",
        converted=photo.converted,
        native=photo.native,
    )
    alpha = photo.alpha
    if output_format != "png" and photo.bits == 16:
        notes.append(
            f"16 bits were reduced to 8, the most that {output_format} holds; png keeps 16"
        )
        pixels, alpha = to_8_bits(pixels), None if alpha is None else to_8_bits(alpha)
    if output_format == "jpg" and alpha is not None:
        if alpha.min() < 255:
            notes.append(
                "transparency was flattened on white, because jpg has none; png and webp keep it"
            )
        pixels, alpha = _flatten_on_white(pixels, alpha), None
    attachments = attachments_for(
        photo.metadata,
        photo.exif,
        icc,
        (photo.width, photo.height),
        output_format,
        notes,
        keep_gps=keep_gps,
    )
    if output_format == "png":
        data = _write_png(pixels, alpha, attachments)
    elif output_format == "jpg":
        data = _write_jpeg(pixels, quality, attachments, coding)
    else:
        is_lossless = coding is not None and coding.is_lossless
        data = _write_webp(pixels, alpha, quality, attachments, is_lossless=is_lossless)
    return data, tuple(notes)


def _flatten_on_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    opacity = alpha.astype(np.uint16) if pixels.ndim == 2 else alpha.astype(np.uint16)[..., None]
    # At most 255 * 255 + 127 = 65152, which fits 16 bits. In place, for photos of 50 megapixels.
    mixed = pixels * opacity
    mixed += 255 * (255 - opacity) + 127
    return (mixed // 255).astype(np.uint8)


def _write_png(pixels: np.ndarray, alpha: np.ndarray | None, attachments: Attachments) -> bytes:
    """Write HxW or HxWx3 pixels of 8 or 16 bits as PNG.

    OpenCV at level 1 takes a quarter of the time of Pillow's default, for a fifth more bytes. It
    does not write grey with alpha, and libpng drops some profiles without an error, so the
    chunks of metadata are inserted here.
    """
    if alpha is not None and pixels.ndim == 2:
        plain = _write_grey_alpha_png(pixels, alpha)
    else:
        plain = _write_opencv_png(pixels, alpha)
    return plain[:PNG_HEADER_END] + png_chunks_of(attachments) + plain[PNG_HEADER_END:]


def _write_opencv_png(pixels: np.ndarray, alpha: np.ndarray | None) -> bytes:
    array = np.ascontiguousarray(pixels if alpha is None else np.dstack([pixels, alpha]))
    if array.ndim == 3:
        array = cv2.cvtColor(array, cv2.COLOR_RGB2BGR if alpha is None else cv2.COLOR_RGBA2BGRA)
    written, buffer = cv2.imencode(".png", array, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not written:
        raise RuntimeError(f"OpenCV cannot write a PNG of {array.dtype} with shape {array.shape}")
    return buffer.tobytes()


def _write_grey_alpha_png(grey: np.ndarray, alpha: np.ndarray) -> bytes:
    height, width = grey.shape
    bits = grey.dtype.itemsize * 8
    samples = np.dstack([grey, alpha]).astype(grey.dtype.newbyteorder(">"))
    rows = samples.reshape(height, -1).view(np.uint8)
    filtered = np.full((height, rows.shape[1] + 1), PNG_FILTER_UP, np.uint8)
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, bits, PNG_GREY_ALPHA, 0, 0, 0)
    return (
        PNG_SIGNATURE
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(filtered.tobytes(), 1))
        + png_chunk(b"IEND", b"")
    )


def _write_jpeg(
    pixels: np.ndarray, quality: int, attachments: Attachments, coding: Coding | None
) -> bytes:
    """Write HxW or HxWx3 pixels of 8 bits as baseline JPEG.

    Without `coding` the chroma is not subsampled. With it, the tables and the subsampling of the
    photo are used, with which blocks that did not change are stored nearly as they were. Where this
    loses too much, because the whole photo was changed, `quality` is used.
    """
    if coding and coding.fits(pixels):
        tables = distinct_tables(coding.tables)
        data = _save_jpeg(pixels, attachments, qtables=tables, subsampling=coding.subsampling)
        with Image.open(io.BytesIO(data)) as image:
            differences = cv2.absdiff(np.array(image), pixels)
        if np.mean(differences > _MAX_SMALL_DIFFERENCE) <= _MAX_SHARE_OF_LARGE_DIFFERENCES:
            return data
    return _save_jpeg(pixels, attachments, quality=quality, subsampling=0)


def _save_jpeg(pixels: np.ndarray, attachments: Attachments, **options: object) -> bytes:
    out = io.BytesIO()
    dpi = attachments.dpi
    Image.fromarray(pixels).save(
        out,
        "JPEG",
        icc_profile=attachments.icc,
        exif=attachments.exif or b"",
        xmp=attachments.xmp,
        comment=attachments.comment,
        dpi=(round(dpi[0]), round(dpi[1])) if dpi else (0, 0),
        extra=iptc_segment(attachments.iptc),
        **options,
    )
    return out.getvalue()


def _write_webp(
    pixels: np.ndarray,
    alpha: np.ndarray | None,
    quality: int,
    attachments: Attachments,
    *,
    is_lossless: bool,
) -> bytes:
    """Write HxW or HxWx3 pixels of 8 bits as WebP, which has no grey mode."""
    colour = np.dstack([pixels] * 3) if pixels.ndim == 2 else pixels
    array = colour if alpha is None else np.dstack([colour, alpha])
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(
        out,
        "WEBP",
        # For a lossless file, `quality` is the effort, and `exact` keeps hidden colours.
        quality=quality,
        lossless=is_lossless,
        exact=is_lossless,
        icc_profile=attachments.icc or b"",
        exif=attachments.exif or b"",
        xmp=attachments.xmp or b"",
    )
    return out.getvalue()
