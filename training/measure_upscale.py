"""Measures the lite upscalers of cleanly reduced photos: Kodak and Set5, antialiased bicubic, rounded to 8 bits; bicubic beside them.

PSNR on the luma of BT.601, a border of the factor's pixels left out.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from torch import nn

from training.basicsr_import import import_basicsr
from training.metrics import (
    Figures,
    Findings,
    Measure,
    Places,
    as_tensor,
    colour_shift,
    cost_of,
    rounded,
    square,
    through,
    trained,
)
from training.recipe import Photo, Recipe
from training.recipe_upscale import UPSCALE_X2_RECIPE, UPSCALE_X4_RECIPE, reduced

EXAMPLE_PX = 256


def luma_psnr(first: Photo, second: Photo, border_px: int) -> float:
    """basicsr's PSNR on Y; it takes BGR."""
    measure = import_basicsr("metrics.psnr_ssim").calculate_psnr
    return float(
        measure(first[..., ::-1], second[..., ::-1], crop_border=border_px, test_y_channel=True)
    )


def bicubic(photo: Photo, scale: int) -> Photo:
    """`photo` enlarged by Pillow's bicubic filter."""
    height, width = photo.shape[:2]
    return np.asarray(
        Image.fromarray(photo).resize((scale * width, scale * height), Image.Resampling.BICUBIC)
    )


def figures_of(
    net: nn.Module, photos: list[Photo], scale: int
) -> tuple[dict[str, float], list[float]]:
    """(means over photos, each photo's shift of colour)."""
    rows, shifts = [], []
    for photo in photos:
        low, clean = reduced(photo, scale)
        result = through(net, low)
        rows.append([luma_psnr(image, clean, scale) for image in (result, bicubic(low, scale))])
        shifts.append(colour_shift(low, result))
    lite, simple = np.mean(rows, axis=0)
    return rounded({"psnr_y_db": lite, "bicubic_db": simple, "gain_db": lite - simple}) | {
        "photos": len(rows)
    }, shifts


def find_with(recipe: Recipe, scale: int, places: Places) -> Findings:
    """The figures of one of the two."""
    net, figures, all_shifts = trained(recipe, places.weights), Figures(), []
    for name in ("kodak", "set5"):
        figures[name], shifts = figures_of(net, list(places.test(name).values()), scale)
        all_shifts += shifts
    example = as_tensor(square(next(iter(places.test("kodak").values())), EXAMPLE_PX))
    return Findings(figures | {"cost": cost_of(net, example, all_shifts)})


def verdict_with(least_kodak_db: float, least_set5_db: float, figures: Figures) -> tuple[str, bool]:
    """Both gains, and whether they suffice."""
    kodak, set5 = (figures[name]["gain_db"] for name in ("kodak", "set5"))
    return (
        f"Kodak + {kodak:.2f} dB, Set5 + {set5:.2f} dB",
        kodak >= least_kodak_db and set5 >= least_set5_db,
    )


X4 = Measure(
    lambda places: find_with(UPSCALE_X4_RECIPE, 4, places),
    "+ 1.5 and + 2.9 dB over bicubic",
    lambda figures: verdict_with(1.5, 2.9, figures),
)
X2 = Measure(
    lambda places: find_with(UPSCALE_X2_RECIPE, 2, places),
    "Kodak + 1.8 dB over bicubic",
    lambda figures: verdict_with(1.8, 0.0, figures),
)
