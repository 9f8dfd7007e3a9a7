"""The recipe of the lite inpainting network: photos with brush strokes, polygons and scratches cut out."""

from __future__ import annotations

import math
from collections.abc import Mapping

import cv2
import numpy as np
from torch import Tensor, nn

from restore.nets.lite.inpaint import LiteInpaint
from training.recipe_faces import is_of_a_held_back_person
from training.recipe import (
    DAMAGE,
    FACES,
    NATURAL,
    Folder,
    Maps,
    Pair,
    Recipe,
    as_it_is,
    drawn_window,
)
from training.recipe_scratches import DAMAGED_FROM, crack_opacity, film_opacity

LEAST_SHARE, MOST_SHARE = 0.05, 0.25  # of a patch that strokes and polygons cut out


def draw_holed(pair: Pair, patch_px: int, rng: np.random.Generator, *, maps: Maps) -> Pair:
    """(HxWx4 uint8: the patch, black in the hole, and the mask, 255 in the hole; HxWx3 uint8: the patch)."""
    photo = pair[0]
    how = cv2.INTER_AREA
    target = cv2.resize(
        photo[drawn_window(photo, patch_px, 2.0, rng)], (patch_px, patch_px), interpolation=how
    )
    mask = scratch_mask(patch_px, rng, maps) if rng.random() < 0.5 else hole_mask(patch_px, rng)
    return np.dstack([np.where(mask[..., None], 0, target), np.where(mask, 255, 0)]).astype(
        np.uint8
    ), target


def hole_mask(side_px: int, rng: np.random.Generator) -> np.ndarray:
    """Free brush strokes or polygons over 5 to 25% of a square (after Yu et al., ICCV 2019); HxW bool."""
    wanted = rng.uniform(LEAST_SHARE, MOST_SHARE)
    draw = _draw_stroke if rng.random() < 0.6 else _draw_polygon
    mask = np.zeros((side_px, side_px), np.uint8)
    for _ in range(100):
        trial = mask.copy()
        draw(trial, rng)
        if trial.mean() <= MOST_SHARE:
            mask = trial
        if mask.mean() >= wanted:
            break
    return mask.astype(bool)


def _draw_stroke(mask: np.ndarray, rng: np.random.Generator) -> None:
    """A brush that turns back and forth, a fiftieth to a tenth of the side wide."""
    side = mask.shape[0]
    at, heading = rng.uniform(0.0, side, 2), rng.uniform(0.0, 2 * np.pi)
    width = round(side * rng.uniform(0.02, 0.1))
    for turn in range(int(rng.integers(2, 8))):
        heading += rng.uniform(0.3, 1.1) + (np.pi if turn % 2 else 0.0)
        end = np.clip(
            at + side * rng.uniform(0.05, 0.3) * np.array([np.cos(heading), np.sin(heading)]),
            0,
            side,
        )
        points = [tuple(int(v) for v in point) for point in (at, end)]
        cv2.line(mask, points[0], points[1], 1, width)
        cv2.circle(mask, points[1], width // 2, 1, -1)
        at = end


def _draw_polygon(mask: np.ndarray, rng: np.random.Generator) -> None:
    """A star-shaped polygon of three to eight corners, a twentieth to a quarter of the side around its centre."""
    side, corners = mask.shape[0], int(rng.integers(3, 9))
    angles = np.sort(rng.uniform(0.0, 2 * np.pi, corners))
    radii = side * rng.uniform(0.05, 0.25) * rng.uniform(0.5, 1.0, corners)
    points = rng.uniform(0.0, side, 2) + radii[:, None] * np.stack(
        [np.cos(angles), np.sin(angles)], 1
    )
    cv2.fillPoly(mask, [points.astype(np.int32)], 1)


def scratch_mask(side_px: int, rng: np.random.Generator, maps: Maps) -> np.ndarray:
    """Cracks or film damage, grown by one to three pixels as a careful restorer would; HxW bool."""
    opacity = (
        crack_opacity(side_px, rng) if rng.random() < 0.5 else film_opacity(side_px, rng, maps)
    )
    size = 2 * int(rng.integers(1, 4)) + 1
    grown: np.ndarray = cv2.dilate(
        (opacity > DAMAGED_FROM).astype(np.uint8),
        cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)),
    )
    # Where a map covers more than a hole may have, nothing could be learnt from it.
    return grown.astype(bool) if 0.0 < grown.mean() < 2 * MOST_SHARE else hole_mask(side_px, rng)


def hole_loss(output: Tensor, target: Tensor, source: Tensor, progress: float) -> Tensor:
    """The logarithm of the squared error in each patch's hole, as PSNR counts it: a scratch matters as much as a wide hole."""
    hole = (source[:, 3:] > 0.5).to(output.dtype)
    squared = ((output - target) * hole).square().sum(dim=(1, 2, 3)) / (
        3.0 * hole.sum(dim=(1, 2, 3)) + 1.0
    )
    return 0.1 * (squared + 1e-4).log().mean()


def hole_psnr_db(output: Tensor, target: Tensor, source: Tensor) -> float:
    """PSNR inside the hole of one patch."""
    hole = (source[:, 3:] > 0.5).expand_as(target)
    squared = (output.clamp(0, 1) - target).square()[hole]
    return -10.0 * math.log10(float(squared.mean()) + 1e-10)


def deepened(net: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """A network that begins as one with fewer blocks in its middle: those that are new start as identities.

    Raises:
        RuntimeError: for weights that are not of such a network.
    """
    missing, unexpected = net.load_state_dict(state, strict=False)
    if unexpected or not all(key.startswith("middle.") for key in missing):
        raise RuntimeError(
            f"these are not the weights of a shallower network: {unexpected or missing} are amiss"
        )
    return net


INPAINT_RECIPE = Recipe(
    file="lite_inpaint.safetensors",
    build=LiteInpaint,
    prepare=as_it_is,
    draw=draw_holed,
    patch_px=256,
    batch=10,
    steps=100_000,
    peak_lr=1e-3,
    purpose="fills holes of 5-25% and detected scratches",
    data=f"{NATURAL}; {FACES}; {DAMAGE}",
    folders=(Folder("natural", 0.8), Folder("faces", 0.2, is_of_a_held_back_person)),
    begin=deepened,
    loss=hole_loss,
    score=hole_psnr_db,
    score_name="hole_psnr_db",
    score_px=256,
    score_draws=1,
    uses_damage=True,
    half_precision=True,
)
