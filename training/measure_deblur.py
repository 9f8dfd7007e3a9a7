"""Evaluate the lite deblurring network on Kodak and held-back photos with camera shake.

Kernels of 7 to 21 px and noise of one level, with fixed seeds. The figure is PSNR over RGB without
a border of half the largest kernel. It is compared with two Wiener filters: with the true kernel,
at the best of three noise ratios for each photo, and with the estimated kernel, without the U-Net.

Further test sets: `sharp` are the same photos without blur, `slight` has kernels of 3 to 6 px, and
`in_linear_light` has the kernels of 7 to 21 px applied to linear light instead of the samples.

Further rows compare perceptual figures on Kodak, one blur per photo: of the network, of the Wiener
filter with the estimated kernel, of an unsharp mask by OpenCV, and of the blurred photos.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from PIL import Image

from benchmarks.quality import psnr_db
from restore.nets.lite.deblur import (
    DECONVOLUTION_GAMMAS,
    NOISE_RATIOS,
    LiteDeblur,
    estimate_kernels,
    stack_candidates,
)
from restore.nets.lite.deconvolution import wiener_deconvolve
from restore.nets.lite.kernel_estimation import KERNEL_PX
from training.dataset import read_held_back
from training.degradations import quantise
from training.evaluation import (
    EVALUATION_SEED,
    Assessment,
    Evaluation,
    EvaluationPaths,
    Measurement,
    centre_square,
    crop_centre,
    load_trained,
)
from training.metrics import (
    colour_shift_levels,
    judge_methods,
    measure_cost,
    round_figures,
)
from training.motion_blur import IDENTITY_KERNEL, apply_blur, random_motion_kernel
from training.provenance import Figures
from training.recipe import Photo
from training.recipe_deblur import DEBLUR_RECIPE
from training.tensors import to_pixels, to_tensor

BLURS_PER_PHOTO = 2
KERNELS_PX = (7, KERNEL_PX)
SLIGHT_KERNELS_PX = (3, 6)
TRUE_KERNEL_NOISE_RATIOS = (1e-3, 3e-3, 1e-2)
NOISE_LEVELS = 1.0
MIN_GAIN_DB = 2.5
UNSHARP_SIGMA_PX = 3.0
COST_SIDE_PX = 512
SHEET_PHOTOS = 6
SHEET_SIDE_PX = 256


def blur_photo(
    photo: Photo, kernel: np.ndarray, seed: tuple[int, ...], gamma: float = 1.0
) -> Photo:
    """Blur a photo in the domain of a gamma, add noise and round to 8 bits."""
    noise = np.random.default_rng(seed).standard_normal(photo.shape)
    return quantise(apply_blur(photo, kernel, gamma) + NOISE_LEVELS * noise)


def deblur(net: LiteDeblur, photo: Photo, gamma: float = 1.0) -> tuple[Photo, Photo]:
    """Deblur a photo.

    Returns:
        (output of the network, smoother Wiener output with the kernel estimated for this gamma)
    """
    tensor = to_tensor(photo)[0]
    with torch.inference_mode():
        kernels = estimate_kernels(tensor)
        versions = stack_candidates(tensor, kernels)[3:]
        by_gamma = versions.view(len(DECONVOLUTION_GAMMAS), len(NOISE_RATIOS), *tensor.shape)
        smoother = by_gamma[DECONVOLUTION_GAMMAS.index(gamma), -1]
        return to_pixels(net.remove_blur(tensor, kernels)), to_pixels(smoother)


def deconvolve_with_true_kernel(photo: Photo, kernel: np.ndarray, gamma: float) -> list[Photo]:
    """Deconvolve a photo for each of TRUE_KERNEL_NOISE_RATIOS."""
    # OpenCV's filter is a correlation; deconvolution expects a convolution kernel.
    flipped = torch.from_numpy(kernel[::-1, ::-1].copy())
    light = wiener_deconvolve(to_tensor(photo)[0] ** gamma, flipped, TRUE_KERNEL_NOISE_RATIOS)
    return [to_pixels(version.clamp_min(0.0) ** (1.0 / gamma)) for version in light]


def inner_psnr_db(image: Photo, clean: Photo) -> float:
    """PSNR without the border."""
    inner = (slice(KERNEL_PX // 2, -(KERNEL_PX // 2)),) * 2
    return psnr_db(image[inner], clean[inner])


def compute_figures(
    net: LiteDeblur, photos: list[Photo], kernels: list[np.ndarray], gamma: float = 1.0
) -> tuple[dict[str, float], list[float]]:
    """Return (means over photos, each with its kernel; colour shift of each photo)."""
    rows, shifts = [], []
    for index, (clean, kernel) in enumerate(zip(photos, kernels, strict=True)):
        photo = blur_photo(clean, kernel, (EVALUATION_SEED, index), gamma)
        output, wiener = deblur(net, photo, gamma)
        with_true_kernel = deconvolve_with_true_kernel(photo, kernel, gamma)
        true_kernel_db = max(inner_psnr_db(version, clean) for version in with_true_kernel)
        rows.append(
            [*(inner_psnr_db(image, clean) for image in (output, photo, wiener)), true_kernel_db]
        )
        shifts.append(colour_shift_levels(photo, output))
    lite_db, input_db, wiener_db, true_kernel_db = np.mean(rows, axis=0)
    gains_db = np.array(rows)[:, 0] - np.array(rows)[:, 1]
    figures = {
        "psnr_rgb_db": lite_db,
        "input_db": input_db,
        "gain_db": lite_db - input_db,
        "least_gain_db": gains_db.min(),
        "worse_share": (gains_db < 0).mean(),
        "wiener_found_kernel_db": wiener_db,
        "wiener_true_kernel_db": true_kernel_db,
    }
    return round_figures(figures) | {"photos": len(rows)}, shifts


def draw_kernels(count: int, sides_px: tuple[int, int]) -> list[np.ndarray]:
    """Draw kernels of a range of sides, each with its own fixed seed."""
    rngs = [np.random.default_rng((EVALUATION_SEED, index)) for index in range(count)]
    return [
        random_motion_kernel(rng, int(rng.integers(sides_px[0], sides_px[1] + 1))) for rng in rngs
    ]


def measure(paths: EvaluationPaths) -> Measurement:
    """Measure all test sets."""
    net, figures, all_shifts = LiteDeblur().eval(), Figures(), list[float]()
    net.load_state_dict(load_trained(DEBLUR_RECIPE, paths.weights).state_dict())
    kodak = list(paths.read_test_set("kodak").values())
    held_back = list(read_held_back(DEBLUR_RECIPE.folders[0], paths.train).values())
    for name, photos in {"kodak": kodak, "held_back": held_back}.items():
        blurred = BLURS_PER_PHOTO * photos
        kernels = draw_kernels(len(blurred), KERNELS_PX)
        slight = draw_kernels(len(blurred), SLIGHT_KERNELS_PX)
        sharp = [IDENTITY_KERNEL] * len(photos)
        figures[name], shifts = compute_figures(net, blurred, kernels)
        figures[f"{name}_sharp"], _ = compute_figures(net, photos, sharp)
        figures[f"{name}_slight"], _ = compute_figures(net, blurred, slight)
        figures[f"{name}_in_linear_light"], _ = compute_figures(
            net, blurred, kernels, DECONVOLUTION_GAMMAS[1]
        )
        all_shifts += shifts
    examples = blur_once(kodak)
    figures |= judge_deblurring(net, examples)
    example = to_tensor(centre_square(examples[0][1], COST_SIDE_PX))
    figures["cost"] = measure_cost(net, example, all_shifts)
    return Measurement(figures, draw_sheet(net, examples[:SHEET_PHOTOS]))


def blur_once(photos: list[Photo]) -> list[tuple[Photo, Photo]]:
    """Return (clean, blurred) photos, with kernels of 7 to 21 px."""
    kernels = draw_kernels(len(photos), KERNELS_PX)
    return [
        (clean, blur_photo(clean, kernel, (EVALUATION_SEED, index)))
        for index, (clean, kernel) in enumerate(zip(photos, kernels, strict=True))
    ]


def judge_deblurring(net: LiteDeblur, pairs: list[tuple[Photo, Photo]]) -> Figures:
    """Return the perceptual figures of each method for (clean, blurred) photos."""
    clean, blurred = (list(photos) for photos in zip(*pairs, strict=True))
    lite, wiener = zip(*(deblur(net, photo) for photo in blurred), strict=True)
    outputs = {
        "lite": lite,
        "blurred": blurred,
        "wiener_found_kernel": wiener,
        "unsharp_mask": [sharpen(photo) for photo in blurred],
    }
    return judge_methods("kodak", outputs, clean)


def sharpen(photo: Photo) -> Photo:
    """Add the difference to a Gaussian of UNSHARP_SIGMA_PX."""
    smooth = cv2.GaussianBlur(photo, (0, 0), UNSHARP_SIGMA_PX)
    return np.asarray(cv2.addWeighted(photo, 2.0, smooth, -1.0, 0.0))


def draw_sheet(net: LiteDeblur, pairs: list[tuple[Photo, Photo]]) -> Image.Image:
    """Draw one column per (clean, blurred) photo: blurred, deblurred, clean."""
    columns = []
    for clean, photo in pairs:
        images = (photo, deblur(net, photo)[0], clean)
        columns.append(np.vstack([crop_centre(image, SHEET_SIDE_PX) for image in images]))
    return Image.fromarray(np.hstack(columns))


def assess(figures: Figures) -> Assessment:
    """Compare the gain on Kodak with the target."""
    kodak, held_back = figures["kodak"], figures["held_back"]
    true_kernel_gain_db = kodak["wiener_true_kernel_db"] - kodak["input_db"]
    return Assessment(
        f"Kodak + {kodak['gain_db']:.2f} dB, held-back photos + {held_back['gain_db']:.2f} dB; "
        f"Wiener filter with the true kernel: + {true_kernel_gain_db:.2f} dB on Kodak",
        kodak["gain_db"] >= MIN_GAIN_DB,
    )


EVALUATION = Evaluation(measure, "+ 2.5 dB over the input, kernels up to 21 px", assess)
