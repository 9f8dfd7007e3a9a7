"""The recipe of the lite scratch network: photos under real film damage and drawn cracks, and where these can be seen."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import torch.nn.functional as F
from torch import Tensor

from restore.nets.lite.scratches import LiteScratches
from training.recipe_faces import is_of_a_held_back_person
from training.recipe import (
    DAMAGE,
    FACES,
    NATURAL,
    Folder,
    Maps,
    Pair,
    Photo,
    Recipe,
    as_it_is,
    drawn_window,
)

DAMAGED_FROM = 0.25  # opacity from which a pixel counts as damaged
MOST_COVERED = 1 / 6  # of a patch, by one damage map
WIDEST_PX = 20.0  # of damage: the maps were scanned close by, and what is wider nothing tells from a wall or a cloud
LIGHT, DARK, GREY = (200.0, 255.0), (0.0, 50.0), (50.0, 200.0)  # levels of damage
KINDS = (
    (0.65, LIGHT),
    (0.85, DARK),
    (1.0, GREY),
)  # up to which share of all damage each is drawn: most is bare paper and lost emulsion
VISIBLE_LEVELS = (
    20.0  # of 255, between the damage and what lies below: less is no damage that anyone could find
)


def draw_scratched(pair: Pair, patch_px: int, rng: np.random.Generator, *, maps: Maps) -> Pair:
    """A damaged patch as a scanner would give it (HxWx1 uint8 luminance) and its damage (HxWx1 uint8, 0 or 255)."""
    return scratched(old_luminance(pair[0], patch_px, rng), rng, maps)


def scratched(
    clean: np.ndarray, rng: np.random.Generator, maps: Maps, kind: tuple[float, float] | None = None
) -> Pair:
    """What a scanner would give of a square (HxW float32 in 0-255) once it is damaged, and its damage; of one kind where that is given."""
    patch_px = len(clean)
    damaged, mask = clean, np.zeros_like(clean, bool)
    if rng.random() < 0.8:  # the rest is to stay as it is, however fine and bright its details
        for _ in range(int(rng.integers(1, 4))):
            opacity = (
                crack_opacity(patch_px, rng)
                if rng.random() < 0.45
                else film_opacity(patch_px, rng, maps)
            )
            opacity = opacity * rng.uniform(0.6, 1.0)
            damaged, below = composited(damaged, opacity, rng, kind), damaged
            change = cv2.dilate(np.abs(damaged - below), np.ones((3, 3), np.uint8))
            # What covers earlier damage and looks like the photo below is rare enough not to be unlearnt.
            mask = mask | ((opacity > DAMAGED_FROM) & (change > VISIBLE_LEVELS))
    return scanned(damaged, rng)[..., None], mask[..., None].astype(np.uint8) * 255


def old_luminance(photo: Photo, patch_px: int, rng: np.random.Generator) -> np.ndarray:
    """A random patch, reduced up to four times, with the softness and contrast of an old print: HxW float32 in 0-255."""
    patch = cv2.resize(
        photo[drawn_window(photo, patch_px, 4.0, rng)],
        (patch_px, patch_px),
        interpolation=cv2.INTER_AREA,
    )
    grey: np.ndarray = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY).astype(np.float32)
    if rng.random() < 0.5:
        grey = cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.3, 1.6))
    black, white = rng.uniform(0.0, 60.0), rng.uniform(170.0, 255.0)
    faded: np.ndarray = black + (white - black) * (grey / 255.0) ** np.exp(rng.normal(0.0, 0.25))
    return faded


def film_opacity(patch_px: int, rng: np.random.Generator, maps: Maps) -> np.ndarray:
    """A damage map at half to twice its size, or as small as WIDEST_PX wants it, turned and shifted; HxW float32 in [0, 1].

    A map that would cover more than a sixth is drawn again: a few such would outweigh all hairs and scratches.
    """
    for _ in range(8):
        opacity = _placed(patch_px, rng, maps)
        if (opacity > DAMAGED_FROM).mean() < MOST_COVERED:
            break
    return opacity


def _placed(patch_px: int, rng: np.random.Generator, maps: Maps) -> np.ndarray:
    opacity = maps[int(rng.integers(0, len(maps)))]
    rows, columns = np.nonzero(opacity > 127)
    # Some damage is to lie in the patch: one of its points goes to a random place there.
    point = int(rng.integers(0, len(rows)))
    widest_px = 2.0 * float(
        cv2.distanceTransform((opacity > 64).astype(np.uint8), cv2.DIST_L2, 3).max()
    )
    most = min(2.0, WIDEST_PX / widest_px)
    scale = float(np.exp(rng.uniform(np.log(min(0.5, most / 3.0)), np.log(most))))
    matrix = cv2.getRotationMatrix2D(
        (float(columns[point]), float(rows[point])), rng.uniform(0.0, 360.0), scale
    )
    matrix[:, 2] += rng.uniform(0.1, 0.9, 2) * patch_px - (columns[point], rows[point])
    # A reduction without a filter would break hairs into dots.
    source = cv2.GaussianBlur(opacity, (0, 0), 0.5 / scale) if scale < 0.8 else opacity
    turned: np.ndarray = cv2.warpAffine(
        source, matrix, (patch_px, patch_px), flags=cv2.INTER_LINEAR
    )
    return turned.astype(np.float32) / 255.0


def crack_opacity(patch_px: int, rng: np.random.Generator) -> np.ndarray:
    """Creases, cracks and scratches: one to five lines, wandering, of uneven width and branched, or straight; HxW float32 in [0, 1]."""
    canvas = np.zeros((patch_px, patch_px), np.uint8)
    for _ in range(int(rng.integers(1, 6))):
        start, heading = rng.uniform(0.0, patch_px, 2), rng.uniform(0.0, 2 * np.pi)
        if rng.random() < 0.4:
            _draw_scratch(canvas, start, heading, rng)
        else:
            _draw_crack(canvas, start, heading, rng.uniform(0.3, 1.2) * patch_px, rng)
    if rng.random() < 0.4:  # paper lifts in flakes along a crease, and elsewhere the emulsion holds
        flakes = cv2.resize(
            rng.random((patch_px // 6, patch_px // 6)).astype(np.float32), (patch_px, patch_px)
        )
        canvas = np.where(flakes > rng.uniform(0.1, 0.5), canvas, 0).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.3, 0.7)), np.float32) / 255.0


def _draw_scratch(
    canvas: np.ndarray, start: np.ndarray, heading: float, rng: np.random.Generator
) -> None:
    """What a grain of sand leaves in a camera or a projector: a straight thin line, as often as not along the film."""
    if rng.random() < 0.5:
        heading = np.pi / 2 + rng.normal(0.0, 0.06)
    middle = start + canvas.shape[0] * rng.uniform(0.15, 0.8) * np.array(
        [np.cos(heading), np.sin(heading)]
    )
    bend = canvas.shape[0] * rng.normal(0.0, 0.02, 2)
    ends = [
        tuple(int(v) for v in np.rint(8.0 * end))
        for end in (start, middle, 2.0 * middle - start + bend)
    ]
    for one, other in itertools.pairwise(ends):
        cv2.line(
            canvas,
            one,
            other,
            int(rng.integers(150, 256)),
            1 if rng.random() < 0.7 else 2,
            cv2.LINE_AA,
            3,
        )


def _draw_crack(
    canvas: np.ndarray, start: np.ndarray, heading: float, length: float, rng: np.random.Generator
) -> None:
    """One crack and its branches, drawn in eighths of a pixel: widths of 1 to 4 px, as scans of 256 to 1000 px show them."""
    wander, width = rng.uniform(0.02, 0.35), rng.uniform(0.6, 3.0)
    at, stride = start, rng.uniform(4.0, 12.0)
    while length > 0.0:
        heading += rng.normal(0.0, wander)
        nearby = at + stride * np.array([np.cos(heading), np.sin(heading)])
        thickness = max(1, round(width * np.exp(rng.normal(0.0, 0.35))))
        ends = [tuple(int(v) for v in np.rint(8.0 * end)) for end in (at, nearby)]
        cv2.line(canvas, ends[0], ends[1], 255, thickness, cv2.LINE_AA, 3)
        if rng.random() < 0.04:
            _draw_crack(
                canvas,
                nearby,
                heading + rng.choice([-1.0, 1.0]) * rng.uniform(0.4, 1.4),
                0.5 * length,
                rng,
            )
        at, length = nearby, length - stride


def composited(
    photo: np.ndarray,
    opacity: np.ndarray,
    rng: np.random.Generator,
    kind: tuple[float, float] | None = None,
) -> np.ndarray:
    """`photo` under damage of one colour, mostly lighter than all else: bare paper, dust in an enlarger, a lost emulsion."""
    drawn = rng.random()
    level = rng.uniform(*(kind or next(levels for share, levels in KINDS if drawn < share)))
    dirt = cv2.resize(
        rng.normal(0.0, 1.0, (12, 12)).astype(np.float32),
        photo.shape[::-1],
        interpolation=cv2.INTER_CUBIC,
    )
    colour = level + rng.uniform(0.0, 25.0) * dirt
    return np.asarray(np.clip(photo * (1.0 - opacity) + colour * opacity, 0.0, 255.0), np.float32)


def scanned(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a scanner makes of it: a little blur, grain, and JPEG half of the time; HxW uint8."""
    if rng.random() < 0.4:
        photo = cv2.GaussianBlur(photo, (0, 0), rng.uniform(0.3, 0.9))
    noisy = photo + rng.uniform(0.0, 7.0) * rng.standard_normal(photo.shape).astype(np.float32)
    quantised: np.ndarray = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        _, encoded = cv2.imencode(
            ".jpg", quantised, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(45, 96))]
        )
        return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), np.uint8)
    return quantised


