"""Decoding of a checked HEIC file by libheif and of a checked AVIF file by OpenCV's libavif.

Pillow reads AVIF too, but reduces 10 and 12 bits to 8.
"""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pi_heif

from restore.errors import Code, RestoreError
from restore.imaging.decode import Raster, Samples
from restore.imaging.heif import StillPicture, check_still_picture
from restore.imaging.limits import Limits, check_pixels

# Thumbnails and maps are not used, so libheif need not look at them.
pi_heif.options.THUMBNAILS = False
pi_heif.options.DEPTH_IMAGES = False
pi_heif.options.AUX_IMAGES = False

_AVIF_CONFIG = b"av1C"
_HIGH_DEPTH, _TWELVE_BITS, _MONOCHROME = 0x40, 0x20, 0x10
_BRAND = slice(8, 12)
_CLAP_BYTES = 32


def decode_still_picture(data: bytes, file_format: str, name: str, limits: Limits) -> Raster:
    """Check a HEIC or AVIF file and decode its primary picture.

    Args:
        data: the content of the file.
        file_format: 'HEIC' or 'AVIF'.
        name: the photo's name, for error messages.
        limits: the limits to apply.

    Raises:
        RestoreError: a limit is exceeded, or the coding is not supported.
        One of DECODER_ERRORS: the file is damaged.
    """
    picture = check_still_picture(data, file_format, name, limits)
    notes = list(picture.notes)
    if file_format == "HEIC":
        mode, pixels, alpha = _read_heic(data, picture)
    else:
        mode, pixels, alpha = _read_avif(data, picture, notes)
    check_pixels(pixels.shape[1], pixels.shape[0], name, limits)  # it may have been cropped
    if alpha is not None and not alpha.any():
        notes.append("all of its pixels are transparent")
    return Raster(
        mode=mode,
        pixels=pixels,
        alpha=alpha,
        format=file_format,
        icc=picture.profile(notes, is_grey=mode == "L"),
        exif=picture.exif(),
        is_upright=file_format == "HEIC",  # libheif turns the picture, libavif does not
        warnings=tuple(notes),
        metadata=picture.metadata(notes),
        orientation=picture.orientation,
    )


def _read_heic(data: bytes, picture: StillPicture) -> Samples:
    file = pi_heif.open_heif(data, convert_hdr_to_8bit=False, hdr_to_16bit=False)
    samples = np.asarray(file)
    if samples.shape[0] * samples.shape[1] > picture.size[0] * picture.size[1]:
        raise ValueError("its picture is larger than its container says")
    layout, _, bits = file.mode.partition(";")
    if bits:
        samples = _to_16_bits(samples, int(bits))
    channels = samples.reshape(*samples.shape[:2], -1)
    colours = 1 if layout.startswith("L") else 3
    pixels = np.array(channels[..., :colours])  # a copy, because libheif's memory is read-only
    alpha = np.array(channels[..., colours]) if channels.shape[2] > colours else None
    if alpha is not None and layout.endswith("a"):
        pixels = _undo_premultiplication(pixels, alpha)
    return ("L", pixels[..., 0], alpha) if colours == 1 else ("RGB", pixels, alpha)


def _read_avif(data: bytes, picture: StillPicture, notes: list[str]) -> Samples:
    config = picture.coded.property(_AVIF_CONFIG)
    if config is None:
        raise ValueError("its box av1C is missing")
    flags = config[2]
    # libavif would show the animation of a file of the brand avis instead of its still picture.
    still = data[: _BRAND.start] + b"avif" + data[_BRAND.stop :]
    array = cv2.imdecode(np.frombuffer(still, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None and not cv2.haveImageWriter(".avif"):
        raise RestoreError(
            Code.PHOTO_FORMAT,
            f"OpenCV {cv2.__version__} was built without AVIF",
            "Run `pip install --upgrade opencv-python`.",
            photo=picture.name,
        )
    if array is None or array.shape[1::-1] != picture.size:
        raise ValueError("its samples cannot be read")
    if array.dtype == np.uint16:
        array = _to_16_bits(array, 12 if flags & _TWELVE_BITS else 10)
    array = _crop(array, picture.item.property(b"clap"), notes)
    alpha = np.ascontiguousarray(array[..., 3]) if array.ndim == 3 and array.shape[2] == 4 else None
    if array.ndim == 2:
        return "L", array, alpha
    if flags & _MONOCHROME:
        return "L", np.ascontiguousarray(array[..., 0]), alpha
    to_rgb = cv2.COLOR_BGR2RGB if alpha is None else cv2.COLOR_BGRA2RGB
    return "RGB", cv2.cvtColor(array, to_rgb), alpha


def _to_16_bits(samples: np.ndarray, bits: int) -> np.ndarray:
    """Scale samples of 9 to 15 bits to the full range of 16 bits."""
    largest = 2**bits - 1
    levels = np.minimum(np.arange(2**16), largest).astype(np.uint32)
    table = (levels * 65535 + largest // 2) // largest
    scaled: np.ndarray = table.astype(np.uint16)[samples]
    return scaled


def _undo_premultiplication(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Divide HxWxC colours by HxW alpha, of the same integer type."""
    full = np.iinfo(alpha.dtype).max
    opacity = np.maximum(alpha, 1)[..., None].astype(np.uint32)
    divided = np.minimum((pixels * np.uint32(full) + opacity // 2) // opacity, full)
    return np.asarray(divided, pixels.dtype)


def _crop(array: np.ndarray, clap: bytes | None, notes: list[str]) -> np.ndarray:
    """Apply the clean aperture of an AVIF, which libavif ignores: a size and an offset."""
    if clap is None:
        return array
    height, width = array.shape[:2]
    numbers = struct.unpack_from(">2I2I2i2i", clap) if len(clap) >= _CLAP_BYTES else ()
    if not numbers or not all(numbers[1::2]):
        notes.append("its crop (clap) is damaged and was ignored")
        return array
    across, down, right, below = (
        numerator / denominator
        for numerator, denominator in zip(numbers[::2], numbers[1::2], strict=True)
    )
    left, top = right + (width - across) / 2, below + (height - down) / 2
    box = [round(value) for value in (left, top, left + across, top + down)]
    if not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height):
        notes.append("its crop (clap) reaches beyond the picture and was ignored")
        return array
    return np.ascontiguousarray(array[box[1] : box[3], box[0] : box[2]])
