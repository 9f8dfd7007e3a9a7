"""Definitions and helpers that the evaluations of all lite networks share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from training.dataset import read_photos
from training.paths import LITE_WEIGHTS, list_photos
from training.provenance import Figures
from training.recipe import Photo, Recipe
from training.tensors import to_pixels, to_tensor

EVALUATION_SEED = 2026


@dataclass(frozen=True)
class EvaluationPaths:
    """Where an evaluation reads.

    Attributes:
        photos: folder with train/ and test/.
        weights: folder of the lite weights.
        references: folder of official checkpoints that are measured for comparison.
    """

    photos: Path
    weights: Path = LITE_WEIGHTS
    references: Path | None = None

    @property
    def train(self) -> Path:
        return self.photos / "train"

    def read_test_set(self, name: str) -> dict[str, Photo]:
        """Read the photos of a folder in test/, by file name."""
        return read_photos(list_photos(self.photos / "test" / name))


@dataclass(frozen=True)
class Measurement:
    """The result of an evaluation.

    Attributes:
        figures: measured figures.
        sheet: example pictures.
    """

    figures: Figures
    sheet: Image.Image | None = None


class Assessment(NamedTuple):
    """What the figures reach, in words, and whether this meets the target."""

    summary: str
    is_met: bool


@dataclass(frozen=True)
class Evaluation:
    """How the weights of one recipe are evaluated.

    Attributes:
        measure: measures them.
        target: what they should reach, in words.
        assess: compares figures with the target.
    """

    measure: Callable[[EvaluationPaths], Measurement]
    target: str
    assess: Callable[[Figures], Assessment]


def load_trained(recipe: Recipe, folder: Path) -> nn.Module:
    """Load a network with its finished weights: float32, eval mode, no gradients."""
    net = recipe.build()
    net.load_state_dict(load_file(folder / recipe.file))
    return net.float().eval().requires_grad_(requires_grad=False)


def apply_net(net: nn.Module, photo: Photo) -> Photo:
    """Run a network on a photo and round its output to 8 bits."""
    with torch.inference_mode():
        return to_pixels(net(to_tensor(photo))[0])


def centre_square(photo: Photo, side_px: int) -> Photo:
    """Crop the largest centred square and reduce it to a side."""
    cropped = crop_centre(photo, min(photo.shape[:2]))
    image = Image.fromarray(cropped)
    return np.asarray(image.resize((side_px, side_px), Image.Resampling.LANCZOS))


def crop_centre(photo: Photo, side_px: int) -> Photo:
    """Crop a centred square."""
    top, left = ((length - side_px) // 2 for length in photo.shape[:2])
    return np.ascontiguousarray(photo[top : top + side_px, left : left + side_px])


def crop_to_multiple(photo: Photo, multiple: int) -> Photo:
    """Crop the right and the bottom so that the sides are multiples of a number."""
    height, width = (side - side % multiple for side in photo.shape[:2])
    return np.ascontiguousarray(photo[:height, :width])
