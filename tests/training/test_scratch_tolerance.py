"""Long lines of the scratch training, and its loss and score with a tolerance of one pixel."""

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from training.recipe_scratches import EVALUATED_MIX, TRAINED_MIX
from training.scratch_drawing import MAX_WIDTH_PX, draw_curves
from training.scratch_loss import (
    FAINT_WEIGHT,
    LONG_WEIGHT,
    WEAK_WEIGHT,
    near_f1_score,
    tolerant_loss,
    weigh_pixels,
)
from training.scratch_objects import hanging_wires

SIDE = 192
TRUE = torch.zeros(1, 1, 40, 40)
TRUE[..., 20, 5:35] = 1.0


def logits(mask: Tensor) -> Tensor:
    """Confident logits of a mask."""
    return torch.where(mask > 0.5, 6.0, -6.0)


def target_of(damage: Tensor, weight: Tensor | None = None) -> Tensor:
    return torch.cat([damage, torch.ones_like(damage) if weight is None else weight], dim=1)


def loss_of(mask: Tensor, weight: Tensor | None = None) -> float:
    return float(tolerant_loss(logits(mask), target_of(TRUE, weight), TRUE, 0.5))


def shifted(pixels: int) -> Tensor:
    return torch.roll(TRUE, pixels, dims=2)


def test_loss_tolerates_one_pixel() -> None:
    exact, near, far = (loss_of(shifted(pixels)) for pixels in (0, 1, 3))
    nothing = loss_of(torch.zeros_like(TRUE))
    assert exact < near < 0.75 * min(far, nothing)


def test_loss_of_a_false_line_is_higher_than_of_a_wider_line() -> None:
    wider = torch.maximum(TRUE, shifted(1))
    with_false_line = torch.maximum(TRUE, shifted(8))
    assert loss_of(TRUE) < loss_of(wider) < 0.5 * loss_of(with_false_line)


@pytest.mark.parametrize(("pixels", "score"), [(0, 1.0), (1, 1.0), (2, 0.0)])
def test_score_tolerates_one_pixel(pixels: int, score: float) -> None:
    assert near_f1_score(logits(shifted(pixels)), target_of(TRUE), TRUE) == pytest.approx(score)


def test_score_of_an_undamaged_patch() -> None:
    nothing = torch.zeros_like(TRUE)
    assert near_f1_score(logits(nothing), target_of(nothing), nothing) == 1.0
    assert near_f1_score(logits(TRUE), target_of(nothing), nothing) == 0.0


def test_loss_hardly_counts_what_has_little_weight() -> None:
    half = TRUE * (torch.arange(40) < 20)
    missed = 1.0 - 0.99 * (TRUE - half)
    assert loss_of(half, missed) < 0.3 * loss_of(half)
    false_line = torch.maximum(TRUE, shifted(8))
    assert loss_of(false_line, 1.0 - shifted(8)) < 0.3 * loss_of(false_line)


def test_weak_and_long_damage_weighs_more_and_faint_damage_less() -> None:
    grain = np.random.default_rng(0).normal(0.0, 6.0, (96, 96))
    undamaged = (120 + grain).astype(np.uint8)
    mask, scanned = np.zeros((96, 96), bool), undamaged.astype(float)
    for row, columns, levels in ((10, 80, 120), (30, 80, 45), (50, 80, 12), (70, 12, 45)):
        mask[row : row + 4, 8 : 8 + columns] = True
        scanned[row : row + 4, 8 : 8 + columns] += levels
    weights = weigh_pixels(mask, scanned.clip(0, 255).astype(np.uint8), undamaged)
    expected = (LONG_WEIGHT, LONG_WEIGHT * WEAK_WEIGHT, FAINT_WEIGHT, WEAK_WEIGHT)
    found = [float(np.median(weights[row : row + 4, 10:18])) for row in (10, 30, 50, 70)]
    assert found == pytest.approx(expected)
    assert np.all(weights[85:] == 1.0)


def test_curves_have_all_widths_and_depend_on_the_seed_only() -> None:
    first, second = (draw_curves(SIDE, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    widths = list[float]()
    for seed in range(30):
        opacity = draw_curves(SIDE, np.random.default_rng(seed))
        assert 0.0 <= opacity.min() <= opacity.max() < 1.0 + 1e-5
        mask = (opacity > 0.5).astype(np.uint8)
        widths.append(2.0 * float(cv2.distanceTransform(mask, cv2.DIST_L2, 5).max()) - 1.0)
    assert min(widths) < 2.0
    assert 0.5 * MAX_WIDTH_PX < max(widths) < 2.0 * MAX_WIDTH_PX


def test_curves_are_trained_and_not_evaluated() -> None:
    assert TRAINED_MIX.curve_share > EVALUATED_MIX.curve_share == 0.0


def test_wires_go_from_side_to_side() -> None:
    grey = np.full((96, 120), 120.0, np.float32)
    crossed = 0
    for seed in range(10):
        changed = np.abs(hanging_wires(grey, np.random.default_rng(seed)) - grey) > 10
        crossed += bool(changed.any(axis=0).mean() > 0.6 or changed.any(axis=1).mean() > 0.6)
    assert crossed >= 7
