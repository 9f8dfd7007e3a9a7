"""Evaluate the lite inpainting network against OpenCV's two methods.

The photos are the held-back ones of train/natural and test/kodak, their middle square reduced to
256 px, with seeded holes: strokes and polygons over 5 to 25 %, and thin scratches. The figure is
PSNR over RGB in the hole. `seam` is the mean step across the border of the hole relative to that of
the clean photo: 1 is no seam, less is too smooth. Further rows compare perceptual figures of whole
photos of Kodak.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import torch
from PIL import Image
from torch import nn

from benchmarks.quality import psnr_db
from training.dataset import read_damage_maps, read_held_back
from training.evaluation import (
    EVALUATION_SEED,
    Assessment,
    Evaluation,
    EvaluationPaths,
    Measurement,
    apply_net,
    centre_square,
    load_trained,
)
from training.metrics import JUDGED_SMALL, judge_methods, measure_cost, round_figures
from training.provenance import Figures
from training.recipe import DamageMaps, Photo
from training.recipe_inpaint import INPAINT_RECIPE, cut_hole, draw_hole_mask, draw_scratch_mask

SIDE_PX = 256
HOLES_PER_PHOTO = 4
JUDGED_SET = "kodak"
OPENCV_RADIUS_PX = 3  # as in OpenCV's documentation
SHEET_PHOTOS = 8
MIN_GAIN_DB = 1.5
HOLE_KINDS = ("strokes_and_polygons", "scratches")


def fill(net: nn.Module, photo: Photo, mask: np.ndarray) -> Photo:
    """Fill the hole of a photo with the network.

    Args:
        net: the network.
        photo: HxWx3 uint8.
        mask: HxW bool.
    """
    return np.where(mask[..., None], apply_net(net, cut_hole(photo, mask)), photo)


def fill_with_opencv(photo: Photo, mask: np.ndarray, method: int) -> Photo:
    """Fill the hole of a photo with cv2.inpaint."""
    blackened = np.where(mask[..., None], 0, photo).astype(np.uint8)
    return np.asarray(cv2.inpaint(blackened, mask.astype(np.uint8), OPENCV_RADIUS_PX, method))


def border_step(image: Photo, mask: np.ndarray) -> float:
    """Mean absolute difference, in levels, between neighbours on both sides of the border."""
    signed = image.astype(np.int32)
    horizontal, vertical = mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]
    steps = [
        np.abs(signed[:, 1:] - signed[:, :-1])[horizontal],
        np.abs(signed[1:] - signed[:-1])[vertical],
    ]
    return float(np.concatenate(steps).mean())


def compute_figures(
    outputs: Mapping[str, list[Photo]], photos: list[Photo], masks: list[np.ndarray]
) -> dict[str, float]:
    """Return the means over photos, each with its hole, filled by each method."""
    rows = []
    for clean, mask, *filled in zip(photos, masks, *outputs.values(), strict=True):
        hole_db = [psnr_db(image[mask], clean[mask]) for image in filled]
        rows.append([*hole_db, border_step(filled[0], mask), border_step(clean, mask)])
    lite_db, telea_db, ns_db, step, clean_step = np.mean(rows, axis=0)
    figures = {
        "hole_psnr_db": lite_db,
        "telea_db": telea_db,
        "ns_db": ns_db,
        "gain_db": lite_db - max(telea_db, ns_db),
        "seam": step / clean_step,
    }
    return round_figures(figures) | {"holes": len(rows)}


def fill_with_all(
    net: nn.Module, photos: list[Photo], masks: list[np.ndarray]
) -> dict[str, list[Photo]]:
    """Fill the holes with the network and both of OpenCV's methods; photos by method."""
    pairs = list(zip(photos, masks, strict=True))
    return {
        "lite": [fill(net, *pair) for pair in pairs],
        "telea": [fill_with_opencv(*pair, cv2.INPAINT_TELEA) for pair in pairs],
        "ns": [fill_with_opencv(*pair, cv2.INPAINT_NS) for pair in pairs],
    }


def draw_sheet(net: nn.Module, photos: list[Photo], masks: list[np.ndarray]) -> Image.Image:
    """Draw one column per photo: with the hole, filled, filled by OpenCV (Telea), clean."""
    columns = []
    for clean, mask in zip(photos[:SHEET_PHOTOS], masks[:SHEET_PHOTOS], strict=True):
        with_hole = np.where(mask[..., None], 255, clean).astype(np.uint8)
        telea = fill_with_opencv(clean, mask, cv2.INPAINT_TELEA)
        columns.append(np.vstack([with_hole, fill(net, clean, mask), telea, clean]))
    return Image.fromarray(np.hstack(columns))


def draw_masks(count: int, maps: DamageMaps | None) -> list[np.ndarray]:
    """Draw seeded holes: scratches with damage maps, strokes and polygons without."""
    rngs = [np.random.default_rng((EVALUATION_SEED, index)) for index in range(count)]
    if maps is None:
        return [draw_hole_mask(SIDE_PX, rng) for rng in rngs]
    return [draw_scratch_mask(SIDE_PX, rng, maps) for rng in rngs]


def measure(paths: EvaluationPaths) -> Measurement:
    """Measure both kinds of holes on both sets of photos."""
    net, figures = load_trained(INPAINT_RECIPE, paths.weights), Figures()
    maps = read_damage_maps(paths.train, is_held_back=True)
    test_sets = {
        "held_back": read_held_back(INPAINT_RECIPE.folders[0], paths.train),
        "kodak": paths.read_test_set("kodak"),
    }
    for name, photos in test_sets.items():
        squares = [centre_square(photo, SIDE_PX) for photo in photos.values()] * HOLES_PER_PHOTO
        for kind, kind_maps in zip(HOLE_KINDS, (None, maps), strict=True):
            masks = draw_masks(len(squares), kind_maps)
            outputs = fill_with_all(net, squares, masks)
            row = f"{name}_{kind}"
            figures[row] = compute_figures(outputs, squares, masks)
            if name == JUDGED_SET:
                figures |= judge_methods(row, outputs, squares, JUDGED_SMALL)
    figures["cost"] = measure_cost(net, torch.rand(1, 4, SIDE_PX, SIDE_PX))
    kodak = [centre_square(photo, SIDE_PX) for photo in test_sets["kodak"].values()]
    return Measurement(figures, draw_sheet(net, kodak, draw_masks(len(kodak), None)))


def assess(figures: Figures) -> Assessment:
    """Compare the gain over the better of OpenCV's methods with the target, for both kinds."""
    gains_db = [
        np.mean([figures[f"{photos}_{kind}"]["gain_db"] for photos in ("held_back", "kodak")])
        for kind in HOLE_KINDS
    ]
    seam = np.mean([figures[f"held_back_{kind}"]["seam"] for kind in HOLE_KINDS])
    return Assessment(
        f"strokes and polygons {gains_db[0]:+.2f} dB, scratches {gains_db[1]:+.2f} dB, "
        f"seam {seam:.2f}",
        bool(min(gains_db) >= MIN_GAIN_DB),
    )


EVALUATION = Evaluation(
    measure, "+ 1.5 dB in the hole over the better of OpenCV's two methods", assess
)
