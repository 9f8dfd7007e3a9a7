"""The recipe of the lite face network: who is held back, and how a face is degraded."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

from restore.nets.lite.face import SIDE_PX, LiteFace
from training.recipe import FACES, Folder, Pair, Photo, Recipe, edge_loss

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


def is_of_a_held_back_person(name: str, place: int) -> bool:
    """Whether a file of train/faces is never trained on."""
    return person_of(name) in HELD_BACK_PEOPLE


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
    face = cv2.warpAffine(
        pair[1], matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    if rng.random() < 0.35:
        grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
        tint = np.array([1.0, 0.93, 0.80], np.float32) ** rng.uniform(
            0.0, 1.2
        )  # from grey to sepia
        face = np.clip(np.rint(grey * tint), 0, 255).astype(np.uint8)
    # A face with little wrong must come out as it went in, its wrinkles too.
    return (barely_degraded_face if rng.random() < 0.4 else degraded_face)(face, rng), face


def barely_degraded_face(face: Photo, rng: np.random.Generator) -> Photo:
    """Reduction to at most a third, a little grain, no blur and no JPEG: a small face in a good photo."""
    side = face.shape[0]
    small = int(side / rng.uniform(1.0, 3.0))
    image = cv2.resize(face, (small, small), interpolation=cv2.INTER_AREA).astype(np.float32)
    image = image + rng.uniform(0.0, 4.0) * rng.standard_normal((small, small, 1)).astype(
        np.float32
    )
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
    image = image + rng.uniform(0.0, 20.0) * rng.standard_normal((small, small, channels)).astype(
        np.float32
    )
    quantised = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        quality = int(rng.integers(40, 96))
        _, encoded = cv2.imencode(
            ".jpg", np.ascontiguousarray(quantised[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality]
        )
        quantised = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
    return cv2.resize(np.ascontiguousarray(quantised), (side, side), interpolation=cv2.INTER_LINEAR)


def _blurred(image: np.ndarray, wide: float, narrow: float, angle: float) -> np.ndarray:
    """`image` under an oriented Gaussian of these standard deviations in pixels."""
    reach = int(np.ceil(3 * wide))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kernel = np.exp(-0.5 * ((along / wide) ** 2 + (across / narrow) ** 2))
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)


FACE_RECIPE = Recipe(
    file="lite_faces.safetensors",
    build=LiteFace,
    prepare=aligned_face,
    draw=draw_face,
    patch_px=SIDE_PX,
    batch=12,
    steps=100_000,
    peak_lr=5e-4,
    purpose="aligned faces of 256 px: blur, reduction, noise, JPEG",
    data=FACES,
    folders=(Folder("faces", holds_back=is_of_a_held_back_person),),
    symmetries=(0, 4),
    loss=edge_loss,
    half_precision=True,
)
