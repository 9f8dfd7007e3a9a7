"""Colour spaces of TIFF and BMP files that are not told in the usual place of a profile.

A TIFF can state white point, primaries and tone curve in its tags (TIFF 6.0, section 20). A BMP can
state primaries and gamma in its header since version 4, and embed a profile since version 5.
"""

from __future__ import annotations

import struct

import numpy as np
from PIL import Image, TiffImagePlugin

from restore.imaging.icc import (
    CURVE_SAMPLES,
    Chromaticities,
    gamma_curve,
    grey_profile,
    rgb_profile,
    sampled_curve,
    srgb_light,
)
from restore.imaging.png_colour import BT709, SRGB_TOLERANCE

_TRANSFER_FUNCTION, _WHITE_POINT, _PRIMARIES = 301, 318, 319
_BITS = 258
_SAMPLES_16_BITS = 65535.0
_GREY_MODES = ("1", "L", "I")

_BMP_HEADER_BYTES, _BMP_COLOUR_SPACE_OFFSET = 14, 70
_BMP_PRIMARIES_OFFSET, _BMP_GAMMAS_OFFSET = 74, 110
_BMP_PROFILE_OFFSET, _BMP_PROFILE_SIZE_OFFSET = 126, 130
_BMP_V4_BYTES, _BMP_V5_BYTES = 108, 124
_CALIBRATED, _EMBEDDED, _LINKED = bytes(4), b"DEBM", b"KNIL"
"""'MBED' and 'LINK' as little-endian numbers."""
_BMP_PRIMARY_SCALE, _BMP_GAMMA_SCALE = 2.0**30, 2.0**16
_USUAL_GAMMA, _GAMMA_TOLERANCE = 2.2, 0.05
_MAX_SUM_ERROR = 0.01


