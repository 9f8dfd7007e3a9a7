"""Comparison of photos with their originals: two folders, or photos degraded and restored here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from benchmarks.perceptual import Rgb
from benchmarks.quality import Figures, Lpips, figures_of, resized
from data.degradation import Degradation, degrade
from data.photo_files import read_photo
from restore import Inputs, Photo, Restorer
from restore.errors import Code, RestoreError

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"})


@dataclass(frozen=True)
class Comparison:
    """Figures of one restored photo, and the pictures of a report by caption.

    Attributes:
        degraded_figures: figures of the photo before it was restored, if it was degraded here.
    """

    name: str
    figures: Figures
    degraded_figures: Figures | None = None
    pictures: Mapping[str, Rgb] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """How clean photos are degraded, and the task and inputs that restore them."""

    task: str
    recipe: Degradation
    inputs: Mapping[str, str]
    weights: str
    seed: int

    def describe(self) -> str:
        """Describe the trial in one line."""
        inputs = "".join(f", {name}={value}" for name, value in self.inputs.items())
        degraded = f"degraded: {self.recipe}, seed {self.seed} and up"
        return f"{degraded}; restored: {self.task}{inputs}, weights {self.weights}"


def photos_in(folder: Path) -> dict[str, Path]:
    """Return the photos of a folder in order, by name without extension.

    Raises:
        RestoreError: PHOTO_MISSING if there are none; OPTION_INVALID if two have the same name.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir() if folder.is_dir() else ()):
        if path.suffix.lower() not in PHOTO_SUFFIXES:
            continue
        if path.stem in found:
            raise RestoreError(
                Code.OPTION_INVALID,
                f"{found[path.stem].name} and {path.name} of {folder} have the same name",
                "Photos are matched by name without extension: rename one.",
            )
        found[path.stem] = path
    if not found:
        raise RestoreError(
            Code.PHOTO_MISSING, f"{folder} contains no photos", "Name a folder of photos."
        )
    return found


def matched(originals: Path, restored: Path) -> list[tuple[Path, Path]]:
    """Match originals with their restored photos by name without extension.

    Raises:
        RestoreError: PHOTO_MISSING, which names every photo without a match, and the errors of
            `photos_in`.
    """
    first, second = photos_in(originals), photos_in(restored)
    unmatched = [
        *(first[name] for name in first.keys() - second.keys()),
        *(second[name] for name in second.keys() - first.keys()),
    ]
    if unmatched:
        names = ", ".join(sorted(str(path) for path in unmatched))
        raise RestoreError(
            Code.PHOTO_MISSING,
            f"no photo of the same name in the other folder: {names}",
            "Add or remove photos, or rename them.",
        )
    return [(first[name], second[name]) for name in first]


def compare_folders(
    originals: Path, restored: Path, lpips: Lpips | None, *, may_resize: bool
) -> Iterator[Comparison]:
    """Compare each pair of two folders."""
    for original_path, restored_path in matched(originals, restored):
        original, photo = read_photo(original_path), read_photo(restored_path)
        names = (original_path.name, restored_path.name)
        photo = _same_size(names, original, photo, may_resize=may_resize)
        yield Comparison(
            original_path.stem,
            figures_of(original, photo, lpips),
            pictures={"restored": photo, "original": original},
        )


def compare_restored(
    photos: Mapping[str, Path], trial: Trial, lpips: Lpips | None, *, may_resize: bool
) -> Iterator[Comparison]:
    """Degrade and restore each photo, and compare it before and after."""
    restorer = Restorer(weights=trial.weights)
    for number, path in enumerate(photos.values()):
        original = divisible(read_photo(path), trial.recipe.downscale)
        degraded = degrade(original, trial.recipe, trial.seed + number)
        inputs = cast(Inputs, trial.inputs)  # texts of numbers are read as numbers
        results = restorer.run(trial.task, Photo(path.name, degraded), **inputs)
        photo = _as_rgb(results.photos[0].pixels)
        names = (path.name, f"restored {path.name}")
        photo = _same_size(names, original, photo, may_resize=may_resize)
        before = resized(degraded, original)
        size = f"{degraded.shape[1]} x {degraded.shape[0]}"
        caption = "degraded" if before is degraded else f"degraded to {size}, enlarged"
        yield Comparison(
            path.stem,
            figures_of(original, photo, lpips),
            figures_of(original, before, lpips),
            {caption: before, "restored": photo, "original": original},
        )


def divisible(photo: Rgb, factor: float) -> Rgb:
    """Crop a photo so that a whole factor divides its sides, and enlarging gives its size again."""
    if factor != int(factor):
        return photo
    height, width = (side - side % int(factor) for side in photo.shape[:2])
    return photo[:height, :width]


def _same_size(names: tuple[str, str], original: Rgb, photo: Rgb, *, may_resize: bool) -> Rgb:
    if photo.shape != original.shape and not may_resize:
        sizes = [
            f"{name} has {pixels.shape[1]}x{pixels.shape[0]} pixels"
            for name, pixels in zip(names, (original, photo), strict=True)
        ]
        raise RestoreError(
            Code.OPTION_INVALID,
            ", ".join(sizes),
            "Compare photos of the same size, or use --resize.",
        )
    return resized(photo, original)


def _as_rgb(pixels: np.ndarray) -> Rgb:
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB).astype(np.uint8) if pixels.ndim == 2 else pixels
