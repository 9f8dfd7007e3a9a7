"""The recipe of the lite colour network: photos in colour, their lightness partly degraded."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from restore.nets.lite.colorize import AB_SCALE, INPUT_PX, LiteColorize
from training.degradations import quantise
from training.recipe import FACES, NATURAL, Folder, Pair, Photo, Recipe, pair_with_itself
from training.recipe_faces import is_held_back_person

SMOOTH_L1_BETA = 0.05  # in units of 110 Lab units
CHROMA_WEIGHT = 2.0  # a pixel of chroma 110 has 1 + this times the weight of a grey one
# Channel gains that bring the mean colour of train/natural (a = 0.5, b = 2.3) to that of ImageNet
# (a = 0.5, b = 8.2).
WARMING_GAINS = (1.051, 0.995, 0.895)
PERCEPTUAL_LOSS_FROM = 0.4  # share of the schedule after which the loss is a perceptual difference
MIN_WINDOW_SHARE = (2, 5)  # fraction of each side of the photo


def draw_colour_patch(pair: Pair, patch_px: int, rng: np.random.Generator) -> Pair:
    """Draw a window of at least two fifths of each side, resized to a square as in inference.

    Returns:
        (HxWx1 float32: L / 100, HxWx2 float32: a and b / 110)
    """
    photo = pair[0]
    window = []
    for length in photo.shape[:2]:
        side = int(rng.integers(MIN_WINDOW_SHARE[0] * length // MIN_WINDOW_SHARE[1], length + 1))
        start = int(rng.integers(0, length - side + 1))
        window.append(slice(start, start + side))
    return split_lab(resize_to_square(photo[tuple(window)], patch_px), rng)


def warm_colours(photo: Photo) -> Photo:
    """Make a photo as warm as average photos; those of train/natural are cooler."""
    return quantise(photo * np.array(WARMING_GAINS, np.float32))


def resize_to_square(photo: Photo, side_px: int) -> Photo:
    """Resize a photo to a square, ignoring its aspect ratio."""
    interpolation = cv2.INTER_AREA if min(photo.shape[:2]) > side_px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(photo, (side_px, side_px), interpolation=interpolation), np.uint8)


def split_lab(photo: Photo, rng: np.random.Generator | None = None) -> Pair:
    """Split a photo into lightness and colour.

    Args:
        photo: HxWx3 uint8.
        rng: if given, the lightness is degraded like an old photo with probability 0.5.

    Returns:
        (HxWx1 float32: L / 100, HxWx2 float32: a and b / 110)
    """
    lab = cv2.cvtColor(photo.astype(np.float32) / 255.0, cv2.COLOR_RGB2Lab)
    lightness = lab[..., 0] / 100.0
    if rng is not None and rng.random() < 0.5:
        lightness = degrade_lightness(lightness, rng)
    return lightness[..., None].astype(np.float32), (lab[..., 1:] / AB_SCALE).astype(np.float32)


def degrade_lightness(lightness: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Apply the tone curve, blur and grain of an old photo; HxW in [0, 1]."""
    black, white = rng.uniform(0.0, 0.15), rng.uniform(0.8, 1.0)
    faded = black + (white - black) * np.clip(lightness, 0.0, 1.0) ** np.exp(rng.normal(0.0, 0.25))
    if rng.random() < 0.6:
        faded = cv2.GaussianBlur(faded, (0, 0), rng.uniform(0.3, 2.0))
    grain = rng.uniform(0.0, 0.06) * rng.standard_normal(faded.shape)
    return np.asarray(np.clip(faded + grain, 0.0, 1.0), np.float32)


def colour_loss(output: Tensor, target: Tensor, source: Tensor, progress: float) -> Tensor:
    """Smooth L1 weighted by chroma, so that grey is not favoured; later a perceptual difference."""
    if progress > PERCEPTUAL_LOSS_FROM:
        return perceptual_difference(output, target).mean() / AB_SCALE
    weight = 1.0 + CHROMA_WEIGHT * target.square().sum(dim=1, keepdim=True).sqrt()
    error = F.smooth_l1_loss(output, target, reduction="none", beta=SMOOTH_L1_BETA)
    return (weight * error).sum() / (2.0 * weight.sum())


def perceptual_difference(first: Tensor, second: Tensor) -> Tensor:
    """Compute CIEDE2000 at equal lightness and without its hue terms: Nx2xHxW to NxHxW."""
    chroma_1, chroma_2 = (
        (colours * AB_SCALE).square().sum(dim=1).add(1e-4).sqrt() for colours in (first, second)
    )
    chroma_difference = chroma_1 - chroma_2
    squared_distance = ((first - second) * AB_SCALE).square().sum(dim=1)
    squared_hue_difference = (squared_distance - chroma_difference.square()).clamp_min(0.0)
    mean = 0.5 * (chroma_1 + chroma_2)
    squared = (chroma_difference / (1.0 + 0.045 * mean)).square()
    squared = squared + squared_hue_difference / (1.0 + 0.015 * mean).square()
    return squared.add(1e-2).sqrt()


def difference_over_grey(output: Tensor, target: Tensor, source: Tensor) -> float:
    """Mean perceptual difference over that of a grey photo; below 1 is better than no colour."""
    differences = [
        perceptual_difference(colours, target).mean()
        for colours in (output, torch.zeros_like(target))
    ]
    return float(differences[0] / differences[1].clamp_min(0.1))


COLORIZE_RECIPE = Recipe(
    file="lite_colorize.safetensors",
    build=LiteColorize,
    prepare=pair_with_itself,
    draw_patch=draw_colour_patch,
    patch_px=INPUT_PX,
    batch_size=16,
    steps=100_000,
    peak_lr=3e-4,
    purpose="plausible colours for photos without colour, from their lightness at 256 px",
    data=f"{NATURAL}; {FACES}",
    folders=(
        Folder("natural", 0.75, preprocess=warm_colours),
        Folder("faces", 0.25, is_held_back_person),
    ),
    symmetries=(0, 4),
    loss=colour_loss,
    score=difference_over_grey,
    score_name="difference_over_grey",
    score_px=INPUT_PX,
    score_patches_per_photo=1,
    half_precision=True,
)
