"""What each lite network is, what it learns from, and how one training patch is drawn; train.py runs these recipes."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from spandrel.architectures.Compact import Compact
from spandrel.architectures.DRUNet import DRUNet
from torch import Tensor, nn

from restore.nets.lite_face import SIDE_PX, LiteFace

VALIDATION_PHOTOS = 8  # of the natural photos, the last in name order are never trained on

Photo = np.ndarray  # HxWx3 uint8 RGB
Pair = tuple[np.ndarray, np.ndarray]  # network input, target: HxWx3 uint8


def psnr_loss(error: Tensor, progress: float) -> Tensor:
    """L1 finds the edges first; the last third minimises what PSNR measures."""
    return error.abs().mean() if progress < 0.67 else error.square().mean() * 8.0


def edge_loss(error: Tensor, progress: float) -> Tensor:
    """L1 of the samples and of their differences to the next in each direction: sharp where the target is, nowhere else."""
    across, down = error[..., 1:] - error[..., :-1], error[..., 1:, :] - error[..., :-1, :]
    return error.abs().mean() + across.abs().mean() + down.abs().mean()


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one lite network is made.

    Attributes:
        prepare: clean photo -> pair, once per photo.
        draw: (pair, patch side, random generator) -> one training patch.
        holds_back: (photo's file name, its place from the end) -> whether the photo is never trained on.
        symmetries: of the square, as `turn` counts them: which of them are drawn.
        loss: (output - target, progress of the schedule in [0, 1]) -> what is minimised.
        half_precision: whether the file holds float16 (computed in float32 all the same).
    """

    file: str
    build: Callable[[], nn.Module]
    prepare: Callable[[Photo], Pair]
    draw: Callable[[Pair, int, np.random.Generator], Pair]
    patch_px: int
    batch: int
    steps: int
    peak_lr: float
    purpose: str
    data: str
    holds_back: Callable[[str, int], bool] = lambda name, place: place < VALIDATION_PHOTOS
    symmetries: tuple[int, ...] = tuple(range(8))
    loss: Callable[[Tensor, float], Tensor] = psnr_loss
    half_precision: bool = False


