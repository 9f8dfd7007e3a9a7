"""Compares the orders of two repairs on degraded photos whose original is known.

Each case degrades a photo in two ways, in the order in which photos age: blur, fading, scratches,
grain, JPEG. The repairs run in both orders, with the embedded networks. `STEP_ORDER` in
restore/pipelines/propose.py has the order with the higher PSNR.

    python -m benchmarks.step_order ../shared/photos/test/kodak --record
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.quality import psnr_db
from benchmarks.rows import machine, record
from data.degradation import Degradation, degrade
from restore import Restorer
from restore.imaging.convert import to_rgb
from restore.imaging.photo import Photo, open_photo
from training.fading import fade
from training.motion_blur import apply_blur, random_motion_kernel

SIDE_PX = 256
SHAKE_PX = 13
NOISE = Degradation(noise=12.0)
SCRATCHES = Degradation(scratches=8)
JPEG = Degradation(jpeg=25)

Pixels = np.ndarray
Damage = Callable[[Pixels, int], Pixels]
Repair = tuple[str, Mapping[str, Any]]
"""A task and its options."""

DENOISE: Repair = ("restore", {"restore_variant": "lite"})
DEBLUR: Repair = ("restore", {"restore_variant": "lite_deblur"})
MEND: Repair = ("old_photo_restore", {"with_face": False})
COLORS: Repair = ("colors", {})
ENLARGE: Repair = ("upscale", {"scale": 2, "grain": False})


def shake(pixels: Pixels, seed: int) -> Pixels:
    """Blur by camera shake."""
    kernel = random_motion_kernel(np.random.default_rng(seed), SHAKE_PX)
    return np.asarray(np.rint(apply_blur(pixels, kernel, 1.0).clip(0, 255)), np.uint8)


def fade_dyes(pixels: Pixels, seed: int) -> Pixels:
    """Fade the dyes."""
    return np.asarray(fade(pixels, np.random.default_rng(seed)))


def halve(pixels: Pixels, seed: int) -> Pixels:
    """Reduce to half the size."""
    del seed
    return cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def by_recipe(recipe: Degradation) -> Damage:
    """Return a damage that applies a recipe of `data.degradation`."""
    return lambda pixels, seed: np.asarray(degrade(pixels, recipe, seed))


@dataclass(frozen=True)
class Case:
    """Two damages, and the two repairs in the order that is used."""

    name: str
    damages: tuple[Damage, Damage]
    first: Repair
    second: Repair


CASES = (
    Case("denoise, deblur", (shake, by_recipe(NOISE)), DENOISE, DEBLUR),
    Case("mend scratches, deblur", (shake, by_recipe(SCRATCHES)), MEND, DEBLUR),
    Case("correct colours, denoise", (fade_dyes, by_recipe(NOISE)), COLORS, DENOISE),
    Case("correct colours, mend scratches", (fade_dyes, by_recipe(SCRATCHES)), COLORS, MEND),
    Case("denoise JPEG, enlarge", (halve, by_recipe(JPEG)), DENOISE, ENLARGE),
    Case("correct colours, enlarge", (halve, fade_dyes), COLORS, ENLARGE),
)


def run_repairs(restorer: Restorer, pixels: Pixels, repairs: Sequence[Repair]) -> Pixels:
    """Run repairs one after the other."""
    photo = Photo("photo", pixels)
    for task, options in repairs:
        [photo] = restorer.run(task, photo, harm_check=False, **options).photos
    return to_rgb(photo.pixels)


def measure(restorer: Restorer, case: Case, original: Pixels, seed: int) -> dict[str, float]:
    """Return the PSNR of the degraded photo, and after the repairs in both orders."""
    damaged = original
    for damage in case.damages:
        damaged = damage(damaged, seed)
    enlarged = cv2.resize(damaged, original.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    orders = {"used": (case.first, case.second), "reversed": (case.second, case.first)}
    figures = {"degraded": psnr_db(enlarged, original)}
    for name, repairs in orders.items():
        figures[name] = psnr_db(run_repairs(restorer, damaged, repairs), original)
    return figures


def centre(pixels: Pixels, side_px: int = SIDE_PX) -> Pixels:
    """Return the middle of a photo: a square in RGB."""
    top, left = ((side - side_px) // 2 for side in pixels.shape[:2])
    return np.ascontiguousarray(to_rgb(pixels)[top : top + side_px, left : left + side_px])


def main() -> None:
    """Print a table of the mean PSNR of both orders of each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of clean photos of at least 256 pixels")
    parser.add_argument("--count", type=int, default=8, help="number of photos")
    parser.add_argument("--record", action="store_true", help="append rows to results/")
    options = parser.parse_args()
    files = sorted(options.photos.glob("*.png"))[: options.count]
    originals = [centre(open_photo(file).pixels) for file in files]
    restorer = Restorer(weights="lite", device="cpu")
    print("| order | degraded | this order | reversed |\n|---|---|---|---|")
    for case in CASES:
        rows = [measure(restorer, case, each, seed) for seed, each in enumerate(originals)]
        mean = {name: round(float(np.mean([row[name] for row in rows])), 2) for name in rows[0]}
        print(f"| {case.name} | " + " | ".join(f"{value:.2f}" for value in mean.values()) + " |")
        if options.record:
            row: dict[str, object] = {"case": case.name, "photos": len(files), **mean}
            record("step_order", {**row, **machine()})


if __name__ == "__main__":
    main()
