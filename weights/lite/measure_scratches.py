"""Measures the lite scratch network on damage maps and photos it was never trained on, and draws what it finds in real old photos.

    python -m weights.lite.measure_scratches --photos ../shared/photos --sheet scratches.webp

Photos are damaged as in training, by a seed of their own, each several times: those of train/natural that are held back, and
test/kodak. F1, precision and recall are over all pixels of a set. `near_f1` forgives one pixel of displacement. Beside them stands
what no network can be excused from beating: a white and black top-hat with the threshold and size that serve it best on these very
photos.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch import nn

from weights.lite.figures import HERE, held_back, photos_of, rounded, square, trained, write_figures
from weights.lite.material import damage_maps
from weights.lite.recipe import Pair, Photo
from weights.lite.scratches import SCRATCH_RECIPE, draw_scratched

SIDE_PX = 320
TIMES = 6
SHOWN_PX = 360
log = logging.getLogger("lite.measure")


def found(net: nn.Module, luminance: np.ndarray) -> np.ndarray:
    """HxW uint8 luminance -> HxW bool."""
    logits = net(torch.from_numpy(luminance.astype(np.float32) / 255.0)[None, None])
    return np.asarray(logits[0, 0].numpy() > 0.0)


def top_hat(luminance: np.ndarray, size_px: int) -> np.ndarray:
    """How much a pixel stands out of what is wider than `size_px`, lighter or darker; HxW uint8."""
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size_px, size_px))
    hats = [cv2.morphologyEx(luminance, how, element) for how in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT)]
    return np.asarray(np.maximum(*hats))


def scores(pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """F1, precision and recall of (found, true) masks, all their pixels together."""
    both, all_found, all_true, near_found, near_true = 0, 0, 0, 0, 0
    for seen, true in pairs:
        grown_seen, grown_true = (cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0 for mask in (seen, true))
        both, all_found, all_true = both + int((seen & true).sum()), all_found + int(seen.sum()), all_true + int(true.sum())
        near_found, near_true = near_found + int((seen & grown_true).sum()), near_true + int((true & grown_seen).sum())
    precision, recall = both / max(all_found, 1), both / max(all_true, 1)
    near = (near_found / max(all_found, 1), near_true / max(all_true, 1))
    return {"f1": _f1(precision, recall), "precision": precision, "recall": recall, "near_f1": _f1(*near)}


def _f1(precision: float, recall: float) -> float:
    return 2.0 * precision * recall / max(precision + recall, 1e-9)


def figures_of(net: nn.Module, drawn: list[Pair]) -> dict[str, float]:
    """The network's scores on damaged patches, and the F1 of the best top-hat."""
    damaged = [(luminance[..., 0], mask[..., 0] > 0) for luminance, mask in drawn]
    measured = scores([(found(net, luminance), true) for luminance, true in damaged])
    hats = []
    for size_px in (5, 9, 15):
        stands_out = [(top_hat(luminance, size_px), true) for luminance, true in damaged]
        hats += [scores([(hat > level, true) for hat, true in stands_out])["f1"] for level in range(15, 90, 5)]
    return rounded({**measured, "top_hat_f1": max(hats)}) | {"patches": len(drawn)}


def sheet_of(net: nn.Module, photos: list[Photo]) -> Image.Image:
    """Photos in the upper row, in the lower what is found in them, in red."""
    columns = []
    for photo in photos:
        marked = photo.copy()
        marked[found(net, cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY))] = (255, 0, 0)
        columns.append(np.vstack([_in_frame(image) for image in (photo, marked)]))
    return Image.fromarray(np.hstack(columns))


def _in_frame(photo: Photo) -> np.ndarray:
    frame, image = Image.new("RGB", (SHOWN_PX, SHOWN_PX), "white"), Image.fromarray(photo)
    image.thumbnail((SHOWN_PX, SHOWN_PX))
    frame.paste(image)
    return np.asarray(frame)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder that holds train/ and test/")
    parser.add_argument("--weights", type=Path, default=HERE, help="folder of the weights and of provenance.json")
    parser.add_argument("--sheet", type=Path, help="draw old photos and what is found in them into this file")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    net = trained(SCRATCH_RECIPE, args.weights)
    maps = damage_maps(args.photos / "train", is_held_back=True)
    sets = {
        "held_back_maps_and_photos": held_back(SCRATCH_RECIPE.folders[0], args.photos / "train"),
        "held_back_maps_kodak": photos_of(sorted((args.photos / "test" / "kodak").glob("*.png"))),
    }
    figures = {}
    for name, photos in sets.items():
        squares = [square(photo, SIDE_PX) for photo in photos.values()]
        seeds = [(index, time) for index in range(len(squares)) for time in range(TIMES)]
        drawn = [draw_scratched((squares[i], squares[i]), SIDE_PX, np.random.default_rng((2026, i, time)), maps=maps) for i, time in seeds]
        figures[name] = figures_of(net, drawn)
    log.info("%s", json.dumps(figures, indent=2))
    write_figures(SCRATCH_RECIPE, args.weights, figures)
    if args.sheet:
        old = photos_of(sorted((args.photos / "test" / "degraded").glob("old_*.png")))
        sheet_of(net, list(old.values())).save(args.sheet, quality=85)


if __name__ == "__main__":
    main()
