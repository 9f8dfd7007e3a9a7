"""What the measurements of the lite networks share: where things lie, a finished network run over a photo, its price, its figures."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from training.recipe import Folder, Photo, Recipe

PROJECT = Path(__file__).resolve().parent.parent
HERE = PROJECT / "weights" / "lite"
PROVENANCE = "provenance.json"

Figures = dict[str, dict[str, float]]
"""Of one file: the name of what was measured on -> figure -> value."""


@dataclass(frozen=True)
class Places:
    """What a measurement is given.

    Attributes:
        photos: the folder that holds train/ and test/.
        weights: the folder of the lite weights.
        yardsticks: the folder of official checkpoints to measure beside them, where there is one.
    """

    photos: Path
    weights: Path = HERE
    yardsticks: Path | None = None

    @property
    def train(self) -> Path:
        return self.photos / "train"

    def test(self, name: str) -> dict[str, Photo]:
        """The photos of a folder of test/ by file name."""
        return photos_of(
            sorted(
                path
                for path in (self.photos / "test" / name).iterdir()
                if path.suffix.lower() in {".jpg", ".png"}
            )
        )


@dataclass(frozen=True)
class Findings:
    """What a measurement gives: figures, and pictures of what they stand for."""

    figures: Figures
    sheet: Image.Image | None = None


@dataclass(frozen=True)
class Measure:
    """How one file is measured, and held to its target.

    Attributes:
        find: measures it.
        target: what it should reach, in words.
        verdict: (its figures) -> what it reaches, in words, and whether that is the target.
    """

    find: Callable[[Places], Findings]
    target: str
    verdict: Callable[[Figures], tuple[str, bool]]


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
    files = sorted(
        path for path in (photos / folder.name).iterdir() if path.suffix.lower() in {".jpg", ".png"}
    )
    return photos_of(
        [
            file
            for index, file in enumerate(files)
            if folder.holds_back(file.name, len(files) - 1 - index)
        ]
    )


def square(photo: Photo, side_px: int) -> Photo:
    """The middle square of a photo, reduced to that side."""
    side = min(photo.shape[:2])
    top, left = ((length - side) // 2 for length in photo.shape[:2])
    middle = Image.fromarray(photo[top : top + side, left : left + side])
    return np.asarray(middle.resize((side_px, side_px), Image.Resampling.LANCZOS))


def cropped(photo: Photo, multiple: int) -> Photo:
    """The photo's top left part whose sides are multiples of a number."""
    height, width = (side - side % multiple for side in photo.shape[:2])
    return np.ascontiguousarray(photo[:height, :width])


def as_tensor(photo: np.ndarray) -> Tensor:
    """HxWxC uint8 -> 1xCxHxW in [0, 1]."""
    return torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None].to(torch.float32) / 255.0


def through(net: nn.Module, photo: Photo) -> Photo:
    """A photo (HxWxC uint8) through a network, rounded to 8 bits."""
    with torch.inference_mode():
        output = net(as_tensor(photo))[0].clamp(0, 1).permute(1, 2, 0).numpy()
    return np.asarray(np.rint(output * 255.0), np.uint8)


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    """PSNR in dB over all samples of 8 bits."""
    return float(
        10.0 * np.log10(255.0**2 / max(((first.astype(np.float64) - second) ** 2).mean(), 1e-6))
    )


def colour_shift(before: Photo, after: Photo) -> float:
    """How far the mean colour moved, in levels of the channel that moved most."""
    return float(np.abs(after.mean(axis=(0, 1)) - before.mean(axis=(0, 1))).max())


def cost_of(
    net: nn.Module,
    example: Tensor,
    shifts: list[float] | None = None,
    *,
    beside: Mapping[str, nn.Module] | None = None,
    times: int = 5,
) -> dict[str, float]:
    """Seconds of one processor core for a megapixel of input, the least of several runs, and the mean shift of colour if there is one.

    Networks `beside` it run by turns with it, so that what else the machine does meets all alike.
    """
    nets = {"": net, **{f"{name}_": other for name, other in (beside or {}).items()}}
    threads, seconds = torch.get_num_threads(), dict.fromkeys(nets, math.inf)
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            for _ in range(times):
                for name, one in nets.items():
                    begun = time.process_time()
                    one(example)
                    seconds[name] = min(seconds[name], time.process_time() - begun)
    finally:
        torch.set_num_threads(threads)
    megapixels = example.shape[0] * example.shape[-2] * example.shape[-1] / 1e6
    costs = {f"{name}cpu_s_per_megapixel": taken / megapixels for name, taken in seconds.items()}
    return rounded(costs | ({"colour_shift_levels": float(np.mean(shifts))} if shifts else {}))


def rounded(figures: dict[str, float]) -> dict[str, float]:
    """Four decimals are more than any of these figures is good for."""
    return {key: round(float(value), 4) for key, value in figures.items()}


def provenance(folder: Path) -> dict[str, dict[str, object]]:
    """The lines of all files, by file name."""
    rows: dict[str, dict[str, object]] = json.loads(
        (folder / PROVENANCE).read_text(encoding="utf-8")
    )
    return rows


def write_figures(recipe: Recipe, folder: Path, figures: Figures) -> None:
    """Puts the figures into the file's line in provenance.json."""
    rows = provenance(folder)
    rows[recipe.file]["figures"] = figures
    (folder / PROVENANCE).write_text(
        json.dumps(rows, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )
