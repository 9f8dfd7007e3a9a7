"""Compares ways of enlarging small photos four times with the lite networks.

Each photo is reduced by four, degraded, and enlarged again: by either network, with or without
denoising before, or half of it over the plain enlargement. Means over photos: PSNR, SSIM, and how
much texture is true (correlation of the detail with that of the original, where it is neither flat
nor an edge). `steps=auto` chooses by these figures (pipelines/assessment/enlargement.py).

    python -m benchmarks.enlargement ../shared/photos/test/kodak --record
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.quality import psnr_db
from benchmarks.rows import machine, record
from benchmarks.step_order import centre
from data.degradation import Degradation, degrade
from restore import Photo, Restorer
from restore.imaging.convert import to_rgb
from restore.imaging.photo import open_photo
from restore.pipelines.assessment.enlargement import GENTLE_STRENGTH
from restore.pipelines.upscale import CLEAN_VARIANT
from training.basicsr_import import import_basicsr

SCALE = 4
SIDE_PX = 384
DETAIL_PX = 3.0
WINDOW_PX = 8.0
TEXTURE_PERCENTILES = (20, 60)
"""Of the mean detail around a pixel: below it is flat, above there are edges."""

CASES: Mapping[str, Degradation] = {
    "nothing": Degradation(downscale=SCALE),
    "JPEG of 90": Degradation(downscale=SCALE, jpeg=90),
    "JPEG of 75": Degradation(downscale=SCALE, jpeg=75),
    "JPEG of 50": Degradation(downscale=SCALE, jpeg=50),
    "noise of 3, JPEG of 90": Degradation(downscale=SCALE, noise=3, jpeg=90),
    "noise of 8, JPEG of 90": Degradation(downscale=SCALE, noise=8, jpeg=90),
}


def enlarge_in_all_ways(restorer: Restorer, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Return the enlargements of HxWx3 uint8 by name."""

    def run(task: str, source: np.ndarray, options: Mapping[str, Any]) -> np.ndarray:
        [photo] = restorer.run(task, Photo("photo", source), **options).photos
        return to_rgb(photo.pixels)

    denoised = run("restore", pixels, {"restore_variant": "lite"})
    size = (pixels.shape[1] * SCALE, pixels.shape[0] * SCALE)
    repair: dict[str, Any] = {"scale": SCALE, "upscale_variant": "lite"}
    faithful = {**repair, "upscale_variant": CLEAN_VARIANT}
    return {
        "bicubic": cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC),
        "lite": run("upscale", pixels, repair),
        "half_lite": run("upscale", pixels, {**repair, "strength": GENTLE_STRENGTH}),
        "fidelity": run("upscale", pixels, faithful),
        "denoised_lite": run("upscale", denoised, repair),
        "denoised_fidelity": run("upscale", denoised, faithful),
    }


def true_texture(original: np.ndarray, result: np.ndarray) -> float:
    """Return the correlation of the detail of two HxWx3 uint8 photos in textured areas."""
    true, found = _detail(original), _detail(result)
    around = cv2.GaussianBlur(np.abs(true), (0, 0), WINDOW_PX)
    low, high = np.percentile(around, TEXTURE_PERCENTILES)
    textured = (around > low) & (around < high)
    return float(np.corrcoef(true[textured], found[textured])[0, 1])


def measure(restorer: Restorer, original: np.ndarray, case: Degradation, seed: int) -> np.ndarray:
    """Return ways x (PSNR, SSIM, true texture) for one photo."""
    calculate_ssim = import_basicsr("metrics.psnr_ssim").calculate_ssim
    ways = enlarge_in_all_ways(restorer, degrade(original, case, seed))
    rows = []
    for result in ways.values():
        ssim = float(calculate_ssim(original[..., ::-1], result[..., ::-1], crop_border=0))
        rows.append((psnr_db(original, result), ssim, true_texture(original, result)))
    return np.array(rows)


def main() -> None:
    """Print a table, and record a row for each degradation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of clean photos")
    parser.add_argument("--count", type=int, default=4, help="number of photos")
    parser.add_argument("--record", action="store_true", help="append rows to results/")
    options = parser.parse_args()
    files = sorted(options.photos.glob("*.png"))[1::2][: options.count]
    originals = [centre(open_photo(file).pixels, SIDE_PX) for file in files]
    restorer = Restorer(weights="lite", device="cpu")
    names = ("bicubic", "lite", "half_lite", "fidelity", "denoised_lite", "denoised_fidelity")
    print("| degraded by | " + " | ".join(names) + " |\n|---" + "|---" * len(names) + "|")
    for case_name, case in CASES.items():
        measured = [measure(restorer, each, case, seed) for seed, each in enumerate(originals)]
        means = np.mean(measured, axis=0)
        cells = [f"{psnr:.2f} / {ssim:.3f} / {true:.2f}" for psnr, ssim, true in means]
        print(f"| {case_name} | " + " | ".join(cells) + " |", flush=True)
        if options.record:
            row: dict[str, object] = {"case": case_name, "photos": len(files)}
            for name, (psnr, ssim, true) in zip(names, means, strict=True):
                row[name] = {
                    "psnr_db": round(float(psnr), 2),
                    "ssim": round(float(ssim), 3),
                    "true_texture": round(float(true), 2),
                }
            record("enlargement", {**row, **machine()})


def _detail(pixels: np.ndarray) -> np.ndarray:
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(grey - cv2.GaussianBlur(grey, (0, 0), DETAIL_PX))


if __name__ == "__main__":
    main()
