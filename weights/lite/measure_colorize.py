"""Measures the lite colour network on photos it was never trained on, and colours some that were never in colour.

    python -m weights.lite.measure_colorize --photos ../shared/photos --sheet colour.webp

Each photo keeps its lightness; its colours come from the network at 256 px. Means over photos: CIEDE2000 to the original (over all
pixels) beside that of the grey photo, the share of it that is gained, and colourfulness (Hasler and Suesstrunk, 2003) over the
original's. The photos: those of train/natural and train/faces that are held back, and test/kodak.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from skimage.color import deltaE_ciede2000
from torch import nn

from restore.nets.lite_colorize import AB_SCALE, SIDE_PX
from weights.lite.colouring import COLOUR_RECIPE, resized
from weights.lite.figures import HERE, held_back, photos_of, rounded, square, trained, write_figures
from weights.lite.recipe import Photo

SHOWN_PX = 256
log = logging.getLogger("lite.measure")


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
    labs = [cv2.cvtColor(photo.astype(np.float32) / 255.0, cv2.COLOR_RGB2Lab) for photo in (first, second)]
    return float(deltaE_ciede2000(*labs).mean())  # type: ignore[no-untyped-call]


def colourfulness(photo: Photo) -> float:
    """Hasler and Suesstrunk's measure: 0 is grey, 15 slightly, 45 quite, 80 highly colourful."""
    red, green, blue = photo.reshape(-1, 3).astype(np.float64).T
    opponents = np.stack([red - green, 0.5 * (red + green) - blue])
    return float(np.linalg.norm(opponents.std(axis=1)) + 0.3 * np.linalg.norm(opponents.mean(axis=1)))


def figures_of(net: nn.Module, photos: list[Photo]) -> dict[str, float]:
    """Means over the photos."""
    rows = []
    for photo in photos:
        result, grey = coloured(net, photo), from_lab(np.dstack([lightness_of(photo), np.zeros((*photo.shape[:2], 2), np.float32)]))
        rows.append([difference(result, photo), difference(grey, photo), colourfulness(result), colourfulness(photo)])
    lite, grey_difference, colours, original = np.mean(rows, axis=0)
    means = {"ciede2000": lite, "grey_ciede2000": grey_difference, "gain_percent": 100.0 * (1.0 - lite / grey_difference)}
    return rounded({**means, "colourfulness": colours, "colourfulness_over_original": colours / original}) | {"photos": len(rows)}


def sheet_of(net: nn.Module, historic: list[Photo], known: list[Photo]) -> Image.Image:
    """Historic photos, the same coloured, photos in colour, and these coloured from their lightness, in four rows."""
    columns = min(len(historic), len(known))
    rows = []
    for photos in (historic[:columns], known[:columns]):
        squares = [square(photo, SHOWN_PX) for photo in photos]
        rows += [np.hstack(squares), np.hstack([square(coloured(net, photo), SHOWN_PX) for photo in photos])]
    return Image.fromarray(np.vstack(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder that holds train/ and test/")
    parser.add_argument("--weights", type=Path, default=HERE, help="folder of the weights and of provenance.json")
    parser.add_argument("--sheet", type=Path, help="draw historic photos, coloured, into this file")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    net = trained(COLOUR_RECIPE, args.weights)
    natural, faces = (held_back(folder, args.photos / "train") for folder in COLOUR_RECIPE.folders)
    test = args.photos / "test"
    sets = {"held_back": natural, "held_back_people": faces, "kodak": photos_of(sorted((test / "kodak").glob("*.png")))}
    figures = {name: figures_of(net, list(photos.values())) for name, photos in sets.items()}
    log.info("%s", json.dumps(figures, indent=2))
    write_figures(COLOUR_RECIPE, args.weights, figures)
    if args.sheet:
        historic = photos_of(sorted((test / "historic").glob("*.jpg")))
        sheet_of(net, list(historic.values()), [*list(natural.values())[:5], *sets["kodak"].values()]).save(args.sheet, quality=85)


if __name__ == "__main__":
    main()
