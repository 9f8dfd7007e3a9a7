"""The recipe of the lite colour network: photos whose colours are known, their lightness at times as old photos have it."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from restore.nets.lite.colorize import AB_SCALE, SIDE_PX, LiteColorize
from training.recipe_faces import is_of_a_held_back_person
from training.recipe import FACES, NATURAL, Folder, Pair, Photo, Recipe, as_it_is
from training.degradations import quantised

SMALL_ERROR = 0.05  # of 110 Lab units: below it errors count by their square
CHROMA_WEIGHT = 2.0  # how much more a pixel of chroma 110 counts than a grey one
EVERYDAY_GAINS = (
    1.051,
    0.995,
    0.895,
)  # bring the mean colour of train/natural, a = 0.5 and b = 2.3, to that of ImageNet: 0.5 and 8.2
LEARNT_AS_SEEN = 0.4  # of the schedule, from which on the loss is the difference that eyes see


def draw_coloured(pair: Pair, patch_px: int, rng: np.random.Generator) -> Pair:
    """(HxWx1 float32: L over 100; HxWx2 float32: a and b over 110) of a window of two fifths of the photo's sides or more.

    As in use, its proportions are given up for the network's square.
    """
    photo = pair[0]
    window = []
    for length in photo.shape[:2]:
        part = int(rng.integers(2 * length // 5, length + 1))
        start = int(rng.integers(0, length - part + 1))
        window.append(slice(start, start + part))
    return split_lab(resized(photo[tuple(window)], patch_px), rng)


def as_everyday(photo: Photo) -> Photo:
    """HxWx3 uint8, as warm as photos are at large: those of train/natural were chosen for screens, and are cooler."""
    return quantised(photo * np.array(EVERYDAY_GAINS, np.float32))


def resized(photo: Photo, side_px: int) -> Photo:
    """`photo` as a square of that side, its proportions given up."""
    how = cv2.INTER_AREA if min(photo.shape[:2]) > side_px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(photo, (side_px, side_px), interpolation=how), np.uint8)


def split_lab(photo: Photo, rng: np.random.Generator | None = None) -> Pair:
    """(L over 100 as HxWx1, ab over 110 as HxWx2), both float32; with a generator L is degraded as an old photo's, half of the time."""
    lab = cv2.cvtColor(photo.astype(np.float32) / 255.0, cv2.COLOR_RGB2Lab)
    lightness = lab[..., 0] / 100.0
    if rng is not None and rng.random() < 0.5:
        lightness = aged(lightness, rng)
    return lightness[..., None].astype(np.float32), (lab[..., 1:] / AB_SCALE).astype(np.float32)


def aged(lightness: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lightness with the tones, softness and grain of an old photo; HxW in [0, 1]."""
    black, white = rng.uniform(0.0, 0.15), rng.uniform(0.8, 1.0)
    faded = black + (white - black) * np.clip(lightness, 0.0, 1.0) ** np.exp(rng.normal(0.0, 0.25))
    if rng.random() < 0.6:
        faded = cv2.GaussianBlur(faded, (0, 0), rng.uniform(0.3, 2.0))
    grain = rng.uniform(0.0, 0.06) * rng.standard_normal(faded.shape)
    return np.asarray(np.clip(faded + grain, 0.0, 1.0), np.float32)


def colour_loss(output: Tensor, target: Tensor, source: Tensor, progress: float) -> Tensor:
    """At first smooth L1 that counts saturated colours for more, as grey would be the cheap answer; then what eyes see of it."""
    if progress > LEARNT_AS_SEEN:
        return perceived_difference(output, target).mean() / AB_SCALE
    weight = 1.0 + CHROMA_WEIGHT * target.square().sum(dim=1, keepdim=True).sqrt()
    error = F.smooth_l1_loss(output, target, reduction="none", beta=SMALL_ERROR)
    return (weight * error).sum() / (2.0 * weight.sum())


def perceived_difference(first: Tensor, second: Tensor) -> Tensor:
    """Nx2xHxW colours -> NxHxW: CIEDE2000 without its hue terms, at equal lightness: saturated colours differ less than they measure."""
    chromas = [
        (colours * AB_SCALE).square().sum(dim=1).add(1e-4).sqrt() for colours in (first, second)
    ]
    of_chroma = chromas[0] - chromas[1]
    of_hue = (((first - second) * AB_SCALE).square().sum(dim=1) - of_chroma.square()).clamp_min(
        0.0
    )  # squared
    mean = 0.5 * (chromas[0] + chromas[1])
    squared = (of_chroma / (1.0 + 0.045 * mean)).square() + of_hue / (1.0 + 0.015 * mean).square()
    return squared.add(1e-2).sqrt()


def colour_error(output: Tensor, target: Tensor, source: Tensor) -> float:
    """Mean perceived difference over that of grey, of one photo: below 1 is better than no colour."""
    differences = [
        perceived_difference(colours, target).mean()
        for colours in (output, torch.zeros_like(target))
    ]
    return float(differences[0] / differences[1].clamp_min(0.1))


COLOUR_RECIPE = Recipe(
    file="lite_colorize.safetensors",
    build=LiteColorize,
    prepare=as_it_is,
    draw=draw_coloured,
    patch_px=SIDE_PX,
    batch=16,
    steps=100_000,
    peak_lr=3e-4,
    purpose="plausible colours for photos without colour, from their lightness at 256 px",
    data=f"{NATURAL}; {FACES}",
    folders=(
        Folder("natural", 0.75, retouched=as_everyday),
        Folder("faces", 0.25, is_of_a_held_back_person),
    ),
    symmetries=(0, 4),
    loss=colour_loss,
    score=colour_error,
    score_name="difference_over_grey",
    score_px=SIDE_PX,
    score_draws=1,
    half_precision=True,
)
