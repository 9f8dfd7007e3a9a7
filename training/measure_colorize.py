"""Measures the lite colour network on photos it was never trained on, and colours some that were never in colour.

Each photo keeps its lightness; its colours come from the network at 256 px. Means over photos: CIEDE2000 to the original (over all
pixels) beside that of the grey photo, the share of it that is gained, and colourfulness (Hasler and Suesstrunk, 2003) over the
original's. The photos: those of train/natural and train/faces that are held back, and test/kodak.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from PIL import Image
from skimage.color import deltaE_ciede2000
from torch import nn

from restore.nets.lite.colorize import AB_SCALE, SIDE_PX
from training.recipe_colorize import COLOUR_RECIPE, resized
from training.metrics import (
    Figures,
    Findings,
    Measure,
    Places,
    cost_of,
    held_back,
    rounded,
    square,
    trained,
)
from training.recipe import Photo

SHOWN_PX = 256


def coloured(net: nn.Module, photo: Photo) -> Photo:
    """A photo (HxWx3 uint8, its colours not looked at) with its own lightness and the network's colours."""
    height, width = photo.shape[:2]
    small = lightness_of(resized(photo, SIDE_PX)) / 100.0
    ab = net(torch.from_numpy(small)[None, None])[0].permute(1, 2, 0).numpy() * AB_SCALE
    wide = cv2.resize(ab, (width, height), interpolation=cv2.INTER_LINEAR)
    return from_lab(np.dstack([lightness_of(photo), wide]))


def lightness_of(photo: Photo) -> np.ndarray:
    """L of CIE Lab in 0-100; HxW float32."""
    return np.asarray(cv2.cvtColor(photo.astype(np.float32) / 255.0, cv2.COLOR_RGB2Lab)[..., 0])


def from_lab(lab: np.ndarray) -> Photo:
    """HxWx3 float32 Lab -> RGB uint8."""
    rgb = cv2.cvtColor(np.ascontiguousarray(lab, np.float32), cv2.COLOR_Lab2RGB)
    return np.asarray(np.clip(np.rint(rgb * 255.0), 0, 255), np.uint8)


def difference(first: Photo, second: Photo) -> float:
    """Mean CIEDE2000."""
    labs = [
        cv2.cvtColor(photo.astype(np.float32) / 255.0, cv2.COLOR_RGB2Lab)
        for photo in (first, second)
    ]
    return float(deltaE_ciede2000(*labs).mean())  # type: ignore[no-untyped-call]


def colourfulness(photo: Photo) -> float:
    """Hasler and Suesstrunk's measure: 0 is grey, 15 slightly, 45 quite, 80 highly colourful."""
    red, green, blue = photo.reshape(-1, 3).astype(np.float64).T
    opponents = np.stack([red - green, 0.5 * (red + green) - blue])
    return float(
        np.linalg.norm(opponents.std(axis=1)) + 0.3 * np.linalg.norm(opponents.mean(axis=1))
    )


def figures_of(net: nn.Module, photos: list[Photo]) -> dict[str, float]:
    """Means over the photos."""
    rows = []
    for photo in photos:
        result, grey = (
            coloured(net, photo),
            from_lab(np.dstack([lightness_of(photo), np.zeros((*photo.shape[:2], 2), np.float32)])),
        )
        rows.append(
            [
                difference(result, photo),
                difference(grey, photo),
                colourfulness(result),
                colourfulness(photo),
            ]
        )
    lite, grey_difference, colours, original = np.mean(rows, axis=0)
    means = {
        "ciede2000": lite,
        "grey_ciede2000": grey_difference,
        "gain_percent": 100.0 * (1.0 - lite / grey_difference),
    }
    return rounded(
        {**means, "colourfulness": colours, "colourfulness_over_original": colours / original}
    ) | {"photos": len(rows)}


def sheet_of(net: nn.Module, historic: list[Photo], known: list[Photo]) -> Image.Image:
    """Historic photos, the same coloured, photos in colour, and these coloured from their lightness, in four rows."""
    columns = min(len(historic), len(known))
    rows = []
    for photos in (historic[:columns], known[:columns]):
        squares = [square(photo, SHOWN_PX) for photo in photos]
        rows += [
            np.hstack(squares),
            np.hstack([square(coloured(net, photo), SHOWN_PX) for photo in photos]),
        ]
    return Image.fromarray(np.vstack(rows))


def find(places: Places) -> Findings:
    """The figures of each set of photos, and pictures of photos that never had colours and of some that had."""
    net = trained(COLOUR_RECIPE, places.weights)
    natural, faces = (held_back(folder, places.train) for folder in COLOUR_RECIPE.folders)
    sets = {"held_back": natural, "held_back_people": faces, "kodak": places.test("kodak")}
    figures = {name: figures_of(net, list(photos.values())) for name, photos in sets.items()}
    figures["cost"] = cost_of(net, torch.rand(1, 1, SIDE_PX, SIDE_PX))
    known = [*list(natural.values())[:5], *sets["kodak"].values()]
    return Findings(figures, sheet_of(net, list(places.test("historic").values()), known))


def verdict(figures: Figures) -> tuple[str, bool]:
    """How far under grey on each set, and the most colourful of them beside its original."""
    gains = {
        name: figures[name]["gain_percent"] for name in ("kodak", "held_back_people", "held_back")
    }
    most = max(figures[name]["colourfulness_over_original"] for name in gains)
    words = "Kodak {kodak:.1f} %, people {held_back_people:.0f} %, held-back nature {held_back:.0f} %".format(
        **gains
    )
    return f"{words} under grey; colourfulness at most {most:.2f} of the originals'", min(
        gains.values()
    ) >= 15.0 and most <= 1.0


MEASURE = Measure(find, "CIEDE2000 15 % under grey, no more colourful than the originals", verdict)
