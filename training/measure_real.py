"""Measures the lite upscaler of photos as they are found, beside Real-ESRGAN's small networks and bicubic, on worn photos of Kodak.

Each photo is worn down to a quarter of its sides, by a seed of its own: by the second-order degradation, and lightly. LPIPS and DISTS
need weights that cannot be had without a download: NIQE (no original; lower is more natural) stands for how a photo looks, and PSNR on
luma, SSIM and GMSD for how near it is to the original.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image
from torch import nn

from benchmarks.quality import figures_of, mean_of
from restore.models.loader import load_net
from training.measure_faces import gmsd
from training.measure_upscale import EXAMPLE_PX, bicubic
from training.metrics import (
    Figures,
    Findings,
    Measure,
    Places,
    as_tensor,
    colour_shift,
    cost_of,
    cropped,
    rounded,
    square,
    through,
    trained,
)
from training.recipe import Photo
from training.recipe_upscale import UPSCALE_REAL_RECIPE
from training.degradations import lightly_worn, worn

SCALE = 4
YARDSTICK = "realesr-general-x4v3"
YARDSTICKS = (YARDSTICK, "realesr-animevideov3")
WEARS: dict[str, Callable[..., Photo]] = {"worn": worn, "lightly_worn": lightly_worn}
SHOWN = (0, 3, 5, 7)  # of Kodak
SHOWN_PX = 256

Enlarge = Callable[[Photo], Photo]


def yardsticks(places: Places) -> dict[str, nn.Module]:
    """Those of Real-ESRGAN's small networks that are there."""
    found = {}
    for name in YARDSTICKS if places.yardsticks else ():
        assert places.yardsticks is not None
        for file in sorted(places.yardsticks.glob(f"{name}*"))[:1]:
            found[name] = load_net(file)
    return found


def means_of(enlarge: Enlarge, pairs: list[tuple[Photo, Photo]]) -> dict[str, float]:
    """Means over (worn, clean) photos."""
    results = [enlarge(low) for low, _ in pairs]
    means = mean_of(
        [figures_of(clean, result) for result, (_, clean) in zip(results, pairs, strict=True)]
    )
    distances = [gmsd(result, clean) for result, (_, clean) in zip(results, pairs, strict=True)]
    shifts = [colour_shift(low, result) for result, (low, _) in zip(results, pairs, strict=True)]
    named = {"niqe": means.niqe or 0.0, "psnr_y_db": means.psnr_y_db, "ssim": means.ssim}
    return rounded(
        {**named, "gmsd": float(np.mean(distances)), "colour_shift_levels": float(np.mean(shifts))}
    )


def way_of(net: nn.Module) -> Enlarge:
    """A network as a way to enlarge."""
    return lambda low: through(net, low)


def find(places: Places) -> Findings:
    """The figures of all networks on all photos, and pictures of some."""
    net, others = trained(UPSCALE_REAL_RECIPE, places.weights), yardsticks(places)
    photos = [cropped(photo, SCALE) for photo in places.test("kodak").values()]
    without_grain = way_of(net.get_submodule("picture"))
    ways: dict[str, Enlarge] = {
        "lite": way_of(net),
        "lite_without_grain": without_grain,
        "bicubic": lambda low: bicubic(low, SCALE),
    }
    ways |= {name: way_of(other) for name, other in others.items()}
    figures, pairs = Figures(), dict[str, list[tuple[Photo, Photo]]]()
    for name, wear in WEARS.items():
        sizes = [(photo.shape[1] // SCALE, photo.shape[0] // SCALE) for photo in photos]
        lows = [
            wear(photo, size, np.random.default_rng((2026, i)))
            for i, (photo, size) in enumerate(zip(photos, sizes, strict=True))
        ]
        pairs[name] = list(zip(lows, photos, strict=True))
        figures |= {
            f"{name}_{way}": means_of(enlarge, pairs[name]) for way, enlarge in ways.items()
        }
    example = as_tensor(square(photos[0], EXAMPLE_PX))
    shifts = [figures[f"{name}_lite"]["colour_shift_levels"] for name in WEARS]
    figures["cost"] = cost_of(net, example, shifts, beside=others)
    return Findings(figures, sheet_of(ways, [pairs["worn"][index] for index in SHOWN]))


def sheet_of(ways: dict[str, Enlarge], pairs: list[tuple[Photo, Photo]]) -> Image.Image:
    """A part of each photo: as it was found, enlarged by each way, clean; a column a photo."""
    columns = []
    for low, clean in pairs:
        height, width = clean.shape[:2]
        part = (
            slice((height - SHOWN_PX) // 2, (height + SHOWN_PX) // 2),
            slice((width - SHOWN_PX) // 2, (width + SHOWN_PX) // 2),
        )
        shown = [
            ways["bicubic"](low),
            ways["lite"](low),
            *([ways[YARDSTICK](low)] if YARDSTICK in ways else []),
            clean,
        ]
        columns.append(np.vstack([image[part] for image in shown]))
    return Image.fromarray(np.hstack(columns))


def verdict(figures: Figures) -> tuple[str, bool]:
    """NIQE and time beside the yardstick's."""
    lite, other, cost = figures["worn_lite"], figures.get(f"worn_{YARDSTICK}"), figures["cost"]
    words = f"NIQE {lite['niqe']:.2f}, Y-PSNR {lite['psnr_y_db']:.2f} dB, SSIM {lite['ssim']:.3f}"
    if other is None:
        return words, False
    share = cost["cpu_s_per_megapixel"] / cost[f"{YARDSTICK}_cpu_s_per_megapixel"]
    beside = f"{other['niqe']:.2f}, {other['psnr_y_db']:.2f} dB, {other['ssim']:.3f}"
    return f"{words}; {YARDSTICK} {beside}; {share:.2f} of its time", lite["niqe"] <= other[
        "niqe"
    ] and share <= 0.5


MEASURE = Measure(find, f"NIQE no worse than {YARDSTICK}'s, at most half its time", verdict)
