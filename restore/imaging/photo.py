"""Photo: decoded pixels with their metadata, and the path from a file to a photo.

Opening a file has four steps, each in its own module: identify the format (`identify`), check the
limits (`limits`), decode the samples (`decode`), and normalise colour (`colour`) and orientation.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from restore.errors import Code, RestoreError, system_reason
from restore.imaging.coding import Coding
from restore.imaging.colour import from_working_space, profile_name, to_working_space
from restore.imaging.contents import (
    Content,
    content_name,
    raster_of_array,
    raster_of_image,
    read_content,
)
from restore.imaging.convert import to_8_bits
from restore.imaging.decode import Raster, decode_raster
from restore.imaging.decoder_errors import (
    DECODER_ERRORS,
    out_of_memory,
    translate_decoder_errors,
)
from restore.imaging.exif import FIRST_TRANSPOSED, UPRIGHT, clean_exif
from restore.imaging.heif import HEIF_FORMATS
from restore.imaging.heif_samples import decode_still_picture
from restore.imaging.identify import dib_as_bmp, identify
from restore.imaging.limits import LIMITS, Limits, check_file_size, check_limits
from restore.imaging.metadata import NO_METADATA, Metadata
from restore.imaging.photo_path import photo_path
from restore.imaging.pillow_warnings import collected_warnings
from restore.imaging.repair import complete_jpeg, complete_png, reduce_png
from restore.options.arguments import check_text
from restore.options.base import value_error

# Pillow rejects a whole PNG if its colour profile or a text is damaged or too large.
_REPAIRS = {"JPEG": (complete_jpeg,), "PNG": (complete_png, reduce_png)}


@dataclass(frozen=True, eq=False, repr=False)
class Photo:
    """A decoded photo.

    Attributes:
        name: the name in messages, such as 'a.jpg'.
        pixels: HxW (grey) or HxWx3 (RGB), uint8 or uint16, upright, in the colour space of `icc`,
            or in sRGB without it (see `restore.imaging.colour`).
        alpha: HxW of the same dtype, not premultiplied; None without transparency.
        format: the format of the file: 'JPEG', 'PNG', 'WEBP', 'HEIC', 'AVIF', 'TIFF', 'BMP' or
            'GIF'.
        icc: the colour profile of the file.
        exif: the EXIF block (b'Exif\\0\\0' and a TIFF header), with orientation 1 and GPS.
        warnings: what was degraded while decoding.
        converted: whether the tones of the pixels were converted from those of `icc` to those of
            sRGB.
        native: the pixels as stored, if `converted` is set. Values that no task changes are
            restored from them.
        orientation: the orientation that was applied, 1 to 8, as EXIF numbers it.
        metadata: captions, comments and the density.
        coding: how the file codes its samples, for results in the same format.
    """

    name: str
    pixels: np.ndarray
    alpha: np.ndarray | None = None
    format: str = "PNG"
    icc: bytes | None = None
    exif: bytes | None = None
    warnings: tuple[str, ...] = ()
    converted: bool = False
    native: np.ndarray | None = None
    orientation: int = UPRIGHT
    metadata: Metadata = NO_METADATA
    coding: Coding | None = None

    def __repr__(self) -> str:
        channels = f"{'L' if self.is_grey else 'RGB'}{'' if self.alpha is None else 'A'}"
        return f"<Photo {self.name!r}: {self.width}x{self.height} {channels}, {self.bits} bits>"

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def bits(self) -> int:
        """Bits per sample, 8 or 16."""
        return int(self.pixels.dtype.itemsize) * 8

    @property
    def is_grey(self) -> bool:
        return self.pixels.ndim == 2

    @property
    def megapixels(self) -> float:
        return self.width * self.height / 1e6

    def with_pixels(self, pixels: np.ndarray, alpha: np.ndarray | None = None) -> Photo:
        """Return a photo with other pixels in the same colour space, and the same metadata."""
        return replace(self, pixels=pixels, alpha=alpha)

    def to_image(self, *, bits: Literal[8, 16] = 16) -> Image.Image:
        """Return the photo as a PIL image: L, LA, RGB or RGBA, or I;16 for opaque 16-bit grey.

        `info["icc_profile"]` holds the colour profile, unless the colours are those of sRGB.
        Captions and EXIF are left out.

        Args:
            bits: the most bits per sample. Pillow has no mode of 16 bits but I;16, so that all
                other photos of 16 bits are reduced to 8. With 8, grey photos are, too.

        Raises:
            RestoreError: OPTION_INVALID for other bits.
        """
        if bits not in (8, 16):
            raise value_error("bits", bits, "8 or 16")
        keeps_16_bits = bits == self.bits == 16 and self.is_grey and self.alpha is None
        pixels, icc = from_working_space(
            self.pixels,
            self.icc,
            [],
            bits=16 if keeps_16_bits else 8,
            converted=self.converted,
            native=self.native,
        )
        if not keeps_16_bits:
            pixels = to_8_bits(pixels)
        if self.alpha is not None:
            pixels = np.dstack([pixels, to_8_bits(self.alpha)])
        image = Image.fromarray(np.ascontiguousarray(pixels))
        if icc is not None:
            image.info["icc_profile"] = icc
        return image

    def facts(self) -> dict[str, object]:
        """Return the photo's properties for a report, as JSON types."""
        return {
            "name": self.name,
            "format": self.format,
            "width": self.width,
            "height": self.height,
            "bits": self.bits,
            "grey": self.is_grey,
            "alpha": self.alpha is not None,
            "icc": profile_name(self.icc),
            "converted_tones": self.converted,
            "orientation": self.orientation,
            "exif": self.exif is not None,
            "warnings": list(self.warnings),
        }


