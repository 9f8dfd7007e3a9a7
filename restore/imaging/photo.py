"""Photo: the picture that everything else works on, and its way from a file and back to one.

It owns what samples mean: upright orientation, the working colour space and the way back out of it, alpha, depth, EXIF.
The formats themselves (content, limits, samples, bytes) are `restore.imaging.codecs`.

Colour, precisely:

- no profile, or one that is sRGB within two levels: the numbers are not touched, the profile is embedded again;
- 8-bit RGB with another profile: converted into sRGB (relative colorimetric, black point compensation), on the way out
  converted back into that profile, which is embedded. What sRGB cannot show is clipped to it;
- grey or 16-bit photos with a profile: worked on in their own space (LittleCMS in Pillow has 8 bits only), the profile
  embedded again as long as it fits the result: a grey profile leaves when the result has colour, or the file is WebP;
- CMYK and Lab: converted into sRGB, CMYK by its profile where it has one. The CMYK profile is not kept;
- a profile that is broken or of another class than the pixels: dropped with a warning.
"""

from __future__ import annotations

import io
import secrets
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageCms

from restore.errors import Code, RestoreError
from restore.imaging.codecs import (
    DECODER_ERRORS,
    EXIF_PREFIX,
    LIMITS,
    Array,
    Limits,
    Raster,
    out_of_memory,
    read_raster,
    too_large,
    write_jpeg,
    write_png,
    write_webp,
)
from restore.imaging.tiff import read_directory

__all__ = [
    "Photo",
    "Limits",
    "LIMITS",
    "OutputFormat",
    "open_photo",
    "decode",
    "encode",
    "write_atomically",
]

OutputFormat = Literal["jpg", "png", "webp"]

_MAX_SIDE_PX = {
    "jpg": 65_500,
    "png": 1_000_000,
    "webp": 16_383,
}  # of libjpeg, libpng and the WebP format
_MAX_EXIF_BYTES = 2**20
_MAX_JPEG_EXIF_BYTES = 65_533  # one APP1 segment
_MAX_ICC_BYTES = 4 * 2**20
_PROFILE_SPACE = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


@dataclass(frozen=True, eq=False)
class Photo:
    """A decoded photo: upright pixels and what came with them.

    Attributes:
        name: how messages call it, e.g. 'a.jpg'.
        pixels: HxW (grey) or HxWx3 (RGB), uint8 or uint16, upright; see the module for the colour space.
        alpha: HxW of the same dtype, not premultiplied; None where the file has none.
        format: 'JPEG', 'PNG', 'WEBP', 'TIFF', 'BMP' or 'GIF', by content.
        icc: the profile that came with it.
        exif: the EXIF block as Pillow's `Exif.tobytes()` gives it (b'Exif\\0\\0' and a TIFF header), orientation 1, GPS inside.
        warnings: what was degraded while decoding.
        converted: the pixels were converted out of `icc` into sRGB.
        orientation: the EXIF orientation that was applied, 1 to 8.
    """

    name: str
    pixels: Array
    alpha: Array | None = None
    format: str = "PNG"
    icc: bytes | None = None
    exif: bytes | None = None
    warnings: tuple[str, ...] = ()
    converted: bool = False
    orientation: int = 1

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def bits(self) -> int:
        """Bits a sample, 8 or 16."""
        return int(self.pixels.dtype.itemsize) * 8

    @property
    def is_grey(self) -> bool:
        return self.pixels.ndim == 2

    @property
    def megapixels(self) -> float:
        return self.width * self.height / 1e6

    def with_pixels(self, pixels: Array, alpha: Array | None = None) -> Photo:
        """Return a photo of the same name and metadata with other pixels, in the same colour space."""
        return replace(self, pixels=pixels, alpha=alpha)

    def facts(self) -> dict[str, object]:
        """Return what a report says about it, ready for JSON."""
        return {
            "name": self.name,
            "format": self.format,
            "width": self.width,
            "height": self.height,
            "bits": self.bits,
            "grey": self.is_grey,
            "alpha": self.alpha is not None,
            "icc": _profile_name(self.icc),
            "converted_to_srgb": self.converted,
            "orientation": self.orientation,
            "exif": self.exif is not None,
            "warnings": list(self.warnings),
        }


