"""The structural loss: what raises it and what it ignores."""

import torch
import torch.nn.functional as F
from blurredphotos import CLEAN

from training.structural_loss import structural_loss
from training.tensors import to_tensor

PHOTO = to_tensor(CLEAN)[..., :96, :96]


def box_blur(side_px: int) -> torch.Tensor:
    return F.avg_pool2d(F.pad(PHOTO, (side_px // 2,) * 4, mode="reflect"), side_px, 1)


def test_loss_grows_with_blur() -> None:
    losses = [float(structural_loss(photo, PHOTO)) for photo in (PHOTO, box_blur(9), box_blur(25))]
    assert abs(losses[0]) < 1e-5
    assert 0.01 < losses[1] < 0.7 * losses[2]


def test_details_within_four_pixels_hardly_count() -> None:
    board = torch.tensor([[-0.05, 0.05], [0.05, -0.05]]).repeat(48, 48)
    coarse = board.repeat_interleave(8, 0).repeat_interleave(8, 1)[:96, :96]
    losses = [float(structural_loss(PHOTO + pattern, PHOTO)) for pattern in (board, coarse)]
    assert losses[0] < 0.05 * losses[1]


def test_gradient_is_finite_for_black_photos() -> None:
    black = torch.zeros(1, 3, 64, 64, requires_grad=True)
    structural_loss(black, torch.zeros_like(black)).backward()
    assert black.grad is not None
    assert bool(black.grad.isfinite().all())
