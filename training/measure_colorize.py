"""Evaluate the lite colour network on photos that it was never trained on.

Each photo keeps its lightness and gets the colours that the network predicts at 256 px, as in the
task: long photos in windows. Means over photos: CIEDE2000 to the original and that of the grey
photo, the improvement over grey, and the colourfulness (Hasler and Suesstrunk, 2003) relative to
the original. The photos are the held-back ones of train/natural, train/natural2 and train/faces,
and test/kodak. Skin is what the rule of Chai and Ngan (1999) finds in the middle of the original
portraits. Panoramas are two or four photos of Kodak side by side, also coloured as a single square.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from PIL import Image, ImageOps
from skimage.color import deltaE_ciede2000
from torch import Tensor, nn

from restore.models.adapters.lite_colorize import LITE_COLORIZE
from restore.nets.lite.colorize import INPUT_PX
from restore.pipelines.colorize import exact_lightness_of, shrink_to_square
from restore.pipelines.colorize_windows import join_windows, split_into_windows
from training.dataset import read_held_back
from training.degradations import quantise
from training.evaluation import (
    Assessment,
    Evaluation,
    EvaluationPaths,
    Measurement,
    centre_square,
    load_trained,
)
from training.metrics import measure_cost, round_figures
from training.provenance import Figures
from training.recipe import Photo
from training.recipe_colorize import COLORIZE_RECIPE

PANORAMA_PART_PX = (384, 256)  # width and height of each photo in a panorama
PANORAMA_PARTS = (2, 4)
SHEET_SIDE_PX = 256
SHEET_NATURAL_PHOTOS = 5
MIN_GAIN_PERCENT = {"kodak": 20.0, "held_back": 10.0}
COLOURFULNESS = (0.6, 1.0)  # range of the means of all test sets, relative to the original
MAX_SKIN_CIEDE2000 = 6.0
SKIN_RANGES = ((133, 173), (77, 127))  # of Cr and Cb, 8 bits


def colorize(net: nn.Module, photo: Photo, max_aspect: float = LITE_COLORIZE.max_aspect) -> Photo:
    """Replace the colours of a photo by those that the network predicts from its lightness.

    Args:
        net: the network.
        photo: HxWx3 uint8.
        max_aspect: ratio of the sides up to which the photo is coloured as one square.
    """
    height, width = photo.shape[:2]
    windows = split_into_windows(width, height, max_aspect)
    predictions = [predict_ab(net, photo[window]) for window in windows]
    ab = join_windows(predictions, is_wide=width >= height)[0].permute(1, 2, 0).numpy()
    resized = cv2.resize(ab, (width, height), interpolation=cv2.INTER_LINEAR)
    return from_lab(np.dstack([lightness_of(photo), resized]))


def predict_ab(net: nn.Module, photo: Photo) -> Tensor:
    """Predict the colours of a photo as one square: 1x2xSxS in Lab units."""
    square = shrink_to_square(photo, INPUT_PX, LITE_COLORIZE.reduction)
    inputs = LITE_COLORIZE.to_input(exact_lightness_of(square)[..., 0])
    return LITE_COLORIZE.predict_ab(net, torch.from_numpy(inputs)[None, None])


def place_side_by_side(photos: list[Photo], count: int) -> list[Photo]:
    """Place each second photo and those that follow it side by side; each fills 3 to 2.

    Args:
        photos: HxWx3 uint8; the first ones follow the last one.
        count: photos in a row.

    Returns:
        256 x (384 * count) x 3 uint8.
    """
    parts = [fill_frame(photo) for photo in photos]
    return [
        np.hstack([parts[(start + index) % len(parts)] for index in range(count)])
        for start in range(0, len(parts), 2)
    ]


def fill_frame(photo: Photo) -> Photo:
    """Reduce a photo until it just fills a frame of 3 to 2, and crop it."""
    image = ImageOps.fit(Image.fromarray(photo), PANORAMA_PART_PX, Image.Resampling.LANCZOS)
    return np.asarray(image)


def remove_colour(photo: Photo) -> Photo:
    """Return the photo with its lightness and without colour."""
    return from_lab(np.dstack([lightness_of(photo), np.zeros((*photo.shape[:2], 2), np.float32)]))


def to_lab(photo: Photo) -> np.ndarray:
    """Convert HxWx3 uint8 RGB to float32 CIE Lab."""
    return np.asarray(cv2.cvtColor(photo.astype(np.float32) / 255.0, cv2.COLOR_RGB2Lab))


def lightness_of(photo: Photo) -> np.ndarray:
    """Return L of CIE Lab, 0 to 100; HxW float32."""
    return np.asarray(to_lab(photo)[..., 0])


def from_lab(lab: np.ndarray) -> Photo:
    """Convert HxWx3 float32 CIE Lab to uint8 RGB."""
    rgb = cv2.cvtColor(np.ascontiguousarray(lab, np.float32), cv2.COLOR_Lab2RGB)
    return quantise(rgb * 255.0)


def ciede2000(first: Photo, second: Photo) -> np.ndarray:
    """CIEDE2000 of each pixel."""
    return np.asarray(deltaE_ciede2000(to_lab(first), to_lab(second)))  # type: ignore[no-untyped-call]


def mean_ciede2000(first: Photo, second: Photo) -> float:
    """Mean CIEDE2000 over all pixels."""
    return float(ciede2000(first, second).mean())


def find_skin(portrait: Photo) -> np.ndarray:
    """Find skin in the middle half of an aligned portrait in colour: HxW bool."""
    height, width = portrait.shape[:2]
    middle = np.s_[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4]
    chroma = cv2.cvtColor(portrait[middle], cv2.COLOR_RGB2YCrCb)[..., 1:]
    low, high = np.transpose(SKIN_RANGES)
    found = np.zeros((height, width), bool)
    found[middle] = ((chroma >= low) & (chroma <= high)).all(axis=-1)
    return found


def skin_ciede2000(net: nn.Module, portraits: list[Photo]) -> float:
    """Mean CIEDE2000 of all skin pixels of the portraits."""
    differences = [
        ciede2000(colorize(net, portrait), portrait)[find_skin(portrait)] for portrait in portraits
    ]
    return float(np.concatenate(differences).mean())


def colourfulness(photo: Photo) -> float:
    """Hasler and Suesstrunk's measure: 0 is grey, 15 slightly, 45 quite, 80 highly colourful."""
    red, green, blue = photo.reshape(-1, 3).astype(np.float64).T
    opponents = np.stack([red - green, 0.5 * (red + green) - blue])
    deviation = np.linalg.norm(opponents.std(axis=1))
    return float(deviation + 0.3 * np.linalg.norm(opponents.mean(axis=1)))


