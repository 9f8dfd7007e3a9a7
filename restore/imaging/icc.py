"""Building of ICC profiles from chromaticities and tone curves (ICC.1:2001-04, version 2.4).

Pillow builds profiles only for sRGB, Lab and XYZ. Equal arguments give equal bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

CURVE_SAMPLES = 1024
D50_XYZ = (0.9642, 1.0, 0.8249)
_MIN_GAMMA, _MAX_GAMMA = 0.1, 10.0
_SINGULAR = 1e-6

_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
"""XYZ to cone responses, for the adaptation of a white point to D50 (ICC.1, annex E)."""


def srgb_light(values: np.ndarray) -> np.ndarray:
    """Return the light of sRGB values, both from 0 to 1 (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


class Chromaticities(NamedTuple):
    """CIE (x, y) of the white point and the primaries of an RGB space."""

    white: tuple[float, float]
    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]


D65 = (0.3127, 0.3290)
BT709 = Chromaticities(D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
"""The white point and the primaries of sRGB."""
_BT709_TOLERANCE = 0.003


def chromaticities_of(numbers: Sequence[float]) -> Chromaticities:
    """Return the chromaticities that a file states; BT709 itself if they are nearly these.

    Args:
        numbers: x and y of white, red, green and blue.

    Raises:
        ValueError: there are not 8 numbers.
    """
    if len(numbers) != 2 * len(BT709):
        raise ValueError(f"it has {len(numbers)} chromaticity values instead of {2 * len(BT709)}")
    stated = Chromaticities(*zip(numbers[::2], numbers[1::2], strict=True))
    difference = np.abs(np.subtract(stated, BT709)).max()
    return BT709 if difference <= _BT709_TOLERANCE else stated


def gamma_curve(gamma: float) -> bytes:
    """Return the tag of a curve with light = value ** gamma.

    Raises:
        ValueError: gamma is not from 0.1 to 10.
    """
    if not _MIN_GAMMA <= gamma <= _MAX_GAMMA:
        raise ValueError(f"its gamma is {gamma:g}, the limits are {_MIN_GAMMA} and {_MAX_GAMMA:g}")
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def sampled_curve(light: np.ndarray) -> bytes:
    """Return the tag of a curve given by its light, clipped to [0, 1], at equal steps of value."""
    samples = np.rint(np.clip(light, 0.0, 1.0) * 65535).astype(">u2").tobytes()
    return _pad(b"curv\0\0\0\0" + struct.pack(">I", len(light)) + samples)


def rgb_profile(name: str, chromaticities: Chromaticities, curve: bytes) -> bytes:
    """Build the profile of an RGB space.

    Args:
        name: the description, ASCII.
        chromaticities: the white point and the primaries.
        curve: the tag of the tone curve of all channels.

    Raises:
        ValueError: the chromaticities give no colour space.
    """
    return matrix_profile(name, _to_xyz_matrix(chromaticities), curve)


def matrix_profile(name: str, to_xyz: np.ndarray, curve: bytes) -> bytes:
    """Build the profile of an RGB space from its matrix.

    Args:
        name: the description, ASCII.
        to_xyz: 3x3, linear RGB to XYZ relative to D50.
        curve: the tag of the tone curve of all channels.
    """
    tags = {
        key: _xyz_tag(*column)
        for key, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), to_xyz.T, strict=True)
    }
    return _profile(b"RGB ", name, tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def grey_profile(name: str, curve: bytes) -> bytes:
    """Build the profile of a grey space; arguments as for `rgb_profile`."""
    return _profile(b"GRAY", name, {b"kTRC": curve})


def _to_xyz_matrix(chromaticities: Chromaticities) -> np.ndarray:
    """Return the 3x3 matrix from linear RGB to XYZ relative to D50.

    Raises:
        ValueError: the chromaticities give no colour space.
    """
    points = np.array(chromaticities)
    if not (points >= 0).all() or points[0, 1] < _SINGULAR:
        raise ValueError("its chromaticities are impossible")
    white = np.array([points[0, 0], points[0, 1], 1 - points[0].sum()]) / points[0, 1]
    primaries = np.vstack([points[1:].T, 1 - points[1:].sum(axis=1)])
    if abs(np.linalg.det(primaries)) < _SINGULAR:
        raise ValueError("its primaries lie on a line")
    to_xyz = primaries * np.linalg.solve(primaries, white)
    gains = (_BRADFORD @ D50_XYZ) / (_BRADFORD @ white)
    adapted: np.ndarray = np.linalg.inv(_BRADFORD) @ (gains[:, None] * (_BRADFORD @ to_xyz))
    if not np.isfinite(adapted).all() or np.abs(adapted).max() > 2:
        raise ValueError("its chromaticities are impossible")
    return adapted


def _xyz_tag(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def _text_tag(name: str) -> bytes:
    text = name.encode("ascii") + b"\0"
    # A textDescriptionType has empty Unicode and Macintosh texts after the ASCII text.
    return _pad(b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78))


def _profile(space: bytes, name: str, tags: dict[bytes, bytes]) -> bytes:
    """Assemble header, tag table and tags; equal tags are stored once."""
    common = {
        b"desc": _text_tag(name),
        b"cprt": _pad(b"text\0\0\0\0No copyright\0"),
        b"wtpt": _xyz_tag(*D50_XYZ),
    }
    tags = common | tags
    start, table, body, offsets = 132 + 12 * len(tags), b"", b"", dict[bytes, int]()
    for key, data in tags.items():
        if data not in offsets:
            offsets[data] = start + len(body)
            body += data
        table += key + struct.pack(">II", offsets[data], len(data))
    size = start + len(body)
    header = struct.pack(">I4xI4s4s4s12x4s", size, 0x02400000, b"mntr", space, b"XYZ ", b"acsp")
    header += bytes(28) + struct.pack(">3i", *(round(value * 65536) for value in D50_XYZ))
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
