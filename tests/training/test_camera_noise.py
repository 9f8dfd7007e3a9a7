"""Noise of cameras and film: it is correlated, depends on the brightness and keeps the colour."""

from collections.abc import Callable

import numpy as np
import pytest

from training.camera_noise import add_camera_noise, add_film_grain
from training.metrics import colour_shift_levels
from training.recipe import Photo

GREY = np.full((64, 64, 3), 110, np.uint8)
AddNoise = Callable[[Photo, np.random.Generator], Photo]


def noise_of(add: AddNoise, level: int, seed: int) -> np.ndarray:
    """The noise of a flat patch, HxWx3."""
    flat = np.full_like(GREY, level)
    return add(flat, np.random.default_rng(seed)).astype(np.float64) - level


def correlation(noise: np.ndarray) -> float:
    """The correlation of horizontal neighbours."""
    centred = noise - noise.mean(axis=(0, 1))
    return float((centred[:, 1:] * centred[:, :-1]).mean() / max(centred.var(), 1e-9))


@pytest.mark.parametrize("add", [add_camera_noise, add_film_grain])
class TestNoise:
    def test_it_depends_on_the_seed_only(self, add: AddNoise) -> None:
        first, second, other = (add(GREY, np.random.default_rng(seed)) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, second)
        assert (first != other).any()

    def test_neighbours_are_correlated(self, add: AddNoise) -> None:
        correlations = [correlation(noise_of(add, 110, seed)) for seed in range(12)]
        assert np.median(correlations) > 0.2

    def test_mean_colour_is_kept(self, add: AddNoise) -> None:
        shifts = [
            colour_shift_levels(GREY, add(GREY, np.random.default_rng(seed))) for seed in range(12)
        ]
        assert np.median(shifts) < 1.5


def test_camera_noise_is_coloured_and_film_grain_is_not() -> None:
    colours = [
        np.median([np.ptp(noise_of(add, 110, seed), axis=2).mean() for seed in range(12)])
        for add in (add_camera_noise, add_film_grain)
    ]
    assert colours[0] > 3.0
    assert colours[1] < 1.0


def test_film_grain_is_weakest_in_black_and_white() -> None:
    deviations = [
        np.median([noise_of(add_film_grain, level, seed).std() for seed in range(8)])
        for level in (20, 128, 235)
    ]
    assert deviations[1] > 1.2 * max(deviations[0], deviations[2])
