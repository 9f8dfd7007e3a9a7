"""Measures the embedded lite weights through `Restorer`, on photos they were never trained on.

    python -m weights.lite.measure --photos ../shared/photos/test

- upscale: each photo of kodak/ and set5/ reduced 4 times (antialiased bicubic, rounded to 8 bits), then enlarged 4 times by
  the network and by bicubic; PSNR on the luma of BT.601, 4 px border left out.
- denoise: each photo of kodak/ with seeded Gaussian noise of sigma 25 (rounded and clipped to 8 bits, as a file would be);
  PSNR over all RGB samples.

The figures go to `figures` of the files' lines in provenance.json.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from restore import Photo, Restorer
from restore.compat import import_basicsr

HERE = Path(__file__).resolve().parent
SCALE = 4
SIGMA = 25.0
BORDER_PX = 4
log = logging.getLogger("lite.measure")

Psnr = Callable[..., float]


def upscale_figures(restorer: Restorer, files: list[Path], psnr: Psnr) -> dict[str, float]:
    """Mean luma PSNR in dB of the network and of bicubic over the photos, and the gain."""
    rows = []
    for file in files:
        clean = cropped(np.asarray(Image.open(file).convert("RGB")))
        height, width = clean.shape[:2]
        small = np.asarray(Image.fromarray(clean).resize((width // SCALE, height // SCALE), Image.Resampling.BICUBIC))
        bicubic = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
        result = restorer.run("upscale", [Photo(file.name, small)], scale=SCALE, tile_size=0).photos[0].pixels
        rows.append([luma_psnr(psnr, clean, image) for image in (result, bicubic)])
        log.info("%s: %.2f dB, bicubic %.2f", file.name, *rows[-1])
    lite, bicubic_db = np.mean(rows, axis=0)
    return {"psnr_y_db": round(float(lite), 3), "bicubic_db": round(float(bicubic_db), 3), "gain_db": round(float(lite - bicubic_db), 3)}


def denoise_figures(restorer: Restorer, files: list[Path], psnr: Psnr) -> dict[str, float]:
    """Mean RGB PSNR in dB of the denoised photos and of the noisy ones."""
    rows = []
    for index, file in enumerate(files):
        clean = np.asarray(Image.open(file).convert("RGB"))
        noise = np.random.default_rng(index).normal(0.0, SIGMA, clean.shape)
        noisy = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
        result = restorer.run("restore", [Photo(file.name, noisy)]).photos[0].pixels
        rows.append([psnr(image, clean, crop_border=0) for image in (result, noisy)])
        log.info("%s: %.2f dB, noisy %.2f", file.name, *rows[-1])
    denoised, noisy_db = np.mean(rows, axis=0)
    return {"psnr_rgb_db": round(float(denoised), 3), "noisy_db": round(float(noisy_db), 3)}


def luma_psnr(psnr: Psnr, first: np.ndarray, second: np.ndarray) -> float:
    """basicsr's PSNR on Y; it takes BGR."""
    return psnr(first[..., ::-1], second[..., ::-1], crop_border=BORDER_PX, test_y_channel=True)


def cropped(photo: np.ndarray) -> np.ndarray:
    """The photo's top left part whose sides are multiples of the scale."""
    height, width = (side - side % SCALE for side in photo.shape[:2])
    return photo[:height, :width]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder that holds kodak/ and set5/")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    psnr: Psnr = import_basicsr("metrics.psnr_ssim").calculate_psnr
    restorer = Restorer(weights="lite")
    kodak, set5 = (sorted((args.photos / name).glob("*.png")) for name in ("kodak", "set5"))
    figures = {
        "lite_upscale_x4.safetensors": {
            "kodak_x4": upscale_figures(restorer, kodak, psnr),
            "set5_x4": upscale_figures(restorer, set5, psnr),
        },
        "lite_denoise.safetensors": {"kodak_sigma25": denoise_figures(restorer, kodak, psnr)},
    }
    path = HERE / "provenance.json"
    rows = json.loads(path.read_text())
    for file, measured in figures.items():
        rows[file]["figures"] = measured
        log.info("%s: %s", file, json.dumps(measured))
    path.write_text(json.dumps(rows, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
