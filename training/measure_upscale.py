"""Evaluate the lite upscalers of cleanly reduced photos: Kodak and Set5, compared with bicubic.

Photos are reduced with an antialiased bicubic filter and rounded to 8 bits. The figure is PSNR on
the luma of BT.601 without a border of `scale` pixels.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from PIL import Image
from torch import nn

from training.basicsr_import import import_basicsr
from training.evaluation import (
    Assessment,
    Evaluation,
    EvaluationPaths,
    Measurement,
    apply_net,
    centre_square,
    load_trained,
)
from training.metrics import colour_shift_levels, measure_cost, round_figures
from training.provenance import Figures
from training.recipe import Photo, Recipe
from training.recipe_upscale import UPSCALE_X2_RECIPE, UPSCALE_X4_RECIPE, reduce_photo
from training.tensors import to_tensor

COST_SIDE_PX = 256


def luma_psnr_db(first: Photo, second: Photo, border_px: int) -> float:
    """PSNR on luma, computed by basicsr, which takes BGR."""
    calculate_psnr = import_basicsr("metrics.psnr_ssim").calculate_psnr
    bgr = (first[..., ::-1], second[..., ::-1])
    return float(calculate_psnr(*bgr, crop_border=border_px, test_y_channel=True))


def upscale_bicubic(photo: Photo, scale: int) -> Photo:
    """Upscale with Pillow's bicubic filter."""
    height, width = photo.shape[:2]
    size = (scale * width, scale * height)
    return np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC))


def compute_figures(
    net: nn.Module, photos: list[Photo], scale: int
) -> tuple[dict[str, float], list[float]]:
    """Return (means over the photos, colour shift of each photo)."""
    rows, shifts = [], []
    for photo in photos:
        low, clean = reduce_photo(photo, scale)
        output = apply_net(net, low)
        candidates = (output, upscale_bicubic(low, scale))
        rows.append([luma_psnr_db(image, clean, scale) for image in candidates])
        shifts.append(colour_shift_levels(low, output))
    lite_db, bicubic_db = np.mean(rows, axis=0)
    figures = {"psnr_y_db": lite_db, "bicubic_db": bicubic_db, "gain_db": lite_db - bicubic_db}
    return round_figures(figures) | {"photos": len(rows)}, shifts


def measure(recipe: Recipe, scale: int, paths: EvaluationPaths) -> Measurement:
    """Measure one of the two networks."""
    net, figures, shifts = load_trained(recipe, paths.weights), Figures(), list[float]()
    for name in ("kodak", "set5"):
        photos = list(paths.read_test_set(name).values())
        figures[name], test_shifts = compute_figures(net, photos, scale)
        shifts += test_shifts
    first = next(iter(paths.read_test_set("kodak").values()))
    example = to_tensor(centre_square(first, COST_SIDE_PX))
    return Measurement(figures | {"cost": measure_cost(net, example, shifts)})


def assess(min_kodak_db: float, min_set5_db: float, figures: Figures) -> Assessment:
    """Compare both gains with the target."""
    kodak, set5 = (figures[name]["gain_db"] for name in ("kodak", "set5"))
    return Assessment(
        f"Kodak + {kodak:.2f} dB, Set5 + {set5:.2f} dB",
        kodak >= min_kodak_db and set5 >= min_set5_db,
    )


X4_EVALUATION = Evaluation(
    partial(measure, UPSCALE_X4_RECIPE, 4),
    "+ 1.5 and + 2.9 dB over bicubic",
    partial(assess, 1.5, 2.9),
)
X2_EVALUATION = Evaluation(
    partial(measure, UPSCALE_X2_RECIPE, 2), "Kodak + 1.8 dB over bicubic", partial(assess, 1.8, 0.0)
)
