"""The oracle takes a correction of colours for what it is, and finds what a correction destroys."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from colour_oracle import find_colour_harm, find_kept_harm, mean_change
from facefakes import ASTRONAUT
from oracle import Pixels, find_harm

from training.fading import fade

PHOTO = cv2.resize(ASTRONAUT, (160, 160), interpolation=cv2.INTER_AREA)
FADED = fade(PHOTO, np.random.default_rng(3)).astype(np.float64)
GOOD = PHOTO.astype(np.float64)
VISIBLE = np.ones(PHOTO.shape[:2], np.bool_)


def blurred(levels: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(levels, (0, 0), 3.0))


def test_a_correction_is_no_damage() -> None:
    assert not list(find_colour_harm(FADED, GOOD, VISIBLE))
    assert not list(find_colour_harm(GOOD, GOOD, VISIBLE))
    cells = Pixels(FADED, np.ones(VISIBLE.shape)), Pixels(GOOD, np.ones(VISIBLE.shape))
    assert not list(find_harm(*cells, {"colors"}))
    assert list(find_harm(*cells, {"restore"}))


@pytest.mark.parametrize(
    ("damaged", "words"),
    [
        (255.0 - GOOD, "changed places"),
        (blurred(GOOD), "of the detail is as before"),
        (np.minimum(3.0 * GOOD, 255.0), "became flat"),
        (np.maximum(2.0 * GOOD - 255.0, 0.0), "became flat"),
        (32.0 * np.rint(GOOD / 32.0), "levels instead of"),
    ],
)
def test_lost_detail_is_damage(damaged: np.ndarray, words: str) -> None:
    found = list(find_colour_harm(GOOD, damaged, VISIBLE))
    assert any(words in text for text in found), found


def test_a_detail_that_is_not_visible_does_not_count() -> None:
    half = VISIBLE.copy()
    half[:, 80:] = False
    damaged = np.where(half[..., None], GOOD, 0.0)
    assert list(find_colour_harm(GOOD, damaged, VISIBLE))
    assert not list(find_colour_harm(GOOD, damaged, half))
    assert not list(find_colour_harm(GOOD, damaged, np.zeros_like(half)))


def test_the_change_of_colours_is_measured_in_cie_units() -> None:
    assert mean_change(GOOD, GOOD, VISIBLE) == 0.0
    assert 10.0 < mean_change(FADED, GOOD, VISIBLE) < 20.0
    black, white = np.zeros((8, 8, 3)), np.full((8, 8, 3), 255.0)
    assert mean_change(black, white, np.ones((8, 8), np.bool_)) == pytest.approx(100.0, abs=0.1)


def test_a_cast_of_a_neutral_photo_is_damage() -> None:
    grey = np.repeat(GOOD.mean(axis=-1, keepdims=True).round(), 3, axis=2)
    opacity = np.ones(VISIBLE.shape)
    tinted = Pixels(grey + np.array([0.0, 0.0, 6.0]), opacity)
    assert list(find_harm(Pixels(grey, opacity), tinted, {"colors"}))


def test_denoising_beside_it_is_no_damage() -> None:
    opacity = np.ones(VISIBLE.shape)
    pair = Pixels(GOOD, opacity), Pixels(np.asarray(cv2.GaussianBlur(GOOD, (0, 0), 1.5)), opacity)
    assert list(find_harm(*pair, {"colors"}))
    assert not list(find_harm(*pair, {"colors", "restore"}))


def test_lost_alpha_and_depth_are_damage(tmp_path: Path) -> None:
    deep = np.dstack([PHOTO, np.arange(160, dtype=np.uint8)[:, None].repeat(160, 1)])
    files = {
        "deep": deep.astype(np.uint16) * 257,
        "shallow": deep,
        "opaque": deep[..., :3].astype(np.uint16) * 257,
    }
    for name, pixels in files.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), pixels)
    paths = {name: tmp_path / f"{name}.png" for name in files}
    assert not list(find_kept_harm(paths["deep"], paths["deep"]))
    assert list(find_kept_harm(paths["deep"], paths["shallow"])) == ["16 bits became 8"]
    assert list(find_kept_harm(paths["deep"], paths["opaque"])) == ["alpha changed"]
