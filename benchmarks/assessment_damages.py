"""Degradations of clean photos for benchmarks.assessment: noise, JPEG, blur, scratches."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from data.degradation import Degradation, degrade
from training.motion_blur import apply_blur, random_motion_kernel
from training.recipe import DamageMaps
from training.scratch_drawing import draw_cracks, draw_film_damage

LIGHT = 235.0
"""Level of scratches: that of paper."""

Pixels = np.ndarray
"""HxWx3 uint8."""
Damage = Callable[[Pixels, np.random.Generator], Pixels]


def by_recipe(recipe: Degradation) -> Damage:
    """Return a damage that applies a recipe of `data.degradation`."""
    return lambda pixels, rng: degrade(pixels, recipe, int(rng.integers(2**31)))


def unchanged(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the photo as it is."""
    del rng
    return pixels


def shake_along_line(length_px: int) -> Damage:
    """Return a damage by a straight movement of the camera in a random direction."""

    def shake(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        kernel = np.zeros((length_px, length_px), np.float32)
        middle, angle = (length_px - 1) / 2, rng.uniform(0.0, np.pi)
        ends = [
            middle + sign * middle * np.array([np.cos(angle), np.sin(angle)]) for sign in (-1, 1)
        ]
        points = [tuple(int(value) for value in np.rint(16 * end)) for end in ends]
        cv2.line(kernel, points[0], points[1], 1.0, 1, cv2.LINE_8, 4)
        return _rounded(apply_blur(pixels, kernel / kernel.sum()))

    return shake


def shake_along_curve(side_px: int) -> Damage:
    """Return a damage by the random movement of a camera, inside a square."""
    return lambda pixels, rng: _rounded(apply_blur(pixels, random_motion_kernel(rng, side_px)))


def tear(width_px: int) -> Damage:
    """Return a damage by one uneven light line across most of a grey photo."""

    def damage(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        opacity = np.zeros(pixels.shape[:2], np.float32)
        _draw_line(opacity, rng, rng.uniform(0.6, 0.9) * max(opacity.shape), width_px)
        return _composite(pixels, opacity)

    return damage


def hairs(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Draw four light hairs of 25 to 50 pixels."""
    opacity = np.zeros(pixels.shape[:2], np.float32)
    for _ in range(4):
        _draw_line(opacity, rng, rng.uniform(25.0, 50.0), 1)
    return _composite(pixels, opacity)


def cracks(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Draw creases, cracks and scratches as in the training of the scratch network."""
    height, width = pixels.shape[:2]
    return _composite(pixels, draw_cracks(max(height, width), rng)[:height, :width])


def film_damage(maps: DamageMaps, count: int) -> Damage:
    """Return a damage by scanned damage of film."""

    def damage(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        height, width = pixels.shape[:2]
        for _ in range(count):
            opacity = draw_film_damage(max(height, width), rng, maps)[:height, :width]
            pixels = _composite(pixels, opacity)
        return pixels

    return damage


def _draw_line(
    opacity: np.ndarray, rng: np.random.Generator, length_px: float, width_px: int
) -> None:
    """Draw a line of eight parts whose direction varies, through a random point."""
    heading = rng.uniform(0.0, 2 * np.pi) + np.cumsum(rng.normal(0.0, 0.15, 8))
    steps = length_px / 8 * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    points = np.cumsum(np.vstack([np.zeros((1, 2)), steps]), axis=0)
    height, width = opacity.shape
    middle = rng.uniform(0.3, 0.7, 2) * (width, height)
    corners = np.rint(16 * (points - points.mean(axis=0) + middle)).astype(np.int32)
    cv2.polylines(opacity, [corners], False, 1.0, width_px, cv2.LINE_AA, 4)


def _composite(pixels: Pixels, opacity: np.ndarray) -> Pixels:
    """Draw damage of one level over HxWx3 uint8."""
    weight = opacity[..., None].clip(0.0, 1.0)
    return _rounded(pixels * (1.0 - weight) + LIGHT * weight)


def _rounded(levels: np.ndarray) -> Pixels:
    return np.asarray(np.rint(levels.clip(0, 255)), np.uint8)
