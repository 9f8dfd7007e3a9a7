"""Textures and drawn objects that must not be taken for scratches: prints, cloth, text, outlines.

Each function draws over a photo and depends on its generator only. Coordinates are in pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Negative = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""(HxW float32 in 0 to 255, generator) to the same with a texture or an object."""

LETTERS = "etaoinshrdlucmfwypvbgkETAOINSHRDLU,.'1234567890"


def wave(shape: tuple[int, int], period_px: float, angle: float, phase: float = 0.0) -> np.ndarray:
    """Return a plane cosine wave in [-1, 1]; `angle` in radians, `phase` in radians."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    along = x * np.cos(angle) + y * np.sin(angle)
    return np.asarray(np.cos(2.0 * np.pi * along / period_px + phase), np.float32)


def halftone(grey: np.ndarray, period_px: float, angle: float, blur_px: float) -> np.ndarray:
    """Print a photo with round dots; HxW in 0 to 255."""
    screen = (
        wave(grey.shape, period_px, angle) + wave(grey.shape, period_px, angle + np.pi / 2)
    ) / 4.0 + 0.5
    return soften(np.where(grey / 255.0 > screen, 255.0, 0.0), blur_px)


def line_screen(grey: np.ndarray, period_px: float, angle: float, blur_px: float) -> np.ndarray:
    """Print a photo with lines whose width follows the tone, as in an engraving."""
    screen = 0.5 + 0.5 * wave(grey.shape, period_px, angle)
    return soften(np.where(grey / 255.0 > screen, 255.0, 0.0), blur_px)


def dither(grey: np.ndarray) -> np.ndarray:
    """Print a photo with one bit per pixel, by error diffusion (Floyd and Steinberg)."""
    pixels = np.clip(grey, 0.0, 255.0).astype(np.uint8)
    return np.asarray(Image.fromarray(pixels).convert("1").convert("L"), np.float32)


def soften(pixels: np.ndarray, sigma_px: float) -> np.ndarray:
    """Blur HxW pixels; no blur below 0.2 px."""
    pixels = np.asarray(pixels, np.float32)
    return pixels if sigma_px < 0.2 else cv2.GaussianBlur(pixels, (0, 0), sigma_px)


def silk(grey: np.ndarray, period_px: float, amplitude: float) -> np.ndarray:
    """Add the honeycomb of silk-finish paper, of an amplitude in levels."""
    directions = (0.0, np.pi / 3.0, 2.0 * np.pi / 3.0)
    comb = sum((wave(grey.shape, period_px, angle) for angle in directions), np.float32(0.0)) / 3.0
    return np.asarray(grey + amplitude * comb, np.float32)


def weave(grey: np.ndarray, period_px: float, angle: float, amplitude: float) -> np.ndarray:
    """Add the threads of cloth or canvas, over and under each other."""
    warp, weft = (wave(grey.shape, period_px, angle + turn) for turn in (0.0, np.pi / 2.0))
    over = wave(grey.shape, 2.0 * period_px, angle) * wave(
        grey.shape, 2.0 * period_px, angle + np.pi / 2.0
    )
    return np.asarray(grey + amplitude * np.where(over > 0.0, warp, weft), np.float32)


def gravel(
    grey: np.ndarray, size_px: float, amplitude: float, rng: np.random.Generator
) -> np.ndarray:
    """Add bright and dark grains of about one size."""
    noise = cv2.GaussianBlur(
        rng.standard_normal(grey.shape).astype(np.float32), (0, 0), size_px / 2.0
    )
    sharp = np.tanh(2.0 * noise / max(float(noise.std()), 1e-6))
    return np.asarray(grey + amplitude * sharp, np.float32)


def lattice(
    grey: np.ndarray, period_px: float, angle: float, width_px: int, level: float
) -> np.ndarray:
    """Draw a lattice of two sets of parallel bars."""
    side, centre = 2 * max(grey.shape), np.array(grey.shape[::-1]) / 2.0
    canvas = np.zeros(grey.shape, np.uint8)
    for turn in (angle, angle + np.pi / 2.0):
        along, across = (
            np.array([np.cos(turn), np.sin(turn)]),
            np.array([-np.sin(turn), np.cos(turn)]),
        )
        for index in range(-int(side / period_px), int(side / period_px) + 1):
            middle = centre + index * period_px * across
            first, second = middle - side * along, middle + side * along
            cv2.line(canvas, _whole(first), _whole(second), 255, width_px, cv2.LINE_AA)
    opacity = canvas.astype(np.float32) / 255.0
    return np.asarray(grey * (1.0 - opacity) + level * opacity, np.float32)


def text(grey: np.ndarray, size_px: int, level: float, rng: np.random.Generator) -> np.ndarray:
    """Write lines of random letters over the whole picture."""
    canvas = Image.new("L", grey.shape[::-1], 0)
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(size_px)
    top = int(rng.integers(0, size_px))
    while top < grey.shape[0]:
        letters = rng.choice(list(LETTERS + " " * 8), grey.shape[1] // 3)
        pen.text((int(rng.integers(0, 2 * size_px)), top), "".join(letters), 255, font)
        top += round(size_px * 1.3)
    opacity = np.asarray(canvas, np.float32) / 255.0
    return np.asarray(grey * (1.0 - opacity) + level * opacity, np.float32)


def outlined_shapes(grey: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw discs and quadrangles with a bright or dark rim, such as cups, frames and windows."""
    result: np.ndarray = grey.astype(np.float32)
    side = min(grey.shape)
    for _ in range(count):
        contour = _random_contour(side, rng) + rng.uniform(0.0, 1.0, 2) * grey.shape[::-1]
        points = [np.rint(8.0 * contour).astype(np.int32)]
        fill, rim = np.zeros(grey.shape, np.uint8), np.zeros(grey.shape, np.uint8)
        cv2.fillPoly(fill, points, 255, cv2.LINE_AA, 3)
        shade = rng.uniform(0.2, 0.9) if rng.random() < 0.7 else 0.0
        # A reflection may cover a part of the rim. Without a shape, this would be a scratch.
        is_part = shade > 0.0 and rng.random() < 0.5
        drawn = [points[0][: int(len(contour) * rng.uniform(0.3, 0.9))]] if is_part else points
        cv2.polylines(rim, drawn, not is_part, 255, int(rng.integers(1, 5)), cv2.LINE_AA, 3)
        for mask, level, strength in (
            (fill, rng.uniform(0.0, 255.0), shade),
            (rim, float(rng.choice([rng.uniform(190.0, 255.0), rng.uniform(0.0, 50.0)])), 0.95),
        ):
            opacity = soften(mask.astype(np.float32), rng.uniform(0.2, 0.9)) / 255.0 * strength
            result = result * (1.0 - opacity) + level * opacity
    return np.asarray(result, np.float32)


