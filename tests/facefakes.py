"""Fake detectors, face networks and parsers for tests, and contexts that use them."""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from skimage import data

from restore.faces.align import TEMPLATE
from restore.faces.face import Face
from restore.faces.limits import NETWORK
from restore.imaging.photo import Photo
from restore.models.catalog import Catalog
from restore.models.loader import Model
from restore.models.partial_download import UnusableSourceError
from restore.options import FaceRestoreOptions, RuntimeProfile
from restore.pipelines.context import StepContext
from restore.pipelines.face_restore import run_face_restore
from restore.report import Report
from restore.runtime.device import runtime_for

ASTRONAUT = data.astronaut()[:256, 96:352]
CPU = torch.device("cpu")


class FixedDetector:
    """Returns the faces that it was created with, and records how it was called.

    In the crop of a face, it finds the face again, in its place.
    """

    name = "fixed"
    weights: tuple[dict[str, object], ...] = ()

    def __init__(self, *faces: Face) -> None:
        self.faces = list(faces)
        self.calls: list[tuple[int | None, float]] = []

    def find(
        self, pixels: np.ndarray, *, short_side_px: int | None, threshold: float
    ) -> list[Face]:
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        if threshold == NETWORK.min_again_score:  # the second detection, in an aligned crop
            return [aligned_face(pixels.shape[0])]
        self.calls.append((short_side_px, threshold))
        return self.faces


class RecordingNetwork:
    """Replaces `restore_faces`: brightens faces by `change`, and records its inputs."""

    def __init__(self, change: float = 0.1) -> None:
        self.change = change
        self.inputs: list[torch.Tensor] = []
        self.fidelities: list[float] = []

    def __call__(self, faces: torch.Tensor, model: Model, fidelity: float) -> torch.Tensor:
        self.inputs += list(faces.clone())
        self.fidelities.append(fidelity)
        return (faces + self.change).clamp(0, 1)


class FullFaceParser(torch.nn.Module):
    """Labels every pixel as face, and records its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs: list[torch.Tensor] = []

    def forward(self, faces: torch.Tensor) -> list[torch.Tensor]:
        self.inputs += list(faces.clone())
        logits = torch.zeros(len(faces), 19, 512, 512)
        logits[:, 1] = 1
        return [logits]


class NanNetwork(torch.nn.Module):
    """Returns NaN."""

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        return faces * float("nan")


def aligned_face(side_px: int) -> Face:
    """Return the face of an aligned crop of this side."""
    landmarks = TEMPLATE * side_px / 512
    (left, top), (right, bottom) = landmarks.min(axis=0), landmarks.max(axis=0)
    return Face((left, top, right, bottom), 0.99, landmarks)


def face_at(x: float, y: float, size: float, tilt_deg: float = 0.0) -> Face:
    """Return a face whose crop is a square of side 3.2 * size around (x, y)."""
    angle = np.deg2rad(tilt_deg)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = (TEMPLATE - 256) / 160 * size @ rotation.T + (x, y)
    return Face((x - size / 2, y - size / 2, x + size / 2, y + size / 2), 0.99, landmarks)


def official_model(variant: str, parser: torch.nn.Module | None = None) -> Model:
    """Return a model with the row of an official network, whose `restore_faces` is replaced."""
    row = Catalog.load().find("face_restore", variant)
    return Model(row, variant, torch.nn.Identity(), {"parser": parser or FullFaceParser()})


def contexts_of(
    model: Model, *detectors: FixedDetector, profile: RuntimeProfile = "baseline"
) -> list[StepContext]:
    """Return one context per detector, for photos named 0.png, 1.png, ..."""
    return [
        StepContext(
            {"face_restore": model},
            runtime_for(profile, CPU),
            Report(f"{index}.png", "face_restore"),
            detector=detector,
        )
        for index, detector in enumerate(detectors)
    ]


def restore_one(
    model: Model,
    pixels: np.ndarray,
    *faces: Face,
    alpha: np.ndarray | None = None,
    **options: object,
) -> tuple[Photo, Report]:
    """Run face_restore on one photo with the given faces."""
    [context] = contexts_of(model, FixedDetector(*faces))
    [photo] = run_face_restore(
        [Photo("0.png", pixels, alpha)], FaceRestoreOptions.model_validate(options), [context]
    )
    return photo, context.report


def count_batches(
    function: Callable[..., torch.Tensor], sizes: list[int]
) -> Callable[..., torch.Tensor]:
    """Wrap `restore_faces` so that it appends the size of each batch to a list."""

    def count(faces: torch.Tensor, **options: object) -> torch.Tensor:
        sizes.append(len(faces))
        return function(faces, **options)

    return count


def refuse_download(self: object, *args: object) -> None:
    """Replaces `Downloader.fetch`."""
    raise UnusableSourceError("no network in tests")


def degrade(pixels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Blur a photo and add noise."""
    blurred = cv2.GaussianBlur(pixels, (0, 0), 1.2)
    noise = np.random.default_rng(seed).normal(0, 8, blurred.shape)
    return np.clip(blurred + noise, 0, 255).astype(np.uint8)


def mean_squared_error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean((a.astype(float) - b.astype(float)) ** 2))
