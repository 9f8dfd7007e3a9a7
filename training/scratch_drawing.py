"""Damage of old photos as opacity maps: film damage from scans, and drawn cracks and scratches."""

from __future__ import annotations

import itertools

import cv2
import numpy as np

from training.recipe import DamageMaps

MIN_DAMAGE_OPACITY = 0.25  # from which a pixel counts as damaged
MIN_CHANGE_LEVELS = 20.0  # of 255; damage that changes a pixel by less cannot be found
MAX_COVERED_SHARE = 1 / 6  # of a patch, by one damage map
# Maximum width of damage. The maps were scanned at high resolution; wider damage cannot be told
# from a wall or a cloud.
MAX_WIDTH_PX = 20.0
CURVE_WIDTHS_PX = (0.8, MAX_WIDTH_PX)
CURVE_POINTS = 40
MAX_ATTEMPTS = 8
SUBPIXEL_BITS = 3  # OpenCV draws in units of 1/8 px
SUBPIXELS = 2.0**SUBPIXEL_BITS


def draw_film_damage(patch_px: int, rng: np.random.Generator, maps: DamageMaps) -> np.ndarray:
    """Draw a damage map, rotated, shifted and scaled by up to 2.

    A map that covers more than a sixth of the patch is drawn again, because a few of them would
    outweigh all hairs and scratches.

    Returns:
        HxW float32 in [0, 1].
    """
    for _ in range(MAX_ATTEMPTS):
        opacity = _transform_map(patch_px, rng, maps)
        if (opacity > MIN_DAMAGE_OPACITY).mean() < MAX_COVERED_SHARE:
            break
    return opacity


def _transform_map(patch_px: int, rng: np.random.Generator, maps: DamageMaps) -> np.ndarray:
    opacity = maps[int(rng.integers(0, len(maps)))]
    rows, columns = np.nonzero(opacity > 127)
    # A random damaged point goes to a random place of the patch, so that some damage is visible.
    point = int(rng.integers(0, len(rows)))
    distances = cv2.distanceTransform((opacity > 64).astype(np.uint8), cv2.DIST_L2, 3)
    width_px = 2.0 * float(distances.max())
    max_scale = min(2.0, MAX_WIDTH_PX / width_px)
    min_scale = min(0.5, max_scale / 3.0)
    scale = float(np.exp(rng.uniform(np.log(min_scale), np.log(max_scale))))
    matrix = cv2.getRotationMatrix2D(
        (float(columns[point]), float(rows[point])), rng.uniform(0.0, 360.0), scale
    )
    matrix[:, 2] += rng.uniform(0.1, 0.9, 2) * patch_px - (columns[point], rows[point])
    # Without a low-pass filter, a reduction would break hairs into dots.
    source = cv2.GaussianBlur(opacity, (0, 0), 0.5 / scale) if scale < 0.8 else opacity
    transformed: np.ndarray = cv2.warpAffine(
        source, matrix, (patch_px, patch_px), flags=cv2.INTER_LINEAR
    )
    return transformed.astype(np.float32) / 255.0


def draw_cracks(patch_px: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one to five creases, cracks or scratches; HxW float32 in [0, 1]."""
    canvas = np.zeros((patch_px, patch_px), np.uint8)
    for _ in range(int(rng.integers(1, 6))):
        start, heading = rng.uniform(0.0, patch_px, 2), rng.uniform(0.0, 2 * np.pi)
        if rng.random() < 0.4:
            _draw_scratch(canvas, start, heading, rng)
        else:
            _draw_crack(canvas, start, heading, rng.uniform(0.3, 1.2) * patch_px, rng)
    if rng.random() < 0.4:  # the emulsion comes off in flakes along a crease and holds elsewhere
        noise = rng.random((patch_px // 6, patch_px // 6)).astype(np.float32)
        flakes = cv2.resize(noise, (patch_px, patch_px))
        canvas = np.where(flakes > rng.uniform(0.1, 0.5), canvas, 0).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.3, 0.7)), np.float32) / 255.0


def draw_tears(patch_px: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one or two wide tears, strokes of ink or strips of tape; HxW float32 in [0, 1].

    The width is that of thin cracks up to MAX_WIDTH_PX. Edges are smooth or ragged.
    """
    canvas = np.zeros((patch_px, patch_px), np.uint8)
    for _ in range(int(rng.integers(1, 3))):
        start, heading = rng.uniform(0.0, patch_px, 2), rng.uniform(0.0, 2 * np.pi)
        width = float(np.exp(rng.uniform(np.log(4.0), np.log(MAX_WIDTH_PX))))
        wander, varied = rng.uniform(0.02, 0.25), rng.uniform(0.0, 0.25)
        length = rng.uniform(0.3, 1.4) * patch_px
        stride = max(6.0, 0.7 * width)
        for _ in range(int(length / stride)):
            heading += rng.normal(0.0, wander)
            end = start + stride * np.array([np.cos(heading), np.sin(heading)])
            thickness = max(3, min(round(width * np.exp(rng.normal(0.0, varied))), 24))
            points = (_subpixel(start), _subpixel(end))
            cv2.line(canvas, points[0], points[1], 255, thickness, cv2.LINE_AA, SUBPIXEL_BITS)
            start = end
    opacity = canvas.astype(np.float32) / 255.0
    if rng.random() < 0.5:
        ragged = cv2.GaussianBlur(rng.standard_normal(canvas.shape).astype(np.float32), (0, 0), 1.5)
        blurred = cv2.GaussianBlur(opacity, (0, 0), 1.5)
        opacity = (blurred + ragged * rng.uniform(0.2, 1.2) > 0.5).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(opacity, (0, 0), rng.uniform(0.3, 1.0)), np.float32)


