"""Paper and frames around scanned photos."""

from typing import Any

import numpy as np
import pytest
from skimage import data

from restore.imaging.paper import colour_weights, find_paper

PHOTO = np.clip(data.camera()[100:300, 100:340], 30, 190)


def scan(level: int, dtype: Any = np.uint8, noise: float = 2.0) -> np.ndarray:
    """Return PHOTO on paper of a level, 40 pixels wide."""
    paper = np.full((PHOTO.shape[0] + 80, PHOTO.shape[1] + 80), float(level))
    paper += np.random.default_rng(0).normal(0, noise, paper.shape)
    paper[40:-40, 40:-40] = PHOTO
    levels = np.clip(np.rint(paper), 0, 255).astype(dtype)
    return levels * dtype(257 if dtype is np.uint16 else 1)


@pytest.mark.parametrize("level", [4, 212, 225, 250])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_paper_and_frames_are_found_and_the_photo_is_not(level: int, dtype: Any) -> None:
    paper = find_paper(scan(level, dtype))
    inner = np.zeros(paper.shape, np.bool_)
    inner[44:-44, 44:-44] = True
    outer = np.ones(paper.shape, np.bool_)
    outer[38:-38, 38:-38] = False
    assert (paper[outer] == 255).all()
    assert (paper[inner] > 0).mean() < 0.05


def test_photo_without_a_border_has_no_paper() -> None:
    assert not find_paper(PHOTO).any()
    ramp = np.tile(np.linspace(40, 230, 300), (200, 1)).astype(np.uint8)
    assert not find_paper(ramp).any()


def test_white_and_black_get_no_colour_and_the_transition_is_soft() -> None:
    grey = np.arange(256, dtype=np.uint8)[None]
    weights = colour_weights(grey, np.zeros(grey.shape, np.uint8))
    assert weights[0, 0] == weights[0, 255] == 0
    assert (weights[0, 10:246] == 1).all()
    assert np.abs(np.diff(weights)).max() < 0.2
    assert (colour_weights(grey, np.full(grey.shape, 255, np.uint8)) == 0).all()
