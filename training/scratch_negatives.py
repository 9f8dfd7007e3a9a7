"""Textures that must not be taken for scratches (prints, paper, cloth), and the draw of negatives.

Each function draws over a photo: HxW float32 in 0 to 255, periods in pixels, angles in radians. The
objects among the negatives are in scratch_objects.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np
from PIL import Image

from training.scratch_objects import (
    bars,
    collars,
    drawing,
    hanging_wires,
    lattice,
    outlined_shapes,
    soften,
    text,
)

Negative = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""(HxW float32 in 0 to 255, generator) to the same with a texture or an object."""


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
    is_page, size_px = rng.random() < 0.6, round(_period_px(rng, 8.0, 90.0))
    paper = np.full_like(grey, rng.uniform(180.0, 255.0)) if is_page else grey
    is_dark = is_page or rng.random() < 0.5
    level = rng.uniform(0.0, 60.0) if is_dark else rng.uniform(200.0, 255.0)
    return soften(text(paper, size_px, level, rng), rng.uniform(0.0, 0.8))


def _random_bars(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return bars(grey, int(rng.integers(1, 5)), rng)


def _random_drawing(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    is_page = rng.random() < 0.7
    paper = 0.2 * grey + rng.uniform(120.0, 200.0) if is_page else grey
    return soften(drawing(paper, int(rng.integers(6, 30)), rng), rng.uniform(0.0, 0.8))


def _random_shapes(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return outlined_shapes(grey, int(rng.integers(1, 6)), rng)


def _random_collars(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return collars(grey, int(rng.integers(1, 4)), rng)


RANDOM_NEGATIVES: Mapping[str, tuple[float, Negative]] = MappingProxyType(
    {
        "halftone": (0.08, _random_halftone),
        "dither": (0.03, _random_dither),
        "paper": (0.13, _random_paper),
        "lattice": (0.08, _random_lattice),
        "wires": (0.2, hanging_wires),
        "text": (0.06, _random_text),
        "drawing": (0.06, _random_drawing),
        "shapes": (0.16, _random_shapes),
        "bars": (0.14, _random_bars),
        "collars": (0.06, _random_collars),
    }
)
"""Share and function of each kind of negative."""

UNDAMAGEABLE = frozenset({"halftone", "dither", "text", "wires", "drawing"})
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
