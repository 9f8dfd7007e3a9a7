"""Decoding of a checked file: the samples and metadata of its first frame, as stored."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from restore.imaging.bmp_colour import bmp_profile
from restore.imaging.coding import Coding, read_coding
from restore.imaging.decoder_errors import DECODER_ERRORS
from restore.imaging.exif import tiff_exif
from restore.imaging.gif_extensions import gif_entries
from restore.imaging.limits import CheckedFile
from restore.imaging.metadata import NO_METADATA, Metadata, read_embedded, tiff_entries
from restore.imaging.png import PNG_BITS_OFFSET, PNG_COLOUR_TYPE_OFFSET, PNG_GREY_ALPHA
from restore.imaging.png_colour import png_profile
from restore.imaging.png_texts import PngTexts, read_texts
from restore.imaging.repair import missing_rows
from restore.imaging.tiff import (
    BITS_PER_SAMPLE,
    COLOUR_MAP,
    EXTRA_SAMPLES,
    PHOTOMETRIC,
    Tags,
    read_integers,
    unsupported_layout,
)
from restore.imaging.tiff_colour import tiff_profile
from restore.imaging.tiff_planes import read_planes

# Values of the TIFF tags ExtraSamples and PhotometricInterpretation.
_UNSPECIFIED, _PREMULTIPLIED_ALPHA = 0, 1
_WHITE_IS_ZERO = 0
_LEVELS_OF_8_BITS = 256

Samples = tuple[str, np.ndarray, np.ndarray | None]
"""Mode, pixels and alpha, as in `Raster`."""


@dataclass(frozen=True)
class Raster:
    """The samples and metadata of a file's first frame, as stored.

    Attributes:
        mode: 'L', 'RGB', 'CMYK' or 'LAB'.
        pixels: HxW or HxWxC, uint8, or uint16 for the modes 'L' and 'RGB'.
        alpha: HxW of the same dtype, not premultiplied; None without transparency.
        format: as from `identify`.
        icc: the colour profile.
        exif: the EXIF block.
        is_upright: whether the decoder has already applied the orientation, as for TIFF.
        orientation: the orientation that the file states beside EXIF; None if it states none.
        warnings: what was degraded.
        metadata: captions, comments and the density.
        coding: how the file codes its samples.
    """

    mode: str
    pixels: np.ndarray
    alpha: np.ndarray | None
    format: str
    icc: bytes | None
    exif: bytes | None
    is_upright: bool
    warnings: tuple[str, ...] = ()
    metadata: Metadata = NO_METADATA
    coding: Coding | None = None
    orientation: int | None = None


def decode_raster(file: CheckedFile, name: str) -> Raster:
    """Decode the first frame of a checked file.

    Args:
        file: as from `check_limits`.
        name: the photo's name, for error messages.

    Raises:
        RestoreError: PHOTO_FORMAT for a TIFF with values that do not fit 16 bits.
        One of DECODER_ERRORS: the file is damaged.
    """
    image, is_tiff = file.image, file.format == "TIFF"
    notes = list(file.warnings)
    if is_tiff:  # Pillow would turn the picture by an orientation that only XMP states
        image.info.pop("xmp", None)
    # The tags of a TIFF are gone after loading.
    exif, stated_icc = (tiff_exif(image) if is_tiff else None), tiff_profile(image, notes)
    image.load()
    if file.directory:
        image.info.update(tiff_entries(file.data, file.directory))
        _read_8_bit_palette(file, notes)
    elif file.format == "GIF":
        image.info.update(gif_entries(file.data))
    is_deep = _bits_per_sample(file) == 16
    mode, pixels, alpha = _read_samples(file, name, is_deep=is_deep)
    alpha = _check_samples(file, pixels, alpha, notes, is_deep=is_deep)
    texts = read_texts(file.data, notes) if file.format == "PNG" else PngTexts()
    embedded = read_embedded(image, exif, texts, notes)
    if embedded.icc is None and "icc_profile" in image.info:  # Pillow could not assemble it
        notes.append("its colour profile is damaged or incomplete and was dropped")
    icc = embedded.icc or stated_icc
    if file.format == "PNG":
        icc = png_profile(file.data, icc, notes, is_grey=mode == "L")
    elif file.format == "BMP":
        icc = bmp_profile(file.data, notes, is_grey=mode == "L")
    return Raster(
        mode=mode,
        pixels=pixels,
        alpha=alpha,
        format=file.format,
        icc=icc,
        exif=embedded.exif,
        is_upright=is_tiff,
        warnings=tuple(notes),
        metadata=embedded.metadata,
        coding=read_coding(image, file.data),
    )


def _read_8_bit_palette(file: CheckedFile, notes: list[str]) -> None:
    """Take the palette of a TIFF as 8 bits if it has no larger values; it must have 16.

    Like libtiff's programs; otherwise the picture would be black.
    """
    if file.image.mode != "P" or not file.directory:
        return
    values = read_integers(file.data, file.directory, COLOUR_MAP)
    if values and 0 < max(values) < _LEVELS_OF_8_BITS:
        palette = np.array(values, np.uint8).reshape(3, -1).T
        file.image.putpalette(palette.tobytes())
        notes.append("its palette has 8-bit values instead of 16-bit ones and was read as such")


def _check_samples(
    file: CheckedFile,
    pixels: np.ndarray,
    alpha: np.ndarray | None,
    notes: list[str],
    *,
    is_deep: bool,
) -> np.ndarray | None:
    """Add warnings about implausible or missing samples; return alpha, or None if it is unused."""
    if is_deep and pixels.dtype == np.uint8:
        notes.append("its 16 bits could only be read as 8")
    # The further frames of an MPO are previews and gain maps of the same picture.
    if file.image.format not in ("MPO", "TIFF") and _has_more_frames(file.image):
        notes.append("only its first frame is used")
    if pixels.dtype == np.uint16 and 0 < pixels.max() < _LEVELS_OF_8_BITS:
        notes.append(
            f"its 16-bit values are at most {pixels.max()} of 65535, which is nearly black; "
            "if they are 8-bit values, save the photo with 8 bits"
        )
    if file.format == "JPEG" and (rows := missing_rows(file.data, pixels)):
        notes.append(f"at least a part of its last {rows} rows is missing")
    if alpha is None or alpha.any():
        return alpha
    if file.format == "BMP":  # most programs leave the fourth byte 0 and ignore it
        notes.append("its alpha channel is 0 everywhere and was ignored")
        return None
    notes.append("all of its pixels are transparent")
    return alpha


def _bits_per_sample(file: CheckedFile) -> int:
    if file.format == "PNG":
        return file.data[PNG_BITS_OFFSET]
    return max(file.tags.get(BITS_PER_SAMPLE, (8,)))


def _has_more_frames(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except DECODER_ERRORS:  # a later frame is damaged; the first one is used
        return True


def _read_samples(file: CheckedFile, name: str, *, is_deep: bool) -> Samples:
    """Return the samples of a loaded image, with the bit depth of its file."""
    image, mode = file.image, file.image.mode
    extra_samples = file.tags.get(EXTRA_SAMPLES, ())
    # OpenCV does not undo a premultiplied alpha, Pillow does.
    is_premultiplied = extra_samples[:1] == (_PREMULTIPLIED_ALPHA,)
    if is_deep and file.directory and file.directory.has_separate_planes:
        pixels, *alpha = read_planes(file.data, file.directory, name)
        return "L" if pixels.ndim == 2 else "RGB", pixels, alpha[0] if alpha else None
    if is_deep and mode in ("RGB", "RGBA") and not is_premultiplied:
        return _read_deep_colour(file, is_opaque=extra_samples == (_UNSPECIFIED,))
    png_bits = file.data[PNG_BITS_OFFSET] if file.format == "PNG" else 8
    return read_loaded(image, name, tags=file.tags, png_bits=png_bits)


def read_loaded(
    image: Image.Image, name: str, *, tags: Tags | None = None, png_bits: int = 8
) -> Samples:
    """Return the samples of a loaded image, as Pillow has them.

    Args:
        image: of any mode but F.
        name: the photo's name, for error messages.
        tags: the integer tags of a TIFF.
        png_bits: the bits per sample of a PNG.

    Raises:
        RestoreError: PHOTO_FORMAT for values that do not fit 16 bits.
    """
    if image.mode.startswith("I"):
        return _read_deep_grey(image, tags or {}, name)
    if image.mode in ("1", "L"):
        return _read_grey(image, png_bits)
    return _read_colour(image)


def _read_colour(image: Image.Image) -> Samples:
    """Return the 8-bit samples of a mode with a palette or with several channels."""
    if image.mode == "P" and _is_grey_palette(image):  # GIF stores grey photos like this
        image = image.convert("LA")
        if image.getextrema()[1] == (255, 255):
            return "L", np.array(image.getchannel("L")), None
    if image.mode in ("CMYK", "LAB"):
        return image.mode, np.array(image), None
    if image.mode in ("LA", "La"):
        grey, alpha = np.moveaxis(np.array(image.convert("LA")), -1, 0)
        return "L", np.ascontiguousarray(grey), np.ascontiguousarray(alpha)
    if not image.has_transparency_data:
        return "RGB", np.array(image.convert("RGB")), None
    rgba = np.array(image.convert("RGBA"))
    return "RGB", np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])


def _is_grey_palette(image: Image.Image) -> bool:
    palette = image.getpalette() or []
    return bool(palette) and palette[::3] == palette[1::3] == palette[2::3]


def _read_grey(image: Image.Image, png_bits: int) -> Samples:
    """Return 8-bit grey, and the alpha of a single transparent value."""
    pixels, transparent = np.array(image.convert("L")), image.info.get("transparency")
    if not isinstance(transparent, int):
        return "L", pixels, None
    if png_bits in (2, 4):  # Pillow scales the samples to 8 bits, but not the transparent value
        transparent *= 255 // (2**png_bits - 1)
    return "L", pixels, np.where(pixels == transparent, 0, 255).astype(np.uint8)


def _read_deep_colour(file: CheckedFile, *, is_opaque: bool) -> Samples:
    """Return 16-bit colour, or grey with alpha, by OpenCV: Pillow reduces these to 8 bits."""
    array = cv2.imdecode(np.frombuffer(file.data, np.uint8), cv2.IMREAD_UNCHANGED)
    if (
        array is None
        or array.dtype != np.uint16
        or array.ndim != 3
        or array.shape[1::-1] != file.image.size
    ):
        raise ValueError("its 16-bit samples cannot be read")
    has_alpha = array.shape[2] == 4
    alpha = np.ascontiguousarray(array[..., 3]) if has_alpha and not is_opaque else None
    if file.image.format == "PNG" and file.data[PNG_COLOUR_TYPE_OFFSET] == PNG_GREY_ALPHA:
        return "L", np.ascontiguousarray(array[..., 0]), alpha
    to_rgb = cv2.COLOR_BGRA2RGB if has_alpha else cv2.COLOR_BGR2RGB
    return "RGB", cv2.cvtColor(array, to_rgb), alpha


def _read_deep_grey(image: Image.Image, tags: Tags, name: str) -> Samples:
    """Return 16-bit grey of Pillow's modes 'I;16...' and 'I', if its values fit."""
    values = np.array(image)
    if values.min() < 0 or values.max() > 65535:
        span = f"its grey values are from {values.min()} to {values.max()}"
        raise unsupported_layout(f"{span}, only 0 to 65535 are supported", name)
    pixels = values.astype(np.uint16)
    if tags.get(BITS_PER_SAMPLE) == (12,):
        pixels = pixels * 16 + pixels // 256  # 4095 becomes 65535
    if tags.get(PHOTOMETRIC) == (_WHITE_IS_ZERO,):  # Pillow inverts 8 bits, but not 16
        pixels = 65535 - pixels
    transparent = image.info.get("transparency")
    if not isinstance(transparent, int):
        return "L", pixels, None
    return "L", pixels, np.where(pixels == transparent, 0, 65535).astype(np.uint16)
