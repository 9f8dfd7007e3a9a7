"""Drawn objects that must not be taken for scratches: lattices, text, drawings, shapes, collars,
bars, wires.

Each function draws over a photo: HxW float32 in 0 to 255, coordinates and sizes in pixels.
"""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

LETTERS = "etaoinshrdlucmfwypvbgkETAOINSHRDLU,.'1234567890"

MAX_RIM_PX = 14.0

Stroke = tuple[np.ndarray, np.ndarray, int, float]
"""Both ends, thickness in pixels, level."""


def soften(pixels: np.ndarray, sigma_px: float) -> np.ndarray:
    """Blur HxW pixels; no blur below 0.2 px."""
    pixels = np.asarray(pixels, np.float32)
    return pixels if sigma_px < 0.2 else cv2.GaussianBlur(pixels, (0, 0), sigma_px)


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
        width_px = round(np.exp(rng.uniform(0.0, np.log(MAX_RIM_PX))))
        cv2.polylines(rim, drawn, not is_part, 255, width_px, cv2.LINE_AA, 3)
        for mask, level, strength in (
            (fill, rng.uniform(0.0, 255.0), shade),
            (rim, float(rng.choice([rng.uniform(190.0, 255.0), rng.uniform(0.0, 50.0)])), 0.95),
        ):
            opacity = soften(mask.astype(np.float32), rng.uniform(0.2, 0.9)) / 255.0 * strength
            result = result * (1.0 - opacity) + level * opacity
        if shade > 0.0 and rng.random() < 0.5:
            result = _add_highlight(result, contour, rng)
    return np.asarray(result, np.float32)


def _add_highlight(grey: np.ndarray, contour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the reflection of a window or lamp inside of a contour."""
    middle = contour.mean(axis=0)
    spot = (
        middle
        + (contour - middle) * rng.uniform(0.1, 0.35)
        + rng.normal(0.0, 0.15, 2) * np.ptp(contour, axis=0)
    )
    canvas = np.zeros(grey.shape, np.uint8)
    cv2.fillPoly(canvas, [np.rint(8.0 * spot).astype(np.int32)], 255, cv2.LINE_AA, 3)
    opacity = soften(canvas.astype(np.float32), rng.uniform(0.3, 2.0)) / 255.0
    return np.asarray(grey * (1.0 - opacity) + rng.uniform(200.0, 255.0) * opacity, np.float32)


def collars(grey: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw pairs of light wedges with a shadow, such as collars, ribbons and petals."""
    result: np.ndarray = grey.astype(np.float32)
    for _ in range(count):
        centre = rng.uniform(0.1, 0.9, 2) * grey.shape[::-1]
        length = rng.uniform(0.08, 0.3) * min(grey.shape)
        width, turn = length * rng.uniform(0.2, 0.6), rng.uniform(0.2, 1.2)
        along, across = (
            np.array([np.cos(angle), np.sin(angle)]) for angle in (turn, turn + np.pi / 2)
        )
        wedge = np.array([-0.2 * along, along, 0.5 * along]) * length
        wedge += np.array([0.0, 0.0, 1.0])[:, None] * across * width
        tilt, level = rng.normal(0.0, 0.2), rng.uniform(150.0, 255.0)
        turned = wedge @ np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
        for side in (-1.0, 1.0):
            points = centre + turned * np.array([side, 1.0])
            opacity = _fill(grey.shape, points)
            shadow = soften(_fill(grey.shape, points + 0.1 * width), rng.uniform(1.0, 3.0))
            result = result * (1.0 - rng.uniform(0.1, 0.6) * shadow)
            shading = level * np.linspace(1.0, rng.uniform(0.75, 1.1), len(grey))[:, None]
            opacity = soften(opacity, rng.uniform(0.3, 1.0))
            result = result * (1.0 - opacity) + np.minimum(shading, 255.0) * opacity
    return np.asarray(result, np.float32)


def _fill(shape: tuple[int, ...], points: np.ndarray) -> np.ndarray:
    """Return the opacity of a polygon: HxW float32 in [0, 1]."""
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [np.rint(8.0 * points).astype(np.int32)], 255, cv2.LINE_AA, 3)
    return canvas.astype(np.float32) / 255.0


