"""The recipe of the lite network for faded colours: photos with synthetic fading and casts."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.nets.lite.colors import INPUT_PX, LiteColors, light_of
from training.degradations import quantise
from training.fading import add_scan_noise, cast, fade
from training.fading import light_of as light_of_photo
from training.recipe import (
    EXTRA,
    EXTRA2,
    EXTRA3,
    EXTRA4,
    FACES,
    NATURAL,
    NATURAL2,
    Folder,
    Pair,
    Photo,
    Recipe,
)
from training.recipe_faces import is_held_back_person

PREPARED_SIDE_PX = 128
"""Shorter side of the training photos; patches are reduced further."""

HELD_BACK_STRIDE = 8  # every eighth photo of a folder is never trained on
MIN_WINDOW_SHARE = 0.5  # fraction of each side of the photo
GOOD_SHARE, CAST_SHARE, FADED_CAST_SHARE = 0.4, 0.22, 0.15
"""Shares of the patches that must come out unchanged, and that have a wrong white balance; share of
the faded ones that had a wrong white balance before."""

GREY_SHARE = 0.08
STYLE_SHARE = 0.5
"""Share of the patches whose original gets a slightly different exposure, contrast and saturation:
good photos differ in them too."""

GOOD_WEIGHT = 2.0
MAX_GOOD_CHANGE = 0.012  # mean difference of a patch that must come out unchanged
OVERSHOOT_WEIGHT = 0.1  # of values outside of [0, 1], which are clipped in the end
VALUE_WEIGHT, DIFFERENCE_WEIGHT = 0.5, 1 / 40
"""Of the error of the sRGB values, and of the CIE94 difference, whose unit is 1 of 100."""

CHROMA_DIVISORS = (0.045, 0.015)  # of CIE94: errors of chroma and hue count less in vivid colours
WHITE = (0.9505, 1.0, 1.0891)  # XYZ of D65
XYZ_OF_SRGB = (
    (0.4124, 0.3576, 0.1805),
    (0.2126, 0.7152, 0.0722),
    (0.0193, 0.1192, 0.9505),
)


class PhotoCorrector(LiteColors):
    """The network as it is trained: corrects patches of its input size without a table."""

    def forward(self, photo: Tensor) -> Tensor:
        """Correct photos: Nx3xSxS in [0, 1] to the same, not clamped.

        During training, only every second pixel of every second row is corrected, which is enough
        for the loss and takes a third of the time.
        """
        shown = photo[..., ::2, ::2] if self.training else photo
        return self.correct(shown.flatten(2), photo).view(shown.shape)


def is_held_back(name: str, index_from_end: int) -> bool:
    """Return whether a photo of a folder other than faces/ is never trained on."""
    del name
    return index_from_end % HELD_BACK_STRIDE == 0


def prepare_thumbnail(photo: Photo) -> Pair:
    """Reduce a photo to a shorter side of PREPARED_SIDE_PX."""
    height, width = photo.shape[:2]
    factor = PREPARED_SIDE_PX / min(height, width)
    size = (round(width * factor), round(height * factor))
    reduced = np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA))
    return reduced, reduced


def draw_faded_patch(pair: Pair, patch_px: int, rng: np.random.Generator) -> Pair:
    """Draw a window of at least half of each side, reduced to a square, and fade its colours.

    Returns:
        (HxWx3 uint8: the faded patch, or the patch itself; HxWx3 uint8: the patch)
    """
    photo = pair[0]
    window = []
    for length in photo.shape[:2]:
        side = int(rng.integers(int(MIN_WINDOW_SHARE * length), length + 1))
        start = int(rng.integers(0, length - side + 1))
        window.append(slice(start, start + side))
    patch = cv2.resize(photo[tuple(window)], (patch_px, patch_px), interpolation=cv2.INTER_AREA)
    if rng.random() < STYLE_SHARE:
        patch = change_style(patch, rng)
    if rng.random() < GREY_SHARE:
        patch = cv2.cvtColor(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return remove_tint(degrade_colours(patch, rng)), patch
    return degrade_colours(patch, rng), patch


def degrade_colours(patch: Photo, rng: np.random.Generator) -> Photo:
    """Return a patch unchanged, with a cast, faded, or both."""
    kind = rng.random()
    if kind < GOOD_SHARE:
        return add_scan_noise(light_of_photo(patch), rng)
    if kind < GOOD_SHARE + CAST_SHARE:
        return cast(patch, rng)
    return fade(cast(patch, rng) if rng.random() < FADED_CAST_SHARE else patch, rng)


def change_style(patch: Photo, rng: np.random.Generator) -> Photo:
    """Change exposure, contrast and saturation by little."""
    values = patch.astype(np.float32) / 255.0
    values = values ** np.exp(rng.normal(0.0, 0.12)) * np.exp(rng.normal(0.0, 0.06))
    grey = values.mean(axis=-1, keepdims=True)
    return quantise(255.0 * (grey + np.exp(rng.normal(0.0, 0.15)) * (values - grey)))


def remove_tint(patch: Photo) -> Photo:
    """Return the luminance of a patch in three channels: grey photos are corrected without tint."""
    return np.asarray(cv2.cvtColor(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB))


def colour_loss(output: Tensor, target: Tensor, source: Tensor, progress: float) -> Tensor:
    """Error of values and CIE94 difference; patches that must not change count more.

    Args:
        output: Nx3xhxw, every second or every pixel of the patches.
        target, source: Nx3xHxW.
        progress: not used.
    """
    del progress
    stride = target.shape[-1] // output.shape[-1]
    target, source = target[..., ::stride, ::stride], source[..., ::stride, ::stride]
    inside = output.clamp(0.0, 1.0)
    overshoot = (output - inside).abs().mean(dim=(1, 2, 3))
    errors = VALUE_WEIGHT * (inside - target).abs().mean(dim=(1, 2, 3))
    errors = errors + DIFFERENCE_WEIGHT * colour_difference(inside, target).mean(dim=(1, 2))
    errors = errors + OVERSHOOT_WEIGHT * overshoot
    is_good = (source - target).mean(dim=(2, 3)).abs().amax(dim=1) < MAX_GOOD_CHANGE
    weights = 1.0 + (GOOD_WEIGHT - 1.0) * is_good.float()
    return (weights * errors).sum() / weights.sum()


def colour_difference(first: Tensor, second: Tensor) -> Tensor:
    """Return the CIE94 difference of sRGB values, relative to `second`: Nx3xHxW to NxHxW."""
    labs = lab_of(first), lab_of(second)
    lightness, *opponents = (labs[0] - labs[1]).unbind(dim=1)
    chroma, reference = (lab[:, 1:].square().sum(dim=1).add(1e-4).sqrt() for lab in labs)
    along = chroma - reference
    across = opponents[0].square() + opponents[1].square() - along.square()
    by_chroma, by_hue = (1.0 + divisor * reference for divisor in CHROMA_DIVISORS)
    squared = lightness.square() + (along / by_chroma).square()
    return (squared + across.clamp_min(0.0) / by_hue.square() + 1e-4).sqrt()


def lab_of(values: Tensor) -> Tensor:
    """Return the CIE Lab coordinates of sRGB values: Nx3xHxW."""
    matrix = torch.tensor(XYZ_OF_SRGB) / torch.tensor(WHITE)[:, None]
    xyz = torch.einsum("ij,njhw->nihw", matrix.to(values), light_of(values))
    root = xyz.clamp_min(0.008856).pow(1 / 3)
    x, y, z = torch.where(xyz > 0.008856, root, 7.787 * xyz + 16 / 116).unbind(dim=1)
    return torch.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], dim=1)


def error_over_input(output: Tensor, target: Tensor, source: Tensor) -> float:
    """Mean absolute error over that of the input; below 1 is better than no correction."""
    before = (source - target).abs().mean().clamp_min(0.02)
    return float((output.clamp(0.0, 1.0) - target).abs().mean() / before)


COLORS_RECIPE = Recipe(
    file="lite_colors.safetensors",
    build=PhotoCorrector,
    prepare=prepare_thumbnail,
    draw_patch=draw_faded_patch,
    patch_px=INPUT_PX,
    batch_size=16,
    steps=60_000,
    peak_lr=1e-3,
    purpose="faded colours and casts: a look-up table for the whole photo, from 64 px",
    data="; ".join([NATURAL, NATURAL2, EXTRA, EXTRA2, EXTRA3, EXTRA4, FACES]),
    folders=(
        Folder("natural", 0.12, is_held_back),
        Folder("natural2", 0.18, is_held_back),
        Folder("extra", 0.15, is_held_back),
        Folder("extra2", 0.05, is_held_back, is_optional=True),
        Folder("extra3", 0.3, is_held_back, is_optional=True),
        Folder("extra4", 0.1, is_held_back, is_optional=True),
        Folder("faces", 0.1, is_held_back_person),
    ),
    symmetries=(0, 4),
    loss=colour_loss,
    score=error_over_input,
    score_name="error_over_input",
    score_px=INPUT_PX,
    half_precision=True,
)
