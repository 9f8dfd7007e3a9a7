"""Long lines of the scratch training, and its loss and score with a tolerance of one pixel."""

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from training.recipe_scratches import EVALUATED_MIX, TRAINED_MIX, near_f1_score, tolerant_loss
from training.scratch_drawing import MAX_WIDTH_PX, draw_curves
from training.scratch_objects import hanging_wires

SIDE = 192
TRUE = torch.zeros(1, 1, 40, 40)
TRUE[..., 20, 5:35] = 1.0


def logits(mask: Tensor) -> Tensor:
    """Confident logits of a mask."""
    return torch.where(mask > 0.5, 6.0, -6.0)


def loss_of(mask: Tensor) -> float:
    return float(tolerant_loss(logits(mask), TRUE, TRUE, 0.5))


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
    assert near_f1_score(logits(shifted(pixels)), TRUE, TRUE) == pytest.approx(score)


def test_score_of_an_undamaged_patch() -> None:
    nothing = torch.zeros_like(TRUE)
    assert near_f1_score(logits(nothing), nothing, nothing) == 1.0
    assert near_f1_score(logits(TRUE), nothing, nothing) == 0.0


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
