"""The recipe of the lite face network: held-back people, degradation of faces, identity loss.

The descriptor that the evaluation measures (dlib's) cannot be differentiated. The loss therefore
uses features of the embedded face detector, CenterFace. On 25 held-back faces in five versions
each, L1 of samples and differences explains 42 % of the variance of the descriptor's distance (all
as logarithms), and 79 % together with the distance of these features.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from restore.nets.centerface import CenterFace
from restore.nets.lite.face import INPUT_PX, LiteFace
from training.degradations import jpeg_round_trip, quantise, random_interpolation
from training.losses import l1_gradient_loss
from training.paths import LITE_WEIGHTS
from training.recipe import FACES, Folder, Pair, Photo, Recipe

# Sixty people, one in ten: a fixed stride through each part of the set. No other person of the set
# is within 0.45 of them by dlib's face descriptor. london_neutral_010 and london_smiling_010 show
# the same person.
HELD_BACK_PEOPLE = frozenset(
    [f"congress_{number:03d}" for number in range(5, 435, 11)]
    + [f"london_{number:03d}" for number in range(3, 98, 7)]
    + [f"canada_{number:03d}" for number in range(2, 40, 7)]
)
GREY_PROBABILITY = 0.35  # of a training face without colour: many old photos are grey or sepia
BARELY_DEGRADED_SHARE = 0.4  # a good face must come out unchanged, wrinkles included
IDENTITY_FILE = "centerface.safetensors"
IDENTITY_STAGES = (1, 3)  # of CenterFace, at 1/4 and 1/16 of the size
IDENTITY_WEIGHT = 0.05
MIN_FEATURE_VARIANCE = 1e-3
SEPIA = (1.0, 0.93, 0.80)  # channel gains


def person_of(name: str) -> str:
    """Return the person of a file of train/faces: london_smiling_010.jpg gives london_010."""
    return re.sub(r"_(neutral|smiling)", "", Path(name).stem)


def is_held_back_person(name: str, index_from_end: int) -> bool:
    """Return whether a file of train/faces is never trained on."""
    return person_of(name) in HELD_BACK_PEOPLE


def prepare_face(photo: Photo) -> Pair:
    """Resize a face to the input size of the network."""
    face = cv2.resize(photo, (INPUT_PX, INPUT_PX), interpolation=cv2.INTER_AREA)
    return face, face


def draw_face(pair: Pair, patch_px: int, rng: np.random.Generator) -> Pair:
    """Draw a slightly misaligned face, as face detectors give it, and degrade it.

    Returns:
        (degraded face, clean face)
    """
    side = pair[1].shape[0]
    angle_deg, zoom = rng.normal(0.0, 2.0), float(np.exp(rng.normal(0.0, 0.04)))
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), angle_deg, zoom)
    matrix = matrix + np.array([[0.0, 0.0, shift] for shift in rng.normal(0.0, 3.0, 2)])
    face = cv2.warpAffine(
        pair[1], matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    if rng.random() < GREY_PROBABILITY:
        grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
        face = quantise(grey * np.array(SEPIA, np.float32) ** rng.uniform(0.0, 1.2))
    degrade = degrade_face_barely if rng.random() < BARELY_DEGRADED_SHARE else degrade_face
    return degrade(face, rng), face


def degrade_face_barely(face: Photo, rng: np.random.Generator) -> Photo:
    """Reduce by a factor of up to 3 and add a little grain: a small face in a good photo."""
    side = face.shape[0]
    small = int(side / rng.uniform(1.0, 3.0))
    image = cv2.resize(face, (small, small), interpolation=cv2.INTER_AREA).astype(np.float32)
    sigma = rng.uniform(0.0, 4.0)
    image = image + sigma * rng.standard_normal((small, small, 1)).astype(np.float32)
    return _resize(quantise(image), side)


def degrade_face(face: Photo, rng: np.random.Generator) -> Photo:
    """Apply blur, reduction, noise and JPEG: the model of blind face restoration.

    Wang et al., CVPR 2021, equation 7, with ranges for 256 px: sigma up to 4 px, reduction by up
    to 6, noise of up to 20 levels, JPEG quality from 40.
    """
    side = face.shape[0]
    image: np.ndarray = face.astype(np.float32)
    if rng.random() < 0.8:
        sigma_1 = rng.uniform(0.3, 4.0)
        sigma_2 = sigma_1 * rng.uniform(0.4, 1.0)
        image = _blur(image, sigma_1, sigma_2, rng.uniform(0.0, np.pi))
    small = max(int(side / rng.uniform(1.0, 6.0)), 1)
    image = cv2.resize(image, (small, small), interpolation=random_interpolation(rng))
    channels = 1 if rng.random() < 0.5 else 3  # film grain is often equal in all channels
    sigma = rng.uniform(0.0, 20.0)
    image = image + sigma * rng.standard_normal((small, small, channels)).astype(np.float32)
    degraded = quantise(image)
    if rng.random() < 0.6:
        degraded = jpeg_round_trip(degraded[..., ::-1], int(rng.integers(40, 96)))[..., ::-1]
    return _resize(np.ascontiguousarray(degraded), side)


def _resize(face: Photo, side_px: int) -> Photo:
    return np.asarray(cv2.resize(face, (side_px, side_px), interpolation=cv2.INTER_LINEAR))


def _blur(image: np.ndarray, sigma_1: float, sigma_2: float, angle: float) -> np.ndarray:
    """Apply an oriented Gaussian with these standard deviations in pixels; sigma_1 >= sigma_2."""
    radius = int(np.ceil(3 * sigma_1))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float32)
    axis_1, axis_2 = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kernel = np.exp(-0.5 * ((axis_1 / sigma_1) ** 2 + (axis_2 / sigma_2) ** 2))
    return np.asarray(
        cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)
    )


def face_loss(output: Tensor, target: Tensor, source: Tensor, progress: float) -> Tensor:
    """L1 of samples and differences, plus the distance of the features that tell people apart."""
    fidelity = l1_gradient_loss(output, target, source, progress)
    return fidelity + IDENTITY_WEIGHT * identity_distance(output, target)


def identity_distance(faces: Tensor, clean: Tensor) -> Tensor:
    """Return the mean squared difference of features, relative to their variance in the clean face.

    Args:
        faces: Nx3x256x256 RGB in [0, 1].
        clean: the same people, likewise.
    """
    with torch.no_grad():
        expected = _face_features(clean)
    distances = []
    for found, true in zip(_face_features(faces), expected, strict=True):
        variance = true.var(dim=(2, 3)) + MIN_FEATURE_VARIANCE
        distances.append(((found - true).square().mean(dim=(2, 3)) / variance).mean())
    return torch.stack(distances).mean()


def _face_features(faces: Tensor) -> list[Tensor]:
    """Return the outputs of IDENTITY_STAGES of CenterFace."""
    net, features = _load_detector(faces.device), []
    x = F.relu(net.stem(255.0 * faces))
    for index, stage in enumerate(net.stages[: max(IDENTITY_STAGES) + 1]):
        x = stage(x)
        if index in IDENTITY_STAGES:
            features.append(x)
    return features


@functools.cache
def _load_detector(device: torch.device) -> CenterFace:
    net = CenterFace()
    net.load_state_dict(load_file(LITE_WEIGHTS / IDENTITY_FILE))
    return net.float().eval().requires_grad_(requires_grad=False).to(device)


FACE_RECIPE = Recipe(
    file="lite_faces.safetensors",
    build=LiteFace,
    prepare=prepare_face,
    draw_patch=draw_face,
    patch_px=INPUT_PX,
    batch_size=12,
    steps=100_000,
    peak_lr=5e-4,
    purpose="aligned faces of 256 px: blur, reduction, noise, JPEG",
    data=FACES,
    folders=(Folder("faces", is_held_back=is_held_back_person),),
    symmetries=(0, 4),
    loss=face_loss,
    half_precision=True,
)