def _random_contour(side: float, rng: np.random.Generator) -> np.ndarray:
    """Return the points of an ellipse or a quadrangle around the origin; Nx2 float64."""
    radii = rng.uniform(0.05, 0.5, 2) * side
    if rng.random() < 0.6:
        angles = np.linspace(0.0, 2.0 * np.pi, 64, endpoint=False)
        points = np.stack([np.cos(angles), np.sin(angles)], 1)
    else:
        points = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])
        points = points + rng.normal(0.0, 0.08, (4, 2))
    turn = rng.uniform(0.0, np.pi) if rng.random() < 0.5 else rng.normal(0.0, 0.05)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.asarray((points * radii) @ matrix.T)


def _whole(point: np.ndarray) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def _period_px(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _full_range(grey: np.ndarray) -> np.ndarray:
    """Stretch a faded photo, because a screen of full contrast was made from a new one."""
    low, high = np.percentile(grey, (1.0, 99.0))
    return np.asarray((grey - low) * (255.0 / max(float(high - low), 1.0)), np.float32)


def _print_contrast(printed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    black, white = rng.uniform(0.0, 70.0), rng.uniform(180.0, 255.0)
    return np.asarray(black + (white - black) * printed / 255.0, np.float32)


def _random_halftone(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    draw = halftone if rng.random() < 0.75 else line_screen
    period_px, angle = _period_px(rng, 2.2, 16.0), rng.uniform(0.0, np.pi)
    printed = draw(_full_range(grey), period_px, angle, rng.uniform(0.0, 0.22) * period_px)
    return _print_contrast(printed, rng)


def _random_dither(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    factor = int(rng.integers(1, 4))
    size = tuple(-(-side // factor) for side in grey.shape[::-1])
    printed = dither(cv2.resize(_full_range(grey), size, interpolation=cv2.INTER_AREA))
    interpolation = cv2.INTER_NEAREST if rng.random() < 0.5 else cv2.INTER_CUBIC
    enlarged = cv2.resize(printed, grey.shape[::-1], interpolation=interpolation)
    return _print_contrast(soften(enlarged, rng.uniform(0.0, 0.8)), rng)


def _random_paper(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    amplitude, period_px = rng.uniform(6.0, 45.0), _period_px(rng, 3.0, 16.0)
    draw = rng.integers(0, 3)
    if draw == 0:
        return silk(grey, period_px, amplitude)
    if draw == 1:
        return weave(grey, period_px, rng.uniform(0.0, np.pi), amplitude)
    return gravel(grey, rng.uniform(1.5, 9.0), amplitude, rng)


def _random_lattice(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    width_px = int(rng.integers(1, 7))
    level = rng.uniform(170.0, 255.0) if rng.random() < 0.5 else rng.uniform(0.0, 60.0)
    angle = rng.normal(0.0, 0.1) if rng.random() < 0.5 else rng.uniform(0.0, np.pi)
    period_px = _period_px(rng, 3.0 * width_px + 3.0, 60.0)
    return soften(lattice(grey, period_px, angle, width_px, level), rng.uniform(0.0, 0.7))


def _random_text(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    is_page, size_px = rng.random() < 0.6, int(rng.integers(8, 40))
    paper = np.full_like(grey, rng.uniform(180.0, 255.0)) if is_page else grey
    is_dark = is_page or rng.random() < 0.5
    level = rng.uniform(0.0, 60.0) if is_dark else rng.uniform(200.0, 255.0)
    return soften(text(paper, size_px, level, rng), rng.uniform(0.0, 0.8))


def _random_shapes(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return outlined_shapes(grey, int(rng.integers(1, 6)), rng)


RANDOM_NEGATIVES: Mapping[str, tuple[float, Negative]] = MappingProxyType(
    {
        "halftone": (0.28, _random_halftone),
        "dither": (0.08, _random_dither),
        "paper": (0.22, _random_paper),
        "lattice": (0.12, _random_lattice),
        "text": (0.1, _random_text),
        "shapes": (0.2, _random_shapes),
    }
)
"""Share and function of each kind of negative."""

UNDAMAGEABLE = frozenset({"halftone", "dither", "text"})
"""Kinds on which damage cannot be told from the texture; no damage is drawn over them."""


def draw_negative(grey: np.ndarray, rng: np.random.Generator) -> tuple[str, np.ndarray]:
    """Draw a random texture or object over a photo.

    Args:
        grey: HxW float32 in 0 to 255.
        rng: random generator.

    Returns:
        The kind, and HxW float32 in 0 to 255.
    """
    names = list(RANDOM_NEGATIVES)
    name = names[int(rng.choice(len(names), p=[RANDOM_NEGATIVES[name][0] for name in names]))]
    return name, np.clip(RANDOM_NEGATIVES[name][1](grey, rng), 0.0, 255.0)
