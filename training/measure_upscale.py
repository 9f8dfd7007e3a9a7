"""Evaluate the lite upscalers of cleanly reduced photos: Kodak and Set5, compared with bicubic.

Photos are reduced with an antialiased bicubic filter and rounded to 8 bits. The figure is PSNR on
the luma of BT.601 without a border of `scale` pixels. Further rows compare perceptual figures with
bicubic, with OpenCV's Lanczos filter, and on Set5 with Real-ESRGAN at x4 (x4plus takes 12 s of
processor time for a photo of Kodak).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import cv2
import numpy as np
from PIL import Image
from torch import nn

from restore.models.loader import load_net
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
from training.metrics import colour_shift_levels, judge_methods, measure_cost, round_figures
from training.provenance import Figures
from training.recipe import Photo, Recipe
from training.recipe_upscale import UPSCALE_X2_RECIPE, UPSCALE_X4_RECIPE, reduce_photo
from training.tensors import to_tensor

COST_SIDE_PX = 256
REFERENCE_SCALE = 4
MAIN_REFERENCE = "realesr-general-x4v3"
REFERENCES = {
    MAIN_REFERENCE: f"{MAIN_REFERENCE}*",
    "realesrgan-x4plus": "RealESRGAN_x4plus.*",
}
"""File names of the networks of Real-ESRGAN that are measured for comparison, by name."""

Upscale = Callable[[Photo], Photo]


def luma_psnr_db(first: Photo, second: Photo, border_px: int) -> float:
    """PSNR on luma, computed by basicsr, which takes BGR."""
    calculate_psnr = import_basicsr("metrics.psnr_ssim").calculate_psnr
    bgr = (first[..., ::-1], second[..., ::-1])
    return float(calculate_psnr(*bgr, crop_border=border_px, test_y_channel=True))


def mean_luma_psnr_db(outputs: list[Photo], photos: list[Photo], border_px: int) -> float:
    """Return the mean of the PSNR of each photo, in dB."""
    pairs = zip(outputs, photos, strict=True)
    return float(np.mean([luma_psnr_db(*pair, border_px) for pair in pairs]))


def upscale_bicubic(photo: Photo, scale: int) -> Photo:
    """Upscale with Pillow's bicubic filter."""
    height, width = photo.shape[:2]
    size = (scale * width, scale * height)
    return np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC))


def upscale_lanczos(photo: Photo, scale: int) -> Photo:
    """Upscale with OpenCV's Lanczos filter."""
    interpolation = cv2.INTER_LANCZOS4
    return np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=interpolation))


def upscale_with(net: nn.Module) -> Upscale:
    """Return a function that upscales a photo with a network."""
    return lambda low: apply_net(net, low)


def load_references(paths: EvaluationPaths) -> dict[str, nn.Module]:
    """Load those networks of REFERENCES that are in the folder of official checkpoints."""
    if paths.references is None:
        return {}
    found = {name: sorted(paths.references.glob(files)) for name, files in REFERENCES.items()}
    return {name: load_net(files[0]) for name, files in found.items() if files}


def compute_figures(
    outputs: Mapping[str, list[Photo]], photos: list[Photo], scale: int
) -> dict[str, float]:
    """Return the mean PSNR of the network and of bicubic."""
    lite_db, bicubic_db = (
        mean_luma_psnr_db(outputs[name], photos, scale) for name in ("lite", "bicubic")
    )
    figures = {"psnr_y_db": lite_db, "bicubic_db": bicubic_db, "gain_db": lite_db - bicubic_db}
    return round_figures(figures) | {"photos": len(photos)}


def measure(recipe: Recipe, scale: int, paths: EvaluationPaths) -> Measurement:
    """Measure one of the two networks."""
    net, figures, shifts = load_trained(recipe, paths.weights), Figures(), list[float]()
    methods: dict[str, Upscale] = {
        "lite": upscale_with(net),
        "bicubic": lambda low: upscale_bicubic(low, scale),
        "lanczos_opencv": lambda low: upscale_lanczos(low, scale),
    }
    references = load_references(paths) if scale == REFERENCE_SCALE else {}
    more = {name: upscale_with(reference) for name, reference in references.items()}
    for name, used in {"kodak": methods, "set5": methods | more}.items():
        pairs = [reduce_photo(photo, scale) for photo in paths.read_test_set(name).values()]
        low, clean = (list(photos) for photos in zip(*pairs, strict=True))
        outputs = {method: [upscale(photo) for photo in low] for method, upscale in used.items()}
        figures[name] = compute_figures(outputs, clean, scale)
        figures |= judge_methods(name, outputs, clean)
        shifts += [colour_shift_levels(*pair) for pair in zip(low, outputs["lite"], strict=True)]
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
