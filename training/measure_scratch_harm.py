"""Measure what scratch detection finds where it should not, and which tears it finds.

All figures are those of `find_scratches_lite`, the detection of the product with all its rules, at
the default threshold. Its masks include the margin around scratches, because that is filled too.

- Clean photos: `found_share` is the mean share of the photo in the mask, `max_found_share` the
  largest of one photo. `lines_lost` is the share of the pixels of true lines that are in the mask.
- Negatives: the same for prints, cloth, paper, text, lattices and hanging wires made of Kodak
  photos: nothing in them is a scratch.
- Tears: `recall` is the share of the pixels of a drawn tear that are in the mask, by level and
  width (in pixels, or in percent of the long side).

**True lines** are the ridges of clean photos, light and dark: a top-hat filter of LINE_PX exceeds
MIN_LINE_LEVELS, and the connected pixels are at least MIN_LINE_LENGTH of the long side long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import cv2
import numpy as np
from torch import nn

from restore.imaging.photo import Photo as ProductPhoto
from restore.options import OldPhotoOptions
from restore.pipelines.old_photo_scratches import find_scratches_lite, reduce_to
from training.dataset import read_photos
from training.metrics import round_figures
from training.paths import PROJECT, list_photos
from training.provenance import Figures
from training.recipe import Photo
from training.scratch_negatives import dither, gravel, halftone, line_screen, silk, weave
from training.scratch_objects import lattice, text

LINE_PX = 9
MIN_LINE_LEVELS = 30.0
MIN_LINE_LENGTH = 0.05
NEGATIVE_LONG_SIDE_PX = 480
TEAR_LEVELS = MappingProxyType({"light": 235.0, "dark": 20.0})
TEAR_WIDTHS = ("1 px", "2 px", "4 px", "1 %", "2 %", "3 %")
WIRES = 4
MIN_TEAR_CHANGE_LEVELS = 20.0
SEED = 2026

Texture = Callable[[np.ndarray, np.random.Generator], np.ndarray]

NEGATIVES: Mapping[str, Texture] = MappingProxyType(
    {
        "halftone_3_px": lambda grey, _: halftone(grey, 3.0, 0.26, 0.5),
        "halftone_5_px": lambda grey, _: halftone(grey, 5.0, 1.3, 0.8),
        "halftone_8_px": lambda grey, _: halftone(grey, 8.0, np.pi / 4, 1.2),
        "halftone_13_px": lambda grey, _: halftone(grey, 13.0, 0.5, 1.0),
        "line_screen_5_px": lambda grey, _: line_screen(grey, 5.0, 0.8, 0.7),
        "dither": lambda grey, _: dither(grey),
        "silk": lambda grey, _: silk(grey, 6.0, 25.0),
        "weave": lambda grey, _: weave(grey, 7.0, 0.2, 25.0),
        "gravel": lambda grey, rng: gravel(grey, 4.0, 30.0, rng),
        "text": lambda grey, rng: text(np.full_like(grey, 235.0), 14, 25.0, rng),
        "lattice_light": lambda grey, _: lattice(grey, 28.0, 0.1, 2, 225.0),
        "lattice_dark": lambda grey, _: lattice(grey, 40.0, 0.7, 3, 30.0),
        "wires_light": lambda grey, rng: wires(grey, 1, 225.0, rng),
        "wires_dark": lambda grey, rng: wires(grey, 2, 30.0, rng),
    }
)


def wires(grey: np.ndarray, width_px: int, level: float, rng: np.random.Generator) -> np.ndarray:
    """Draw WIRES wires that hang from one side of a photo to the other, almost parallel.

    Args:
        grey: HxW float32 in 0 to 255.
        width_px: width of a wire.
        level: grey level of the wires.
        rng: random generator.
    """
    height, width = grey.shape
    canvas, across = np.zeros(grey.shape, np.uint8), np.linspace(-1.0, 1.0, 80)
    slope = rng.uniform(-0.15, 0.15)
    for index in range(WIRES):
        middle = height * (0.15 + 0.1 * index + rng.normal(0.0, 0.01))
        hanging = middle + height * (slope * across - 0.04 * (across**2 - 1.0))
        path = np.stack([(across + 1.0) / 2.0 * width, hanging], 1)
        points = [np.rint(8.0 * path).astype(np.int32)]
        cv2.polylines(canvas, points, False, 255, width_px, cv2.LINE_AA, 3)
    opacity = canvas.astype(np.float32) / 255.0
    return np.asarray(grey * (1.0 - opacity) + level * opacity, np.float32)


def detect_in_photo(net: nn.Module, pixels: np.ndarray) -> np.ndarray:
    """Detect scratches as the product does; HxW[x3] uint8 to HxW bool."""
    return find_scratches_lite(
        ProductPhoto("photo", pixels), net, OldPhotoOptions().scratch_threshold
    )


def true_lines(luminance: np.ndarray) -> np.ndarray:
    """Return the long ridges of a clean photo; HxW uint8 to HxW bool."""
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (LINE_PX, LINE_PX))
    ridges = [
        cv2.morphologyEx(luminance, operation, element) > MIN_LINE_LEVELS
        for operation in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT)
    ]
    lines = np.zeros(luminance.shape, bool)
    for ridge in ridges:
        _, labels, stats, _ = cv2.connectedComponentsWithStats(ridge.astype(np.uint8))
        lengths = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
        is_long = lengths >= MIN_LINE_LENGTH * max(luminance.shape)
        is_long[0] = False  # the background
        lines |= is_long[labels]
    return lines


def measure_clean(net: nn.Module, photos: Iterable[np.ndarray]) -> dict[str, float]:
    """Return the figures of undamaged pictures; HxW[x3] uint8."""
    shares, lost, lines_px = list[float](), 0, 0
    for photo in photos:
        luminance = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY) if photo.ndim == 3 else photo
        found, lines = detect_in_photo(net, photo), true_lines(luminance)
        shares.append(float(found.mean()))
        lost, lines_px = lost + int((found & lines).sum()), lines_px + int(lines.sum())
    figures = {"found_share": float(np.mean(shares)), "max_found_share": max(shares)}
    figures["lines_lost"] = lost / max(lines_px, 1)
    return round_figures(figures) | {"photos": len(shares)}


def measure_negatives(net: nn.Module, photos: list[Photo]) -> Figures:
    """Return the figures of each kind of negative."""
    figures, rng = Figures(), np.random.default_rng(SEED)
    for name, texture in NEGATIVES.items():
        pictures = [
            np.clip(texture(_small_grey(photo), rng), 0.0, 255.0).astype(np.uint8)
            for photo in photos
        ]
        measured = measure_clean(net, pictures)
        del measured["lines_lost"]  # the lines of a texture are not those of the photo
        figures[f"negative_{name}"] = measured
    return figures


def measure_tears(net: nn.Module, photos: list[Photo]) -> Figures:
    """Return the recall of tears of each level and width."""
    figures = Figures()
    for kind, level in TEAR_LEVELS.items():
        for width in TEAR_WIDTHS:
            found = true = 0
            for index, photo in enumerate(photos):
                grey = _small_grey(photo)
                width_px = _to_px(width, max(grey.shape))
                torn, mask = tear(grey, width_px, level, np.random.default_rng((SEED, index)))
                found += int((detect_in_photo(net, torn) & mask).sum())
                true += int(mask.sum())
            name = f"tear_{kind}_{width}".replace(" ", "_").replace("%", "percent")
            figures[name] = round_figures({"recall": found / true}) | {"photos": len(photos)}
    return figures


def tear(
    grey: np.ndarray, width_px: int, level: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Tear a photo from one side to the other.

    Args:
        grey: HxW float32 in 0 to 255.
        width_px: width of the tear.
        level: grey level of the tear.
        rng: random generator.

    Returns:
        HxW uint8, and HxW bool: the tear, where it can be seen.
    """
    height, width = grey.shape
    along = np.linspace(0.0, 1.0, 40)
    ends = rng.uniform(0.1, 0.9, 2)
    x, y = width * (0.05 + 0.9 * along), height * (ends[0] + (ends[1] - ends[0]) * along)
    path = np.stack([x, y], 1) + rng.normal(0.0, 3.0, (40, 2))
    line = np.zeros(grey.shape, np.uint8)
    cv2.polylines(line, [path.astype(np.int32)], False, 255, width_px)
    cover = cv2.GaussianBlur(line, (0, 0), 0.8).astype(np.float32) / 255.0
    torn = grey * (1.0 - cover) + level * cover
    is_visible = np.abs(torn - grey) > MIN_TEAR_CHANGE_LEVELS
    return torn.astype(np.uint8), (line > 0) & is_visible


def read_samples() -> dict[str, Photo]:
    """Read the project's sample photos, by file name."""
    return read_photos(file for file in list_photos(PROJECT / "data"))


def _small_grey(photo: Photo) -> np.ndarray:
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    return reduce_to(grey, NEGATIVE_LONG_SIDE_PX).astype(np.float32)


def _to_px(width: str, long_side_px: int) -> int:
    number, unit = width.split()
    return round(float(number) * (1.0 if unit == "px" else long_side_px / 100.0))