def bars(grey: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw poles, necks of instruments and lattice masts: straight, but shaded or trussed."""
    result: np.ndarray = grey.astype(np.float32)
    side = min(grey.shape)
    for _ in range(count):
        heading = rng.normal(np.pi / 2, 0.1) if rng.random() < 0.6 else rng.uniform(0.0, np.pi)
        along = np.array([np.cos(heading), np.sin(heading)])
        across = np.array([-along[1], along[0]])
        start = rng.uniform(0.0, 1.0, 2) * grey.shape[::-1]
        end, width = start + along * rng.uniform(0.2, 1.3) * side, rng.uniform(4.0, 14.0)
        strokes = (_mast if rng.random() < 0.4 else _pole)(start, end, across, width, rng)
        for first, last, thickness, level in strokes:
            canvas = np.zeros(grey.shape, np.uint8)
            cv2.line(canvas, _whole(first), _whole(last), 255, thickness, cv2.LINE_AA)
            opacity = canvas.astype(np.float32) / 255.0
            result = result * (1.0 - opacity) + level * opacity
    return soften(result, rng.uniform(0.0, 0.7))


def hanging_wires(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw three to eight almost parallel wires of one level, which sag from side to side."""
    height, width = grey.shape
    across = np.linspace(-1.0, 1.0, 40)
    sag, slope = rng.uniform(0.0, 0.15) * height, rng.normal(0.0, 0.2) * height
    spacing = np.exp(rng.uniform(np.log(2.0), np.log(48.0)))
    top = rng.uniform(0.0, 0.7) * height
    canvas = np.zeros(grey.shape, np.uint8)
    width_px = int(rng.integers(1, 4))
    for index in range(int(rng.integers(3, 9))):
        fan = spacing * index * (1.0 + rng.uniform(0.0, 0.5) * across)
        path = np.stack(
            [(across + 1.0) / 2.0 * width, top + fan + slope * across - sag * (across**2 - 1.0)], 1
        )
        points = [np.rint(8.0 * path).astype(np.int32)]
        cv2.polylines(canvas, points, False, 255, width_px, cv2.LINE_AA, 3)
    opacity = rng.uniform(0.5, 1.0) * canvas.astype(np.float32) / 255.0
    if rng.random() < 0.3:  # wires of a mast or a rigging, from above to below
        opacity = np.ascontiguousarray(cv2.resize(opacity.T, grey.shape[::-1]))
    level = rng.uniform(0.0, 70.0) if rng.random() < 0.5 else rng.uniform(180.0, 255.0)
    return soften(grey * (1.0 - opacity) + level * opacity, rng.uniform(0.0, 0.8))


def drawing(grey: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw with a pen: `count` outlines of one width and level, some of them hatched."""
    width_px, side = int(rng.integers(1, 4)), min(grey.shape)
    canvas = np.zeros(grey.shape, np.uint8)
    for _ in range(count):
        contour = 0.6 * _random_contour(side, rng) + rng.uniform(0.0, 1.0, 2) * grey.shape[::-1]
        lines = [contour[: int(len(contour) * rng.uniform(0.4, 1.0))], *_hatching(contour, rng)]
        points = [np.rint(8.0 * line).astype(np.int32) for line in lines]
        cv2.polylines(canvas, points, False, 255, width_px, cv2.LINE_AA, 3)
    opacity = rng.uniform(0.6, 1.0) * canvas.astype(np.float32) / 255.0
    level = rng.uniform(0.0, 70.0) if rng.random() < 0.7 else rng.uniform(190.0, 255.0)
    return np.asarray(grey * (1.0 - opacity) + level * opacity, np.float32)


def _hatching(contour: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Return parallel lines inside the box of a contour; none with probability 0.5."""
    if rng.random() < 0.5:
        return []
    low, high = contour.min(axis=0), contour.max(axis=0)
    shift = rng.normal(0.0, 0.3) * (high[1] - low[1])
    return [
        np.array([(x, low[1]), (x + shift, high[1])])
        for x in np.arange(low[0], high[0], rng.uniform(4.0, 12.0))
    ]


def _pole(
    start: np.ndarray, end: np.ndarray, across: np.ndarray, width: float, rng: np.random.Generator
) -> list[Stroke]:
    """Return a bar with a darker outline and a lighter side, as of a round pole."""
    base = rng.uniform(40.0, 220.0)
    outline, side = rng.uniform(0.0, 0.6) * base, base + rng.uniform(25.0, 120.0)
    shift = across * width * rng.choice([-0.25, 0.25])
    return [
        (start, end, round(width) + 2, outline),
        (start, end, round(width), base),
        (start + shift, end + shift, max(1, round(0.4 * width)), min(side, 255.0)),
    ]


def _mast(
    start: np.ndarray, end: np.ndarray, across: np.ndarray, width: float, rng: np.random.Generator
) -> list[Stroke]:
    """Return two posts and the struts between them."""
    level = rng.uniform(150.0, 255.0) if rng.random() < 0.5 else rng.uniform(0.0, 70.0)
    count = max(2, int(np.linalg.norm(end - start) / (width * rng.uniform(0.7, 1.6))))
    knots = [start + (end - start) * share for share in np.linspace(0.0, 1.0, count + 1)]
    offsets = (across * width * 0.5, -across * width * 0.5)
    post_px, strut_px = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    posts = [(start + offset, end + offset, post_px, level) for offset in offsets]
    struts = [
        (first + offsets[index % 2], last + offsets[1 - index % 2], strut_px, level)
        for index, (first, last) in enumerate(itertools.pairwise(knots))
    ]
    return posts + struts


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
