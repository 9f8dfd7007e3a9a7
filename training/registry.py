"""All recipes by name, and that of the denoiser; train.py runs them."""

from __future__ import annotations

import cv2
import numpy as np
from spandrel.architectures.DRUNet import DRUNet

from training.recipe_colorize import COLOUR_RECIPE
from training.recipe_deblur import DEBLUR_RECIPE
from training.recipe_faces import FACE_RECIPE
from training.recipe_inpaint import INPAINT_RECIPE
from training.recipe import NATURAL, Pair, Recipe, as_it_is, squared_loss, widened
from training.recipe_scratches import SCRATCH_RECIPE
from training.recipe_upscale import UPSCALE_REAL_RECIPE, UPSCALE_X2_RECIPE, UPSCALE_X4_RECIPE

STRONGEST = 55.0  # sigma of noise in levels of 255: what lies at the end of the range is learnt worst, and 50 is to be served


def draw_denoise(pair: Pair, patch_px: int, rng: np.random.Generator) -> Pair:
    """A random clean patch and the same with blind noise: Gaussian sigma 0-55, often with Poisson and JPEG noise too."""
    clean = pair[1]
    top, left = (int(rng.integers(0, side - patch_px + 1)) for side in clean.shape[:2])
    target = np.ascontiguousarray(clean[top : top + patch_px, left : left + patch_px])
    noisy = target.astype(np.float32)
    if rng.random() < 0.25:
        photons = float(
            np.exp(rng.uniform(np.log(30.0), np.log(1000.0)))
        )  # photons of a white pixel
        noisy = rng.poisson(noisy / 255.0 * photons).astype(np.float32) / photons * 255.0
    sigma = STRONGEST * rng.random() ** 0.75
    channels = 1 if rng.random() < 0.1 else 3  # film grain is often the same in every channel
    noisy = noisy + sigma * rng.standard_normal((patch_px, patch_px, channels)).astype(np.float32)
    quantised = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        quality = int(rng.integers(30, 96))
        _, encoded = cv2.imencode(".jpg", quantised, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8), target
    return quantised, target


RECIPES = {
    "upscale_real_x4": UPSCALE_REAL_RECIPE,
    "upscale_x4": UPSCALE_X4_RECIPE,
    "upscale_x2": UPSCALE_X2_RECIPE,
    "denoise": Recipe(
        file="lite_denoise.safetensors",
        build=lambda: DRUNet(in_nc=3, out_nc=3, nc=[32, 48, 64, 96], nb=2),
        prepare=as_it_is,
        draw=draw_denoise,
        patch_px=128,
        batch=5,
        steps=100_000,
        peak_lr=4e-4,
        purpose="blind denoising: Gaussian sigma 0-50, Poisson, JPEG",
        data=NATURAL,
        loss=squared_loss,
        begin=widened,
        half_precision=True,
    ),
    "deblur": DEBLUR_RECIPE,
    "faces": FACE_RECIPE,
    "scratches": SCRATCH_RECIPE,
    "inpaint": INPAINT_RECIPE,
    "colorize": COLOUR_RECIPE,
}
