"""Colour spaces of PNG files: the chunks cICP, iCCP, sRGB, gAMA and cHRM, in order of precedence.

The space of cICP, gAMA and cHRM becomes an ICC profile, which the result carries. See the PNG
specification, third edition, sections 4.3 and 11.3.2, and ITU-T H.273 for the code points.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from types import MappingProxyType

import numpy as np

from restore.imaging.icc import (
    BT709,
    CURVE_SAMPLES,
    D65,
    Chromaticities,
    chromaticities_of,
    gamma_curve,
    grey_profile,
    rgb_profile,
    sampled_curve,
    srgb_light,
)
from restore.imaging.png import png_chunks

_SRGB_GAMA, _GAMA_TOLERANCE = 0.45455, 0.05
"""Encoding exponent of sRGB in gAMA, and the relative difference that libpng ignores."""
_CHUNK_SCALE = 1e5
_CHUNK_BYTES = MappingProxyType({b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4})

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


def png_profile(
    data: bytes, embedded: bytes | None, notes: list[str], *, is_grey: bool
) -> bytes | None:
    """Return the profile of a PNG's colour space.

    Args:
        data: the file.
        embedded: the profile of its iCCP chunk.
        notes: warnings are appended here.
        is_grey: whether the profile is for grey samples.

    Returns:
        A profile of `embedded` or built from the other chunks; None for sRGB.
    """
    chunks = _colour_chunks(data)
    if b"cICP" in chunks:
        try:
            return _cicp_profile(chunks[b"cICP"], notes, is_grey=is_grey)
        except ValueError as error:
            notes.append(f"its cICP colour space was ignored ({error})")
    if embedded is not None or b"sRGB" in chunks:
        return embedded
    try:
        return _gama_profile(chunks, is_grey=is_grey)
    except ValueError as error:
        notes.append(f"its gAMA and cHRM colour space was ignored ({error})")
    return None


def _colour_chunks(data: bytes) -> dict[bytes, bytes]:
    """Return the first of each colour chunk before the samples, if it has the right size."""
    found: dict[bytes, bytes] = {}
    for kind, start, end in png_chunks(data):
        if kind == b"IDAT":
            break
        if end - start - 12 == _CHUNK_BYTES.get(kind):
            found.setdefault(kind, data[start + 8 : end - 4])
    return found


def _gama_profile(chunks: dict[bytes, bytes], *, is_grey: bool) -> bytes | None:
    """Return the profile of gAMA and cHRM. Raises ValueError if they are impossible."""
    gama = chunks.get(b"gAMA")
    encoding = _SRGB_GAMA if gama is None else int.from_bytes(gama, "big") / _CHUNK_SCALE
    if encoding == 0:
        raise ValueError("gAMA is 0")
    is_srgb_gamma = abs(encoding / _SRGB_GAMA - 1) <= _GAMA_TOLERANCE
    chromaticities = BT709
    if b"cHRM" in chunks and not is_grey:
        stored = struct.unpack(">8I", chunks[b"cHRM"])
        chromaticities = chromaticities_of([number / _CHUNK_SCALE for number in stored])
    if is_srgb_gamma and chromaticities is BT709:
        return None
    curve = gamma_curve(1 / encoding)
    if is_grey:
        return grey_profile(f"PNG gamma {1 / encoding:.3g}", curve)
    return rgb_profile(f"PNG gamma {1 / encoding:.3g}", chromaticities, curve)


def _cicp_profile(cicp: bytes, notes: list[str], *, is_grey: bool) -> bytes | None:
    """Return the profile of a cICP chunk. Raises ValueError if it is unknown."""
    primaries, transfer, matrix, full_range = cicp
    if primaries not in _PRIMARIES or transfer not in _TRANSFERS or matrix or full_range > 1:
        raise ValueError(f"code points {primaries}, {transfer}, {matrix}, {full_range}")
    if cicp == b"\x01\x0d\0\x01":
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
