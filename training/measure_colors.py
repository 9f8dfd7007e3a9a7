"""Evaluate the lite network for faded colours on photos that it was never trained on.

Each photo is faded, or gets a wrong white balance, and is corrected by the table that the network
predicts from its thumbnail. Means over photos: PSNR and CIEDE2000 to the original, of the result
and of the input. The good photos are corrected too, and should not change. The photos are the
held-back ones of train/natural, train/natural2 and train/faces, and test/kodak.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import cv2
import numpy as np
import torch
from PIL import Image
from torch import nn

from benchmarks.quality import psnr_db
from restore import Photo as RestorePhoto
from restore.imaging.colour_tables import apply_table
from restore.imaging.fading import estimate_fading
from restore.nets.lite.colors import INPUT_PX, LiteColors
from restore.pipelines.colors import blend_with_identity, mean_change, weight_of
from training.dataset import read_held_back
from training.evaluation import (
    EVALUATION_SEED,
    Assessment,
    Evaluation,
    EvaluationPaths,
    Measurement,
    centre_square,
    load_trained,
)
from training.fading import cast, fade
from training.measure_colorize import mean_ciede2000
from training.metrics import measure_cost, round_figures
from training.provenance import Figures
from training.recipe import Photo
from training.recipe_colors import COLORS_RECIPE
from training.tensors import to_tensor

LONG_SIDE_PX = 160
"""Photos are reduced to this: the corrections do not depend on the size."""

PEOPLE_STRIDE = 3  # every third of the held-back portraits is measured
MIN_GAIN_DB = 4.0
MAX_CIEDE2000_SHARE = 0.5  # of that of the faded photos
MAX_GOOD_CIEDE2000 = 1.0
SHEET_SIDE_PX = 200
SHEET_PHOTOS = 6


def correct(net: nn.Module, photo: Photo) -> Photo:
    """Correct the colours of a photo as the task does, without its rules for grey photos."""
    small = cv2.resize(photo, (INPUT_PX, INPUT_PX), interpolation=cv2.INTER_AREA)
    with torch.inference_mode():
        predicted = net(to_tensor(small))[0]
    table = predicted.permute(1, 2, 3, 0).contiguous().numpy()
    is_faded = estimate_fading(RestorePhoto("photo", photo)).is_faded
    weight = weight_of(mean_change(small / np.float32(255), table), is_faded=is_faded)
    return apply_table(photo, blend_with_identity(table, weight))


def degrade(photo: Photo, name: str, damage: Callable[..., Photo]) -> Photo:
    """Apply `fade` or `cast` with a seed that depends on the file name only."""
    return damage(photo, np.random.default_rng((EVALUATION_SEED, zlib.crc32(name.encode()))))


def read_test_sets(paths: EvaluationPaths) -> dict[str, dict[str, Photo]]:
    """Read the photos that are measured, reduced to LONG_SIDE_PX."""
    natural, natural2, people = (
        read_held_back(folder, paths.train)
        for folder in COLORS_RECIPE.folders
        if not folder.name.startswith("extra")  # the limits were chosen on some of those
    )
    every_third = dict(list(people.items())[::PEOPLE_STRIDE])
    sets = {
        "held_back": natural | natural2,
        "held_back_people": every_third,
        "kodak": paths.read_test_set("kodak"),
    }
    return {
        name: {file: reduce_photo(photo) for file, photo in photos.items()}
        for name, photos in sets.items()
    }


def reduce_photo(photo: Photo) -> Photo:
    """Reduce a photo to LONG_SIDE_PX."""
    factor = min(1.0, LONG_SIDE_PX / max(photo.shape[:2]))
    size = (round(photo.shape[1] * factor), round(photo.shape[0] * factor))
    return np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA))


def compare(result: Photo, damaged: Photo, original: Photo) -> dict[str, float]:
    """Return PSNR and CIEDE2000 of a result and of its input."""
    return {
        "psnr_db": psnr_db(result, original),
        "input_db": psnr_db(damaged, original),
        "ciede2000": mean_ciede2000(result, original),
        "input_ciede2000": mean_ciede2000(damaged, original),
    }


def compute_figures(
    correct_photo: Callable[[Photo], Photo], photos: dict[str, Photo], damage: Callable[..., Photo]
) -> dict[str, float]:
    """Return the means over damaged photos, and the share of photos that became worse."""
    rows = []
    for name, photo in photos.items():
        damaged = degrade(photo, name, damage)
        rows.append(compare(correct_photo(damaged), damaged, photo))
    means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    worse = np.mean([row["ciede2000"] > row["input_ciede2000"] + 0.5 for row in rows])
    figures = {
        **means,
        "gain_db": means["psnr_db"] - means["input_db"],
        "ciede2000_over_input": means["ciede2000"] / means["input_ciede2000"],
        "worse_share": float(worse),
    }
    return round_figures(figures) | {"photos": len(rows)}


def compute_good_figures(
    correct_photo: Callable[[Photo], Photo], photos: dict[str, Photo]
) -> dict[str, float]:
    """Return by how much good photos change: mean CIEDE2000 over photos, and that of the worst."""
    changes = [mean_ciede2000(correct_photo(photo), photo) for photo in photos.values()]
    figures = {"ciede2000": float(np.mean(changes)), "worst_ciede2000": float(np.max(changes))}
    return round_figures(figures) | {"photos": len(changes)}


def measure_all(
    correct_photo: Callable[[Photo], Photo], sets: dict[str, dict[str, Photo]]
) -> Figures:
    """Measure faded, cast and good photos of every set."""
    figures: Figures = {}
    for name, photos in sets.items():
        figures[name] = compute_figures(correct_photo, photos, fade)
        figures[f"{name}_cast"] = compute_figures(correct_photo, photos, cast)
        figures[f"{name}_good"] = compute_good_figures(correct_photo, photos)
    return figures


def draw_sheet(net: nn.Module, photos: dict[str, Photo]) -> Image.Image:
    """Draw three rows: originals, faded, corrected."""
    rows: list[list[Photo]] = [[], [], []]
    for name, photo in photos.items():
        faded = degrade(photo, name, fade)
        for row, image in zip(rows, (photo, faded, correct(net, faded)), strict=True):
            row.append(centre_square(image, SHEET_SIDE_PX))
    return Image.fromarray(np.vstack([np.hstack(row) for row in rows]))


def measure(paths: EvaluationPaths) -> Measurement:
    """Measure each set of photos."""
    corrector = load_trained(COLORS_RECIPE, paths.weights)
    net = LiteColors()
    net.load_state_dict(corrector.state_dict())
    net.eval().requires_grad_(requires_grad=False)
    sets = read_test_sets(paths)
    figures = measure_all(lambda photo: correct(net, photo), sets)
    figures["cost"] = measure_cost(net, torch.rand(1, 3, INPUT_PX, INPUT_PX))
    shown = dict(list(sets["kodak"].items())[:SHEET_PHOTOS])
    return Measurement(figures, draw_sheet(net, shown))


def assess(figures: Figures) -> Assessment:
    """Compare gain, remaining difference and change of good photos with the target."""
    names = ("held_back", "held_back_people", "kodak")
    gains = [figures[name]["gain_db"] for name in names]
    shares = [figures[name]["ciede2000_over_input"] for name in names]
    changes = [figures[f"{name}_good"]["ciede2000"] for name in names]
    return Assessment(
        f"faded photos: {min(gains):.1f} dB gained and {100 * max(shares):.0f} % of the CIEDE2000 "
        f"left in the worst set; good photos change by at most {max(changes):.2f}",
        min(gains) >= MIN_GAIN_DB
        and max(shares) <= MAX_CIEDE2000_SHARE
        and max(changes) <= MAX_GOOD_CIEDE2000,
    )


EVALUATION = Evaluation(
    measure,
    "4 dB gained, half of the CIEDE2000 left, good photos change by less than 1",
    assess,
)
