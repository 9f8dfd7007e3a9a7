"""Figures of the evaluation of the lite weights."""

import cv2
import numpy as np
import pytest

from training.metrics import fine_detail


def test_fine_detail_of_noise_and_of_blurred_noise() -> None:
    rng = np.random.default_rng(0)
    noise = np.repeat(rng.normal(128, 10, (96, 96, 1)), 3, axis=2).astype(np.uint8)
    assert fine_detail(noise) == pytest.approx(10, rel=0.1)
    assert fine_detail(cv2.GaussianBlur(noise, (0, 0), 2)) < 2


def test_fine_detail_counts_pixels_of_the_mask_only() -> None:
    rng = np.random.default_rng(0)
    photo = np.full((64, 64, 3), 128, np.uint8)
    photo[:, 40:] = rng.integers(0, 256, (64, 24, 3))
    left = np.zeros((64, 64), bool)
    left[:, :30] = True
    assert fine_detail(photo, left) == 0
    assert fine_detail(photo, ~left) > fine_detail(photo) > 0
