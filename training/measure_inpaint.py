"""Measures the lite inpainting network beside OpenCV's two methods on photos it was never trained on, and draws filled holes.

Photos of train/natural that are held back and of test/kodak, their middle square at 256 px, with seeded holes: brush strokes and
polygons over 5 to 25%, and thin scratches. PSNR over RGB inside the hole, the mean over photos and holes. `seam` is the mean step
over the hole's border over that of the clean photo at the same place: 1 is no seam, less is too smooth.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from PIL import Image
from torch import nn

from training.recipe_inpaint import INPAINT_RECIPE, hole_mask, scratch_mask
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

SIDE_PX = 256
TIMES = 4
RADIUS_PX = 3  # of OpenCV's neighbourhood, its documentation's own choice
SHOWN = 8
HOLES = ("strokes_and_polygons", "scratches")


def filled(net: nn.Module, photo: Photo, mask: np.ndarray) -> Photo:
    """The photo (HxWx3 uint8) with its hole (HxW bool) filled; outside it is the photo itself."""
    inputs = (
        np.dstack([np.where(mask[..., None], 0, photo), np.where(mask, 255, 0)]).astype(np.float32)
        / 255.0
    )
    output = (
        net(torch.from_numpy(inputs).permute(2, 0, 1)[None])[0].clamp(0, 1).permute(1, 2, 0).numpy()
    )
    return np.where(mask[..., None], np.rint(output * 255.0).astype(np.uint8), photo)


def opencv_filled(photo: Photo, mask: np.ndarray, method: int) -> Photo:
    """The same by cv2.inpaint."""
    return np.asarray(
        cv2.inpaint(
            np.where(mask[..., None], 0, photo).astype(np.uint8),
            mask.astype(np.uint8),
            RADIUS_PX,
            method,
        )
    )


def hole_psnr(image: Photo, clean: Photo, mask: np.ndarray) -> float:
    """PSNR in dB over the hole's samples."""
    squared = (image.astype(np.float64) - clean)[mask] ** 2
    return float(10.0 * np.log10(255.0**2 / max(squared.mean(), 1e-6)))


def border_step(image: Photo, mask: np.ndarray) -> float:
    """Mean absolute difference, in levels, of neighbours of which one lies in the hole."""
    signed = image.astype(np.int32)
    across, down = mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]
    steps = [np.abs(signed[:, 1:] - signed[:, :-1])[across], np.abs(signed[1:] - signed[:-1])[down]]
    return float(np.concatenate(steps).mean())


def figures_of(net: nn.Module, photos: list[Photo], holes: list[np.ndarray]) -> dict[str, float]:
    """Means over photos, each with its hole."""
    rows, steps = [], []
    for clean, mask in zip(photos, holes, strict=True):
        lite = filled(net, clean, mask)
        rows.append([hole_psnr(lite, clean, mask)])
        rows[-1] += [
            hole_psnr(opencv_filled(clean, mask, how), clean, mask)
            for how in (cv2.INPAINT_TELEA, cv2.INPAINT_NS)
        ]
        steps.append([border_step(lite, mask), border_step(clean, mask)])
    lite_db, telea_db, ns_db = np.mean(rows, axis=0)
    step, clean_step = np.mean(steps, axis=0)
    means = {
        "hole_psnr_db": lite_db,
        "telea_db": telea_db,
        "ns_db": ns_db,
        "gain_db": lite_db - max(telea_db, ns_db),
    }
    return rounded({**means, "seam": step / clean_step}) | {"holes": len(rows)}


def sheet_of(net: nn.Module, photos: list[Photo], holes: list[np.ndarray]) -> Image.Image:
    """With the hole, filled, by OpenCV (TELEA) and clean, in four rows."""
    columns = []
    for clean, mask in zip(photos[:SHOWN], holes[:SHOWN], strict=True):
        holed = np.where(mask[..., None], 255, clean).astype(np.uint8)
        columns.append(
            np.vstack(
                [
                    holed,
                    filled(net, clean, mask),
                    opencv_filled(clean, mask, cv2.INPAINT_TELEA),
                    clean,
                ]
            )
        )
    return Image.fromarray(np.hstack(columns))


def holes_for(count: int, maps: Maps | None) -> list[np.ndarray]:
    """Seeded holes: strokes and polygons, or scratches where there are maps."""
    rngs = [np.random.default_rng((2026, index)) for index in range(count)]
    return [
        hole_mask(SIDE_PX, rng) if maps is None else scratch_mask(SIDE_PX, rng, maps)
        for rng in rngs
    ]


def find(places: Places) -> Findings:
    """The figures of both kinds of holes in both sets of photos, and some of Kodak's filled."""
    net, figures = trained(INPAINT_RECIPE, places.weights), Figures()
    maps = damage_maps(places.train, is_held_back=True)
    sets = {
        "held_back": held_back(INPAINT_RECIPE.folders[0], places.train),
        "kodak": places.test("kodak"),
    }
    for name, photos in sets.items():
        squares = [square(photo, SIDE_PX) for photo in photos.values()] * TIMES
        figures[f"{name}_strokes_and_polygons"] = figures_of(
            net, squares, holes_for(len(squares), None)
        )
        figures[f"{name}_scratches"] = figures_of(net, squares, holes_for(len(squares), maps))
    kodak = [square(photo, SIDE_PX) for photo in sets["kodak"].values()]
    figures["cost"] = cost_of(net, torch.rand(1, 4, SIDE_PX, SIDE_PX))
    return Findings(figures, sheet_of(net, kodak, holes_for(len(kodak), None)))


def verdict(figures: Figures) -> tuple[str, bool]:
    """The gain over the better of OpenCV's methods, in strokes and polygons and in scratches, over both sets of photos."""
    gains = [
        np.mean([figures[f"{photos}_{holes}"]["gain_db"] for photos in ("held_back", "kodak")])
        for holes in HOLES
    ]
    seam = np.mean([figures[f"held_back_{holes}"]["seam"] for holes in HOLES])
    return (
        f"strokes and polygons {gains[0]:+.2f} dB, scratches {gains[1]:+.2f} dB, seam {seam:.2f}",
        bool(min(gains) >= 1.5),
    )


MEASURE = Measure(find, "+ 1.5 dB in the hole over the better of OpenCV's two", verdict)
