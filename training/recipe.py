"""What a recipe of a lite network is: where its photos lie, how a patch is drawn, what is minimised and what is reported."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np
from torch import Tensor, nn

VALIDATION_PHOTOS = (
    8  # of a folder without a rule of its own, the last in name order are never trained on
)
VALIDATION_MAPS = 8  # of the damage maps, every eighth is never trained on

Photo = np.ndarray  # HxWx3 uint8 RGB
Pair = tuple[
    np.ndarray, np.ndarray
]  # network input, target: HxWxC, uint8 (read as [0, 1]) or float32 (read as it is)
Maps = list[np.ndarray]  # opacity of damage, HxW uint8, 255 = opaque

NATURAL = "photos of train/natural: CC0, public domain, Unsplash, Pexels and Pixabay licences"
FACES = (
    "portraits of train/faces: members of the US Congress (Government Printing Office, public domain); "
    "Face Research Lab London Set and Canada set (DeBruine & Jones, CC-BY 4.0)"
)
DAMAGE = "damage maps of train/damage: FilmDamageSimulator (Daniela Ivanova, 2022, MIT)"


def psnr_loss(output: Tensor, target: Tensor, source: Tensor, progress: float) -> Tensor:
    """L1 finds the edges first; the last third minimises what PSNR measures."""
    return (
        (output - target).abs().mean()
        if progress < 0.67
        else squared_loss(output, target, source, progress)
    )


def squared_loss(output: Tensor, target: Tensor, source: Tensor, progress: float) -> Tensor:
    """What PSNR measures, from the first step: what is noisiest counts most."""
    return (output - target).square().mean() * 8.0


def edge_loss(output: Tensor, target: Tensor, source: Tensor, progress: float) -> Tensor:
    """L1 of the samples and of their differences to the next in each direction: sharp where the target is, nowhere else."""
    error = output - target
    across, down = error[..., 1:] - error[..., :-1], error[..., 1:, :] - error[..., :-1, :]
    return error.abs().mean() + across.abs().mean() + down.abs().mean()


def psnr_db(output: Tensor, target: Tensor, source: Tensor) -> float:
    """PSNR of a patch whose samples lie in [0, 1]."""
    return -10.0 * math.log10(float((output.clamp(0, 1) - target).square().mean()) + 1e-10)


def loaded(net: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """The network with exactly these weights."""
    net.load_state_dict(state)
    return net


def widened(net: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """A network that begins as a narrower one: new channels are made as in a new network, but nothing looks at them yet.

    (Net2Net: Chen, Goodfellow and Shlens, ICLR 2016.)
    """
    transposed = {
        f"{name}.weight"
        for name, module in net.named_modules()
        if isinstance(module, nn.ConvTranspose2d)
    }
    own = net.state_dict()
    for key, value in own.items():
        # A view with what is made first, then what that is made of; a bias is only made.
        made, narrow = (
            weights.transpose(0, 1) if key in transposed else weights
            for weights in (value, state[key])
        )
        part = tuple(slice(length) for length in narrow.shape)
        if narrow.dim() > 1:
            made[part[0], narrow.shape[1] :] = 0.0
        made[part] = narrow
    net.load_state_dict(own)
    return net


@dataclasses.dataclass(frozen=True)
class Folder:
    """One folder of training photos.

    Attributes:
        name: of the folder below `--photos`; a recipe with one folder may be given that folder itself.
        share: of the patches that are drawn from it; the shares of a recipe sum to 1.
        holds_back: (photo's file name, its place from the end) -> whether the photo is never trained on.
        retouched: what is done once to each photo before it is prepared.
    """

    name: str
    share: float = 1.0
    holds_back: Callable[[str, int], bool] = lambda name, place: place < VALIDATION_PHOTOS
    retouched: Callable[[Photo], Photo] = lambda photo: photo


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one lite network is made.

    Attributes:
        prepare: clean photo -> pair, once per photo.
        draw: (pair, patch side, random generator) -> one training patch; where `uses_damage`, it is also given `maps=`.
        symmetries: of the square, as `turn` counts them: which of them are drawn.
        loss: (output, target, source, progress of the schedule in [0, 1]) -> what is minimised.
        score: (output, target, source) of one held-back patch -> what is reported of it, under the name `score_name`.
        score_px: the side of these patches; twice `patch_px` by default.
        score_draws: how many of them are drawn of each photo.
        uses_damage: whether the folder `damage` beside the photos is needed.
        half_precision: whether the file holds float16 (computed in float32 all the same).
        begins_with: the file of another recipe whose weights `begin` puts into the network before the first step.
        begin: (network, those weights, or earlier ones of its own) -> the network.
        adversarial: the weight of an adversary's gradient (adversary.py) beside that of the loss; 0 is none.
        held_until: the share of the schedule that the learning rate stays at its peak.
    """

    file: str
    build: Callable[[], nn.Module]
    prepare: Callable[[Photo], Pair]
    draw: Callable[..., Pair]
    patch_px: int
    batch: int
    steps: int
    peak_lr: float
    purpose: str
    data: str
    folders: tuple[Folder, ...] = (Folder("natural"),)
    symmetries: tuple[int, ...] = tuple(range(8))
    loss: Callable[[Tensor, Tensor, Tensor, float], Tensor] = psnr_loss
    score: Callable[[Tensor, Tensor, Tensor], float] = psnr_db
    score_name: str = "psnr_db"
    score_px: int | None = None
    score_draws: int = 3
    uses_damage: bool = False
    half_precision: bool = False
    begins_with: str | None = None
    begin: Callable[[nn.Module, Mapping[str, Tensor]], nn.Module] = loaded
    adversarial: float = 0.0
    held_until: float = 0.0


def as_it_is(photo: Photo) -> Pair:
    """For a recipe whose whole work is in `draw`."""
    return photo, photo


def drawn_window(
    photo: Photo, side_px: int, most: float, rng: np.random.Generator
) -> tuple[slice, slice]:
    """A random square window of 1 to `most` times `side_px`, as far as the photo is that large."""
    longest = min(*photo.shape[:2], int(side_px * most))
    side = int(rng.integers(min(side_px, longest), longest + 1))
    top, left = (int(rng.integers(0, length - side + 1)) for length in photo.shape[:2])
    return slice(top, top + side), slice(left, left + side)
