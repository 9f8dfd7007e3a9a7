"""Probabilities of scratches, adapted to how much of a photo is scratched."""

import numpy as np
import pytest
from PIL import Image
from places import PROJECT
from torch import nn

from restore import Restorer
from restore.imaging.photo import Photo
from restore.pipelines import old_photo_scratches
from restore.pipelines.old_photo_rarity import (
    MIN_SHARE,
    TRAINED_SHARE,
    adapt_to_rarity,
    estimate_share,
)
from restore.pipelines.old_photo_scratches import find_scratches_lite

SIDE = 100


def with_probable_rows(rows: int, probability: float) -> np.ndarray:
    """Return a photo's probabilities: `rows` percent of the pixels, and 0 elsewhere."""
    pixels = np.zeros((SIDE, SIDE), np.float32)
    pixels[:rows] = probability
    return pixels


@pytest.mark.parametrize("rows", [10, 20, 100])
def test_common_scratches_keep_their_probability(rows: int) -> None:
    probability = with_probable_rows(rows, 0.9)
    assert estimate_share(probability) == TRAINED_SHARE
    np.testing.assert_allclose(adapt_to_rarity(probability), probability, atol=1e-6)


@pytest.mark.parametrize("probability", [0.5, 0.7])
def test_rare_uncertain_scratches_become_improbable(probability: float) -> None:
    uncertain = with_probable_rows(1, probability)
    assert adapt_to_rarity(uncertain).max() < 0.2


def test_rare_certain_scratches_remain() -> None:
    assert adapt_to_rarity(with_probable_rows(1, 0.99)).max() > 0.9


def test_estimate_agrees_with_the_adapted_probabilities() -> None:
    rng = np.random.default_rng(0)
    probability = rng.beta(0.05, 1.0, (400, 400)).astype(np.float32)
    share = estimate_share(probability)
    assert MIN_SHARE < share < TRAINED_SHARE
    assert float(adapt_to_rarity(probability).mean()) == pytest.approx(share, rel=0.05)


@pytest.mark.parametrize(("level", "share"), [(0.0, MIN_SHARE), (1.0, TRAINED_SHARE)])
def test_certain_photos_are_not_changed(level: float, share: float) -> None:
    flat = np.full((4, 4), level, np.float32)
    assert estimate_share(flat) == share
    np.testing.assert_array_equal(adapt_to_rarity(flat), flat)


def test_order_and_range_of_probabilities_are_kept() -> None:
    rising = np.linspace(0.0, 1.0, 5000, dtype=np.float32)[None] ** 8
    adapted = adapt_to_rarity(rising)
    assert adapted.min() == 0.0
    assert adapted.max() == 1.0
    assert (np.diff(adapted[0]) >= 0).all()
    assert (adapted <= rising + 1e-6).all()


@pytest.mark.parametrize("name", ["2.jpg", "9.jpg", "12.jpg"])
def test_nothing_is_filled_in_undamaged_samples(
    lite: Restorer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    net: nn.Module = lite.cache.get("old_photo_restore", "lite")[0].net
    photo = Photo("a", np.asarray(Image.open(PROJECT / "data" / name).convert("L")))
    assert not find_scratches_lite(photo, net, 0.4).any()
    monkeypatch.setattr(old_photo_scratches, "adapt_to_rarity", lambda probability: probability)
    assert find_scratches_lite(photo, net, 0.4).any()


def test_lower_thresholds_fill_fainter_scratches(lite: Restorer) -> None:
    net: nn.Module = lite.cache.get("old_photo_restore", "lite")[0].net
    photo = Photo("a", np.asarray(Image.open(PROJECT / "data" / "9.jpg").convert("L")))
    shares = [find_scratches_lite(photo, net, level).mean() for level in (0.002, 0.02, 0.4)]
    assert shares[0] > shares[1] > shares[2]
