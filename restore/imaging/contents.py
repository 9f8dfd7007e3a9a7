"""Photos that a Python program holds in memory: bytes, binary files, arrays and PIL images."""

from __future__ import annotations

import os
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from inspect import iscoroutinefunction
from io import UnsupportedOperation
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image

from restore.errors import Code, RestoreError, system_reason
from restore.imaging.decode import Raster, read_loaded
from restore.imaging.decoder_errors import translate_decoder_errors
from restore.imaging.exif import tiff_exif
from restore.imaging.limits import Limits, check_file_size, check_pixels

_SAME_FORMATS = {"MPO": "JPEG"} | {name: name for name in ("JPEG", "PNG", "WEBP", "AVIF")}
"""Formats of PIL images that are formats of photos; the format decides for `output_format=same`."""
_LOSSLESS_FORMAT = "PNG"
_LEVELS_OF_8_BITS = 256
_CHANNELS = (1, 2, 3, 4)


@runtime_checkable
class BinaryFile(Protocol):
    """A file that is open for reading in binary mode."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most so many bytes; all of them if `size` is -1."""


Content = bytes | bytearray | memoryview | BinaryFile | np.ndarray | Image.Image
"""The content of a photo file, or its pixels."""
CONTENT_TYPES = (bytes, bytearray, memoryview, BinaryFile, np.ndarray, Image.Image)


def content_name(content: Content, default: str = "photo") -> str:
    """Return the name of the file that a file object or a PIL image was opened from."""
    path = getattr(content, "filename" if isinstance(content, Image.Image) else "name", None)
    name = Path(path).name if isinstance(path, str | os.PathLike) else ""
    return default if not name or name.startswith("<") else name


def read_content(
    content: bytes | bytearray | memoryview | BinaryFile, name: str, limits: Limits
) -> bytes:
    """Return the bytes of a photo file, of which a file object is read up to the limit.

    Raises:
        RestoreError: PHOTO_MISSING, PHOTO_TOO_LARGE, PHOTO_DAMAGED for a file that is empty or was
            read already, or PHOTO_FORMAT for an object of another type.
    """
    if isinstance(content, bytes | bytearray | memoryview):
        size = content.nbytes if isinstance(content, memoryview) else len(content)
        check_file_size(size, name, limits)
        return bytes(content)
    if not isinstance(content, BinaryFile):
        raise wrong_type(content, name)
    if iscoroutinefunction(content.read):
        reason, remedy = "its method read is asynchronous", "Pass the bytes: await file.read()."
        raise RestoreError(Code.PHOTO_MISSING, reason, remedy, photo=name)
    data = bytearray()
    try:
        # A raw file and a response may return fewer bytes than asked for.
        while part := _read_part(content, limits.max_bytes + 1 - len(data), name):
            data += part
    except UnsupportedOperation as error:
        raise _unreadable_file("it is not open for reading", name) from error
    except (OSError, ValueError) as error:  # ValueError: it is closed, or a text that is no UTF-8
        raise _unreadable_file(system_reason(error), name) from error
    if not data:
        reason = "its file is empty, or was read to its end before"
        remedy = "Call file.seek(0) before the request, or pass the path."
        raise RestoreError(Code.PHOTO_DAMAGED, reason, remedy, photo=name)
    return bytes(data)


def _read_part(file: BinaryFile, size: int, name: str) -> bytes:
    """Return up to `size` bytes of a file; none at its end.

    Raises:
        RestoreError: PHOTO_MISSING for a file that returns something else.
    """
    part = file.read(size) if size > 0 else b""
    if not isinstance(part, bytes):
        raise _unreadable_file(f"it returned {type(part).__name__}", name)
    return part


def raster_of_array(array: np.ndarray, name: str, limits: Limits) -> Raster:
    """Return a copy of an array of pixels.

    Args:
        array: HxW or HxWx1 (grey), HxWx2 (grey and alpha), HxWx3 (RGB) or HxWx4 (RGB and alpha);
            uint8, uint16, or bool for black and white.
        name: the photo's name, for error messages.
        limits: the limits to apply.

    Raises:
        RestoreError: PHOTO_FORMAT, PHOTO_TOO_MANY_PIXELS or PHOTO_TOO_SMALL.
    """
    check_array(array, name)
    array = np.asarray(array)  # a matrix and a masked array would stay what they are
    check_pixels(array.shape[1], array.shape[0], name, limits)
    dtype = np.uint16 if array.dtype.itemsize == 2 else np.uint8
    samples = np.where(array, 255, 0) if array.dtype == np.bool_ else array
    samples = samples.astype(dtype)
    notes = _notes_on_values(samples, "pass them as uint8")
    if samples.ndim == 2:
        samples = samples[..., None]
    colours = 1 if samples.shape[2] <= 2 else 3
    pixels = np.ascontiguousarray(samples[..., 0] if colours == 1 else samples[..., :3])
    has_alpha = samples.shape[2] > colours
    alpha = np.ascontiguousarray(samples[..., colours]) if has_alpha else None
    mode = "L" if colours == 1 else "RGB"
    return _raster(mode, pixels, alpha, warnings=notes)


