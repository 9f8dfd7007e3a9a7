"""The definition of a recipe: how one lite network is trained, from photos to weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from training.losses import l1_then_l2_loss, patch_psnr_db
from training.weight_transfer import copy_weights

HELD_BACK_PHOTOS = 8  # the last photos of a folder in name order, unless it has its own rule

Photo = np.ndarray
"""HxWx3 uint8 RGB."""
Pair = tuple[np.ndarray, np.ndarray]
"""Network input and target: HxWxC, uint8 (scaled to [0, 1]) or float32 (used as is)."""
DamageMaps = list[np.ndarray]
"""Opacity of film damage: HxW uint8, 255 is opaque."""

NATURAL = "photos of train/natural: CC0, public domain, Unsplash, Pexels and Pixabay licences"
NATURAL2 = (
    "photos of train/natural2: CC0, CC-BY 4.0 (Pierre-Selim Huard, Alan Diggs, Christian Ferrer), "
    "Unsplash, Pexels, Pixabay and rawpixel licences"
)
EXTRA = (
    "photos of train/extra, listed with repository, licence and author in "
    "training/extra_photos.jsonl: CC0, public domain, CC-BY, Unsplash, Pexels and Pixabay licences"
)
EXTRA2 = (
    "photos of train/extra2, listed with repository and source in training/extra_photos2.jsonl: "
    "CC-BY 2.0"
)
EXTRA3 = (
    "photos of train/extra3, listed with repository and source in training/extra_photos3.jsonl: "
    "CC-BY 2.0, Unsplash and Pexels licences"
)
EXTRA4 = (
    "photos of train/extra4, listed with repository and source in training/extra_photos4.jsonl: "
    "CC-BY 2.0, CC0, Unsplash, Pexels and Pixabay licences"
)
FACES = (
    "portraits of train/faces: members of the US Congress (Government Printing Office, "
    "public domain); Face Research Lab London Set and Canada set (DeBruine & Jones, CC-BY 4.0)"
)
DAMAGE = "damage maps of train/damage: FilmDamageSimulator (Daniela Ivanova, 2022, MIT)"


def pair_with_itself(photo: Photo) -> Pair:
    """Prepare a photo for a recipe whose `draw_patch` does all the work."""
    return photo, photo


@dataclasses.dataclass(frozen=True)
class Folder:
    """One folder of training photos.

    Attributes:
        name: of the folder inside `--photos`. A recipe with one folder also accepts that folder.
        share: share of the patches drawn from it; the shares of a recipe sum to 1.
        is_held_back: (file name, index from the end) to whether a photo is never trained on.
        preprocess: applied once to each photo before `Recipe.prepare`.
        is_optional: whether the folder may be missing; the other shares then grow.
    """

    name: str
    share: float = 1.0
    is_held_back: Callable[[str, int], bool] = lambda _, index: index < HELD_BACK_PHOTOS
    preprocess: Callable[[Photo], Photo] = lambda photo: photo
    is_optional: bool = False


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """Weights of others that a training starts from.

    Attributes:
        source: what they are; goes to provenance.json.
        licence: SPDX identifier; it then applies to a part of the trained weights.
        load: (network, folder for downloads) sets weights of the network.
    """

    source: str
    licence: str
    load: Callable[[nn.Module, Path], None]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one lite network is trained.

    Attributes:
        file: name of the weights file.
        build: builds the network.
        prepare: clean photo to pair, called once per photo.
        draw_patch: (pair, patch side, generator) to one training patch. With `uses_damage_maps`
            it also takes `maps=`.
        patch_px: side of a training patch.
        batch_size: patches per step.
        steps: length of the schedule.
        peak_lr: highest learning rate.
        purpose: what the network is for; goes to provenance.json.
        data: training data and licences; goes to provenance.json.
        folders: folders of training photos.
        symmetries: indices of the augmentations of `apply_symmetry` that are used.
        loss: (output, target, input, progress in [0, 1]) to the loss.
        score: (output, target, input) of one held-back patch to the reported score.
        score_name: name of the score.
        score_px: side of the patches that are scored; default 2 * patch_px.
        score_patches_per_photo: patches that are scored per photo.
        uses_damage_maps: whether the folder damage/ is needed.
        half_precision: whether the file holds float16. Inference uses float32 in any case.
        initial_file: weights file of another recipe that the training starts from.
        pretrained: weights of others that the training starts from.
        transfer_weights: (network, those weights or earlier ones of its own) to the network.
        adversarial_weight: weight of the adversarial gradient (adversary.py); 0 is none.
        load_teacher: loads a network from a file whose output is learnt too; None if there is none.
        peak_until: share of the schedule after which the learning rate starts to fall.
    """

    file: str
    build: Callable[[], nn.Module]
    prepare: Callable[[Photo], Pair]
    draw_patch: Callable[..., Pair]
    patch_px: int
    batch_size: int
    steps: int
    peak_lr: float
    purpose: str
    data: str
    folders: tuple[Folder, ...] = (Folder("natural"),)
    symmetries: tuple[int, ...] = tuple(range(8))
    loss: Callable[[Tensor, Tensor, Tensor, float], Tensor] = l1_then_l2_loss
    score: Callable[[Tensor, Tensor, Tensor], float] = patch_psnr_db
    score_name: str = "psnr_db"
    score_px: int | None = None
    score_patches_per_photo: int = 3
    uses_damage_maps: bool = False
    half_precision: bool = False
    initial_file: str | None = None
    pretrained: Pretrained | None = None
    transfer_weights: Callable[[nn.Module, Mapping[str, Tensor]], nn.Module] = copy_weights
    adversarial_weight: float = 0.0
    load_teacher: Callable[[Path], nn.Module] | None = None
    peak_until: float = 0.0

    def present_folders(self, photos: Path) -> list[Folder]:
        """Return the folders of training photos, without optional ones that `photos` lacks."""
        return [
            folder
            for folder in self.folders
            if not folder.is_optional or (photos / folder.name).is_dir()
        ]


def random_window(
    photo: Photo, side_px: int, max_factor: float, rng: np.random.Generator
) -> tuple[slice, slice]:
    """Draw a square window of 1 to `max_factor` times `side_px`, limited by the size of the photo.

    Returns:
        (rows, columns)
    """
    max_side = min(*photo.shape[:2], int(side_px * max_factor))
    side = int(rng.integers(min(side_px, max_side), max_side + 1))
    top, left = (int(rng.integers(0, length - side + 1)) for length in photo.shape[:2])
    return slice(top, top + side), slice(left, left + side)
