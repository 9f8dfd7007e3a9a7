"""Colour management: photos are processed in their own colour space, which the result keeps.

- RGB and grey samples keep their values, and the result gets the photo's profile. Nothing is
  clipped, and what a task does not change keeps its exact values.
- Networks expect values like those of sRGB. Those of Display P3, Adobe RGB, BT.2020 and ROMM are
  similar enough: PSNR falls by 0.0 to 1.2 dB (lite networks, noisy and reduced photos of Kodak).
  Linear values would cost 2 to 5 dB, so tones far from sRGB are converted by a curve, and back.
  If 16 bits are reduced to 8, they keep the tones of sRGB, with a profile of the same primaries.
- Grey with a profile that becomes RGB gets the tones of sRGB and no profile.
- CMYK and Lab are converted to sRGB (relative colorimetric, black point compensation), CMYK by its
  profile if there is one. Its profile is dropped, and clipped colours are a warning.
- A damaged profile, or one for another colour space than the samples, is dropped with a warning.
"""

from __future__ import annotations

import io
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageCms

from restore.imaging.convert import to_rgb
from restore.imaging.decode import Raster
from restore.imaging.decoder_errors import DECODER_ERRORS
from restore.imaging.icc import (
    CURVE_SAMPLES,
    Chromaticities,
    gamma_curve,
    matrix_profile,
    rgb_profile,
    sampled_curve,
    srgb_light,
)
from restore.imaging.tone import ToneCurve

MAX_ICC_BYTES = 4 * 2**20

MAX_TONE_DIFFERENCE_LEVELS = 24
"""Greys of Adobe RGB differ by 9 levels from sRGB, those of gamma 1.8 by 19, linear ones by 73."""

MIN_CLIPPED_SHARE = 0.01
CLIPPED_LEVELS = 12
_SAMPLE_PX = 256

_PROFILE_SPACE = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
_IDENTITY_TOLERANCE = 0.01

_GREYS = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
_HUES = np.array([[200, 90, 90], [90, 200, 90], [90, 90, 200]], np.uint8)
_AS_THEY_ARE = "its values were processed as they are, so the result may be worse"

_SRGB_CURVE = sampled_curve(srgb_light(np.linspace(0.0, 1.0, CURVE_SAMPLES)))
_WIDE_GAMUT = rgb_profile(
    "ROMM RGB",
    Chromaticities((0.3457, 0.3585), (0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)),
    gamma_curve(1.8),
)


class WorkingPixels(NamedTuple):
    """Pixels as tasks process them.

    Attributes:
        pixels: HxW or HxWx3.
        icc: the profile of their colour space; None for sRGB.
        native: the pixels as stored, if their tones were converted to those of sRGB.
    """

    pixels: np.ndarray
    icc: bytes | None = None
    native: np.ndarray | None = None


def to_working_space(raster: Raster, notes: list[str]) -> WorkingPixels:
    """Return the samples as tasks process them.

    Args:
        raster: the samples as stored.
        notes: warnings are appended here.
    """
    if raster.mode == "LAB":  # the mode itself defines the colour space
        lab = Image.fromarray(raster.pixels, "LAB")
        return WorkingPixels(_convert_to_srgb(lab, _create_profile("LAB"), notes))
    if raster.icc is not None:
        try:
            return _process_profile(raster, raster.icc, notes)
        except (*DECODER_ERRORS, ImageCms.PyCMSError) as error:
            notes.append(f"its colour profile cannot be used and was dropped ({error})")
    if raster.mode == "CMYK":
        notes.append("its CMYK colours are approximate, because it has no colour profile")
        return WorkingPixels(np.array(Image.fromarray(raster.pixels, "CMYK").convert("RGB")))
    return WorkingPixels(raster.pixels)


