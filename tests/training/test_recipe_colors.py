"""The model of fading, and the patches of the recipe that uses it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from blurredphotos import CLEAN as LARGE
from skimage.color import deltaE_ciede94, rgb2lab

from training.fading import cast, density_of, fade, light_of, random_mixing, scan
from training.recipe import Photo
from training.recipe_colors import (
    COLORS_RECIPE,
    PhotoCorrector,
    colour_difference,
    colour_loss,
    draw_faded_patch,
    is_held_back,
    prepare_thumbnail,
)

CLEAN = LARGE[::3, ::3]
Damage = Callable[[Photo, np.random.Generator], Photo]
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("damage", [fade, cast])
def test_result_depends_on_the_seed_only(damage: Damage) -> None:
    first, second, other = (damage(CLEAN, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
    assert (first.shape, first.dtype) == (CLEAN.shape, np.uint8)


def test_fading_reduces_the_range_of_densities() -> None:
    before = np.ptp(density_of(CLEAN), axis=(0, 1)).mean()
    ranges = [
        np.ptp(
            np.quantile(density_of(fade(CLEAN, np.random.default_rng(seed))), (0.02, 0.98), (0, 1)),
            axis=0,
        ).mean()
        for seed in range(12)
    ]
    assert np.median(ranges) < 0.75 * before


def test_dyes_fade_by_different_amounts() -> None:
    tints = []
    for seed in range(12):
        means = fade(CLEAN, np.random.default_rng(seed)).mean(axis=(0, 1))
        tints.append(np.ptp(means - CLEAN.mean(axis=(0, 1))))
    assert np.median(tints) > 10


def test_cast_keeps_luminance_and_changes_colour() -> None:
    dim = CLEAN // 2
    for seed in range(6):
        result = light_of(cast(dim, np.random.default_rng(seed))) @ LUMINANCE
        ratio = result.mean() / (light_of(dim) @ LUMINANCE).mean()
        assert 0.85 < ratio < 1.15


def test_dyes_absorb_mainly_one_third_of_the_spectrum() -> None:
    mixing = random_mixing(np.random.default_rng(0))
    np.testing.assert_array_equal(np.diag(mixing), 1.0)
    assert mixing[~np.eye(3, dtype=bool)].max() <= 0.25


def test_plain_black_can_be_scanned() -> None:
    result = scan(np.zeros((8, 8, 3), np.float32), np.random.default_rng(3))
    assert result.dtype == np.uint8


def test_every_eighth_photo_is_never_trained_on() -> None:
    assert [is_held_back("a.jpg", index) for index in (0, 1, 7, 8, 16)] == [
        True,
        False,
        False,
        True,
        True,
    ]


def test_patches_are_faded_good_or_grey() -> None:
    pair = prepare_thumbnail(LARGE)
    assert min(pair[0].shape[:2]) == 128
    rng = np.random.default_rng(5)
    drawn = [draw_faded_patch(pair, 64, rng) for _ in range(60)]
    assert all(patch.shape == target.shape == (64, 64, 3) for patch, target in drawn)
    changes = [np.abs(patch.astype(int) - target).mean() for patch, target in drawn]
    assert 0.15 < np.mean(np.array(changes) < 4) < 0.5
    greys = [target for _, target in drawn if (target == target[..., :1]).all()]
    assert 1 <= len(greys) <= 15


def test_training_corrects_every_second_pixel() -> None:
    net = PhotoCorrector()
    photo = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(net.train()(photo), photo[..., ::2, ::2], rtol=0, atol=1e-5)
    torch.testing.assert_close(net.eval()(photo), photo, rtol=0, atol=1e-5)
    assert COLORS_RECIPE.build().state_dict().keys() == net.state_dict().keys()


def test_loss_counts_changes_of_good_patches_twice() -> None:
    target = torch.full((2, 3, 8, 8), 0.5)
    source = target.clone()
    source[1] += 0.2  # a faded patch
    output = target + 0.1
    good_worse, faded_worse = output.clone(), output.clone()
    good_worse[0] += 0.1
    faded_worse[1] += 0.1
    losses = [float(colour_loss(each, target, source, 0.0)) for each in (good_worse, faded_worse)]
    unchanged = float(colour_loss(output, target, source, 0.0))
    assert losses[0] - unchanged == pytest.approx(2 * (losses[1] - unchanged), rel=1e-4)
    assert float(colour_loss(target[..., ::2, ::2], target, source, 0.0)) < 0.001


def test_colour_difference_is_that_of_cie94() -> None:
    first, second = torch.rand(2, 1, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    labs = [rgb2lab(photo[0].permute(1, 2, 0).numpy()) for photo in (second, first)]
    expected = deltaE_ciede94(*labs)  # type: ignore[no-untyped-call]
    np.testing.assert_allclose(colour_difference(first, second)[0], expected, atol=0.3)
    black = torch.zeros(1, 3, 2, 2, requires_grad=True)
    colour_difference(black, torch.zeros(1, 3, 2, 2)).sum().backward()
    assert black.grad is not None
    assert black.grad.isfinite().all()
