"""Primaries and tone curves of code points, against the values of ITU-T H.273 and BT.2100."""

import struct

import numpy as np
import pytest

from restore.imaging.cicp import _HDR_TRANSFERS, _PRIMARIES, _TRANSFERS, code_point_profile

PRIMARIES = {
    1: (0.640, 0.330, 0.300, 0.600, 0.150, 0.060, 0.3127, 0.3290),
    4: (0.670, 0.330, 0.210, 0.710, 0.140, 0.080, 0.3100, 0.3160),
    5: (0.640, 0.330, 0.290, 0.600, 0.150, 0.060, 0.3127, 0.3290),
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, 0.3127, 0.3290),
    7: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, 0.3127, 0.3290),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290),
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3140, 0.3510),
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3127, 0.3290),
    22: (0.630, 0.340, 0.295, 0.605, 0.155, 0.077, 0.3127, 0.3290),
}


def test_primaries_are_those_of_the_standard() -> None:
    found = {code: space for code, (_, space) in _PRIMARIES.items()}
    for code, (rx, ry, gx, gy, bx, by, wx, wy) in PRIMARIES.items():
        assert found.pop(code) == ((wx, wy), (rx, ry), (gx, gy), (bx, by))
    assert not found


@pytest.mark.parametrize(
    ("transfer", "value", "light"),
    [
        (1, 0.0405, 0.009),  # OETF of BT.709: 4.5 L below 0.018, 1.099 L**0.45 - 0.099 above
        (1, 1.099 * 0.5**0.45 - 0.099, 0.5),
        (4, 0.5, 0.5**2.2),
        (5, 0.5, 0.5**2.8),
        (7, 0.08, 0.02),  # 4 L below 0.0228, 1.1115 L**0.45 - 0.1115 above
        (7, 1.1115 * 0.5**0.45 - 0.1115, 0.5),
        (8, 0.3, 0.3),
        (13, 0.5, 0.21404),
        (17, 0.5, 0.5**2.6),
        (16, 0.50808, 100 / 203),  # 100 cd/m2
        (16, 1.0, 10_000 / 203),
        (18, 0.75, 1.0),  # reference white of BT.2408
        (18, 0.5, (1 / 12) ** 1.2 * 1000 / 203),
        (18, 1.0, 1000 / 203),
    ],
)
def test_light_of_a_value_is_that_of_the_standard(
    transfer: int, value: float, light: float
) -> None:
    assert _TRANSFERS[transfer][1](np.array(value)) == pytest.approx(light, rel=2e-3)


@pytest.mark.parametrize("transfer", sorted(_TRANSFERS))
def test_curves_rise_without_steps(transfer: int) -> None:
    values = np.linspace(0, 1, 4001)
    light = _TRANSFERS[transfer][1](values)
    steps = np.diff(light) / light[-1]
    assert (steps >= 0).all()
    assert steps.max() < 0.005
    assert (transfer in _HDR_TRANSFERS) == (light[-1] > 1.01)


def test_values_of_the_narrow_range_are_stretched() -> None:
    curves = []
    for full_range in (True, False):
        profile = code_point_profile(1, 8, [], full_range=full_range, is_grey=True)
        assert profile is not None
        at = profile.index(b"curv")
        [count] = struct.unpack_from(">I", profile, at + 8)
        curves.append(np.frombuffer(profile, ">u2", count, at + 12) / 65535)
    steps = np.linspace(0, 1, count)
    np.testing.assert_allclose(curves[0], steps, atol=1e-4)
    expected = np.interp(steps, (16 / 255, 235 / 255), (0, 1))
    np.testing.assert_allclose(curves[1], expected, atol=1e-4)
