"""Training data: the photos and damage maps of a recipe, and which of them are held back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from training.paths import list_photos
from training.recipe import DamageMaps, Folder, Pair, Photo, Recipe

HELD_BACK_MAP_STRIDE = 8  # every eighth damage map is never trained on


@dataclasses.dataclass(frozen=True)
class PatchSource:
    """The photos that patches are drawn from.

    Attributes:
        pairs: prepared photos.
        probabilities: probability of each pair.
        maps: damage maps; empty if the recipe uses none.
    """

    pairs: list[Pair]
    probabilities: np.ndarray
    maps: DamageMaps

    def draw_patch(
        self, recipe: Recipe, index: int, patch_px: int, rng: np.random.Generator
    ) -> Pair:
        """Draw a patch of the pair at `index`."""
        maps = {"maps": self.maps} if recipe.uses_damage_maps else {}
        return recipe.draw_patch(self.pairs[index], patch_px, rng, **maps)


def load_patch_sources(recipe: Recipe, photos: Path) -> tuple[PatchSource, PatchSource]:
    """Load the photos of a recipe.

    Within a folder, the probability of a photo is proportional to its area.

    Returns:
        (training photos, held-back photos)

    Raises:
        SystemExit: a folder is missing.
    """
    folders = recipe.present_folders(photos)
    splits = [_split_folder(recipe, folder, photos) for folder in folders]
    training, held_back = zip(*splits, strict=True)
    return (
        _patch_source(folders, training, _recipe_maps(recipe, photos, is_held_back=False)),
        _patch_source(folders, held_back, _recipe_maps(recipe, photos, is_held_back=True)),
    )


def _patch_source(
    folders: Sequence[Folder], pairs_by_folder: Sequence[list[Pair]], maps: DamageMaps
) -> PatchSource:
    probabilities = []
    total = sum(folder.share for folder in folders)
    for folder, pairs in zip(folders, pairs_by_folder, strict=True):
        areas = np.array([pair[0].shape[0] * pair[0].shape[1] for pair in pairs], np.float64)
        probabilities.append(folder.share / total * areas / areas.sum())
    pairs = [pair for folder_pairs in pairs_by_folder for pair in folder_pairs]
    return PatchSource(pairs, np.concatenate(probabilities), maps)


def _split_folder(recipe: Recipe, folder: Folder, photos: Path) -> tuple[list[Pair], list[Pair]]:
    """Read and prepare the photos of a folder that are large enough.

    Returns:
        (training pairs, held-back pairs)
    """
    path = photos / folder.name
    if not path.is_dir():
        if len(recipe.folders) > 1 or recipe.uses_damage_maps:
            raise SystemExit(f"{photos} has no folder {folder.name}/, which this recipe needs")
        path = photos
    prepared = [
        (file.name, recipe.prepare(folder.preprocess(read_rgb(file)))) for file in list_photos(path)
    ]
    large = [(name, pair) for name, pair in prepared if min(pair[0].shape[:2]) >= recipe.patch_px]
    split: tuple[list[Pair], list[Pair]] = ([], [])
    for index, (name, pair) in enumerate(large):
        split[folder.is_held_back(name, len(large) - 1 - index)].append(pair)
    return split


def _recipe_maps(recipe: Recipe, photos: Path, *, is_held_back: bool) -> DamageMaps:
    return read_damage_maps(photos, is_held_back=is_held_back) if recipe.uses_damage_maps else []


def read_damage_maps(photos: Path, *, is_held_back: bool) -> DamageMaps:
    """Read the damage maps that are trained on, or those that are held back.

    Raises:
        SystemExit: there are none.
    """
    files = sorted((photos / "damage").glob("*.png"))
    if not files:
        raise SystemExit(
            f"{photos} has no folder damage/ with damage maps (PNG), which this recipe needs"
        )
    selected = [
        file
        for index, file in enumerate(files)
        if (index % HELD_BACK_MAP_STRIDE == 0) is is_held_back
    ]
    return [np.asarray(Image.open(file).convert("L")) for file in selected]


def read_rgb(file: Path) -> Photo:
    """Read a photo as HxWx3 uint8."""
    return np.asarray(Image.open(file).convert("RGB"))


def read_photos(files: Iterable[Path]) -> dict[str, Photo]:
    """Read photos by file name."""
    return {file.name: read_rgb(file) for file in files}


def read_held_back(folder: Folder, photos: Path) -> dict[str, Photo]:
    """Read the held-back photos of a training folder inside `photos`, by file name."""
    files = list_photos(photos / folder.name)
    return read_photos(
        file
        for index, file in enumerate(files)
        if folder.is_held_back(file.name, len(files) - 1 - index)
    )
