"""Colour spaces that a BMP states in its header, and profiles that are embedded in a BMP.

Headers have primaries and gamma since version 4, and an embedded profile since version 5.
"""

from __future__ import annotations

import struct

import numpy as np

from restore.imaging.icc import (
    BT709,
    Chromaticities,
    chromaticities_of,
    gamma_curve,
    grey_profile,
    rgb_profile,
)

_FILE_HEADER_BYTES, _COLOUR_SPACE_OFFSET = 14, 70
_PRIMARIES_OFFSET, _GAMMAS_OFFSET = 74, 110
_PROFILE_OFFSET, _PROFILE_SIZE_OFFSET = 126, 130
_V4_BYTES, _V5_BYTES = 108, 124
_CALIBRATED, _EMBEDDED, _LINKED = bytes(4), b"DEBM", b"KNIL"
"""'MBED' and 'LINK' as little-endian numbers."""
_PRIMARY_SCALE, _GAMMA_SCALE = 2.0**30, 2.0**16
_USUAL_GAMMA, _GAMMA_TOLERANCE = 2.2, 0.05
_MAX_SUM_ERROR = 0.01


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
    space = data[_COLOUR_SPACE_OFFSET:][:4]
    if header_bytes < _V4_BYTES:
        return None
    if space == _CALIBRATED:
        try:
            return _calibrated_profile(data, is_grey=is_grey)
        except ValueError as error:
            notes.append(f"the colour space in its BMP header was ignored ({error})")
            return None
    if header_bytes >= _V5_BYTES and space == _LINKED:
        notes.append("its colour profile is in another file and was ignored")
    if header_bytes < _V5_BYTES or space != _EMBEDDED:
        return None
    offset, size = (
        int.from_bytes(data[at : at + 4], "little")
        for at in (_PROFILE_OFFSET, _PROFILE_SIZE_OFFSET)
    )
    return data[_FILE_HEADER_BYTES + offset :][:size] or None


def _calibrated_profile(data: bytes, *, is_grey: bool) -> bytes | None:
    """Return the profile of a BMP's primaries and gamma; None if they are 0 or those of sRGB.

    Raises:
        ValueError: they are impossible, or the channels have different gammas.
    """
    primaries = np.array(struct.unpack_from("<9I", data, _PRIMARIES_OFFSET)).reshape(3, 3)
    gammas = np.array(struct.unpack_from("<3I", data, _GAMMAS_OFFSET)) / _GAMMA_SCALE
    chromaticities = BT709
    if primaries.any():
        chromaticities = _chromaticities(primaries / _PRIMARY_SCALE)
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


def _chromaticities(primaries: np.ndarray) -> Chromaticities:
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
    return chromaticities_of([float(value) for value in (*white, *points.ravel())])