def overlap_loss(output: Tensor, target: Tensor, source: Tensor, progress: float) -> Tensor:
    """Cross-entropy, and soft Dice over the batch (Milletari et al., 3DV 2016), which thin damage is not outvoted in."""
    share = output.sigmoid()
    dice = (2.0 * (share * target).sum() + 1.0) / (share.sum() + target.sum() + 1.0)
    return 2.0 * F.binary_cross_entropy_with_logits(output, target) + 0.5 * (1.0 - dice)


def f1_of(output: Tensor, target: Tensor, source: Tensor) -> float:
    """F1 of the damaged pixels of one patch at the threshold one half; 1 where there are none and none is found."""
    found, true = output > 0.0, target > 0.5
    both = 2.0 * float((found & true).sum())
    return 1.0 if not (total := float(found.sum() + true.sum())) else both / total


SCRATCH_RECIPE = Recipe(
    file="lite_scratches.safetensors",
    build=LiteScratches,
    prepare=as_it_is,
    draw=draw_scratched,
    patch_px=192,
    batch=32,
    steps=100_000,
    peak_lr=6e-4,
    purpose="finds scratches, cracks, spots and dirt in the luminance of an old photo",
    data=f"{NATURAL}; {FACES}; {DAMAGE}",
    # Old photos are portraits: eyes, hair and collars must be seen not to be scratches.
    folders=(Folder("natural", 0.7), Folder("faces", 0.3, is_of_a_held_back_person)),
    loss=overlap_loss,
    score=f1_of,
    score_name="f1",
    score_px=192,
    score_draws=1,
    uses_damage=True,
    half_precision=True,
)
