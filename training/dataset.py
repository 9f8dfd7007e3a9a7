"""What a recipe's patches are drawn from: the photos and damage maps of its folders, and what of them is held back."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from training.recipe import VALIDATION_MAPS, Folder, Maps, Pair, Recipe


@dataclasses.dataclass(frozen=True)
class Material:
    """What patches are drawn from: pairs, how often each is drawn, and the damage maps of a recipe that uses them."""

    pairs: list[Pair]
    odds: np.ndarray
    maps: Maps

    def draw(self, recipe: Recipe, index: int, patch_px: int, rng: np.random.Generator) -> Pair:
        """One patch of the pair at `index`."""
        extra = {"maps": self.maps} if recipe.uses_damage else {}
        return recipe.draw(self.pairs[index], patch_px, rng, **extra)


def gathered(recipe: Recipe, photos: Path) -> tuple[Material, Material]:
    """(training material, what is held back of it); within a folder photos are drawn by area."""
    parts: dict[bool, list[tuple[Pair, float]]] = {False: [], True: []}
    for folder in recipe.folders:
        pairs = read_folder(recipe, folder, photos)
        kept = {
            name: folder.holds_back(name, len(pairs) - 1 - index)
            for index, name in enumerate(pairs)
        }
        for is_kept, part in parts.items():
            chosen = [pair for name, pair in pairs.items() if kept[name] is is_kept]
            areas = np.array([pair[0].shape[0] * pair[0].shape[1] for pair in chosen], np.float64)
            part.extend(zip(chosen, folder.share * areas / areas.sum(), strict=True))
    maps = {
        is_kept: damage_maps(photos, is_kept) if recipe.uses_damage else [] for is_kept in parts
    }
    training, held_back = (
        Material([pair for pair, _ in part], np.array([odds for _, odds in part]), maps[is_kept])
        for is_kept, part in parts.items()
    )
    return training, held_back


def damage_maps(photos: Path, is_held_back: bool) -> Maps:
    """The damage maps below `photos` that are trained on, or those that never are: every eighth."""
    files = sorted((photos / "damage").glob("*.png"))
    if not files:
        raise SystemExit(
            f"{photos} holds no folder damage/ with damage maps, which this recipe needs"
        )
    chosen = [
        file for index, file in enumerate(files) if (index % VALIDATION_MAPS == 0) is is_held_back
    ]
    return [np.asarray(Image.open(file).convert("L")) for file in chosen]


def read_folder(recipe: Recipe, folder: Folder, photos: Path) -> dict[str, Pair]:
    """The folder's photos that are large enough, prepared, by file name and in its order."""
    path = photos / folder.name
    if not path.is_dir():
        if len(recipe.folders) > 1 or recipe.uses_damage:
            raise SystemExit(f"{photos} holds no folder {folder.name}/, which this recipe needs")
        path = photos
    files = sorted(p for p in path.iterdir() if p.suffix.lower() in {".jpg", ".png"})
    pairs = {
        p.name: recipe.prepare(folder.retouched(np.asarray(Image.open(p).convert("RGB"))))
        for p in files
    }
    return {name: pair for name, pair in pairs.items() if min(pair[0].shape[:2]) >= recipe.patch_px}
