"""The recipe of the lite denoiser: the noise of cameras and of film, and independent noise."""

from __future__ import annotations

import numpy as np
from spandrel.architectures.DRUNet import DRUNet

from training.camera_noise import add_camera_noise, add_film_grain
from training.degradations import jpeg_round_trip, quantise
from training.losses import l2_loss
from training.recipe import NATURAL, Pair, Photo, Recipe, pair_with_itself
from training.weight_transfer import widen_weights

# Standard deviation in levels of 255. It is above the 50 that the network must handle, because
# the end of the range is learnt worst.
MAX_SIGMA = 55.0
PHOTONS = (30.0, 1000.0)  # of a white pixel, for Poisson noise
JPEG_QUALITIES = (30, 95)
CAMERA_SHARE, GRAIN_SHARE = 0.35, 0.1  # of the patches; the others get independent noise


def draw_noisy_patch(pair: Pair, patch_px: int, rng: np.random.Generator) -> Pair:
    """Draw a clean patch and add the noise of a camera, of film, or blind independent noise.

    Returns:
        (noisy patch, clean patch)
    """
    clean = pair[1]
    top, left = (int(rng.integers(0, side - patch_px + 1)) for side in clean.shape[:2])
    target = np.ascontiguousarray(clean[top : top + patch_px, left : left + patch_px])
    kind = rng.random()
    if kind < CAMERA_SHARE:
        return add_camera_noise(target, rng), target
    if kind < CAMERA_SHARE + GRAIN_SHARE:
        return add_film_grain(target, rng), target
    return add_independent_noise(target, rng), target


def add_independent_noise(target: Photo, rng: np.random.Generator) -> Photo:
    """Add Gaussian noise, and at times Poisson noise and JPEG, to HxWx3 uint8."""
    noisy: np.ndarray = target.astype(np.float32)
    if rng.random() < 0.25:
        photons = float(np.exp(rng.uniform(*np.log(PHOTONS))))
        noisy = rng.poisson(noisy / 255.0 * photons).astype(np.float32) / photons * 255.0
    sigma = MAX_SIGMA * rng.random() ** 0.75
    channels = 1 if rng.random() < 0.1 else 3  # film grain is often equal in all channels
    shape = (*target.shape[:2], channels)
    noisy = noisy + sigma * rng.standard_normal(shape).astype(np.float32)
    quantised = quantise(noisy)
    if rng.random() < 0.25:
        quality = int(rng.integers(JPEG_QUALITIES[0], JPEG_QUALITIES[1] + 1))
        return jpeg_round_trip(quantised, quality)
    return quantised


DENOISE_RECIPE = Recipe(
    file="lite_denoise.safetensors",
    build=lambda: DRUNet(in_nc=3, out_nc=3, nc=[32, 48, 64, 96], nb=2),
    prepare=pair_with_itself,
    draw_patch=draw_noisy_patch,
    patch_px=128,
    batch_size=5,
    steps=100_000,
    peak_lr=4e-4,
    purpose="blind denoising: Gaussian sigma 0-50, Poisson, cameras, film grain, JPEG",
    data=NATURAL,
    loss=l2_loss,
    transfer_weights=widen_weights,
    half_precision=True,
)
