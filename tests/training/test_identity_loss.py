"""The identity term of the face loss: zero for the same face, differentiable, larger for blur."""

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from training.losses import l1_gradient_loss
from training.recipe_faces import face_loss, identity_distance
from training.tensors import to_tensor


@pytest.fixture(scope="module")
def face() -> Tensor:
    """Two dark eyes and a mouth on skin, with texture; 1x3x64x64."""
    pixels = np.full((64, 64, 3), (205, 160, 135), np.uint8)
    for centre in ((22, 26), (42, 26)):
        cv2.circle(pixels, centre, 4, (50, 35, 30), -1)
    cv2.ellipse(pixels, (32, 46), (10, 3), 0.0, 0.0, 360.0, (150, 70, 70), -1)
    noise = np.random.default_rng(0).normal(0.0, 6.0, (64, 64, 1))
    return to_tensor(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def blurred(face: Tensor, sigma_px: float) -> Tensor:
    pixels = face[0].permute(1, 2, 0).numpy()
    return torch.from_numpy(cv2.GaussianBlur(pixels, (0, 0), sigma_px)).permute(2, 0, 1)[None]


def test_distance_grows_with_blur(face: Tensor) -> None:
    distances = [
        float(identity_distance(blurred(face, sigma_px), face)) for sigma_px in (0.5, 1.5, 4.0)
    ]
    # Not 0: convolutions without gradients are fused with their ReLU, and round differently.
    assert float(identity_distance(face, face)) < 1e-9
    assert distances == sorted(distances)
    assert distances[0] > 0.0


def test_loss_is_differentiable_and_adds_the_distance(face: Tensor) -> None:
    output = blurred(face, 2.0).requires_grad_()
    loss = face_loss(output, face, face, 0.5)
    (gradient,) = torch.autograd.grad(loss, output)
    assert float(gradient.abs().max()) > 0.0
    assert float(loss.detach()) > float(l1_gradient_loss(output.detach(), face, face, 0.5))
