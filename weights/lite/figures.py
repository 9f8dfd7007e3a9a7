"""What the measurements of the lite networks share: a finished network, the photos held back of a folder, a place for figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from weights.lite.recipe import Folder, Photo, Recipe

HERE = Path(__file__).resolve().parent


def trained(recipe: Recipe, folder: Path) -> nn.Module:
    """The recipe's network with the weights in `folder`: float32, eval, no gradients."""
    net = recipe.build()
    net.load_state_dict(load_file(folder / recipe.file))
    return net.float().eval().requires_grad_(requires_grad=False)


def photos_of(files: list[Path]) -> dict[str, Photo]:
    """The photos by file name."""
    return {file.name: np.asarray(Image.open(file).convert("RGB")) for file in files}


def held_back(folder: Folder, photos: Path) -> dict[str, Photo]:
    """The photos of a training folder (below `photos`) that its rule keeps from training."""
    files = sorted(path for path in (photos / folder.name).iterdir() if path.suffix.lower() in {".jpg", ".png"})
    return photos_of([file for index, file in enumerate(files) if folder.holds_back(file.name, len(files) - 1 - index)])


def square(photo: Photo, side_px: int) -> Photo:
    """The middle square of a photo, reduced to that side."""
    side = min(photo.shape[:2])
    top, left = ((length - side) // 2 for length in photo.shape[:2])
    middle = Image.fromarray(photo[top : top + side, left : left + side])
    return np.asarray(middle.resize((side_px, side_px), Image.Resampling.LANCZOS))


def rounded(figures: dict[str, float]) -> dict[str, float]:
    """Four decimals are more than any of these figures is good for."""
    return {key: round(float(value), 4) for key, value in figures.items()}


def write_figures(recipe: Recipe, folder: Path, figures: dict[str, dict[str, float]]) -> None:
    """Puts the figures into the file's line in provenance.json."""
    path = folder / "provenance.json"
    rows = json.loads(path.read_text())
    rows[recipe.file]["figures"] = figures
    path.write_text(json.dumps(rows, indent=2, sort_keys=True) + "\n")
