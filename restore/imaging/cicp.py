"""Colour spaces by the code points of ITU-T H.273 (cICP of PNG, nclx of HEIC and AVIF)."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import numpy as np

from restore.imaging.icc import (
    BT709,
    CURVE_SAMPLES,
    D65,
    Chromaticities,
    grey_profile,
    rgb_profile,
    sampled_curve,
    srgb_light,
)

SRGB_PRIMARIES, SRGB_TRANSFER, UNSPECIFIED = 1, 13, 2

_SMPTE170 = Chromaticities(D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070))
_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
_PRIMARIES = MappingProxyType(
    {
        1: ("BT.709", BT709),
        4: (
            "BT.470 M",
            Chromaticities((0.310, 0.316), (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
        ),
        5: ("BT.470 B/G", Chromaticities(D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06))),
        6: ("BT.601", _SMPTE170),
        7: ("SMPTE 240M", _SMPTE170),
        9: (
            "BT.2020",
            Chromaticities(D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
        ),
        11: ("DCI-P3", Chromaticities((0.314, 0.351), *_P3)),
        12: ("Display P3", Chromaticities(D65, *_P3)),
        22: ("EBU 3213-E", Chromaticities(D65, (0.630, 0.340), (0.295, 0.605), (0.155, 0.077))),
    }
)

_SDR_WHITE_NITS = 203.0
"""Luminance of diffuse white in HDR pictures (BT.2408)."""


def _bt709_light(values: np.ndarray) -> np.ndarray:
    return np.where(values < 0.081, values / 4.5, ((values + 0.099) / 1.099) ** (1 / 0.45))


def _smpte240_light(values: np.ndarray) -> np.ndarray:
    return np.where(values < 0.0912, values / 4, ((values + 0.1115) / 1.1115) ** (1 / 0.45))


def _pq_light(values: np.ndarray) -> np.ndarray:
    """Return the light of PQ values (BT.2100) relative to diffuse white."""
    power = values ** (32 / 2523)
    c1, c2, c3 = 3424 / 4096, 2413 / 128, 2392 / 128
    ratio = np.maximum(power - c1, 0) / (c2 - c3 * power)
    return ratio ** (8192 / 1305) * 10000 / _SDR_WHITE_NITS


def _hlg_light(values: np.ndarray) -> np.ndarray:
    """Return the light of HLG values (BT.2100) on a display of 1000 nits, likewise."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)
    return scene**1.2 * 1000 / _SDR_WHITE_NITS


_Light = Callable[[np.ndarray], np.ndarray]
_HDR_TRANSFERS: MappingProxyType[int, tuple[str, _Light]] = MappingProxyType(
    {16: ("PQ", _pq_light), 18: ("HLG", _hlg_light)}
)
_TRANSFERS: MappingProxyType[int, tuple[str, _Light]] = MappingProxyType(
    dict.fromkeys((1, 6, 11, 14, 15), ("BT.709 tones", _bt709_light))
    | {
        4: ("gamma 2.2", lambda values: values**2.2),
        5: ("gamma 2.8", lambda values: values**2.8),
        7: ("SMPTE 240M tones", _smpte240_light),
        8: ("linear", lambda values: values),
        13: ("sRGB tones", srgb_light),
        17: ("gamma 2.6", lambda values: values**2.6),
    }
    | _HDR_TRANSFERS
)


def code_point_profile(
    primaries: int, transfer: int, notes: list[str], *, full_range: bool, is_grey: bool
) -> bytes | None:
    """Return the profile of a colour space that is given by code points.

    Args:
        primaries: the code point of the primaries.
        transfer: the code point of the transfer characteristics.
        notes: warnings are appended here.
        full_range: whether the samples use the full range of their values.
        is_grey: whether the profile is for grey samples.

    Returns:
        None for sRGB.

    Raises:
        ValueError: a code point is unknown.
    """
    if primaries not in _PRIMARIES or transfer not in _TRANSFERS:
        raise ValueError(f"code points {primaries}, {transfer}")
    if (primaries, transfer, full_range) == (SRGB_PRIMARIES, SRGB_TRANSFER, True):
        return None
    name, light = _TRANSFERS[transfer]
    if transfer in _HDR_TRANSFERS:
        notes.append(
            f"it is an HDR photo ({name}), which is not supported: its values were processed as"
            " they are, and the result shows all highlights brighter than white as white"
        )
    values = np.linspace(0.0, 1.0, CURVE_SAMPLES)
    if not full_range:
        values = np.clip((values * 255 - 16) / 219, 0.0, 1.0)
        name += ", narrow range"
    curve = sampled_curve(light(values))
    if is_grey:
        return grey_profile(f"Grey, {name}", curve)
    space, chromaticities = _PRIMARIES[primaries]
    return rgb_profile(f"{space}, {name}", chromaticities, curve)
