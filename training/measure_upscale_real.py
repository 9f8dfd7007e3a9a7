"""Evaluate the lite upscaler of degraded photos against Real-ESRGAN's small networks and bicubic.

Each Kodak photo is degraded to a quarter of its size, with a fixed seed: by the second-order
degradation ("worn" in the figures) and lightly ("lightly worn"). LPIPS and DISTS need weights that
are not available without a download. NIQE (no reference; lower is more natural) stands in for
perceptual quality; PSNR on luma, SSIM and GMSD measure fidelity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image
from torch import nn

from benchmarks.quality import figures_of, mean_of
from restore.models.loader import load_net
from training.degradations import degrade_lightly, degrade_second_order
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
from training.measure_upscale import COST_SIDE_PX, upscale_bicubic
from training.metrics import colour_shift_levels, gmsd, measure_cost, round_figures
from training.provenance import Figures
from training.recipe import Photo
from training.recipe_upscale import UPSCALE_REAL_RECIPE
from training.tensors import to_tensor

SCALE = 4
MAIN_REFERENCE = "realesr-general-x4v3"
REFERENCES = (MAIN_REFERENCE, "realesr-animevideov3")
# The names are part of the figures in provenance.json.
DEGRADATIONS: dict[str, Callable[..., Photo]] = {
    "worn": degrade_second_order,
    "lightly_worn": degrade_lightly,
}
SHEET_PHOTOS = (0, 3, 5, 7)  # of Kodak
SHEET_SIDE_PX = 256
MAX_TIME_SHARE = 0.5  # of the main reference

Upscale = Callable[[Photo], Photo]
DegradedPair = tuple[Photo, Photo]
"""Degraded photo, clean photo."""


def load_references(paths: EvaluationPaths) -> dict[str, nn.Module]:
    """Load those of Real-ESRGAN's small networks that are in the folder."""
    references: dict[str, nn.Module] = {}
    if paths.references is None:
        return references
    for name in REFERENCES:
        for file in sorted(paths.references.glob(f"{name}*"))[:1]:
            references[name] = load_net(file)
    return references


def upscale_with(net: nn.Module) -> Upscale:
    """Return a function that upscales a photo with a network."""
    return lambda low: apply_net(net, low)


def compute_figures(upscale: Upscale, pairs: list[DegradedPair]) -> dict[str, float]:
    """Return the means over (degraded, clean) photos."""
    outputs = [upscale(low) for low, _ in pairs]
    compared = [(output, low, clean) for output, (low, clean) in zip(outputs, pairs, strict=True)]
    means = mean_of([figures_of(clean, output) for output, _, clean in compared])
    shifts = [colour_shift_levels(low, output) for output, low, _ in compared]
    return round_figures(
        {
            "niqe": means.niqe or 0.0,
            "psnr_y_db": means.psnr_y_db,
            "ssim": means.ssim,
            "gmsd": float(np.mean([gmsd(output, clean) for output, _, clean in compared])),
            "colour_shift_levels": float(np.mean(shifts)),
        }
    )


def degrade_photos(photos: list[Photo], degrade: Callable[..., Photo]) -> list[DegradedPair]:
    """Degrade each photo with its own fixed seed."""
    pairs = []
    for index, photo in enumerate(photos):
        size = (photo.shape[1] // SCALE, photo.shape[0] // SCALE)
        pairs.append((degrade(photo, size, np.random.default_rng((EVALUATION_SEED, index))), photo))
    return pairs


def measure(paths: EvaluationPaths) -> Measurement:
    """Measure all networks on all degraded photos."""
    net, references = load_trained(UPSCALE_REAL_RECIPE, paths.weights), load_references(paths)
    photos = [crop_to_multiple(photo, SCALE) for photo in paths.read_test_set("kodak").values()]
    methods: dict[str, Upscale] = {
        "lite": upscale_with(net),
        "lite_without_grain": upscale_with(net.get_submodule("picture")),
        "bicubic": lambda low: upscale_bicubic(low, SCALE),
        **{name: upscale_with(reference) for name, reference in references.items()},
    }
    pairs = {name: degrade_photos(photos, degrade) for name, degrade in DEGRADATIONS.items()}
    figures: Figures = {
        f"{name}_{method}": compute_figures(upscale, pairs[name])
        for name in DEGRADATIONS
        for method, upscale in methods.items()
    }
    shifts = [figures[f"{name}_lite"]["colour_shift_levels"] for name in DEGRADATIONS]
    example = to_tensor(centre_square(photos[0], COST_SIDE_PX))
    figures["cost"] = measure_cost(net, example, shifts, references=references)
    return Measurement(figures, draw_sheet(methods, [pairs["worn"][i] for i in SHEET_PHOTOS]))


def draw_sheet(methods: Mapping[str, Upscale], pairs: list[DegradedPair]) -> Image.Image:
    """Draw one column per photo: bicubic, lite, the main reference if present, clean."""
    shown = [name for name in ("bicubic", "lite", MAIN_REFERENCE) if name in methods]
    columns = []
    for low, clean in pairs:
        images = [*(methods[name](low) for name in shown), clean]
        columns.append(np.vstack([crop_centre(image, SHEET_SIDE_PX) for image in images]))
    return Image.fromarray(np.hstack(columns))


def assess(figures: Figures) -> Assessment:
    """Compare NIQE and computing time with the main reference."""
    lite, reference = figures["worn_lite"], figures.get(f"worn_{MAIN_REFERENCE}")
    summary = f"NIQE {lite['niqe']:.2f}, Y-PSNR {lite['psnr_y_db']:.2f} dB, SSIM {lite['ssim']:.3f}"
    if reference is None:
        return Assessment(summary, is_met=False)
    cost = figures["cost"]
    time_share = cost["cpu_s_per_megapixel"] / cost[f"{MAIN_REFERENCE}_cpu_s_per_megapixel"]
    comparison = (
        f"{MAIN_REFERENCE} {reference['niqe']:.2f}, {reference['psnr_y_db']:.2f} dB, "
        f"{reference['ssim']:.3f}; {time_share:.2f} of its time"
    )
    is_met = lite["niqe"] <= reference["niqe"] and time_share <= MAX_TIME_SHARE
    return Assessment(f"{summary}; {comparison}", is_met)


EVALUATION = Evaluation(
    measure, f"NIQE no worse than that of {MAIN_REFERENCE}, at most half its time", assess
)
