"""Degradations: determinism, strength, colour, blur kernels."""

from collections.abc import Callable

import numpy as np
import pytest
from blurredphotos import CLEAN

from benchmarks.quality import psnr_db
from training.degradations import (
    FIRST_PASS,
    degrade_lightly,
    degrade_second_order,
    random_blur_kernel,
    sinc_kernel,
)
from training.metrics import colour_shift_levels
from training.recipe import Photo
from training.recipe_upscale import reduce_photo

Degrade = Callable[[Photo, tuple[int, int], np.random.Generator], Photo]


@pytest.mark.parametrize("degrade", [degrade_second_order, degrade_lightly])
class TestDegradation:
    def test_output_depends_on_the_seed_only(self, degrade: Degrade) -> None:
        first, second, other = (
            degrade(CLEAN, (64, 48), np.random.default_rng(seed)) for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(first, second)
        assert (first != other).any()
        assert first.shape == (48, 64, 3)

    def test_mean_colour_is_kept(self, degrade: Degrade) -> None:
        shifts = [
            colour_shift_levels(CLEAN, degrade(CLEAN, (64, 64), np.random.default_rng(seed)))
            for seed in range(8)
        ]
        assert np.median(shifts) < 4.0


def test_second_order_degradation_is_stronger_than_light_degradation() -> None:
    reduced, _ = reduce_photo(CLEAN, 4)
    strong_db, light_db = (
        np.mean(
            [
                psnr_db(degrade(CLEAN, (64, 64), np.random.default_rng(seed)), reduced)
                for seed in range(8)
            ]
        )
        for degrade in (degrade_second_order, degrade_lightly)
    )
    assert strong_db < light_db - 1.0


def test_blur_kernels_sum_to_one() -> None:
    kernels = [
        random_blur_kernel(FIRST_PASS.blur_sigma_px, np.random.default_rng(seed))
        for seed in range(40)
    ]
    np.testing.assert_allclose([kernel.sum() for kernel in kernels], 1.0, atol=1e-4)
    assert {kernel.shape[0] for kernel in kernels} <= set(range(7, 22, 2))


def test_sinc_kernel_has_negative_lobes() -> None:
    assert sinc_kernel(1.5, 21).min() < 0.0