def open_photo(
    source: str | os.PathLike[str] | Content,
    /,
    *,
    name: str | None = None,
    limits: Limits = LIMITS,
) -> Photo:
    """Decode a photo file, or take the pixels of an array or of a PIL image.

    Args:
        source: the path of a file; the content of one as bytes or as a binary file; a NumPy array,
            HxW (grey) or HxWxC with C = 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha), of uint8,
            uint16 or bool; or a PIL image. Arrays are copied. Of a PIL image, the pixels, the
            transparency, the colour profile and EXIF with its orientation are used.
        name: the photo's name in messages; by default the name of the file, or `photo`.
        limits: the limits to apply.

    Raises:
        RestoreError: PHOTO_MISSING, OPTION_INVALID for a name that is no text, or any error of
            `decode`.
    """
    if name is not None:
        check_text("name", name)
    if isinstance(source, str | os.PathLike):
        path = photo_path(source, name)
        name = name or path.name
        return decode(_read_file(path, name, limits), name, limits)
    name = name or content_name(source)
    if isinstance(source, np.ndarray):
        return _normalise(raster_of_array(source, name, limits), name)
    if isinstance(source, Image.Image):
        return _normalise(raster_of_image(source, name, limits), name)
    return decode(read_content(source, name, limits), name, limits)


def decode(data: bytes, name: str, limits: Limits = LIMITS) -> Photo:
    """Decode the first frame of a JPEG, PNG, WebP, HEIC, AVIF, TIFF, BMP or GIF.

    Args:
        data: the content of the file, which alone decides the format. It may be hostile.
        name: the photo's name in messages.
        limits: the limits to apply.

    Raises:
        RestoreError: PHOTO_DAMAGED, PHOTO_TOO_LARGE, PHOTO_FORMAT, PHOTO_TOO_MANY_PIXELS,
            PHOTO_TOO_SMALL or OUT_OF_MEMORY. No other exception is raised, for any content.
    """
    check_file_size(len(data), name, limits)
    file_format = identify(data, name)
    if file_format == "DIB":
        data, file_format = dib_as_bmp(data), "BMP"
    with translate_decoder_errors(file_format, len(data), name):
        raster = _read_raster(data, file_format, name, limits)
    try:
        return _normalise(raster, name)
    except MemoryError as error:
        raise out_of_memory(len(data), name) from error


def _read_file(path: Path, name: str, limits: Limits) -> bytes:
    try:
        if not path.is_file():
            problem, remedy = "does not exist", "Check the path."
            if path.is_dir():
                problem, remedy = "is a folder", "Pass the path of a file in it."
            elif path.exists():
                problem = "is not a file"
            raise RestoreError(Code.PHOTO_MISSING, f"'{path}' {problem}", remedy, photo=name)
        check_file_size(path.stat().st_size, name, limits)
        with path.open("rb") as file:
            return file.read(limits.max_bytes + 1)  # the file may have grown since `stat`
    except (OSError, ValueError) as error:  # ValueError: the path contains a NUL character
        raise RestoreError(
            Code.PHOTO_MISSING,
            f"'{path}' cannot be read ({system_reason(error)})",
            "Check the path and its permissions.",
            photo=name,
        ) from error


def _read_raster(data: bytes, file_format: str, name: str, limits: Limits) -> Raster:
    """Check and decode a file; if that fails, try again after each repair of its format.

    Raises:
        RestoreError: a limit is exceeded, or the layout is not supported.
        One of DECODER_ERRORS: the file is damaged; the error is that of the unrepaired file.
    """
    with collected_warnings():  # of Pillow, about damaged metadata
        if file_format in HEIF_FORMATS:
            return decode_still_picture(data, file_format, name, limits)
        try:
            return decode_raster(check_limits(data, file_format, name, limits), name)
        except DECODER_ERRORS:
            for repair in _REPAIRS.get(file_format, ()):
                try:
                    repaired, note = repair(data)
                    raster = decode_raster(check_limits(repaired, file_format, name, limits), name)
                except DECODER_ERRORS:
                    continue
                return replace(raster, warnings=(note, *raster.warnings))
            raise


def _normalise(raster: Raster, name: str) -> Photo:
    """Convert samples to the working colour space and turn them upright."""
    notes = list(raster.warnings)
    exif, orientation = clean_exif(raster.exif, notes)
    if raster.orientation is not None:
        orientation = raster.orientation
    working = to_working_space(raster, notes)
    native = working.native
    turn = UPRIGHT if raster.is_upright else orientation
    return Photo(
        name=name,
        pixels=turn_upright(working.pixels, turn),
        alpha=None if raster.alpha is None else turn_upright(raster.alpha, turn),
        format=raster.format,
        icc=working.icc,
        exif=exif,
        warnings=tuple(notes),
        converted=native is not None,
        native=None if native is None else turn_upright(native, turn),
        orientation=orientation,
        metadata=_upright_metadata(raster.metadata, orientation),
        coding=_upright_coding(raster.coding, turn),
    )


def _upright_coding(coding: Coding | None, orientation: int) -> Coding | None:
    return coding.transposed() if coding and orientation >= FIRST_TRANSPOSED else coding


def _upright_metadata(metadata: Metadata, orientation: int) -> Metadata:
    if metadata.dpi is None or orientation < FIRST_TRANSPOSED:
        return metadata
    return replace(metadata, dpi=metadata.dpi[::-1])


def turn_upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation: transpose for 5 to 8, then mirror along the axes."""
    if orientation >= FIRST_TRANSPOSED:
        array = np.swapaxes(array, 0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return np.ascontiguousarray(array)
