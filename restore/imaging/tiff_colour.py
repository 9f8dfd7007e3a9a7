"""Colour spaces that a TIFF states in its tags: white point, primaries and tone curve.

See TIFF 6.0, section 20. A profile that is embedded in a TIFF is read by Pillow.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, TiffImagePlugin

from restore.imaging.icc import (
    BT709,
    CURVE_SAMPLES,
    Chromaticities,
    chromaticities_of,
    grey_profile,
    rgb_profile,
    sampled_curve,
    srgb_light,
)
from restore.imaging.tiff import BITS_PER_SAMPLE

_TRANSFER_FUNCTION, _WHITE_POINT, _PRIMARIES = 301, 318, 319
_SAMPLES_16_BITS = 65535.0
_GREY_MODES = ("1", "L", "I")


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


def _chromaticities(tags: TiffImagePlugin.ImageFileDirectory_v2) -> Chromaticities:
    """Return white point and primaries of the tags; BT709 without primaries."""
    if _PRIMARIES not in tags:
        return BT709
    stored = (*tags.get(_WHITE_POINT, BT709.white), *tags[_PRIMARIES])
    return chromaticities_of([float(value) for value in stored])


def _transfer_curve(tags: TiffImagePlugin.ImageFileDirectory_v2) -> np.ndarray | None:
    """Return the light of each value, from 0 to 1, or None without a transfer function."""
    if _TRANSFER_FUNCTION not in tags:
        return None
    light = np.array(tags[_TRANSFER_FUNCTION], np.float64) / _SAMPLES_16_BITS
    count = 2 ** int(tags.get(BITS_PER_SAMPLE, (8,))[0])
    curves = light.reshape(-1, count)
    if np.ptp(curves, axis=0).max() > 1 / 255:
        raise ValueError("its channels have different transfer functions")
    samples = np.linspace(0, count - 1, min(count, CURVE_SAMPLES)).round().astype(int)
    return np.asarray(curves[0][samples])
