"""The recipe of the lite denoiser: photos with Gaussian, Poisson and JPEG noise."""

from __future__ import annotations

import numpy as np
from spandrel.architectures.DRUNet import DRUNet

from training.degradations import jpeg_round_trip, quantise
from training.losses import l2_loss
from training.recipe import NATURAL, Pair, Recipe, pair_with_itself
from training.weight_transfer import widen_weights

# Standard deviation in levels of 255. It is above the 50 that the network must handle, because
# the end of the range is learnt worst.
MAX_SIGMA = 55.0
PHOTONS = (30.0, 1000.0)  # of a white pixel, for Poisson noise
JPEG_QUALITIES = (30, 95)


def draw_noisy_patch(pair: Pair, patch_px: int, rng: np.random.Generator) -> Pair:
    """Draw a clean patch and add blind noise: Gaussian, and at times Poisson noise and JPEG."""
    clean = pair[1]
    top, left = (int(rng.integers(0, side - patch_px + 1)) for side in clean.shape[:2])
    target = np.ascontiguousarray(clean[top : top + patch_px, left : left + patch_px])
    noisy = target.astype(np.float32)
    if rng.random() < 0.25:
        photons = float(np.exp(rng.uniform(*np.log(PHOTONS))))
        noisy = rng.poisson(noisy / 255.0 * photons).astype(np.float32) / photons * 255.0
    sigma = MAX_SIGMA * rng.random() ** 0.75
    channels = 1 if rng.random() < 0.1 else 3  # film grain is often equal in all channels
    noisy = noisy + sigma * rng.standard_normal((patch_px, patch_px, channels)).astype(np.float32)
    quantised = quantise(noisy)
    if rng.random() < 0.25:
        quality = int(rng.integers(JPEG_QUALITIES[0], JPEG_QUALITIES[1] + 1))
        return jpeg_round_trip(quantised, quality), target
    return quantised, target


DENOISE_RECIPE = Recipe(
    file="lite_denoise.safetensors",
    build=lambda: DRUNet(in_nc=3, out_nc=3, nc=[32, 48, 64, 96], nb=2),
    prepare=pair_with_itself,
    draw_patch=draw_noisy_patch,
    patch_px=128,
    batch_size=5,
    steps=100_000,
    peak_lr=4e-4,
    purpose="blind denoising: Gaussian sigma 0-50, Poisson, JPEG",
    data=NATURAL,
    loss=l2_loss,
    transfer_weights=widen_weights,
    half_precision=True,
)
