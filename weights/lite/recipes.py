"""All recipes by name, and those of the two networks that learn from clean natural photos alone; train.py runs them."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image
from spandrel.architectures.Compact import Compact
from spandrel.architectures.DRUNet import DRUNet

from weights.lite.colouring import COLOUR_RECIPE
from weights.lite.faces import FACE_RECIPE
from weights.lite.inpainting import INPAINT_RECIPE
from weights.lite.recipe import NATURAL, Pair, Photo, Recipe, as_it_is
from weights.lite.scratches import SCRATCH_RECIPE


def halved_twice(photo: Photo) -> Pair:
    """(low, high): `high` cropped to a multiple of 4 and `low` its antialiased bicubic quarter, rounded to 8 bits."""
    height, width = (side - side % 4 for side in photo.shape[:2])
    high = np.ascontiguousarray(photo[:height, :width])
    low = np.asarray(Image.fromarray(high).resize((width // 4, height // 4), Image.Resampling.BICUBIC))
    return low, high


def draw_upscale(pair: Pair, patch_px: int, rng: np.random.Generator) -> Pair:
    """A random aligned patch of `patch_px` low-resolution pixels and its 4x target."""
    low, high = pair
    top, left = (int(rng.integers(0, side - patch_px + 1)) for side in low.shape[:2])
    low_patch = low[top : top + patch_px, left : left + patch_px]
    high_patch = high[4 * top : 4 * (top + patch_px), 4 * left : 4 * (left + patch_px)]
    return low_patch, high_patch


def draw_denoise(pair: Pair, patch_px: int, rng: np.random.Generator) -> Pair:
    """A random clean patch and the same with blind noise: Gaussian sigma 0-50, often with Poisson and JPEG noise too."""
    clean = pair[1]
    top, left = (int(rng.integers(0, side - patch_px + 1)) for side in clean.shape[:2])
    target = np.ascontiguousarray(clean[top : top + patch_px, left : left + patch_px])
    noisy = target.astype(np.float32)
    if rng.random() < 0.25:
        photons = float(np.exp(rng.uniform(np.log(30.0), np.log(1000.0))))  # photons of a white pixel
        noisy = rng.poisson(noisy / 255.0 * photons).astype(np.float32) / photons * 255.0
    sigma = rng.uniform(0.0, 50.0)
    channels = 1 if rng.random() < 0.1 else 3  # film grain is often the same in every channel
    noisy = noisy + sigma * rng.standard_normal((patch_px, patch_px, channels)).astype(np.float32)
    quantised = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        quality = int(rng.integers(30, 96))
        _, encoded = cv2.imencode(".jpg", quantised, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8), target
    return quantised, target


RECIPES = {
    "upscale": Recipe(
        file="lite_upscale_x4.safetensors",
        build=lambda: Compact(num_feat=48, num_conv=10, upscale=4, act_type="prelu"),
        prepare=halved_twice,
        draw=draw_upscale,
        patch_px=40,
        batch=12,
        steps=18_000,
        peak_lr=1e-3,
        purpose="x4 upscaling of bicubically reduced photos",
        data=NATURAL,
    ),
    "denoise": Recipe(
        file="lite_denoise.safetensors",
        build=lambda: DRUNet(in_nc=3, out_nc=3, nc=[24, 32, 48, 64], nb=2),
        prepare=as_it_is,
        draw=draw_denoise,
        patch_px=96,
        batch=8,
        steps=12_000,
        peak_lr=1e-3,
        purpose="blind denoising: Gaussian sigma 0-50, Poisson, JPEG",
        data=NATURAL,
    ),
    "faces": FACE_RECIPE,
    "scratches": SCRATCH_RECIPE,
    "inpaint": INPAINT_RECIPE,
    "colorize": COLOUR_RECIPE,
}
