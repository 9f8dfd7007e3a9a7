"""Measures the lite scratch network on damage maps and photos it was never trained on, and draws what it finds.

Photos are damaged as in training, by a seed of their own, each several times: those of train/natural that are held back, and
test/kodak; then by damage of one kind alone, light, dark or grey. F1, precision and recall are over all pixels of a set. `near_f1`
forgives one pixel of displacement. Beside them stands what no network can be excused from beating: a white and black top-hat with
the threshold and size that serve it best on these very photos; and what may be out of reach: how far the photo is from itself before
it was damaged, with the threshold that serves best.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np
import torch
from PIL import Image
from torch import nn

from restore.options import OldPhotoOptions
from restore.pipelines.old_photo_lite import probability_of
from training.metrics import (
    Figures,
    Findings,
    Measure,
    Places,
    cost_of,
    held_back,
    rounded,
    square,
    trained,
)
from training.dataset import damage_maps
from training.recipe import Maps, Photo
from training.recipe_scratches import DARK, GREY, LIGHT, SCRATCH_RECIPE, old_luminance, scratched

SIDE_PX = 320
TIMES = 6
SHOWN = 7


def found(net: nn.Module, luminance: np.ndarray) -> np.ndarray:
    """HxW uint8 luminance -> HxW bool, as `old_photo_restore` finds scratches, without the margin around them."""
    return np.asarray(probability_of(luminance, net) >= OldPhotoOptions().scratch_threshold)


def top_hat(luminance: np.ndarray, size_px: int) -> np.ndarray:
    """How much a pixel stands out of what is wider than `size_px`, lighter or darker; HxW uint8."""
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size_px, size_px))
    hats = [
        cv2.morphologyEx(luminance, how, element) for how in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT)
    ]
    return np.asarray(np.maximum(*hats))


def scores(pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """F1, precision and recall of (found, true) masks, all their pixels together."""
    both, all_found, all_true, near_found, near_true = 0, 0, 0, 0, 0
    for seen, true in pairs:
        grown_seen, grown_true = (
            cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
            for mask in (seen, true)
        )
        both, all_found, all_true = (
            both + int((seen & true).sum()),
            all_found + int(seen.sum()),
            all_true + int(true.sum()),
        )
        near_found, near_true = (
            near_found + int((seen & grown_true).sum()),
            near_true + int((true & grown_seen).sum()),
        )
    precision, recall = both / max(all_found, 1), both / max(all_true, 1)
    near = (near_found / max(all_found, 1), near_true / max(all_true, 1))
    return {
        "f1": _f1(precision, recall),
        "precision": precision,
        "recall": recall,
        "near_f1": _f1(*near),
    }


def _f1(precision: float, recall: float) -> float:
    return 2.0 * precision * recall / max(precision + recall, 1e-9)


class Damaged(NamedTuple):
    """A square before, HxW float32 in 0-255, and after it was damaged, HxW uint8, and where: HxW bool."""

    clean: np.ndarray
    luminance: np.ndarray
    mask: np.ndarray


def figures_of(net: nn.Module, drawn: list[Damaged]) -> dict[str, float]:
    """The network's scores on damaged patches, the F1 of the best top-hat, and that of who knows the photo as it was."""
    measured = scores([(found(net, one.luminance), one.mask) for one in drawn])
    hats = [
        best_f1([(top_hat(one.luminance, size_px), one.mask) for one in drawn], range(15, 90, 5))
        for size_px in (5, 9, 15)
    ]
    changes = [
        (cv2.GaussianBlur(np.abs(one.luminance - one.clean), (0, 0), 0.6), one.mask)
        for one in drawn
    ]
    known = best_f1(changes, range(6, 40, 2))
    return rounded({**measured, "top_hat_f1": max(hats), "photo_known_f1": known}) | {
        "patches": len(drawn)
    }


def best_f1(pairs: list[tuple[np.ndarray, np.ndarray]], levels: Iterable[int]) -> float:
    """F1 of (strength, true mask) at the threshold that serves best."""
    return max(
        scores([(strength > level, mask) for strength, mask in pairs])["f1"] for level in levels
    )


def damaged_of(
    photos: list[Photo], times: int, maps: Maps, kind: tuple[float, float] | None = None
) -> list[Damaged]:
    """Squares of the photos, damaged as in training by a seed of their own, each several times; by one kind where that is given."""
    drawn = []
    for index, photo in enumerate(photos):
        for time in range(times):
            rng = np.random.default_rng((2026, index, time))
            clean = old_luminance(square(photo, SIDE_PX), SIDE_PX, rng)
            luminance, mask = scratched(clean, rng, maps, kind)
            drawn.append(Damaged(clean, luminance[..., 0], mask[..., 0] > 0))
    return drawn


def sheet_of(net: nn.Module, drawn: list[Damaged]) -> Image.Image:
    """Damaged patches in the upper row; below, in red, what is found in them, and what there was to be found."""
    columns = []
    for one in drawn:
        rows = [np.repeat(one.luminance[..., None], 3, axis=2) for _ in range(3)]
        rows[1][found(net, one.luminance)] = (255, 0, 0)
        rows[2][one.mask] = (255, 0, 0)
        columns.append(np.vstack(rows))
    return Image.fromarray(np.hstack(columns))


def find(places: Places) -> Findings:
    """The figures on both sets of photos, and what is found in some historic ones."""
    net = trained(SCRATCH_RECIPE, places.weights)
    maps = damage_maps(places.train, is_held_back=True)
    sets = {
        "held_back_maps_and_photos": held_back(SCRATCH_RECIPE.folders[0], places.train),
        "held_back_maps_kodak": places.test("kodak"),
    }
    figures = {}
    for name, photos in sets.items():
        figures[name] = figures_of(net, damaged_of(list(photos.values()), TIMES, maps))
        for kind, levels in {"light": LIGHT, "dark": DARK, "grey": GREY}.items():
            figures[f"{name}_{kind}"] = figures_of(
                net, damaged_of(list(photos.values()), TIMES, maps, levels)
            )
    figures["cost"] = cost_of(net, torch.rand(1, 1, SIDE_PX, SIDE_PX))
    historic = list(places.test("historic").values())
    return Findings(figures, sheet_of(net, damaged_of(historic[:SHOWN], 1, maps)))


def verdict(figures: Figures) -> tuple[str, bool]:
    """F1 on both sets."""
    held, kodak = (
        figures[name]["f1"] for name in ("held_back_maps_and_photos", "held_back_maps_kodak")
    )
    return f"F1 {held:.2f} on held-back photos, {kodak:.2f} on Kodak", min(held, kodak) >= 0.85


MEASURE = Measure(find, "F1 0.85", verdict)
