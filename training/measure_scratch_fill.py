"""Measure how close photos are to the original after their scratches were found and filled.

The photos are the held-back ones of train/natural and test/kodak, their middle square reduced to
SIDE_PX, without colour. They are left undamaged, torn, or damaged as in training with damage of one
kind, with fixed seeds; the damage maps are held-back ones. Scratches are found by the detection of
the product and filled by the lite inpainting network. `mse` is the mean squared error over all
pixels in levels, `damaged_mse` that of the damaged photo, and `removed_share` the share of it that
filling removes: 1 is a perfect restoration, and below 0 the photo was closer to the original
before. `max_mse` is the largest of one undamaged photo.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from torch import nn

from training.evaluation import centre_square
from training.measure_inpaint import fill_without_texture
from training.measure_scratch_harm import TEAR_LEVELS, detect_in_photo, tear
from training.metrics import round_figures
from training.provenance import Figures
from training.recipe import DamageMaps, Photo
from training.recipe_scratches import DARK, LIGHT, LevelRange, draw_damage

SIDE_PX = 480
TEAR_WIDTHS_PX = (1, 4)
SEED = 2026

Damage = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""HxW float32 in 0 to 255 and a random generator to the same, damaged."""


def list_damages(maps: DamageMaps) -> dict[str, Damage]:
    """Return the damages by name."""
    tears = {
        f"tear_{kind}_{width_px}_px": _tear_of(width_px, level)
        for kind, level in TEAR_LEVELS.items()
        for width_px in TEAR_WIDTHS_PX
    }
    films = {"film_light": _film_of(LIGHT, maps), "film_dark": _film_of(DARK, maps)}
    return tears | films


def measure_fill(
    detector: nn.Module, inpainter: nn.Module, photos: list[Photo], maps: DamageMaps
) -> Figures:
    """Return the figures of undamaged photos and of each damage.

    Args:
        detector: the network that finds scratches.
        inpainter: the network that fills them.
        photos: HxWx3 uint8.
        maps: damage maps that the detector was not trained on.
    """
    greys = [cv2.cvtColor(centre_square(photo, SIDE_PX), cv2.COLOR_RGB2GRAY) for photo in photos]
    errors = [_error(_fill(detector, inpainter, grey), grey) for grey in greys]
    mean = {"mse": float(np.mean(errors)), "max_mse": max(errors)}
    figures: Figures = {"filled_none": round_figures(mean) | {"photos": len(photos)}}
    for name, damage in list_damages(maps).items():
        damaged_error = filled_error = 0.0
        for index, grey in enumerate(greys):
            rng = np.random.default_rng((SEED, index))
            drawn = np.rint(damage(grey.astype(np.float32), rng)).clip(0, 255).astype(np.uint8)
            damaged_error += _error(drawn, grey) / len(greys)
            filled_error += _error(_fill(detector, inpainter, drawn), grey) / len(greys)
        values = {
            "damaged_mse": damaged_error,
            "mse": filled_error,
            "removed_share": 1.0 - filled_error / damaged_error,
        }
        figures[f"filled_{name}"] = round_figures(values) | {"photos": len(photos)}
    return figures


def _tear_of(width_px: int, level: float) -> Damage:
    return lambda grey, rng: tear(grey, width_px, level, rng)[0]


def _film_of(levels: LevelRange, maps: DamageMaps) -> Damage:
    return lambda grey, rng: draw_damage(grey, rng, maps, levels)[0]


def _fill(detector: nn.Module, inpainter: nn.Module, grey: np.ndarray) -> np.ndarray:
    """Fill the detected scratches of HxW uint8."""
    mask = detect_in_photo(detector, grey)
    rgb = np.repeat(grey[..., None], 3, axis=2)
    return cv2.cvtColor(fill_without_texture(inpainter, rgb, mask), cv2.COLOR_RGB2GRAY)


def _error(pixels: np.ndarray, original: np.ndarray) -> float:
    return float(np.mean(np.square(pixels.astype(np.float64) - original)))
