"""Colour management: conversion of samples into sRGB, and of results back into their profile.

- Photos without a profile, or with one equal to sRGB within two levels, are not converted. Their
  profile is embedded in the result.
- 8-bit RGB with another profile is converted to sRGB (relative colorimetric, black point
  compensation), and its result back to that profile, which is embedded. Colours outside of sRGB
  are clipped.
- Grey and 16-bit photos with a profile stay in their own space, because LittleCMS in Pillow
  supports 8 bits only. The profile is embedded in the result if it fits: a grey profile is dropped
  if the result has colour or is WebP.
- CMYK and Lab are converted to sRGB, CMYK by its profile if there is one. The CMYK profile is
  dropped.
- A damaged profile, or one for another colour space than the samples, is dropped with a warning.
"""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from PIL import Image, ImageCms

from restore.imaging.decode import Raster
from restore.imaging.decoder_errors import DECODER_ERRORS

MAX_ICC_BYTES = 4 * 2**20
MAX_SRGB_DIFFERENCE_LEVELS = 2
_GRID_STEPS = 9
_PROFILE_SPACE = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


def to_working_space(raster: Raster, notes: list[str]) -> tuple[np.ndarray, bytes | None, bool]:
    """Convert samples to the working space: sRGB, or the photo's own space for grey and 16 bits.

    Args:
        raster: the samples as stored.
        notes: warnings are appended here.

    Returns:
        The pixels, HxW or HxWx3; the profile to keep; whether the pixels were converted out of it.
    """
    if raster.mode == "LAB":  # the mode itself defines the colour space
        lab = Image.fromarray(raster.pixels, "LAB")
        to_srgb = _build_transform(_create_profile("LAB"), _create_profile("sRGB"), "LAB")
        return _apply(to_srgb, lab), None, False
    if raster.icc is not None:
        try:
            return _convert_by_profile(raster, raster.icc)
        except (*DECODER_ERRORS, ImageCms.PyCMSError) as error:
            notes.append(f"its colour profile cannot be used and was dropped ({error})")
    if raster.mode == "CMYK":
        notes.append("its CMYK colours are approximate, because it has no colour profile")
        return np.array(Image.fromarray(raster.pixels, "CMYK").convert("RGB")), None, False
    return raster.pixels, None, False


def from_working_space(
    pixels: np.ndarray,
    icc: bytes | None,
    output_format: str,
    notes: list[str],
    *,
    converted: bool,
) -> tuple[np.ndarray, bytes | None]:
    """Convert a result back to the space of the photo's profile.

    Args:
        pixels: HxW or HxWx3, uint8 or uint16.
        icc: the photo's profile.
        output_format: 'jpg', 'png' or 'webp'.
        notes: warnings are appended here.
        converted: whether the photo was converted from that profile to sRGB.

    Returns:
        The pixels and the profile to embed: None, with sRGB pixels, if it does not fit the result.
    """
    if icc is None:
        return pixels, None
    mode = "L" if pixels.ndim == 2 and output_format != "webp" else "RGB"
    try:
        profile = _open_profile(icc, mode)
        if not converted:
            return pixels, icc
        if mode == "L" or pixels.dtype != np.uint8 or pixels.ndim == 2:
            raise ValueError("only 8-bit RGB can be converted back to it")
        transform = _build_transform(_create_profile("sRGB"), profile, "RGB")
        return _apply(transform, Image.fromarray(pixels)), icc
    except (*DECODER_ERRORS, ImageCms.PyCMSError) as error:
        notes.append(f"its colour profile does not fit the result and was dropped ({error})")
        return pixels, None


def profile_name(icc: bytes | None) -> str | None:
    """Return the description of a profile for a report."""
    if icc is None:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        return ImageCms.getProfileDescription(profile).strip() or "unnamed"
    except (*DECODER_ERRORS, ImageCms.PyCMSError):
        return "unreadable"


def _convert_by_profile(raster: Raster, icc: bytes) -> tuple[np.ndarray, bytes | None, bool]:
    """Convert samples by their profile. Raises DECODER_ERRORS or PyCMSError if it is unusable."""
    profile = _open_profile(icc, raster.mode)
    to_srgb = _build_transform(profile, _create_profile("sRGB"), raster.mode)
    if raster.mode == "CMYK":
        return _apply(to_srgb, Image.fromarray(raster.pixels, "CMYK")), None, False
    if raster.mode == "L" or raster.pixels.dtype == np.uint16 or _is_identity(to_srgb):
        return raster.pixels, icc, False
    return _apply(to_srgb, Image.fromarray(raster.pixels)), icc, True


def _create_profile(space: Literal["sRGB", "LAB"]) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(space))


def _open_profile(icc: bytes, mode: str) -> ImageCms.ImageCmsProfile:
    """Open a profile for pixels of a mode.

    Raises:
        ValueError: it is too large or for another colour space.
        OSError: it is damaged.
    """
    if len(icc) > MAX_ICC_BYTES:
        raise ValueError(f"{len(icc)} bytes, the limit is {MAX_ICC_BYTES}")
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    space = profile.profile.xcolor_space.strip()
    if space != _PROFILE_SPACE[mode]:
        raise ValueError(f"it is a {space} profile, the photo is {mode}")
    return profile


def _build_transform(
    source: ImageCms.ImageCmsProfile, target: ImageCms.ImageCmsProfile, mode: str
) -> ImageCms.ImageCmsTransform:
    """Build a transform to RGB. Raises PyCMSError if a profile lacks the tables for it."""
    intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    return ImageCms.buildTransform(source, target, mode, "RGB", intent, flags)


def _apply(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> np.ndarray:
    converted = ImageCms.applyTransform(image, transform)
    if converted is None:
        raise ValueError("the colours could not be converted")
    return np.array(converted)


def _is_identity(to_srgb: ImageCms.ImageCmsTransform) -> bool:
    """Tell whether a transform changes no colour of a grid by more than two levels.

    The description of a profile is not reliable.
    """
    levels = np.linspace(0, 255, _GRID_STEPS).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
    change = np.abs(_apply(to_srgb, Image.fromarray(grid)).astype(int) - grid)
    return bool(change.max() <= MAX_SRGB_DIFFERENCE_LEVELS)