def compute_figures(
    net: nn.Module, photos: list[Photo], max_aspect: float = LITE_COLORIZE.max_aspect
) -> dict[str, float]:
    """Return the means over the photos."""
    rows = []
    for photo in photos:
        output = colorize(net, photo, max_aspect)
        rows.append(
            [
                mean_ciede2000(output, photo),
                mean_ciede2000(remove_colour(photo), photo),
                colourfulness(output),
                colourfulness(photo),
            ]
        )
    lite, grey, lite_colourfulness, original_colourfulness = np.mean(rows, axis=0)
    figures = {
        "ciede2000": lite,
        "grey_ciede2000": grey,
        "gain_percent": 100.0 * (1.0 - lite / grey),
        "colourfulness": lite_colourfulness,
        "colourfulness_over_original": lite_colourfulness / original_colourfulness,
    }
    return round_figures(figures) | {"photos": len(rows)}


def draw_sheet(net: nn.Module, historic: list[Photo], coloured: list[Photo]) -> Image.Image:
    """Draw four rows: historic photos, their output, photos in colour, their output."""
    columns = min(len(historic), len(coloured))
    rows = []
    for photos in (historic[:columns], coloured[:columns]):
        outputs = [colorize(net, photo) for photo in photos]
        rows += [
            np.hstack([centre_square(image, SHEET_SIDE_PX) for image in images])
            for images in (photos, outputs)
        ]
    return Image.fromarray(np.vstack(rows))


def measure(paths: EvaluationPaths) -> Measurement:
    """Measure each set of photos; also colorize photos that never had colour."""
    net = load_trained(COLORIZE_RECIPE, paths.weights)
    natural, faces, natural2 = (
        list(read_held_back(folder, paths.train).values())
        for folder in COLORIZE_RECIPE.folders
        if not folder.is_optional
    )
    kodak = list(paths.read_test_set("kodak").values())
    test_sets = {
        "held_back": natural,
        "held_back_natural2": natural2,
        "held_back_people": faces,
        "kodak": kodak,
    }
    figures = {name: compute_figures(net, photos) for name, photos in test_sets.items()}
    for count in PANORAMA_PARTS:
        panoramas, name = place_side_by_side(kodak, count), f"kodak_{count}_side_by_side"
        figures[name] = compute_figures(net, panoramas)
        figures[f"{name}_as_a_square"] = compute_figures(net, panoramas, math.inf)
    figures["held_back_people"] |= round_figures({"skin_ciede2000": skin_ciede2000(net, faces)})
    figures["cost"] = measure_cost(net, torch.rand(1, 1, INPUT_PX, INPUT_PX))
    historic = list(paths.read_test_set("historic").values())
    return Measurement(figures, draw_sheet(net, historic, natural[:SHEET_NATURAL_PHOTOS] + kodak))


def assess(figures: Figures) -> Assessment:
    """Compare the improvement over grey, the colourfulness and the skin with the targets."""
    sets = {name: figures[name] for name in ("kodak", "held_back_people", "held_back")}
    gains = {name: row["gain_percent"] for name, row in sets.items()}
    ratios = [row["colourfulness_over_original"] for row in sets.values()]
    skin = figures["held_back_people"]["skin_ciede2000"]
    low, high = COLOURFULNESS
    return Assessment(
        f"CIEDE2000 below grey: Kodak {gains['kodak']:.1f} %, people "
        f"{gains['held_back_people']:.0f} %, held-back nature {gains['held_back']:.0f} %; "
        f"skin {skin:.1f}; colourfulness {min(ratios):.2f} to {max(ratios):.2f} of the original",
        all(gains[name] >= least for name, least in MIN_GAIN_PERCENT.items())
        and (low <= min(ratios) and max(ratios) <= high)
        and skin <= MAX_SKIN_CIEDE2000,
    )


EVALUATION = Evaluation(
    measure,
    "CIEDE2000 below grey: Kodak 20 %, held-back nature 10 %; skin within 6; 0.6 to 1.0 of the "
    "original's colourfulness",
    assess,
)
