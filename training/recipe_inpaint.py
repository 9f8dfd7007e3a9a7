"""The recipe of the lite inpainting network: holes are strokes, polygons and scratches."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from torch import Tensor, nn

from restore.nets.lite.inpaint import LiteInpaint
from training.losses import mse_to_psnr_db
from training.recipe import (
    DAMAGE,
    FACES,
    NATURAL,
    DamageMaps,
    Folder,
    Pair,
    Recipe,
    pair_with_itself,
    random_window,
)
from training.recipe_faces import is_held_back_person
from training.scratch_drawing import MIN_DAMAGE_OPACITY, draw_cracks, draw_film_damage

MIN_HOLE_SHARE, MAX_HOLE_SHARE = 0.05, 0.25  # of a patch, for strokes and polygons
MAX_SCRATCH_SHARE = 2 * MAX_HOLE_SHARE
MAX_SHAPES = 100


def draw_patch_with_hole(
    pair: Pair, patch_px: int, rng: np.random.Generator, *, maps: DamageMaps
) -> Pair:
    """Draw a patch and cut a hole.

    Returns:
        (HxWx4 uint8: the patch, black in the hole, and the mask, 255 in the hole;
        HxWx3 uint8: the patch)
    """
    photo = pair[0]
    window = photo[random_window(photo, patch_px, 2.0, rng)]
    target = cv2.resize(window, (patch_px, patch_px), interpolation=cv2.INTER_AREA)
    is_scratched = rng.random() < 0.5
    mask = draw_scratch_mask(patch_px, rng, maps) if is_scratched else draw_hole_mask(patch_px, rng)
    return cut_hole(target, mask), target


def cut_hole(photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Blacken the hole and append the mask as fourth channel: the input of LiteInpaint.

    Args:
        photo: HxWx3 uint8.
        mask: HxW bool.

    Returns:
        HxWx4 uint8.
    """
    blackened = np.where(mask[..., None], 0, photo)
    return np.dstack([blackened, np.where(mask, 255, 0)]).astype(np.uint8)


def draw_hole_mask(side_px: int, rng: np.random.Generator) -> np.ndarray:
    """Draw free-form strokes or polygons over 5 to 25 % of a square (after Yu et al., ICCV 2019).

    Returns:
        HxW bool.
    """
    target_share = rng.uniform(MIN_HOLE_SHARE, MAX_HOLE_SHARE)
    draw = _draw_stroke if rng.random() < 0.6 else _draw_polygon
    mask = np.zeros((side_px, side_px), np.uint8)
    for _ in range(MAX_SHAPES):
        larger = mask.copy()
        draw(larger, rng)
        if larger.mean() <= MAX_HOLE_SHARE:
            mask = larger
        if mask.mean() >= target_share:
            break
    return mask.astype(bool)


def _draw_stroke(mask: np.ndarray, rng: np.random.Generator) -> None:
    """Draw a stroke that turns back and forth, 1/50 to 1/10 of the side wide."""
    side = mask.shape[0]
    start, heading = rng.uniform(0.0, side, 2), rng.uniform(0.0, 2 * np.pi)
    width = round(side * rng.uniform(0.02, 0.1))
    for turn in range(int(rng.integers(2, 8))):
        heading += rng.uniform(0.3, 1.1) + (np.pi if turn % 2 else 0.0)
        length = side * rng.uniform(0.05, 0.3)
        end = np.clip(start + length * np.array([np.cos(heading), np.sin(heading)]), 0, side)
        points = [tuple(int(v) for v in point) for point in (start, end)]
        cv2.line(mask, points[0], points[1], 1, width)
        cv2.circle(mask, points[1], width // 2, 1, -1)
        start = end


def _draw_polygon(mask: np.ndarray, rng: np.random.Generator) -> None:
    """Draw a star-shaped polygon of 3 to 8 corners with a radius of 1/20 to 1/4 of the side."""
    side, corners = mask.shape[0], int(rng.integers(3, 9))
    angles = np.sort(rng.uniform(0.0, 2 * np.pi, corners))
    radii = side * rng.uniform(0.05, 0.25) * rng.uniform(0.5, 1.0, corners)
    directions = np.stack([np.cos(angles), np.sin(angles)], 1)
    points = rng.uniform(0.0, side, 2) + radii[:, None] * directions
    cv2.fillPoly(mask, [points.astype(np.int32)], 1)


def draw_scratch_mask(side_px: int, rng: np.random.Generator, maps: DamageMaps) -> np.ndarray:
    """Draw cracks or film damage and dilate it by 1 to 3 px; HxW bool."""
    is_crack = rng.random() < 0.5
    opacity = draw_cracks(side_px, rng) if is_crack else draw_film_damage(side_px, rng, maps)
    size = 2 * int(rng.integers(1, 4)) + 1
    dilated: np.ndarray = cv2.dilate(
        (opacity > MIN_DAMAGE_OPACITY).astype(np.uint8),
        cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)),
    )
    # A damage map that covers more than this leaves too little to learn from.
    if 0.0 < dilated.mean() < MAX_SCRATCH_SHARE:
        return dilated.astype(bool)
    return draw_hole_mask(side_px, rng)


def hole_loss(output: Tensor, target: Tensor, source: Tensor, progress: float) -> Tensor:
    """Logarithm of the squared error in each hole, like PSNR: all hole sizes count the same."""
    hole = (source[:, 3:] > 0.5).to(output.dtype)
    squared_sum = ((output - target) * hole).square().sum(dim=(1, 2, 3))
    mean = squared_sum / (3.0 * hole.sum(dim=(1, 2, 3)) + 1.0)
    return 0.1 * (mean + 1e-4).log().mean()


def hole_psnr_db(output: Tensor, target: Tensor, source: Tensor) -> float:
    """PSNR in the hole of one patch."""
    hole = (source[:, 3:] > 0.5).expand_as(target)
    return mse_to_psnr_db((output.clamp(0, 1) - target).square()[hole])


def deepen_bottleneck(net: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Load weights of a network with fewer blocks in the bottleneck; new blocks are identities.

    Raises:
        RuntimeError: the weights do not belong to such a network.
    """
    missing, unexpected = net.load_state_dict(state, strict=False)
    if unexpected or not all(key.startswith("middle.") for key in missing):
        raise RuntimeError(
            "these are not weights of a network with fewer blocks in the bottleneck: "
            f"unexpected keys {unexpected}, missing keys {missing}"
        )
    return net


INPAINT_RECIPE = Recipe(
    file="lite_inpaint.safetensors",
    build=LiteInpaint,
    prepare=pair_with_itself,
    draw_patch=draw_patch_with_hole,
    patch_px=256,
    batch_size=10,
    steps=100_000,
    peak_lr=1e-3,
    purpose="fills holes of 5-25% and detected scratches",
    data=f"{NATURAL}; {FACES}; {DAMAGE}",
    folders=(Folder("natural", 0.8), Folder("faces", 0.2, is_held_back_person)),
    transfer_weights=deepen_bottleneck,
    loss=hole_loss,
    score=hole_psnr_db,
    score_name="hole_psnr_db",
    score_px=256,
    score_patches_per_photo=1,
    uses_damage_maps=True,
    half_precision=True,
)
