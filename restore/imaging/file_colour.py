"""Colour spaces of TIFF and BMP files that are not told in the usual place of a profile.

A TIFF can state white point, primaries and tone curve in its tags (TIFF 6.0, section 20), a BMP can
embed a profile in its header of version 5.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, TiffImagePlugin

from restore.imaging.icc import (
    CURVE_SAMPLES,
    Chromaticities,
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
_BMP_PROFILE_OFFSET, _BMP_PROFILE_SIZE_OFFSET = 126, 130
_BMP_V5_BYTES = 124
_EMBEDDED = b"DEBM"  # 'MBED' as a little-endian number


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


def bmp_profile(data: bytes) -> bytes | None:
    """Return the profile that is embedded in a BMP, if there is one."""
    header_bytes = int.from_bytes(data[14:18], "little")
    if header_bytes < _BMP_V5_BYTES or data[_BMP_COLOUR_SPACE_OFFSET:][:4] != _EMBEDDED:
        return None
    offset, size = (
        int.from_bytes(data[at : at + 4], "little")
        for at in (_BMP_PROFILE_OFFSET, _BMP_PROFILE_SIZE_OFFSET)
    )
    return data[_BMP_HEADER_BYTES + offset :][:size] or None


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
