"""Look-up tables of colours: exactness, interpolation, grey curves and other colour spaces."""

import numpy as np
import pytest

from restore.imaging.colour_tables import (
    BAND_ROWS,
    apply_curve,
    apply_table,
    convert_values,
    identity_table,
    look_up,
    table_in_space,
    tone_curve,
)
from restore.imaging.icc import srgb_light

TO_P3 = np.array([[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]])
RNG = np.random.default_rng(3)
PIXELS = RNG.integers(0, 256, (BAND_ROWS + 9, 31, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (40, 31, 3), dtype=np.uint16)


@pytest.mark.parametrize("pixels", [PIXELS, DEEP], ids=["8 bits", "16 bits"])
def test_identity_changes_no_sample(pixels: np.ndarray) -> None:
    np.testing.assert_array_equal(apply_table(pixels, identity_table(33)), pixels)


@pytest.mark.parametrize("pixels", [PIXELS, DEEP], ids=["8 bits", "16 bits"])
def test_linear_table_is_applied_exactly(pixels: np.ndarray) -> None:
    mixing = np.array([[0.5, 0.2, 0.1], [0.0, 0.7, 0.3], [0.3, 0.0, 0.6]], np.float32)
    result = apply_table(pixels, identity_table(5) @ mixing.T)
    assert result.dtype == pixels.dtype
    np.testing.assert_allclose(result, pixels @ mixing.T, atol=0.6)


def test_values_outside_of_the_range_are_clipped() -> None:
    result = apply_table(PIXELS, identity_table(9) * 2 - 0.5)
    expected = np.clip(PIXELS.astype(float) * 2 - 127.5, 0, 255)
    np.testing.assert_allclose(result, expected, atol=0.6)


def test_values_between_nodes_are_interpolated_along_each_axis() -> None:
    table = identity_table(2)
    table[1, 0, 0] = (0.8, 0.4, 0.2)  # what blue becomes
    found = look_up(np.array([[[0.0, 0.0, 0.5], [0.5, 0.0, 0.5]]], np.float32), table)
    np.testing.assert_allclose(found[0, 0], (0.4, 0.2, 0.1), atol=1e-6)
    np.testing.assert_allclose(found[0, 1], (0.7, 0.1, 0.3), atol=1e-6)


def test_curve_of_greys_rises_and_has_no_tint() -> None:
    table = identity_table(33) ** 2 * np.array((1.2, 0.9, 0.6), np.float32)
    curve = tone_curve(table)
    steps = np.linspace(0, 1, 33)
    np.testing.assert_allclose(
        curve, (steps**2 * (0.299 * 1.2 + 0.587 * 0.9 + 0.114 * 0.6)), atol=1e-6
    )
    folded = table.copy()
    folded[20] = 0
    assert (np.diff(tone_curve(folded)) >= 0).all()
    strong = tone_curve(identity_table(9) * 2 - 0.5)
    assert (strong.min(), strong.max()) == (0, 1)


@pytest.mark.parametrize("pixels", [PIXELS, DEEP, PIXELS[..., 0], DEEP[..., 0]])
def test_curve_is_applied_to_every_sample(pixels: np.ndarray) -> None:
    full = np.iinfo(pixels.dtype).max
    result = apply_curve(pixels, np.linspace(0, 1, 33) * 0.5 + 0.25)
    assert (result.dtype, result.shape) == (pixels.dtype, pixels.shape)
    np.testing.assert_allclose(result, pixels * 0.5 + 0.25 * full, atol=0.6)


def test_identity_is_the_identity_in_every_space() -> None:
    table = identity_table(17)
    np.testing.assert_allclose(table_in_space(table, TO_P3), table, atol=2e-4)


def test_converted_table_gives_the_same_colours() -> None:
    """A colour inside of sRGB becomes the same light whichever space its photo has."""
    table = identity_table(33) * 0.8 + 0.1 * np.array((1, 0.5, 0), np.float32)
    colours = RNG.uniform(0.2, 0.8, (1, 50, 3)).astype(np.float32)
    in_p3 = convert_values(colours, TO_P3)
    changed = look_up(in_p3, table_in_space(table, TO_P3))
    expected = convert_values(look_up(colours, table), TO_P3)
    np.testing.assert_allclose(changed, expected, atol=4e-3)


def test_conversion_of_values_is_linear_in_light() -> None:
    values = RNG.uniform(0, 1, (20, 3))
    light = srgb_light(convert_values(values, TO_P3))
    np.testing.assert_allclose(light, srgb_light(values) @ TO_P3.T, atol=1e-5)
    back = convert_values(convert_values(values, np.linalg.inv(TO_P3)), TO_P3)
    np.testing.assert_allclose(back, values, atol=1e-5)