def open_photo(path: Path | str, *, name: str | None = None, limits: Limits = LIMITS) -> Photo:
    """Read and decode a file. Raises RestoreError with PHOTO_MISSING, or as `decode` does."""
    path = Path(path)
    name = name or path.name
    try:
        if not path.is_file():
            found = "is not a file" if path.exists() else "does not exist"
            raise RestoreError(
                Code.PHOTO_MISSING, f"'{path}' {found}", "Check the path.", photo=name
            )
        if (size_bytes := path.stat().st_size) > limits.max_bytes:
            raise too_large(size_bytes, name, limits)
        with path.open("rb") as file:
            data = file.read(limits.max_bytes + 1)  # not all of it: it may have grown since
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = f"'{path}' cannot be read ({error})"
        raise RestoreError(
            Code.PHOTO_MISSING, reason, "Check the path and its rights.", photo=name
        ) from error
    return decode(data, name, limits)


def decode(data: bytes, name: str, limits: Limits = LIMITS) -> Photo:
    """Decode the first frame of a JPEG, PNG, WebP, TIFF, BMP or GIF, recognised by content.

    Raises RestoreError with PHOTO_DAMAGED, PHOTO_TOO_LARGE, PHOTO_FORMAT, PHOTO_TOO_MANY_PIXELS, PHOTO_TOO_SMALL or
    OUT_OF_MEMORY; nothing else, whatever the bytes are.
    """
    try:
        return _photo(read_raster(data, name, limits), name)
    except MemoryError as error:
        raise out_of_memory(len(data), name) from error


def _photo(raster: Raster, name: str) -> Photo:
    notes = list(raster.warnings)
    exif, orientation = _clean_exif(raster.exif, notes)
    pixels, icc, converted = _into_working_space(raster, notes)
    turn = 1 if raster.upright else orientation
    return Photo(
        name=name,
        pixels=_upright(pixels, turn),
        alpha=None if raster.alpha is None else _upright(raster.alpha, turn),
        format=raster.format,
        icc=icc,
        exif=exif,
        warnings=tuple(notes),
        converted=converted,
        orientation=orientation,
    )


def encode(
    photo: Photo, output_format: str, quality: int, *, keep_gps: bool = False
) -> tuple[bytes, tuple[str, ...]]:
    """Return the bytes of a 'jpg', 'png' or 'webp' file, and what it could not carry. Equal photos give equal bytes.

    PNG keeps depth, grey and alpha; JPEG (4:4:4 at `quality`) has 8 bits and alpha flattened on white; WebP has 8 bits and no
    grey. EXIF stays, its GPS only with `keep_gps`. Raises RestoreError with OPTION_INVALID or OUTPUT_TOO_LARGE.
    """
    check_output(photo.name, photo.width, photo.height, output_format)
    notes: list[str] = []
    pixels, alpha = photo.pixels, photo.alpha
    if output_format != "png" and photo.bits == 16:
        notes.append(
            f"16 bits became 8, which is all that {output_format} can hold; png keeps them"
        )
        pixels, alpha = _to_8_bits(pixels), None if alpha is None else _to_8_bits(alpha)
    if output_format == "jpg" and alpha is not None:
        if alpha.min() < 255:
            notes.append(
                "transparency was flattened on white, as jpg has none; png and webp keep it"
            )
        pixels, alpha = _on_white(pixels, alpha), None
    pixels, icc = _out_of_working_space(photo, pixels, output_format, notes)
    exif = _exif_for_output(photo, output_format, keep_gps, notes)
    if output_format == "png":
        data = write_png(pixels, alpha, icc, exif)
    elif output_format == "jpg":
        data = write_jpeg(pixels, quality, icc, exif)
    else:
        data = write_webp(pixels, alpha, quality, icc, exif)
    return data, tuple(notes)


def write_atomically(data: bytes, path: Path) -> None:
    """Write a file that is either whole or not there. Raises RestoreError with OUTPUT_UNWRITABLE."""
    unfinished = path.with_name(
        f".{secrets.token_hex(8)}.part"
    )  # in the same folder, so that the rename is atomic
    try:
        try:
            unfinished.write_bytes(data)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = f"'{path.name}' cannot be written into the folder '{path.parent}' ({error})"
        raise RestoreError(
            Code.OUTPUT_UNWRITABLE,
            reason,
            "Name a folder that exists, may be written to and has space left.",
        ) from error