def check_array(array: np.ndarray, name: str) -> None:
    """Refuse an array that is not one of pixels, see `raster_of_array`.

    Raises:
        RestoreError: PHOTO_FORMAT.
    """
    if np.ma.is_masked(array):
        remedy = (
            "Pass array.filled(0), or the mask as transparency: numpy.dstack([array.data, alpha])"
            " with an alpha of 0 or 255."
        )
        raise _refusal("its array is masked, and the mask would be lost", remedy, name)
    is_unsigned = array.dtype.kind == "u" and array.dtype.itemsize <= 2
    if not is_unsigned and array.dtype != np.bool_:
        if array.dtype.kind == "f":
            remedy = "For values from 0 to 1, pass (array * 255).round().astype(numpy.uint8)."
        else:
            remedy = "Pass values from 0 to 255 as numpy.uint8, or from 0 to 65535 as numpy.uint16."
        raise _refusal(f"its array has values of the type {array.dtype}", remedy, name)
    shape = array.shape
    if len(shape) == 2 or (len(shape) == 3 and shape[2] in _CHANNELS):
        return
    remedy = "Pass height x width x 3 (RGB), or x 4 with alpha, or height x width for grey."
    if len(shape) == 3 and shape[0] in _CHANNELS:
        remedy = "Pass array.transpose(1, 2, 0): the channels come last."
    elif len(shape) == 4:
        remedy = "Pass a list of arrays for several photos, and array[0] for the first one."
    raise _refusal(f"its array has the shape {'x'.join(map(str, shape)) or '()'}", remedy, name)


def raster_of_image(image: Image.Image, name: str, limits: Limits) -> Raster:
    """Return the pixels, the transparency, the colour profile and the EXIF of a PIL image.

    Raises:
        RestoreError: PHOTO_FORMAT, PHOTO_TOO_MANY_PIXELS, PHOTO_TOO_SMALL, PHOTO_MISSING for a
            closed image, or PHOTO_DAMAGED for a file that Pillow reads only now and cannot read.
    """
    width, height = image.size
    check_pixels(width, height, name, limits)
    if image.mode == "F":
        remedy = "Convert it, for example with image.convert('L')."
        raise _refusal("its PIL image has the mode F", remedy, name)
    is_tiff, is_closed = image.format == "TIFF", _is_closed(image)
    try:
        with translate_decoder_errors(image.format or "image", width * height, name):
            # The tags of a TIFF are gone after loading, which turns its pixels upright.
            tags = tiff_exif(image) if is_tiff else None
            image.load()
            mode, pixels, alpha = read_loaded(image, name)
    except RestoreError as error:
        if not is_closed:
            raise
        remedy = "Pass it before it is closed, or call image.load() before."
        raise RestoreError(
            Code.PHOTO_MISSING, "its PIL image is closed", remedy, photo=name
        ) from error
    exif, icc = image.info.get("exif"), image.info.get("icc_profile")
    return _raster(
        mode,
        pixels,
        alpha,
        file_format=_SAME_FORMATS.get(image.format or "", _LOSSLESS_FORMAT),
        icc=icc if isinstance(icc, bytes) and icc else None,
        exif=tags if is_tiff else exif if isinstance(exif, bytes) else None,
        is_upright=is_tiff,
        warnings=() if image.format else _notes_on_values(pixels, "pass an image of the mode L"),
    )


def _is_closed(image: Image.Image) -> bool:
    """Return whether an image or its file is closed. Pillow reads the pixels when it needs them.

    Some formats can be read nevertheless, because Pillow has read their file.
    """
    if getattr(image, "tile", None):  # they are still in its file
        file = getattr(image, "fp", None)
        return file is None or bool(getattr(file, "closed", False))
    try:
        return image.im is None
    except (ValueError, AssertionError):
        return True


def _notes_on_values(samples: np.ndarray, remedy: str) -> tuple[str, ...]:
    """Return a warning for 16-bit values that are probably 8-bit values."""
    highest = samples.max()
    if samples.dtype != np.uint16 or not 0 < highest < _LEVELS_OF_8_BITS:
        return ()
    return (
        f"its 16-bit values are at most {highest} of 65535, which is nearly black; "
        f"if they are 8-bit values, {remedy}",
    )


def _raster(
    mode: str,
    pixels: np.ndarray,
    alpha: np.ndarray | None,
    *,
    file_format: str = _LOSSLESS_FORMAT,
    icc: bytes | None = None,
    exif: bytes | None = None,
    is_upright: bool = False,
    warnings: tuple[str, ...] = (),
) -> Raster:
    return Raster(mode, pixels, alpha, file_format, icc, exif, is_upright, warnings)


def wrong_type(source: object, name: str) -> RestoreError:
    """Return the error for an object that is no source of a photo."""
    return _refusal(f"it is an object of the type {type(source).__name__}", _remedy(source), name)


def _remedy(source: object) -> str:
    """Say how to pass what an object has."""
    if hasattr(source, "photos"):
        return "Pass results.photos for the photos of a result."
    if hasattr(source, "permute"):
        return "Pass tensor.permute(1, 2, 0).cpu().numpy() of channels x height x width in uint8."
    if is_array_like(source):
        return "Pass numpy.asarray(object), with height x width x 3 values of the type uint8."
    if isinstance(source, Mapping | AbstractSet):
        return "Pass several photos as a list: its order is that of the results."
    return "Pass a path, bytes, a binary file, a NumPy array, a PIL image or a Photo."


def is_array_like(source: object) -> bool:
    """Return whether an object is an array of another library, such as a tensor of PyTorch."""
    is_class_or_number = isinstance(source, type | np.generic)
    return hasattr(source, "__array__") and not is_class_or_number


def _unreadable_file(reason: str, name: str) -> RestoreError:
    return RestoreError(
        Code.PHOTO_MISSING,
        f"its file cannot be read ({reason})",
        "Open it in binary mode, and close it after the request.",
        photo=name,
    )


def _refusal(reason: str, remedy: str, name: str) -> RestoreError:
    return RestoreError(Code.PHOTO_FORMAT, reason, remedy, photo=name)