def halved_twice(photo: Photo) -> Pair:
    """(low, high): `high` cropped to a multiple of 4 and `low` its antialiased bicubic quarter, rounded to 8 bits."""
    height, width = (side - side % 4 for side in photo.shape[:2])
    high = np.ascontiguousarray(photo[:height, :width])
    low = np.asarray(Image.fromarray(high).resize((width // 4, height // 4), Image.Resampling.BICUBIC))
    return low, high


def draw_upscale(pair: Pair, patch_px: int, rng: np.random.Generator) -> Pair:
    """A random aligned patch of `patch_px` low-resolution pixels and its 4x target."""
    low, high = pair
    top, left = (int(rng.integers(0, side - patch_px + 1)) for side in low.shape[:2])
    low_patch = low[top : top + patch_px, left : left + patch_px]
    high_patch = high[4 * top : 4 * (top + patch_px), 4 * left : 4 * (left + patch_px)]
    return low_patch, high_patch


def draw_denoise(pair: Pair, patch_px: int, rng: np.random.Generator) -> Pair:
    """A random clean patch and the same with blind noise: Gaussian sigma 0-50, often with Poisson and JPEG noise too."""
    clean = pair[1]
    top, left = (int(rng.integers(0, side - patch_px + 1)) for side in clean.shape[:2])
    target = np.ascontiguousarray(clean[top : top + patch_px, left : left + patch_px])
    noisy = target.astype(np.float32)
    if rng.random() < 0.25:
        photons = float(np.exp(rng.uniform(np.log(30.0), np.log(1000.0))))  # photons of a white pixel
        noisy = rng.poisson(noisy / 255.0 * photons).astype(np.float32) / photons * 255.0
    sigma = rng.uniform(0.0, 50.0)
    channels = 1 if rng.random() < 0.1 else 3  # film grain is often the same in every channel
    noisy = noisy + sigma * rng.standard_normal((patch_px, patch_px, channels)).astype(np.float32)
    quantised = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        quality = int(rng.integers(30, 96))
        _, encoded = cv2.imencode(".jpg", quantised, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8), target
    return quantised, target


# Sixty people, one in ten of the set: a fixed stride through each part, no one of whom a face recogniser takes for one of the rest
# (dlib's descriptor: no other person within 0.45). london_neutral_010 and london_smiling_010 are the same person.
HELD_BACK_PEOPLE = frozenset(
    [f"congress_{number:03d}" for number in range(5, 435, 11)]
    + [f"london_{number:03d}" for number in range(3, 98, 7)]
    + [f"canada_{number:03d}" for number in range(2, 40, 7)]
)


def person_of(name: str) -> str:
    """The person a file of train/faces shows: `london_smiling_010.jpg` -> `london_010`."""
    return re.sub(r"_(neutral|smiling)", "", Path(name).stem)


def aligned_face(photo: Photo) -> Pair:
    """The face at the network's own size, twice: degradation is drawn anew each time."""
    face = cv2.resize(photo, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    return face, face


def draw_face(pair: Pair, patch_px: int, rng: np.random.Generator) -> Pair:
    """The whole face, slightly misaligned and at times without colour, and the same degraded.

    Detectors disagree by some pixels, and half of the photos that need this were taken before colour.
    """
    side = pair[1].shape[0]
    turn_deg, zoom = rng.normal(0.0, 2.0), float(np.exp(rng.normal(0.0, 0.04)))
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), turn_deg, zoom)
    matrix = matrix + np.array([[0.0, 0.0, shift] for shift in rng.normal(0.0, 3.0, 2)])
    face = cv2.warpAffine(pair[1], matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    if rng.random() < 0.35:
        grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
        tint = np.array([1.0, 0.93, 0.80], np.float32) ** rng.uniform(0.0, 1.2)  # from grey to sepia
        face = np.clip(np.rint(grey * tint), 0, 255).astype(np.uint8)
    # A face with little wrong must come out as it went in, its wrinkles too.
    return (barely_degraded_face if rng.random() < 0.25 else degraded_face)(face, rng), face


def barely_degraded_face(face: Photo, rng: np.random.Generator) -> Photo:
    """Reduction to at most a third, a little grain, no blur and no JPEG: a small face in a good photo."""
    side = face.shape[0]
    small = int(side / rng.uniform(1.0, 3.0))
    image = cv2.resize(face, (small, small), interpolation=cv2.INTER_AREA).astype(np.float32)
    image = image + rng.uniform(0.0, 4.0) * rng.standard_normal((small, small, 1)).astype(np.float32)
    quantised = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return cv2.resize(quantised, (side, side), interpolation=cv2.INTER_LINEAR)


def degraded_face(face: Photo, rng: np.random.Generator) -> Photo:
    """Blur, reduction, noise and JPEG in this order, then back to its size: the model of blind face restoration.

    Wang et al., CVPR 2021, equation 7, for 256 px: sigma to 4, reduction to 6 times, noise to 20 levels, JPEG from 40.
    """
    side = face.shape[0]
    image: np.ndarray = face.astype(np.float32)
    if rng.random() < 0.8:
        wide = rng.uniform(0.3, 4.0)
        narrow = wide * rng.uniform(0.4, 1.0)
        image = _blurred(image, wide, narrow, rng.uniform(0.0, np.pi))
    small = max(int(side / rng.uniform(1.0, 6.0)), 1)
    how = [cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC][int(rng.integers(0, 3))]
    image = cv2.resize(image, (small, small), interpolation=how)
    channels = 1 if rng.random() < 0.5 else 3  # grain is often the same in every channel
    image = image + rng.uniform(0.0, 20.0) * rng.standard_normal((small, small, channels)).astype(np.float32)
    quantised = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        quality = int(rng.integers(40, 96))
        _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(quantised[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
        quantised = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
    return cv2.resize(np.ascontiguousarray(quantised), (side, side), interpolation=cv2.INTER_LINEAR)


def _blurred(image: np.ndarray, wide: float, narrow: float, angle: float) -> np.ndarray:
    """`image` under an oriented Gaussian of these standard deviations in pixels."""
    reach = int(np.ceil(3 * wide))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kernel = np.exp(-0.5 * ((along / wide) ** 2 + (across / narrow) ** 2))
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)


NATURAL = "photos of train/natural: CC0, public domain, Unsplash, Pexels and Pixabay licences"
FACES = (
    "portraits of train/faces: members of the US Congress (Government Printing Office, public domain); "
    "Face Research Lab London Set and Canada set (DeBruine & Jones, CC-BY 4.0)"
)

RECIPES = {
    "upscale": Recipe(
        file="lite_upscale_x4.safetensors",
        build=lambda: Compact(num_feat=48, num_conv=10, upscale=4, act_type="prelu"),
        prepare=halved_twice,
        draw=draw_upscale,
        patch_px=40,
        batch=12,
        steps=18_000,
        peak_lr=1e-3,
        purpose="x4 upscaling of bicubically reduced photos",
        data=NATURAL,
    ),
    "denoise": Recipe(
        file="lite_denoise.safetensors",
        build=lambda: DRUNet(in_nc=3, out_nc=3, nc=[24, 32, 48, 64], nb=2),
        prepare=lambda photo: (photo, photo),
        draw=draw_denoise,
        patch_px=96,
        batch=8,
        steps=12_000,
        peak_lr=1e-3,
        purpose="blind denoising: Gaussian sigma 0-50, Poisson, JPEG",
        data=NATURAL,
    ),
    "faces": Recipe(
        file="lite_faces.safetensors",
        build=LiteFace,
        prepare=aligned_face,
        draw=draw_face,
        patch_px=SIDE_PX,
        batch=4,
        steps=12_000,
        peak_lr=7e-4,
        purpose="aligned faces of 256 px: blur, reduction, noise, JPEG",
        data=FACES,
        holds_back=lambda name, place: person_of(name) in HELD_BACK_PEOPLE,
        symmetries=(0, 4),
        loss=edge_loss,
        half_precision=True,
    ),
}
