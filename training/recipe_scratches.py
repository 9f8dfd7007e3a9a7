"""The recipe of the lite scratch detector: photos with film damage and drawn cracks."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from restore.nets.lite.scratches import LiteScratches
from training.recipe import (
    DAMAGE,
    EXTRA,
    FACES,
    NATURAL,
    NATURAL2,
    DamageMaps,
    Folder,
    Pair,
    Photo,
    Recipe,
    pair_with_itself,
    random_window,
)
from training.recipe_faces import is_held_back_person
from training.scratch_drawing import (
    MIN_CHANGE_LEVELS,
    MIN_DAMAGE_OPACITY,
    draw_cracks,
    draw_curves,
    draw_film_damage,
    draw_tears,
)
from training.scratch_loss import near_f1_score, tolerant_loss, weigh_pixels
from training.scratch_negatives import UNDAMAGEABLE, draw_negative
from training.scratch_visibility import scan_both

LevelRange = tuple[float, float]
LIGHT: LevelRange = (200.0, 255.0)  # grey levels of damage
DARK: LevelRange = (0.0, 50.0)
GREY: LevelRange = (50.0, 200.0)


@dataclasses.dataclass(frozen=True)
class DamageMix:
    """How often which damage is drawn.

    Attributes:
        damaged_share: share of the damaged patches; the others teach the network to ignore fine
            bright details.
        level_ranges: (cumulative probability, range) of the grey levels of damage.
        crack_share: share of drawn cracks and scratches in the damage.
        tear_share: share of wide tears.
        curve_share: share of long lines of any width; the rest is film damage.
    """

    damaged_share: float
    level_ranges: tuple[tuple[float, LevelRange], ...]
    crack_share: float
    tear_share: float
    curve_share: float


# Most damage is bare paper and lost emulsion.
EVALUATED_MIX = DamageMix(0.8, ((0.65, LIGHT), (0.85, DARK), (1.0, GREY)), 0.45, 0.0, 0.0)
TRAINED_MIX = DamageMix(0.85, ((0.5, LIGHT), (0.82, DARK), (1.0, GREY)), 0.32, 0.08, 0.22)
"""More dark, thin and wide damage than the evaluation has, which earlier networks found least."""

NEGATIVE_SHARE = 0.3  # of the patches: textures and objects that must not be detected


def draw_damaged_patch(
    pair: Pair, patch_px: int, rng: np.random.Generator, *, maps: DamageMaps
) -> Pair:
    """Draw a patch as a scanner gives it: damaged, textured, both or neither.

    Returns:
        (HxWx1 uint8 luminance; HxWx2 float32: the damage, 0 or 1, and the weight of each pixel)
    """
    clean = old_luminance(pair[0], patch_px, rng)
    share = TRAINED_MIX.damaged_share
    if rng.random() < NEGATIVE_SHARE:
        kind, clean = draw_negative(clean, rng)
        share *= 0.0 if kind in UNDAMAGEABLE else 0.5
    mix = dataclasses.replace(TRAINED_MIX, damaged_share=share)
    damaged, mask = draw_damage(clean, rng, maps, mix=mix)
    scanned, undamaged = scan_both(damaged, clean, rng)
    weights = weigh_pixels(mask, scanned, undamaged)
    return scanned[..., None], np.stack([mask.astype(np.float32), weights], axis=2)


def draw_damage(
    clean: np.ndarray,
    rng: np.random.Generator,
    maps: DamageMaps,
    levels: LevelRange | None = None,
    *,
    mix: DamageMix = EVALUATED_MIX,
) -> Pair:
    """Draw damage over a square patch.

    Args:
        clean: HxW float32 in 0 to 255, H = W.
        rng: random generator.
        maps: damage maps.
        levels: grey levels of the damage; drawn from the mix by default.
        mix: how often which damage is drawn.

    Returns:
        (HxW float32 in 0 to 255, HxW bool mask of the damage)
    """
    patch_px = len(clean)
    damaged, mask = clean, np.zeros_like(clean, bool)
    if rng.random() >= mix.damaged_share:
        return damaged, mask
    for _ in range(int(rng.integers(1, 4))):
        opacity = _draw_opacity(patch_px, rng, maps, mix)
        opacity = opacity * rng.uniform(0.6, 1.0)
        previous, damaged = damaged, composite(damaged, opacity, rng, mix, levels)
        change = cv2.dilate(np.abs(damaged - previous), np.ones((3, 3), np.uint8))
        # Later damage may hide earlier damage. This is too rare to correct the mask for it.
        mask = mask | ((opacity > MIN_DAMAGE_OPACITY) & (change > MIN_CHANGE_LEVELS))
    return damaged, mask


def _draw_opacity(
    patch_px: int, rng: np.random.Generator, maps: DamageMaps, mix: DamageMix
) -> np.ndarray:
    draw = rng.random()
    if draw < mix.crack_share:
        return draw_cracks(patch_px, rng)
    if draw < mix.crack_share + mix.tear_share:
        return draw_tears(patch_px, rng)
    if draw < mix.crack_share + mix.tear_share + mix.curve_share:
        return draw_curves(patch_px, rng)
    return draw_film_damage(patch_px, rng, maps)


def old_luminance(photo: Photo, patch_px: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a patch, reduced by up to 4, with the blur and tone curve of an old print.

    Returns:
        HxW float32 in 0 to 255.
    """
    window = photo[random_window(photo, patch_px, 4.0, rng)]
    patch = cv2.resize(window, (patch_px, patch_px), interpolation=cv2.INTER_AREA)
    grey: np.ndarray = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY).astype(np.float32)
    if rng.random() < 0.5:
        grey = cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.3, 1.6))
    black, white = rng.uniform(0.0, 60.0), rng.uniform(170.0, 255.0)
    faded: np.ndarray = black + (white - black) * (grey / 255.0) ** np.exp(rng.normal(0.0, 0.25))
    return faded


