"""Builders of HEIC and AVIF files."""

import io
import struct
from functools import cache
from typing import Any

import cv2
import numpy as np
import pillow_heif
from photofiles import exif_block, file_of, picture

from restore.imaging.icc import D65, Chromaticities, rgb_profile, sampled_curve, srgb_light

P3_PROFILE = rgb_profile(
    "Display P3",
    Chromaticities(D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    sampled_curve(srgb_light(np.linspace(0.0, 1.0, 1024))),
)
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def heic_file(pixels: np.ndarray, **options: Any) -> bytes:
    """Return a lossless HEIC of HxW[xC] pixels; 16 bits are stored as 10.

    Args:
        pixels: grey, grey with alpha, RGB or RGBA.
        options: of pillow_heif's `encode`: exif with an orientation becomes irot and imir.
    """
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    mode = _MODES[channels] + (";16" if pixels.dtype == np.uint16 else "")
    out = io.BytesIO()
    settings = {"quality": -1, "chroma": 444, "matrix_coefficients": 0} | options
    size = (pixels.shape[1], pixels.shape[0])
    pillow_heif.encode(mode, size, np.ascontiguousarray(pixels).tobytes(), out, **settings)
    return out.getvalue()


def avif_file(pixels: np.ndarray, **options: Any) -> bytes:
    """Return an AVIF of 8 bits, as Pillow writes it."""
    settings: dict[str, Any] = {"quality": 100, "subsampling": "4:4:4"} | options
    return file_of(pixels, "AVIF", **settings)


def deep_avif_file(pixels: np.ndarray, bits: int) -> bytes:
    """Return an AVIF of HxWx3 pixels of 10 or 12 bits, whose levels start from 0."""
    flags = [cv2.IMWRITE_AVIF_DEPTH, bits, cv2.IMWRITE_AVIF_QUALITY, 100]
    written, data = cv2.imencode(".avif", pixels[..., ::-1].astype(np.uint16), flags)
    assert written
    return bytes(data.tobytes())


def replaced(data: bytes, old: bytes, new: bytes) -> bytes:
    """Return a file with another content of the same size in one place."""
    assert data.count(old) == 1
    assert len(old) == len(new)
    return data.replace(old, new)


def with_size(data: bytes, width: int, height: int) -> bytes:
    """Return a file whose pictures all claim another size."""
    at, changed = 0, bytearray(data)
    while (at := data.find(b"ispe\0\0\0\0", at)) >= 0:
        changed[at + 8 : at + 16] = struct.pack(">II", width, height)
        at += 16
    return bytes(changed)


@cache
def phone_heic(orientation: int = 6) -> bytes:
    """Return what a phone writes: tiles, rotated, Display P3, with EXIF."""
    return heic_file(
        picture(160, 224),
        exif=exif_block(orientation),
        icc_profile=P3_PROFILE,
        tile_size=64,
        enc_params={"preset": "ultrafast"},
    )
