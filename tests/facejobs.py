"""Jobs with faces for tests: a photo, detectors, networks and parsers that stand in for real ones, and what came of it."""

import cv2
import numpy as np
import torch
from skimage import data

from restore.faces.align import TEMPLATE
from restore.faces.face import Face
from restore.imaging.photo import Photo
from restore.models.catalog import Catalog
from restore.models.loader import Model
from restore.models.partial_download import UnusableSourceError
from restore.options import FaceRestoreOptions
from restore.pipelines.context import StepContext
from restore.pipelines.face_restore import run_face_restore
from restore.report import Report
from restore.runtime.device import runtime_for

ASTRONAUT = data.astronaut()[:256, 96:352]
CPU = torch.device("cpu")


class FixedDetector:
    """Finds the faces that it was given."""

    name = "fixed"
    weights = ()

    def __init__(self, *faces: Face) -> None:
        self.faces = list(faces)
        self.asked: list[tuple[int | None, float]] = []

    def find(
        self, pixels: np.ndarray, *, short_side_px: int | None, threshold: float
    ) -> list[Face]:
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        self.asked.append((short_side_px, threshold))
        return self.faces


class Recorder:
    """Stands in for `restored`: brightens faces by what a test asks, and keeps what it was handed."""

    def __init__(self, change: float = 0.2) -> None:
        self.change, self.seen, self.fidelities = change, [], []

    def __call__(self, faces: torch.Tensor, model: Model, fidelity: float) -> torch.Tensor:
        self.seen += list(faces.clone())
        self.fidelities.append(fidelity)
        return (faces + self.change).clamp(0, 1)


class Parser(torch.nn.Module):
    """Sees a face everywhere, and keeps what it was handed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, faces: torch.Tensor) -> list[torch.Tensor]:
        self.seen += list(faces.clone())
        logits = torch.zeros(len(faces), 19, 512, 512)
        logits[:, 1] = 1
        return [logits]


class BrokenNet(torch.nn.Module):
    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        return faces * float("nan")


def face_at(x: float, y: float, size: float, tilt_deg: float = 0.0) -> Face:
    """A face whose crop would be a square of 3.2 times `size` around (x, y)."""
    turn = np.deg2rad(tilt_deg)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    landmarks = (TEMPLATE - 256) / 160 * size @ rotation.T + (x, y)
    return Face((x - size / 2, y - size / 2, x + size / 2, y + size / 2), 0.99, landmarks)


def official(variant: str, parser: torch.nn.Module | None = None) -> Model:
    """An official network's facts around no network: tests stand in for `restored`."""
    return Model(
        Catalog.load().find("face_restore", variant),
        variant,
        torch.nn.Identity(),
        {"parser": parser or Parser()},
    )


def contexts_of(
    model: Model, *detectors: FixedDetector, profile: str = "baseline"
) -> list[StepContext]:
    return [
        StepContext(
            {"face_restore": model},
            runtime_for(profile, CPU),
            Report(f"{i}.png", "face_restore"),
            detector=detector,
        )
        for i, detector in enumerate(detectors)
    ]


def one(
    model: Model, pixels: np.ndarray, *faces: Face, alpha: np.ndarray | None = None, **options
) -> tuple[Photo, Report]:
    [context] = contexts_of(model, FixedDetector(*faces))
    [photo] = run_face_restore(
        [Photo("0.png", pixels, alpha)], FaceRestoreOptions(**options), [context]
    )
    return photo, context.report


def refusing(self, wanted, url):
    raise UnusableSourceError("no network in tests")


def degraded(pixels: np.ndarray, seed: int = 0) -> np.ndarray:
    soft = cv2.GaussianBlur(pixels, (0, 0), 1.2)
    return np.clip(soft + np.random.default_rng(seed).normal(0, 8, soft.shape), 0, 255).astype(
        np.uint8
    )


def mse(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean((a.astype(float) - b.astype(float)) ** 2))