def tiff_profile(image: Image.Image, notes: list[str]) -> bytes | None:
    """Return the profile of a TIFF's colour tags, to be called before it is loaded.

    Args:
        image: opened by Pillow, of any format.
        notes: warnings are appended here.

    Returns:
        None for sRGB, for photos without these tags, and for other formats.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or image.mode in ("CMYK", "LAB"):
        return None
    tags = image.tag_v2
    if not {_TRANSFER_FUNCTION, _PRIMARIES} & set(tags):
        return None
    try:
        chromaticities = _chromaticities(tags)
        curve = _transfer_curve(tags)
        if curve is None and chromaticities is BT709:
            return None
        if curve is None:
            curve = srgb_light(np.linspace(0.0, 1.0, CURVE_SAMPLES))
        if image.mode.startswith(_GREY_MODES):
            return grey_profile("TIFF tags", sampled_curve(curve))
        return rgb_profile("TIFF tags", chromaticities, sampled_curve(curve))
    except (ValueError, TypeError, IndexError, ZeroDivisionError) as error:
        notes.append(f"the colour space in its TIFF tags was ignored ({error})")
        return None


def bmp_profile(data: bytes, notes: list[str], *, is_grey: bool) -> bytes | None:
    """Return the profile that is embedded in a BMP, or that of its primaries and gamma.

    Args:
        data: the file.
        notes: warnings are appended here.
        is_grey: whether the profile is for grey samples.

    Returns:
        None for sRGB, and for a BMP that states nothing.
    """
    header_bytes = int.from_bytes(data[14:18], "little")
    space = data[_BMP_COLOUR_SPACE_OFFSET:][:4]
    if header_bytes < _BMP_V4_BYTES:
        return None
    if space == _CALIBRATED:
        try:
            return _calibrated_profile(data, is_grey=is_grey)
        except ValueError as error:
            notes.append(f"the colour space in its BMP header was ignored ({error})")
            return None
    if header_bytes >= _BMP_V5_BYTES and space == _LINKED:
        notes.append("its colour profile is in another file and was ignored")
    if header_bytes < _BMP_V5_BYTES or space != _EMBEDDED:
        return None
    offset, size = (
        int.from_bytes(data[at : at + 4], "little")
        for at in (_BMP_PROFILE_OFFSET, _BMP_PROFILE_SIZE_OFFSET)
    )
    return data[_BMP_HEADER_BYTES + offset :][:size] or None


def _calibrated_profile(data: bytes, *, is_grey: bool) -> bytes | None:
    """Return the profile of a BMP's primaries and gamma; None if they are 0 or those of sRGB.

    Raises:
        ValueError: they are impossible, or the channels have different gammas.
    """
    primaries = np.array(struct.unpack_from("<9I", data, _BMP_PRIMARIES_OFFSET)).reshape(3, 3)
    gammas = np.array(struct.unpack_from("<3I", data, _BMP_GAMMAS_OFFSET)) / _BMP_GAMMA_SCALE
    chromaticities = BT709
    if primaries.any():
        chromaticities = _bmp_chromaticities(primaries / _BMP_PRIMARY_SCALE)
    gamma = float(gammas.mean()) or _USUAL_GAMMA
    if np.ptp(gammas) > _GAMMA_TOLERANCE * gamma:
        raise ValueError("its channels have different gammas")
    if gamma < 1:  # some programs write the exponent of the encoding
        gamma = 1 / gamma
    is_usual = abs(gamma / _USUAL_GAMMA - 1) <= _GAMMA_TOLERANCE
    if is_usual and (is_grey or chromaticities is BT709):
        return None
    curve = gamma_curve(gamma)
    if is_grey:
        return grey_profile("BMP header", curve)
    return rgb_profile("BMP header", chromaticities, curve)


def _bmp_chromaticities(primaries: np.ndarray) -> Chromaticities:
    """Return white point and primaries, or BT709 if they are nearly these.

    Args:
        primaries: 3x3, a row per primary: XYZ, whose sum is the white point, or chromaticities
            x, y and z, whose sum is 1; their white point is that of sRGB.
    """
    sums = primaries.sum(axis=1)
    if not sums.all():
        raise ValueError("one of its primaries is 0")
    points = (primaries / sums[:, None])[:, :2]
    total = primaries.sum(axis=0)
    are_chromaticities = (np.abs(sums - 1) <= _MAX_SUM_ERROR).all()
    white = BT709.white if are_chromaticities else (total / total.sum())[:2]
    red, green, blue = ((float(x), float(y)) for x, y in points)
    stated = Chromaticities((float(white[0]), float(white[1])), red, green, blue)
    difference = np.abs(np.subtract(stated, BT709)).max()
    return BT709 if difference <= SRGB_TOLERANCE else stated


def _chromaticities(tags: TiffImagePlugin.ImageFileDirectory_v2) -> Chromaticities:
    """Return white point and primaries of the tags, or BT709 if they are nearly these."""
    if _PRIMARIES not in tags:
        return BT709
    values = [float(value) for value in tags[_PRIMARIES]]
    white = tuple(float(value) for value in tags.get(_WHITE_POINT, BT709.white))
    numbers = [*white, *values]
    if len(numbers) != len(BT709) * 2:
        raise ValueError(f"it has {len(numbers)} chromaticities instead of 8")
    stated = Chromaticities(*zip(numbers[::2], numbers[1::2], strict=True))
    difference = np.abs(np.subtract(stated, BT709)).max()
    return BT709 if difference <= SRGB_TOLERANCE else stated


def _transfer_curve(tags: TiffImagePlugin.ImageFileDirectory_v2) -> np.ndarray | None:
    """Return the light of each value, from 0 to 1, or None without a transfer function."""
    if _TRANSFER_FUNCTION not in tags:
        return None
    light = np.array(tags[_TRANSFER_FUNCTION], np.float64) / _SAMPLES_16_BITS
    count = 2 ** int(tags.get(_BITS, (8,))[0])
    curves = light.reshape(-1, count)
    if np.ptp(curves, axis=0).max() > 1 / 255:
        raise ValueError("its channels have different transfer functions")
    samples = np.linspace(0, count - 1, min(count, CURVE_SAMPLES)).round().astype(int)
    return np.asarray(curves[0][samples])
