"""The recipe of the lite deblurring network: sharp photos with camera shake.

The network corrects Wiener deconvolution with estimated kernels. Kernels are therefore also
estimated in training photos, once for each blur, so that the network learns from real errors.
"""

from __future__ import annotations

import dataclasses
import zlib

import numpy as np
import torch

from restore.nets.lite.deblur import (
    DECONVOLUTION_GAMMAS,
    DeblurUNet,
    estimate_kernels,
    stack_candidates,
)
from restore.nets.lite.kernel_estimation import KERNEL_PX
from training.degradations import compress_randomly, quantise
from training.motion_blur import IDENTITY_KERNEL, apply_blur, random_motion_kernel
from training.recipe import NATURAL, Pair, Photo, Recipe
from training.tensors import to_tensor
from training.weight_transfer import widen_weights

SHARP_SHARE = 0.1  # of the photos: a photo without blur must come out unchanged
BLURS_PER_PHOTO = 3
MARGIN_PX = 12  # deconvolved around a patch, because the borders of a photo are worse
MAX_NOISE_LEVELS = 3.0
JPEG_QUALITIES = (70, 95)


@dataclasses.dataclass(frozen=True)
class TrainingBlur:
    """A blur of a training photo.

    Attributes:
        kernel: 21x21 true kernel.
        gamma: the blur was applied to the samples to this power.
        estimated: the 21x21 kernels estimated in the blurred photo.
    """

    kernel: np.ndarray
    gamma: float
    estimated: list[torch.Tensor]


_blurs: dict[tuple[int, int], TrainingBlur] = {}


def add_capture_noise(photo: np.ndarray, rng: np.random.Generator) -> Photo:
    """Add noise of up to 3 levels, round to 8 bits, and apply JPEG with probability 0.25."""
    noise = rng.uniform(0.0, MAX_NOISE_LEVELS) * rng.standard_normal(photo.shape, np.float32)
    noisy = photo + noise
    return compress_randomly(noisy, rng, JPEG_QUALITIES) if rng.random() < 0.25 else quantise(noisy)


def training_blur(photo: Photo, index: int) -> TrainingBlur:
    """Return the blur of a photo, determined by its pixels and an index; cached in the process."""
    key = (zlib.crc32(photo.tobytes()), index)
    if key not in _blurs:
        rng = np.random.default_rng(key)
        kernel = IDENTITY_KERNEL if rng.random() < SHARP_SHARE else random_motion_kernel(rng)
        gamma = float(rng.choice(DECONVOLUTION_GAMMAS))
        blurred = add_capture_noise(apply_blur(photo, kernel, gamma), rng)
        with torch.inference_mode():
            _blurs[key] = TrainingBlur(kernel, gamma, estimate_kernels(to_tensor(blurred)[0]))
    return _blurs[key]


def prepare_blurs(photo: Photo) -> Pair:
    """Estimate the kernels of a photo before worker processes are forked, which share the cache."""
    for index in range(BLURS_PER_PHOTO):
        training_blur(photo, index)
    return photo, photo


def draw_blurred_patch(pair: Pair, patch_px: int, rng: np.random.Generator) -> Pair:
    """Draw a patch with camera shake.

    Returns:
        (HxWx15 float32: the blurred patch and its four deconvolved versions,
        HxWx3 uint8: the sharp patch)
    """
    photo = pair[0]
    blur = training_blur(photo, int(rng.integers(0, BLURS_PER_PHOTO)))
    side, radius = patch_px + 2 * MARGIN_PX, KERNEL_PX // 2
    side = min(side, *photo.shape[:2])
    top, left = (int(rng.integers(0, length - side + 1)) for length in photo.shape[:2])
    # Pixels outside the patch are blurred into it, as in a photo.
    rows, columns = (slice(max(start - radius, 0), start + side + radius) for start in (top, left))
    blurred = apply_blur(photo[rows, columns], blur.kernel, blur.gamma)
    blurred = blurred[top - rows.start :, left - columns.start :][:side, :side]
    with torch.inference_mode():
        noisy = to_tensor(add_capture_noise(blurred, rng))[0]
        candidates = stack_candidates(noisy, blur.estimated).permute(1, 2, 0).numpy()
    start = (side - patch_px) // 2
    inner = (slice(start, start + patch_px),) * 2
    sharp = photo[top : top + side, left : left + side][inner]
    return candidates[inner], np.ascontiguousarray(sharp)


DEBLUR_RECIPE = Recipe(
    file="lite_deblur.safetensors",
    build=DeblurUNet,
    prepare=prepare_blurs,
    draw_patch=draw_blurred_patch,
    patch_px=144,
    batch_size=4,
    steps=40_000,
    peak_lr=8e-4,
    purpose="removes camera shake with blur kernels up to 21 px: corrects Wiener deconvolution",
    data=NATURAL,
    score_patches_per_photo=1,
    transfer_weights=widen_weights,
    half_precision=True,
)
