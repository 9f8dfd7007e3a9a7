"""Evaluate lite inpainting, network and texture, against OpenCV's two methods.

The photos are the held-back ones of train/natural and test/kodak, their middle square reduced to
256 px, with seeded holes: strokes and polygons over 5 to 25 %, and thin scratches. The figure is
PSNR over RGB in the hole. `seam` is the mean step across the border of the hole relative to that of
the clean photo: 1 is no seam, less is too smooth. `detail` is the contrast of fine detail in the
hole relative to the clean photo, and `network_detail` that without texture. Further rows compare
perceptual figures of whole photos of Kodak, and the same for wide holes in photos of full size.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import torch
from PIL import Image
from torch import nn

from benchmarks.quality import psnr_db
from restore.pipelines.inpaint_texture import add_texture
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
from training.metrics import (
    JUDGED_SMALL,
    fine_detail,
    judge_methods,
    measure_cost,
    round_figures,
)
from training.provenance import Figures
from training.recipe import DamageMaps, Photo
from training.recipe_inpaint import INPAINT_RECIPE, cut_hole, draw_hole_mask, draw_scratch_mask

SIDE_PX = 256
HOLES_PER_PHOTO = 4
JUDGED_SET = "kodak"
OPENCV_RADIUS_PX = 3  # as in OpenCV's documentation
SHEET_PHOTOS = 8
MIN_GAIN_DB = 2.0
HOLE_KINDS = ("strokes_and_polygons", "scratches")
WIDE_HOLES, WIDE_SHARES = 2, (0.05, 0.15)
"""Wide holes of a photo, and their diameters as a fraction of the long side."""


def fill_without_texture(net: nn.Module, photo: Photo, mask: np.ndarray) -> Photo:
    """Fill the hole of a photo with the network.

    Args:
        net: the network.
        photo: HxWx3 uint8.
        mask: HxW bool.
    """
    return np.where(mask[..., None], apply_net(net, cut_hole(photo, mask)), photo)


def fill_with_texture(network: Photo, mask: np.ndarray) -> Photo:
    """Add texture to a photo that the network filled, as the task `inpaint` does."""
    fill = add_texture(network.astype(np.float32) / 255, network, mask, mask)
    return np.asarray(np.rint(255 * np.clip(fill, 0, 1)), np.uint8)


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
        steps = [border_step(image, mask) for image in (filled[0], clean)]
        details = [fine_detail(image, mask) for image in (*filled[:2], clean)]
        rows.append([*hole_db, *steps, *details])
    means = np.mean(rows, axis=0)
    lite_db, network_db, telea_db, ns_db, step, clean_step, *details = means
    figures = {
        "hole_psnr_db": lite_db,
        "network_db": network_db,
        "telea_db": telea_db,
        "ns_db": ns_db,
        "gain_db": lite_db - max(telea_db, ns_db),
        "seam": step / clean_step,
        "detail": details[0] / details[2],
        "network_detail": details[1] / details[2],
    }
    return round_figures(figures) | {"holes": len(rows)}


def fill_with_all(
    net: nn.Module, photos: list[Photo], masks: list[np.ndarray]
) -> dict[str, list[Photo]]:
    """Fill the holes with and without texture, and with OpenCV's methods; photos by method."""
    pairs = list(zip(photos, masks, strict=True))
    network = [fill_without_texture(net, *pair) for pair in pairs]
    return {
        "lite": [fill_with_texture(*pair) for pair in zip(network, masks, strict=True)],
        "network": network,
        "telea": [fill_with_opencv(*pair, cv2.INPAINT_TELEA) for pair in pairs],
        "ns": [fill_with_opencv(*pair, cv2.INPAINT_NS) for pair in pairs],
    }


def draw_sheet(net: nn.Module, photos: list[Photo]) -> Image.Image:
    """Draw one column per photo: hole, network, with texture, OpenCV (Telea), clean.

    The first half shows reduced photos with strokes and polygons, the second half parts of photos
    of full size around a wide hole.
    """
    half = SHEET_PHOTOS // 2
    small = [centre_square(photo, SIDE_PX) for photo in photos[:half]]
    large, wide = photos[half:SHEET_PHOTOS], draw_wide_masks(photos)[half:SHEET_PHOTOS]
    columns = []
    for clean, mask in zip([*small, *large], [*draw_masks(half, None), *wide], strict=True):
        network = fill_without_texture(net, clean, mask)
        with_hole = np.where(mask[..., None], 255, clean).astype(np.uint8)
        telea = fill_with_opencv(clean, mask, cv2.INPAINT_TELEA)
        part = window_around(mask)
        images = with_hole, network, fill_with_texture(network, mask), telea, clean
        columns.append(np.vstack([image[part] for image in images]))
    return Image.fromarray(np.hstack(columns))


def window_around(mask: np.ndarray) -> tuple[slice, slice]:
    """Return a square of SIDE_PX around the largest hole."""
    _, _, stats, centroids = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    column, row = centroids[1 + np.argmax(stats[1:, cv2.CC_STAT_AREA])]
    starts = [
        int(np.clip(centre - SIDE_PX / 2, 0, side - SIDE_PX))
        for centre, side in zip((row, column), mask.shape, strict=True)
    ]
    return slice(starts[0], starts[0] + SIDE_PX), slice(starts[1], starts[1] + SIDE_PX)


def draw_wide_masks(photos: list[Photo]) -> list[np.ndarray]:
    """Draw seeded ellipses over 5 to 15 % of the long side; HxW bool of each photo."""
    masks = []
    for index, photo in enumerate(photos):
        rng, mask = np.random.default_rng((EVALUATION_SEED, index)), np.zeros(photo.shape[:2])
        for _ in range(WIDE_HOLES):
            axes = max(mask.shape) * rng.uniform(*WIDE_SHARES, 2) / 2
            centre = rng.uniform(axes.max(), np.array(mask.shape[::-1]) - axes.max())
            box = (tuple(centre), tuple(2 * axes), rng.uniform(0, 180))
            cv2.ellipse(mask, box, 1.0, -1)
        masks.append(mask > 0)
    return masks


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
    kodak = list(test_sets[JUDGED_SET].values())
    wide = draw_wide_masks(kodak)
    outputs = fill_with_all(net, kodak, wide)
    figures["kodak_wide"] = compute_figures(outputs, kodak, wide)
    figures |= judge_methods("kodak_wide", outputs, kodak, JUDGED_SMALL)
    figures["cost"] = measure_cost(net, torch.rand(1, 4, SIDE_PX, SIDE_PX))
    return Measurement(figures, draw_sheet(net, kodak))


def assess(figures: Figures) -> Assessment:
    """Compare the gain over the better of OpenCV's methods with the target, for both kinds."""
    gains_db = [
        np.mean([figures[f"{photos}_{kind}"]["gain_db"] for photos in ("held_back", "kodak")])
        for kind in HOLE_KINDS
    ]
    seam = np.mean([figures[f"held_back_{kind}"]["seam"] for kind in HOLE_KINDS])
    wide = figures["kodak_wide"]
    return Assessment(
        f"strokes and polygons {gains_db[0]:+.2f} dB, scratches {gains_db[1]:+.2f} dB, "
        f"seam {seam:.2f}; fine detail of wide holes {wide['detail']:.2f} of the original's "
        f"(without texture {wide['network_detail']:.2f})",
        bool(min(gains_db) >= MIN_GAIN_DB),
    )


EVALUATION = Evaluation(
    measure, "+ 2 dB in the hole over the better of OpenCV's two methods", assess
)