def check_output(name: str, width: int, height: int, output_format: str) -> None:
    """Refuse a result that would be too large, before it is made. Raises RestoreError with OPTION_INVALID or OUTPUT_TOO_LARGE."""
    if output_format not in _MAX_SIDE_PX:
        reason, remedy = (
            f"output format '{output_format}' is not known",
            f"Use one of {', '.join(_MAX_SIDE_PX)}.",
        )
        raise RestoreError(Code.OPTION_INVALID, reason, remedy, photo=name)
    if width * height > LIMITS.max_pixels_out:
        reason = f"the result has {width * height / 1e6:.1f} megapixels, the limit is {LIMITS.max_pixels_out / 1e6:g}"
        raise RestoreError(
            Code.OUTPUT_TOO_LARGE, reason, "Choose a smaller scale or a smaller photo.", photo=name
        )
    if max(width, height) > _MAX_SIDE_PX[output_format]:
        reason = f"the result has {width} x {height} px, a side of {output_format} has at most {_MAX_SIDE_PX[output_format]}"
        raise RestoreError(
            Code.OUTPUT_TOO_LARGE, reason, "Choose png, or a smaller scale.", photo=name
        )


def _upright(array: Array, orientation: int) -> Array:
    """Apply an EXIF orientation: 5 to 8 are transposed first, then each is mirrored along its axes."""
    if orientation >= 5:
        array = np.swapaxes(array, 0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return np.ascontiguousarray(array)


def _to_8_bits(array: Array) -> Array:
    """Round 16 bits to 8. Division by 257 has no ties, so that any rounding is exact."""
    return np.asarray(cv2.convertScaleAbs(array, alpha=1 / 257))


def _on_white(pixels: Array, alpha: Array) -> Array:
    cover = alpha.astype(np.uint16) if pixels.ndim == 2 else alpha.astype(np.uint16)[..., None]
    mixed = pixels * cover  # in place from here on, as this may be 50 megapixels
    mixed += 255 * (255 - cover) + 127
    return (mixed // 255).astype(np.uint8)  # at most 65152 before, so 16 bits suffice


# Colour


def _made_profile(space: Literal["sRGB", "LAB"]) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(space))


def _open_profile(icc: bytes, mode: str) -> ImageCms.ImageCmsProfile:
    """Open a profile for pixels of a mode. Raises ValueError or OSError where it is broken or for something else."""
    if len(icc) > _MAX_ICC_BYTES:
        raise ValueError(f"{len(icc)} bytes, the limit is {_MAX_ICC_BYTES}")
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    space = profile.profile.xcolor_space.strip()
    if space != _PROFILE_SPACE[mode]:
        raise ValueError(f"it is a {space} profile, the photo is {mode}")
    return profile


def _transform(
    source: ImageCms.ImageCmsProfile, target: ImageCms.ImageCmsProfile, mode: str
) -> ImageCms.ImageCmsTransform:
    """Build a transform from pixels of a mode to RGB. Raises PyCMSError where a profile lacks the tables for it."""
    intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    return ImageCms.buildTransform(source, target, mode, "RGB", intent, flags)


def _apply(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Array:
    converted = ImageCms.applyTransform(image, transform)
    if converted is None:
        raise ValueError("the colours could not be converted")
    return np.array(converted)


def _is_srgb(transform: ImageCms.ImageCmsTransform) -> bool:
    """Tell whether a transform into sRGB moves no colour of a 9x9x9 grid by more than two levels; descriptions lie."""
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    return bool(np.abs(_apply(transform, Image.fromarray(grid)).astype(int) - grid).max() <= 2)


def _into_working_space(raster: Raster, notes: list[str]) -> tuple[Array, bytes | None, bool]:
    """Return pixels in the working space, the profile to keep, and whether the pixels were converted out of it."""
    if raster.mode == "LAB":  # its space is fixed by the mode
        lab = Image.fromarray(raster.pixels, "LAB")
        return (
            _apply(_transform(_made_profile("LAB"), _made_profile("sRGB"), "LAB"), lab),
            None,
            False,
        )
    if raster.icc is not None:
        try:
            return _by_profile(raster, raster.icc)
        except (*DECODER_ERRORS, ImageCms.PyCMSError) as error:
            notes.append(f"its colour profile cannot be used and was dropped ({error})")
    if raster.mode == "CMYK":
        notes.append("its CMYK colours are approximate, as there is no profile for them")
        return np.array(Image.fromarray(raster.pixels, "CMYK").convert("RGB")), None, False
    return raster.pixels, None, False


def _by_profile(raster: Raster, icc: bytes) -> tuple[Array, bytes | None, bool]:
    """As `_into_working_space`, by a profile that may turn out to be of no use."""
    transform = _transform(_open_profile(icc, raster.mode), _made_profile("sRGB"), raster.mode)
    if raster.mode == "CMYK":
        return _apply(transform, Image.fromarray(raster.pixels, "CMYK")), None, False
    if raster.mode == "L" or raster.pixels.dtype == np.uint16 or _is_srgb(transform):
        return raster.pixels, icc, False
    return _apply(transform, Image.fromarray(raster.pixels)), icc, True


def _out_of_working_space(
    photo: Photo, pixels: Array, output_format: str, notes: list[str]
) -> tuple[Array, bytes | None]:
    """Return pixels in the space of the photo's profile and that profile, or sRGB pixels and none where it no longer fits."""
    if photo.icc is None:
        return pixels, None
    mode = "L" if pixels.ndim == 2 and output_format != "webp" else "RGB"
    try:
        profile = _open_profile(photo.icc, mode)
        if not photo.converted:
            return pixels, photo.icc
        if mode == "L" or pixels.dtype != np.uint8 or pixels.ndim == 2:
            raise ValueError("only 8-bit RGB can be converted back into it")
        return _apply(
            _transform(_made_profile("sRGB"), profile, "RGB"), Image.fromarray(pixels)
        ), photo.icc
    except (*DECODER_ERRORS, ImageCms.PyCMSError) as error:
        notes.append(f"its colour profile does not fit the result and was left out ({error})")
        return pixels, None


def _profile_name(icc: bytes | None) -> str | None:
    if icc is None:
        return None
    try:
        return (
            ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(icc))).strip()
            or "unnamed"
        )
    except (*DECODER_ERRORS, ImageCms.PyCMSError):
        return "unreadable"


