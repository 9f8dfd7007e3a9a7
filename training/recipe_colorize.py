"""The recipe of the lite colour network: photos in colour, their lightness partly degraded.

The encoder starts from EfficientNet-Lite0. Train the decoder alone (`--only decoder`): this is
fast, because no gradient of the encoder is needed, and runs that also trained the encoder learned
the training photos by heart (docs/lite-training.md).
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restore.nets.lite.colorize import AB_SCALE, CELL_PX, INPUT_PX, RARITY_RADIUS, LiteColorize
from restore.nets.lite.colorize_bins import compress, encode
from training.degradations import quantise
from training.pretrained_encoder import PACKAGE, SOURCE, load_encoder
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
    Pretrained,
    Recipe,
    pair_with_itself,
)
from training.recipe_faces import is_held_back_person

TRAINING_PX = 192  # side of the training patches
HELD_BACK_STRIDE = 10  # one in so many photos of some folders is never trained on
# Channel gains that bring the mean colour of train/natural (a = 0.5, b = 2.3) to that of ImageNet
# (a = 0.5, b = 8.2).
WARMING_GAINS = (1.051, 0.995, 0.895)
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
    """Cross-entropy of the colours of the cells; rare, saturated colours weigh more.

    Args:
        output: NxKxH/4xW/4 logits.
        target: Nx2xHxW, a and b / 110.
        source: not used.
        progress: not used.
    """
    colours = F.avg_pool2d(target, CELL_PX) * AB_SCALE
    # Every second row: neighbours say much the same, and the loss takes a third of the time.
    rows = slice(int(torch.randint(2, ())), None, 2)
    output, colours = output[..., rows, :], colours[..., rows, :]
    indices, shares = encode(colours)
    losses = -(F.log_softmax(output, dim=1).gather(1, indices) * shares).sum(dim=1)
    weights = (compress(colours).norm(dim=1) / RARITY_RADIUS).exp()
    loss: Tensor = (weights * losses).sum() / weights.sum()
    return loss


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


def is_one_in_ten(name: str, index_from_end: int) -> bool:
    """Return whether a photo of natural2/, extra2/, extra3/ or extra4/ is never trained on."""
    return index_from_end % HELD_BACK_STRIDE == 0


def is_unusual_light(name: str, index_from_end: int) -> bool:
    """Return whether a photo of train/extra is not trained on because of neon, dusk or night."""
    return name.startswith("light_")


def load_pretrained(net: nn.Module, folder: Path) -> None:
    """Start the encoder of the network from EfficientNet-Lite0."""
    assert isinstance(net, LiteColorize)
    load_encoder(net.encoder, folder)


COLORIZE_RECIPE = Recipe(
    file="lite_colorize.safetensors",
    build=LiteColorize,
    prepare=pair_with_itself,
    draw_patch=draw_colour_patch,
    patch_px=TRAINING_PX,
    batch_size=16,
    steps=100_000,
    peak_lr=1e-3,
    purpose="plausible colours for photos without colour, from their lightness at 256 px",
    data="; ".join([NATURAL, NATURAL2, EXTRA, EXTRA2, EXTRA3, EXTRA4, FACES, f"encoder: {SOURCE}"]),
    folders=(
        Folder("natural", 0.12, preprocess=warm_colours),
        Folder("faces", 0.1, is_held_back_person),
        Folder("natural2", 0.13, is_one_in_ten, warm_colours),
        Folder("extra", 0.15, is_unusual_light, is_optional=True),
        Folder("extra2", 0.15, is_one_in_ten, is_optional=True),
        Folder("extra3", 0.25, is_one_in_ten, is_optional=True),
        Folder("extra4", 0.1, is_one_in_ten, is_optional=True),
    ),
    symmetries=(0, 4),
    loss=colour_loss,
    score=difference_over_grey,
    score_name="difference_over_grey",
    score_px=INPUT_PX,
    score_patches_per_photo=1,
    half_precision=True,
    pretrained=Pretrained(SOURCE, PACKAGE.licence, load_pretrained),
)