def draw_curves(patch_px: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one to three long lines of any width, straight or curved; HxW float32 in [0, 1].

    The width is that of the finest visible line up to MAX_WIDTH_PX. It and the opacity vary slowly.
    """
    opacity = np.zeros((patch_px, patch_px), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        finest, widest = CURVE_WIDTHS_PX
        width = finest * (widest / finest) ** (rng.random() ** 2)  # thin lines are found least
        points = _random_curve(patch_px, rng)
        widths = width * np.exp(_smooth_noise(len(points), rng) * rng.uniform(0.0, 0.35))
        canvas = np.zeros((patch_px, patch_px), np.uint8)
        for first, second, local in zip(points, points[1:], widths[1:], strict=False):
            # Thinner lines than a pixel are fainter.
            level, ends = round(255 * min(local, 1.0)), (_subpixel(first), _subpixel(second))
            thickness = max(1, round(local))
            cv2.line(canvas, ends[0], ends[1], level, thickness, cv2.LINE_AA, SUBPIXEL_BITS)
        opacity = np.maximum(opacity, canvas.astype(np.float32) / 255.0)
    if rng.random() < 0.3:  # interrupted, as where only the highest grains were scratched
        gaps = cv2.resize(rng.random((patch_px // 8,) * 2).astype(np.float32), (patch_px,) * 2)
        opacity = np.where(gaps > rng.uniform(0.2, 0.5), opacity, 0.0).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(opacity, (0, 0), rng.uniform(0.2, 0.6)), np.float32)


def _random_curve(patch_px: int, rng: np.random.Generator) -> np.ndarray:
    """Return the points of a cubic Bezier curve that crosses most of a square; Nx2."""
    middle, heading = patch_px * rng.uniform(0.1, 0.9, 2), rng.uniform(0.0, 2.0 * np.pi)
    length = rng.uniform(0.3, 1.6) * patch_px
    along = np.array([np.cos(heading), np.sin(heading)])
    start = middle - 0.5 * length * along
    bend = 0.0 if rng.random() < 0.4 else 0.25 * length
    controls = [start + share * length * along for share in (0.0, 1 / 3, 2 / 3, 1.0)]
    controls[1:3] = [control + rng.normal(0.0, bend, 2) for control in controls[1:3]]
    t = np.linspace(0.0, 1.0, CURVE_POINTS)[:, None]
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
    return np.asarray(sum(w * c for w, c in zip(weights, controls, strict=True)))


def _smooth_noise(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return noise of about unit variance that varies over the whole length."""
    return np.interp(np.linspace(0.0, 7.0, count), np.arange(8), rng.standard_normal(8))


def _draw_scratch(
    canvas: np.ndarray, start: np.ndarray, heading: float, rng: np.random.Generator
) -> None:
    """Draw a thin, nearly straight line, along the direction of the film with probability 0.5."""
    if rng.random() < 0.5:
        heading = np.pi / 2 + rng.normal(0.0, 0.06)
    half_length = canvas.shape[0] * rng.uniform(0.15, 0.8)
    middle = start + half_length * np.array([np.cos(heading), np.sin(heading)])
    bend = canvas.shape[0] * rng.normal(0.0, 0.02, 2)
    points = [_subpixel(point) for point in (start, middle, 2.0 * middle - start + bend)]
    for first, second in itertools.pairwise(points):
        level = int(rng.integers(150, 256))
        thickness = 1 if rng.random() < 0.7 else 2
        cv2.line(canvas, first, second, level, thickness, cv2.LINE_AA, SUBPIXEL_BITS)


def _draw_crack(
    canvas: np.ndarray, start: np.ndarray, heading: float, length: float, rng: np.random.Generator
) -> None:
    """Draw a crack and its branches, 1 to 4 px wide, as in scans of 256 to 1000 px."""
    wander, width = rng.uniform(0.02, 0.35), rng.uniform(0.6, 3.0)
    stride = rng.uniform(4.0, 12.0)
    while length > 0.0:
        heading += rng.normal(0.0, wander)
        end = start + stride * np.array([np.cos(heading), np.sin(heading)])
        thickness = max(1, round(width * np.exp(rng.normal(0.0, 0.35))))
        points = (_subpixel(start), _subpixel(end))
        cv2.line(canvas, points[0], points[1], 255, thickness, cv2.LINE_AA, SUBPIXEL_BITS)
        if rng.random() < 0.04:
            branch_heading = heading + rng.choice([-1.0, 1.0]) * rng.uniform(0.4, 1.4)
            _draw_crack(canvas, end, branch_heading, 0.5 * length, rng)
        start, length = end, length - stride


def _subpixel(point: np.ndarray) -> tuple[int, ...]:
    """Convert a point to OpenCV's fixed-point coordinates."""
    return tuple(int(v) for v in np.rint(SUBPIXELS * point))
