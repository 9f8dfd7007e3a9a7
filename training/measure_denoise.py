"""Evaluate the lite denoiser on Kodak with Gaussian noise, rounded and clipped to 8 bits.

The figure is PSNR over all RGB samples, compared with OpenCV's non-local means at the better of
two strengths. Clipping itself changes the mean colour of a noisy photo (by 3 levels at sigma 50).
The change of the mean colour is therefore measured against the noisy and against the clean photo.
"""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image
from torch import nn

from benchmarks.quality import psnr_db
from training.degradations import quantise
from training.evaluation import (
    Assessment,
    Evaluation,
    EvaluationPaths,
    Measurement,
    apply_net,
    centre_square,
    crop_centre,
    crop_to_multiple,
    load_trained,
)
from training.metrics import colour_shift_levels, measure_cost, round_figures
from training.provenance import Figures
from training.recipe import Photo
from training.recipe_denoise import DENOISE_RECIPE
from training.tensors import to_tensor

TARGETS_DB = {15: 33.8, 25: 31.4, 50: 28.2}  # by sigma
NON_LOCAL_MEANS_STRENGTHS = (0.6, 0.9)  # relative to sigma
SIZE_MULTIPLE = 8
COST_SIDE_PX = 512
SHEET_PHOTOS = 3  # of each of the two test sets
SHEET_SIDE_PX = 256


def compute_figures(net: nn.Module, photos: list[Photo], sigma: float) -> dict[str, float]:
    """Return the means over photos with noise of a standard deviation in levels."""
    rows, from_noisy, from_clean = [], [], []
    for index, clean in enumerate(photos):
        noise = np.random.default_rng(index).normal(0.0, sigma, clean.shape)
        noisy = quantise(clean + noise)
        output = apply_net(net, noisy)
        from_noisy.append(colour_shift_levels(noisy, output))
        from_clean.append(colour_shift_levels(clean, output))
        non_local = [
            cv2.fastNlMeansDenoisingColored(noisy, None, strength * sigma, strength * sigma, 5, 15)
            for strength in NON_LOCAL_MEANS_STRENGTHS
        ]
        rows.append([psnr_db(image, clean) for image in (output, noisy, *non_local)])
    lite_db, noisy_db, *non_local_db = np.mean(rows, axis=0)
    return {
        "psnr_rgb_db": lite_db,
        "noisy_db": noisy_db,
        "non_local_means_db": max(non_local_db),
        "off_noisy_levels": float(np.mean(from_noisy)),
        "off_clean_levels": float(np.mean(from_clean)),
    }


def measure(paths: EvaluationPaths) -> Measurement:
    """Measure each sigma, and denoise old photos."""
    net = load_trained(DENOISE_RECIPE, paths.weights)
    kodak = paths.read_test_set("kodak").values()
    photos = [crop_to_multiple(photo, SIZE_MULTIPLE) for photo in kodak]
    exact = {sigma: compute_figures(net, photos, sigma) for sigma in TARGETS_DB}
    figures = {f"kodak_sigma{sigma}": round_figures(row) for sigma, row in exact.items()}
    from_noisy = [row["off_noisy_levels"] for row in exact.values()]
    from_clean = float(np.mean([row["off_clean_levels"] for row in exact.values()]))
    example = to_tensor(centre_square(photos[0], COST_SIDE_PX))
    figures["cost"] = measure_cost(net, example, from_noisy)
    figures["cost"] |= round_figures({"colour_off_clean_levels": from_clean})
    return Measurement(figures, draw_sheet(net, paths))


def draw_sheet(net: nn.Module, paths: EvaluationPaths) -> Image.Image:
    """Draw parts of old photos, before and after."""
    columns = []
    for test_set in ("degraded", "historic"):
        for photo in list(paths.read_test_set(test_set).values())[:SHEET_PHOTOS]:
            part = crop_centre(photo, SHEET_SIDE_PX)
            columns.append(np.vstack([part, apply_net(net, part)]))
    return Image.fromarray(np.hstack(columns))


def assess(figures: Figures) -> Assessment:
    """Compare the PSNR of each sigma with its target."""
    reached_db = {sigma: figures[f"kodak_sigma{sigma}"]["psnr_rgb_db"] for sigma in TARGETS_DB}
    values = " / ".join(f"{value:.2f}" for value in reached_db.values())
    return Assessment(
        f"Kodak {values} dB at sigma 15 / 25 / 50",
        all(reached_db[sigma] >= target for sigma, target in TARGETS_DB.items()),
    )


EVALUATION = Evaluation(measure, "33.8 / 31.4 / 28.2 dB", assess)
