"""Colour spaces of PNG files: the chunks cICP, iCCP, sRGB, gAMA and cHRM, in order of precedence.

The space of cICP, gAMA and cHRM becomes an ICC profile, which the result carries. See the PNG
specification, third edition, sections 4.3 and 11.3.2, and ITU-T H.273 for the code points.
"""

from __future__ import annotations

import struct
from types import MappingProxyType

from restore.imaging.cicp import code_point_profile
from restore.imaging.icc import (
    BT709,
    chromaticities_of,
    gamma_curve,
    grey_profile,
    rgb_profile,
)
from restore.imaging.png import png_chunks

_SRGB_GAMA, _GAMA_TOLERANCE = 0.45455, 0.05
"""Encoding exponent of sRGB in gAMA, and the relative difference that libpng ignores."""
_CHUNK_SCALE = 1e5
_CHUNK_BYTES = MappingProxyType({b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4})


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
    if matrix or full_range > 1:
        raise ValueError(f"code points {primaries}, {transfer}, {matrix}, {full_range}")
    return code_point_profile(
        primaries, transfer, notes, full_range=bool(full_range), is_grey=is_grey
    )