# EXIF


def _load_exif(raw: bytes) -> Image.Exif:
    """Parse an EXIF block. Raises one of DECODER_ERRORS where it is broken beyond reading or a bomb."""
    tiff = raw.removeprefix(EXIF_PREFIX)
    if len(tiff) > _MAX_EXIF_BYTES:
        raise ValueError(f"{len(tiff)} bytes, the limit is {_MAX_EXIF_BYTES}")
    if read_directory(tiff).claimed_bytes > 8 * len(tiff):
        raise ValueError("its entries claim more than there is")
    exif = Image.Exif()
    exif.load(raw)
    return exif


def _clean_exif(raw: bytes | None, notes: list[str]) -> tuple[bytes | None, int]:
    """Return the EXIF block with orientation 1, and the orientation it had."""
    orientation = 1
    if not raw:
        return None, orientation
    with warnings.catch_warnings(
        record=True
    ) as complaints:  # Pillow warns of entries that it skips
        warnings.simplefilter("always")
        try:
            exif = _load_exif(raw)
            stored = exif.get(ExifTags.Base.Orientation)
            if stored is not None:
                orientation = stored if isinstance(stored, int) and 1 <= stored <= 8 else 1
                exif[ExifTags.Base.Orientation] = 1
            block = exif.tobytes() if len(exif) else None
        except DECODER_ERRORS as error:
            notes.append(f"its EXIF cannot be read and was dropped ({error})")
            return None, orientation
    if complaints:
        notes.append("a part of its EXIF cannot be read and was dropped")
    return block, orientation


def _exif_for_output(
    photo: Photo, output_format: str, keep_gps: bool, notes: list[str]
) -> bytes | None:
    """Return the photo's EXIF with the size of the result, and without GPS unless wanted."""
    if photo.exif is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exif = _load_exif(photo.exif)
            if not keep_gps:
                exif.pop(ExifTags.IFD.GPSInfo, None)
            details = exif.get_ifd(ExifTags.IFD.Exif)
            for tag, side_px in (
                (ExifTags.Base.ExifImageWidth, photo.width),
                (ExifTags.Base.ExifImageHeight, photo.height),
            ):
                if tag in details:
                    details[tag] = side_px
            block = exif.tobytes() if len(exif) else None
        except DECODER_ERRORS as error:
            notes.append(f"its EXIF cannot be written and was dropped ({error})")
            return None
    if block and output_format == "jpg" and len(block) > _MAX_JPEG_EXIF_BYTES:
        notes.append(
            f"its EXIF of {len(block)} bytes was dropped, jpg holds at most {_MAX_JPEG_EXIF_BYTES}"
        )
        return None
    return block
