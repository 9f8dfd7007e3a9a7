"""Evaluate the lite upscaler of degraded photos against Real-ESRGAN, bicubic and Lanczos.

Each Kodak photo is degraded to a quarter of its size, with a fixed seed: by the second-order
degradation ("worn" in the figures) and lightly ("lightly worn"). `lite` is the network as the
product uses it, without grain; `lite_with_grain` is the option `grain`.

SSIMULACRA2 decides, at every degradation. NIQE has no reference: grain alone lowers it by 1.4.
LPIPS and DISTS need weights that are not available without a download.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from training.degradations import degrade_lightly, degrade_second_order
from training.evaluation import (
    EVALUATION_SEED,
    Assessment,
    Evaluation,
    EvaluationPaths,
    Measurement,
    centre_square,
    crop_centre,
    crop_to_multiple,
    load_trained,
)
from training.measure_upscale import (
    COST_SIDE_PX,
    MAIN_REFERENCE,
    Upscale,
    load_references,
    upscale_bicubic,
    upscale_lanczos,
    upscale_with,
)
from training.metrics import JUDGED, colour_shift_levels, judge, measure_cost, round_figures
from training.provenance import Figures
from training.recipe import Photo
from training.recipe_upscale import UPSCALE_REAL_RECIPE
from training.tensors import to_tensor

SCALE = 4
# The names are part of the figures in provenance.json.
DEGRADATIONS: dict[str, Callable[..., Photo]] = {
    "worn": degrade_second_order,
    "lightly_worn": degrade_lightly,
}
SHEET_PHOTOS = (0, 3, 5, 7)  # of Kodak
SHEET_SIDE_PX = 256
MAX_TIME_SHARE = 0.6  # of the main reference

DegradedPair = tuple[Photo, Photo]
"""Degraded photo, clean photo."""


def compute_figures(upscale: Upscale, pairs: list[DegradedPair]) -> dict[str, float]:
    """Return the means over (degraded, clean) photos."""
    outputs = [upscale(low) for low, _ in pairs]
    figures = judge(
        ((output, clean) for output, (_, clean) in zip(outputs, pairs, strict=True)),
        ("psnr_y_db", *JUDGED),
    )
    shifts = [
        colour_shift_levels(low, output) for output, (low, _) in zip(outputs, pairs, strict=True)
    ]
    return figures | round_figures({"colour_shift_levels": float(np.mean(shifts))})


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
        "lite": upscale_with(net.get_submodule("picture")),
        "lite_with_grain": upscale_with(net),
        "bicubic": lambda low: upscale_bicubic(low, SCALE),
        "lanczos_opencv": lambda low: upscale_lanczos(low, SCALE),
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
    timed = {"with_grain": net, MAIN_REFERENCE: references.get(MAIN_REFERENCE)}
    figures["cost"] = measure_cost(
        net.get_submodule("picture"),
        example,
        shifts,
        references={name: other for name, other in timed.items() if other is not None},
    )
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
    """Compare SSIMULACRA2 without grain, at every degradation, and time with the main reference."""
    if "ssimulacra2" not in figures.get(f"worn_{MAIN_REFERENCE}", {}):
        return Assessment(f"not compared: {MAIN_REFERENCE} was not measured", is_met=False)
    scores, others = (
        [figures[f"{name}_{method}"]["ssimulacra2"] for name in DEGRADATIONS]
        for method in ("lite", MAIN_REFERENCE)
    )
    cost = figures["cost"]
    time_share = cost["cpu_s_per_megapixel"] / cost[f"{MAIN_REFERENCE}_cpu_s_per_megapixel"]
    compared = ", ".join(
        f"{name.replace('_', ' ')} {score:.1f} ({MAIN_REFERENCE}: {other:.1f})"
        for name, score, other in zip(DEGRADATIONS, scores, others, strict=True)
    )
    return Assessment(
        f"SSIMULACRA2 without grain: {compared}; {time_share:.2f} of its time",
        is_met=time_share <= MAX_TIME_SHARE
        and all(score >= other for score, other in zip(scores, others, strict=True)),
    )


EVALUATION = Evaluation(
    measure,
    f"without grain, SSIMULACRA2 at least that of {MAIN_REFERENCE} at every degradation, "
    f"in at most {MAX_TIME_SHARE} of its time",
    assess,
)
