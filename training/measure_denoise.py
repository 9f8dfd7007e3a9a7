"""Evaluate the lite denoiser on Kodak: Gaussian noise, the noise of cameras, and film grain.

The figure is PSNR over all RGB samples, compared with OpenCV's non-local means at the best of a few
strengths. Gaussian noise is rounded and clipped to 8 bits. Clipping itself changes the mean colour
of a noisy photo (by 3 levels at sigma 50). The change of the mean colour is therefore measured
against the noisy and against the clean photo. The noise of cameras and film grain are those of
`training.camera_noise`, with one seed per photo.

Further rows compare perceptual figures of the network, of non-local means and of the noisy photos,
for Gaussian noise at a sigma of JUDGED_SIGMA. `detail` is the standard deviation of the fine detail
relative to that of the clean photo: 1 is right, more is noise that is left, less looks waxy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from PIL import Image
from torch import nn

from benchmarks.quality import psnr_db
from training.camera_noise import add_camera_noise, add_film_grain
from training.degradations import quantise
from training.evaluation import (
    EVALUATION_SEED,
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
from training.metrics import (
    colour_shift_levels,
    fine_detail,
    judge_methods,
    measure_cost,
    round_figures,
)
from training.provenance import Figures
from training.recipe import Photo
from training.recipe_denoise import DENOISE_RECIPE
from training.tensors import to_tensor

TARGETS_DB = {15: 33.8, 25: 31.4, 50: 28.2}  # by sigma
JUDGED_SIGMA = 25
NON_LOCAL_MEANS_STRENGTHS = (0.6, 0.9)  # relative to sigma
REAL_NOISE = {"camera": add_camera_noise, "film_grain": add_film_grain}
REAL_NOISE_STRENGTHS = (5.0, 10.0)  # of non-local means, in levels
SIZE_MULTIPLE = 8
COST_SIDE_PX = 512
SHEET_PHOTOS = 3  # of each of the two test sets
SHEET_SIDE_PX = 256


def add_gaussian_noise(photos: Sequence[Photo], sigma: float) -> list[Photo]:
    """Add noise of a standard deviation in levels."""
    return [
        quantise(clean + np.random.default_rng(index).normal(0.0, sigma, clean.shape))
        for index, clean in enumerate(photos)
    ]


def denoise_photos(
    net: nn.Module, noisy: list[Photo], photos: list[Photo], strengths: Sequence[float]
) -> dict[str, list[Photo]]:
    """Remove noise; photos by method.

    Args:
        net: the network.
        noisy: the noisy photos.
        photos: the clean ones.
        strengths: of non-local means, in levels. The one with the highest PSNR is used.
    """
    non_local = [
        [cv2.fastNlMeansDenoisingColored(photo, None, strength, strength, 5, 15) for photo in noisy]
        for strength in strengths
    ]
    return {
        "lite": [apply_net(net, photo) for photo in noisy],
        "noisy": noisy,
        "non_local_means": max(non_local, key=lambda outputs: mean_psnr_db(outputs, photos)),
    }


def mean_psnr_db(outputs: list[Photo], photos: list[Photo]) -> float:
    """Return the mean of the PSNR of each photo, in dB."""
    return float(np.mean([psnr_db(*pair) for pair in zip(outputs, photos, strict=True)]))


def compute_figures(outputs: Mapping[str, list[Photo]], photos: list[Photo]) -> dict[str, float]:
    """Return the means over photos that `denoise_photos` denoised."""
    lite = outputs["lite"]
    return {
        "psnr_rgb_db": mean_psnr_db(lite, photos),
        "noisy_db": mean_psnr_db(outputs["noisy"], photos),
        "non_local_means_db": mean_psnr_db(outputs["non_local_means"], photos),
        "off_noisy_levels": mean_shift_levels(outputs["noisy"], lite),
        "off_clean_levels": mean_shift_levels(photos, lite),
    }


def mean_shift_levels(before: list[Photo], after: list[Photo]) -> float:
    """Return the mean of the colour shift of each photo, in levels."""
    return float(np.mean([colour_shift_levels(*pair) for pair in zip(before, after, strict=True)]))


def measure(paths: EvaluationPaths) -> Measurement:
    """Measure each sigma, and denoise old photos."""
    net = load_trained(DENOISE_RECIPE, paths.weights)
    kodak = paths.read_test_set("kodak").values()
    photos = [crop_to_multiple(photo, SIZE_MULTIPLE) for photo in kodak]
    outputs = {
        sigma: denoise_photos(
            net,
            add_gaussian_noise(photos, sigma),
            photos,
            [sigma * strength for strength in NON_LOCAL_MEANS_STRENGTHS],
        )
        for sigma in TARGETS_DB
    }
    exact = {sigma: compute_figures(outputs[sigma], photos) for sigma in TARGETS_DB}
    figures = Figures()
    for sigma, row in exact.items():
        figures[f"kodak_sigma{sigma}"] = round_figures(row)
    figures |= judge_denoising(f"kodak_sigma{JUDGED_SIGMA}", outputs[JUDGED_SIGMA], photos)
    for name, add_noise in REAL_NOISE.items():
        noisy = [
            add_noise(photo, np.random.default_rng((EVALUATION_SEED, index)))
            for index, photo in enumerate(photos)
        ]
        real = denoise_photos(net, noisy, photos, REAL_NOISE_STRENGTHS)
        figures |= judge_denoising(f"kodak_{name}", real, photos)
    from_noisy = [row["off_noisy_levels"] for row in exact.values()]
    from_clean = float(np.mean([row["off_clean_levels"] for row in exact.values()]))
    example = to_tensor(centre_square(photos[0], COST_SIDE_PX))
    figures["cost"] = measure_cost(net, example, from_noisy)
    figures["cost"] |= round_figures({"colour_off_clean_levels": from_clean})
    return Measurement(figures, draw_sheet(net, paths))


def judge_denoising(
    prefix: str, outputs: Mapping[str, list[Photo]], photos: list[Photo]
) -> Figures:
    """Return PSNR, perceptual figures and detail of each method."""
    figures = judge_methods(prefix, outputs, photos)
    for method, results in outputs.items():
        detail = [
            fine_detail(one) / fine_detail(two) for one, two in zip(results, photos, strict=True)
        ]
        figures[f"{prefix}_{method}"] |= round_figures(
            {"psnr_rgb_db": mean_psnr_db(results, photos), "detail": float(np.mean(detail))}
        )
    return figures


def draw_sheet(net: nn.Module, paths: EvaluationPaths) -> Image.Image:
    """Draw parts of old photos, before and after."""
    columns = []
    for test_set in ("degraded", "historic"):
        for photo in list(paths.read_test_set(test_set).values())[:SHEET_PHOTOS]:
            part = crop_centre(photo, SHEET_SIDE_PX)
            columns.append(np.vstack([part, apply_net(net, part)]))
    return Image.fromarray(np.hstack(columns))


def assess(figures: Figures) -> Assessment:
    """Compare the PSNR of each sigma with its target, and real noise with non-local means."""
    reached_db = {sigma: figures[f"kodak_sigma{sigma}"]["psnr_rgb_db"] for sigma in TARGETS_DB}
    values = " / ".join(f"{value:.2f}" for value in reached_db.values())
    real = [
        [
            figures[f"kodak_{name}_{method}"]["ssimulacra2"]
            for method in ("lite", "non_local_means", "noisy")
        ]
        for name in REAL_NOISE
    ]
    scores = ", ".join(
        f"{name.replace('_', ' ')} {lite:.1f} (non-local means {other:.1f}, noisy {noisy:.1f})"
        for name, (lite, other, noisy) in zip(REAL_NOISE, real, strict=True)
    )
    return Assessment(
        f"Kodak {values} dB at sigma 15 / 25 / 50; SSIMULACRA2 of noise of: {scores}",
        all(reached_db[sigma] >= target for sigma, target in TARGETS_DB.items())
        and all(lite > max(others) for lite, *others in real),
    )


EVALUATION = Evaluation(
    measure,
    "33.8 / 31.4 / 28.2 dB; noise of cameras and film grain: SSIMULACRA2 above non-local means and "
    "the noisy photo",
    assess,
)