def from_working_space(
    pixels: np.ndarray,
    icc: bytes | None,
    notes: list[str],
    *,
    bits: int,
    converted: bool,
    holds_grey: bool = True,
    native: np.ndarray | None = None,
) -> tuple[np.ndarray, bytes | None]:
    """Return a result in the space of the photo's profile.

    Args:
        pixels: HxW or HxWx3, uint8 or uint16.
        icc: the photo's profile.
        notes: warnings are appended here.
        bits: the most bits per sample that the result may have, 8 or 16. Pixels of 16 bits are not
            reduced here, but keep the tones of sRGB for a result of 8.
        holds_grey: whether the result may have one channel; webp has always three.
        converted: whether the tones of the pixels are those of sRGB instead of the profile.
        native: the photo as stored, see `WorkingPixels`.

    Returns:
        The pixels and the profile to embed: None, with sRGB pixels, if it does not fit the result.
    """
    if icc is None:
        return pixels, None
    try:
        space = _space_of(ImageCms.ImageCmsProfile(io.BytesIO(icc)))
        # 8 bits of linear light would have too few levels in the shadows.
        keeps_tones = converted and pixels.dtype == np.uint16 and bits == 8
        if space == "GRAY" and (keeps_tones or pixels.ndim == 3 or not holds_grey):
            return (pixels if converted else _grey_in_srgb(pixels, icc)), None
        mode = "L" if space == "GRAY" else "RGB"
        columns = _colorants(_open_profile(icc, mode))
        if keeps_tones and columns is not None:
            return to_rgb(pixels), matrix_profile("with the tones of sRGB", columns, _SRGB_CURVE)
        curve = _tone_curve(icc, mode) if converted else None
    except (*DECODER_ERRORS, ImageCms.PyCMSError) as error:
        notes.append(f"its colour profile does not fit the result and was dropped ({error})")
        return pixels, None
    if curve is not None:
        pixels = curve.from_srgb(pixels, native)
    return (to_rgb(pixels) if mode == "RGB" else pixels), icc


def srgb_to_space(icc: bytes | None) -> np.ndarray | None:
    """Return the 3x3 matrix from linear sRGB to the linear RGB of a profile.

    Returns:
        None if it is the identity, or if the profile is not defined by three primaries.
    """
    if icc is None:
        return None
    try:
        columns = _colorants(_open_profile(icc, "RGB"))
        srgb_columns = _colorants(_create_profile("sRGB"))
        if columns is None or srgb_columns is None:
            return None
        matrix: np.ndarray = np.linalg.solve(columns, srgb_columns)
    except (*DECODER_ERRORS, ImageCms.PyCMSError, np.linalg.LinAlgError):
        return None
    return None if np.allclose(matrix, np.eye(3), atol=_IDENTITY_TOLERANCE) else matrix


def profile_name(icc: bytes | None) -> str | None:
    """Return the description of a profile for a report."""
    if icc is None:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        return ImageCms.getProfileDescription(profile).strip() or "unnamed"
    except (*DECODER_ERRORS, ImageCms.PyCMSError):
        return "unreadable"


def _process_profile(raster: Raster, icc: bytes, notes: list[str]) -> WorkingPixels:
    """Process samples by their profile. Raises DECODER_ERRORS or PyCMSError if it is unusable."""
    if raster.mode == "CMYK":
        image = Image.fromarray(raster.pixels, "CMYK")
        return WorkingPixels(_convert_to_srgb(image, _open_profile(icc, "CMYK"), notes))
    greys = _in_srgb(icc, raster.mode, _GREYS).mean(axis=1)
    is_far = np.abs(greys - np.arange(256)).max() > MAX_TONE_DIFFERENCE_LEVELS
    curve = ToneCurve.from_measured(greys) if is_far else None
    if is_far and curve is None:
        notes.append(f"the tones of its colour profile are unusual; {_AS_THEY_ARE}")
    elif raster.mode == "RGB" and (_in_srgb(icc, "RGB", _HUES).argmax(axis=1) != (0, 1, 2)).any():
        notes.append(f"its colour profile exchanges colours; {_AS_THEY_ARE}")
    if curve is None:
        return WorkingPixels(raster.pixels, icc)
    return WorkingPixels(curve.to_srgb(raster.pixels), icc, raster.pixels)


def _grey_in_srgb(pixels: np.ndarray, icc: bytes) -> np.ndarray:
    """Convert pixels with the tones of a grey profile. Raises ValueError if these do not rise."""
    curve = _tone_curve(icc, "L")
    if curve is None:
        raise ValueError("its tones are unusual")
    return curve.to_srgb(pixels)