def composite(
    photo: np.ndarray,
    opacity: np.ndarray,
    rng: np.random.Generator,
    mix: DamageMix,
    levels: LevelRange | None = None,
) -> np.ndarray:
    """Blend damage of one grey level, with smooth variations, over a photo; HxW in 0 to 255."""
    draw = rng.random()
    low, high = levels or next(range_ for limit, range_ in mix.level_ranges if draw < limit)
    level = rng.uniform(low, high)
    variation = cv2.resize(
        rng.normal(0.0, 1.0, (12, 12)).astype(np.float32),
        photo.shape[::-1],
        interpolation=cv2.INTER_CUBIC,
    )
    damage = level + rng.uniform(0.0, 25.0) * variation
    return np.asarray(np.clip(photo * (1.0 - opacity) + damage * opacity, 0.0, 255.0), np.float32)


SCRATCH_RECIPE = Recipe(
    file="lite_scratches.safetensors",
    build=LiteScratches,
    prepare=pair_with_itself,
    draw_patch=draw_damaged_patch,
    patch_px=192,
    batch_size=32,
    steps=100_000,
    peak_lr=6e-4,
    purpose="finds scratches, cracks, spots and dirt in the luminance of an old photo",
    data=f"{NATURAL}; {FACES}; {NATURAL2}; {EXTRA}; {DAMAGE}",
    # Most old photos are portraits: eyes, hair and collars must not be taken for scratches.
    folders=(
        Folder("natural", 0.22),
        Folder("faces", 0.2, is_held_back_person),
        Folder("natural2", 0.28),
        Folder("extra", 0.3, is_optional=True),
    ),
    loss=tolerant_loss,
    score=near_f1_score,
    score_name="near_f1",
    score_px=192,
    score_patches_per_photo=1,
    uses_damage_maps=True,
    half_precision=True,
)