def _tone_curve(icc: bytes, mode: str) -> ToneCurve | None:
    return ToneCurve.from_measured(_in_srgb(icc, mode, _GREYS).mean(axis=1))


def _in_srgb(icc: bytes, mode: str, colours: np.ndarray) -> np.ndarray:
    """Convert colours of a profile to sRGB.

    Args:
        icc: the profile.
        mode: 'L' or 'RGB'.
        colours: Nx3 uint8; the first channel is used for grey.

    Returns:
        Nx3 uint8.

    Raises:
        One of DECODER_ERRORS or PyCMSError: the profile is unusable.
    """
    profile, srgb = _open_profile(icc, mode), _create_profile("sRGB")
    # Optimized transforms of grey are up to 10 levels wrong in the shadows.
    to_srgb = _build_transform(profile, srgb, mode, ImageCms.Flags.NOOPTIMIZE)
    row = colours[None] if mode == "RGB" else colours[None, :, 0]
    converted: np.ndarray = _apply(to_srgb, Image.fromarray(np.ascontiguousarray(row)))[0]
    return converted


def _convert_to_srgb(
    image: Image.Image, profile: ImageCms.ImageCmsProfile, notes: list[str]
) -> np.ndarray:
    """Convert CMYK or Lab to sRGB; warn if colours were clipped."""
    srgb = _create_profile("sRGB")
    pixels = _apply(_build_transform(profile, srgb, image.mode), image)
    wide = ImageCms.ImageCmsProfile(io.BytesIO(_WIDE_GAMUT))
    step_px = max(1, max(image.size) // _SAMPLE_PX)
    sample = Image.fromarray(np.array(image)[::step_px, ::step_px], image.mode)
    full = _apply(_build_transform(profile, wide, image.mode), sample)
    kept = Image.fromarray(np.ascontiguousarray(pixels[::step_px, ::step_px]))
    change = np.abs(_apply(_build_transform(srgb, wide, "RGB"), kept).astype(int) - full)
    clipped = float((change.max(axis=-1) > CLIPPED_LEVELS).mean())
    if clipped >= MIN_CLIPPED_SHARE:
        notes.append(
            f"{clipped:.0%} of its pixels have {image.mode} colours outside of sRGB, to which they"
            " were clipped"
        )
    return pixels


def _create_profile(space: Literal["sRGB", "LAB"]) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(space))


def _space_of(profile: ImageCms.ImageCmsProfile) -> str:
    return profile.profile.xcolor_space.strip()


def _open_profile(icc: bytes, mode: str) -> ImageCms.ImageCmsProfile:
    """Open a profile for pixels of a mode.

    Raises:
        ValueError: it is too large or for another colour space.
        OSError: it is damaged.
    """
    if len(icc) > MAX_ICC_BYTES:
        raise ValueError(f"{len(icc)} bytes, the limit is {MAX_ICC_BYTES}")
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    space = _space_of(profile)
    if space != _PROFILE_SPACE[mode]:
        raise ValueError(f"it is a {space} profile, the photo is {mode}")
    return profile


def _colorants(profile: ImageCms.ImageCmsProfile) -> np.ndarray | None:
    """Return the primaries of an RGB profile as columns of XYZ, or None if it has none."""
    core = profile.profile
    primaries = (core.red_colorant, core.green_colorant, core.blue_colorant)
    if any(primary is None for primary in primaries):
        return None
    return np.array([primary[0] for primary in primaries if primary is not None]).T


def _build_transform(
    source: ImageCms.ImageCmsProfile,
    target: ImageCms.ImageCmsProfile,
    mode: str,
    flags: ImageCms.Flags = ImageCms.Flags.NONE,
) -> ImageCms.ImageCmsTransform:
    """Build a transform to RGB. Raises PyCMSError if a profile lacks the tables for it."""
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    flags |= ImageCms.Flags.BLACKPOINTCOMPENSATION
    return ImageCms.buildTransform(source, target, mode, "RGB", intent, flags)


def _apply(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> np.ndarray:
    converted = ImageCms.applyTransform(image, transform)
    if converted is None:
        raise ValueError("the colours could not be converted")
    return np.array(converted)
