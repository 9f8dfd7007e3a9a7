"""Fake old-photo networks for tests, contexts that use them, and test photos."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from facefakes import aligned_face
from torch import Tensor, nn
from torch.nn import functional as F

from restore.faces.face import Face
from restore.faces.limits import NETWORK
from restore.imaging.photo import Photo
from restore.models.catalog import Catalog
from restore.models.loader import Model
from restore.nets.old_photo import scratches as scratch_net
from restore.nets.old_photo import vae
from restore.options import OldPhotoOptions
from restore.pipelines import TASK_SPECS
from restore.pipelines.context import StepContext
from restore.pipelines.old_photo_alignment import TEMPLATE, TEMPLATE_SCALE
from restore.pipelines.rules import PixelRules
from restore.report import Report
from restore.runtime.device import runtime_for

MODES: Mapping[str, Mapping[str, Any]] = {
    "quality": {"with_scratch": False},
    "scratch": {"with_scratch": True},
    "scratch_hr": {"with_scratch": True, "old_photo_hr": True},
}
PARTNER_ROLES = ("vae_a", "vae_b", "scratch_detector", "face_generator")


class FakeNetwork(nn.Module):
    """Records its inputs, and returns NaN if `fails` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.inputs: list[Tensor] = []
        self.fails = False

    def record(self, tensor: Tensor, output: Tensor) -> Tensor:
        self.inputs.append(tensor.clone())
        return torch.full_like(output, torch.nan) if self.fails else output


class LosslessAutoencoder(FakeNetwork):
    """Its features are the samples of the photo. Accepts the same sizes as the real network."""

    def encode(self, photos: Tensor) -> Tensor:
        assert photos.shape[1] == 3
        assert min(photos.shape[-2:]) >= vae.MIN_PHOTO_PX
        return self.record(photos, F.pixel_unshuffle(photos, vae.FEATURE_STRIDE))

    def decode(self, features: Tensor) -> Tensor:
        return self.record(features, F.pixel_shuffle(features, vae.FEATURE_STRIDE))


class BrighteningMapping(FakeNetwork):
    """Brightens by `change` of the full range, and records the holes."""

    def __init__(self, change: float = 0.0) -> None:
        super().__init__()
        self.change = change
        self.holes: list[Tensor] = []

    def forward(self, features: Tensor, holes: Tensor) -> Tensor:
        sides = tuple(vae.FEATURE_STRIDE * side for side in features.shape[-2:])
        assert holes.shape[-2:] == sides
        self.holes.append(holes.clone())
        return self.record(features, features + 2.0 * self.change)


class BrightnessScratchDetector(FakeNetwork):
    """Returns the brightness as probability: level 102 is 0.4. Accepts the real network's sizes."""

    def forward(self, grey: Tensor) -> Tensor:
        assert all(side % scratch_net.SIZE_MULTIPLE == 0 for side in grey.shape[-2:])
        assert min(grey.shape[-2:]) >= scratch_net.MIN_PHOTO_PX
        return self.record(grey, torch.logit((grey + 1.0) / 2.0, eps=1e-6))


class ShiftingFaceNetwork(FakeNetwork):
    """Shifts a face by a sixteenth of its side to the right, and brightens it.

    Matching its histogram removes the change of brightness.
    """

    def forward(self, faces: Tensor) -> Tensor:
        shifted = faces.roll(faces.shape[-1] // 16, -1)
        return self.record(faces, (shifted + 0.3).clamp(-1.0, 1.0))


class FixedDetector:
    """Returns the faces that it was created with, and records the shapes of photos.

    In the crop of a face, it finds the face again, in its place.
    """

    name = "fixed"
    weights: tuple[dict[str, object], ...] = ()

    def __init__(self, *faces: Face) -> None:
        self.faces = list(faces)
        self.shapes: list[tuple[int, ...]] = []

    def find(
        self, pixels: np.ndarray, *, short_side_px: int | None, threshold: float
    ) -> list[Face]:
        assert pixels.dtype == np.uint8
        if threshold == NETWORK.min_again_score:  # the second detection, in an aligned crop
            return [aligned_face(pixels.shape[0])]
        self.shapes.append(pixels.shape)
        return self.faces


class WhiteIsScratched(nn.Module):
    """A lite scratch network that detects white pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(0.95), requires_grad=False)
        self.sizes: list[tuple[int, int]] = []

    def forward(self, luminance: Tensor) -> Tensor:
        assert luminance.shape[:2] == (1, 1)
        self.sizes.append((luminance.shape[2], luminance.shape[3]))
        return (luminance - self.level) * 1000.0


def model_of(variant: str = "quality", net: nn.Module | None = None) -> Model:
    partners: dict[str, nn.Module] = {
        "vae_a": LosslessAutoencoder(),
        "vae_b": LosslessAutoencoder(),
        "scratch_detector": BrightnessScratchDetector(),
        "face_generator": ShiftingFaceNetwork(),
    }
    row = Catalog.load().find("old_photo_restore", variant)
    return Model(row, variant, net or BrighteningMapping(), partners)


def fake(model: Model, role: str) -> Any:
    """Return a fake network of a model by its role; `net` is the mapping."""
    return model.net if role == "net" else model.partners[role]


def context_of(model: Model, *faces: Face, rules: PixelRules | None = None) -> StepContext:
    return StepContext(
        {"old_photo_restore": model},
        runtime_for("baseline", torch.device("cpu")),
        Report("grandma.png", "old_photo_restore"),
        detector=FixedDetector(*faces),
        rules=rules or PixelRules(),
    )


def restore_old_photo(
    pixels: np.ndarray, context: StepContext, *, alpha: np.ndarray | None = None, **options: Any
) -> Photo:
    """Run old_photo_restore on one photo, by default without scratches and faces."""
    [result] = TASK_SPECS["old_photo_restore"].run(
        [Photo("grandma.png", pixels, alpha)],
        OldPhotoOptions(**{"with_face": False, "with_scratch": False, **options}),
        [context],
    )
    return result


def waves(width: int, height: int, *, low: int = 20, high: int = 90) -> np.ndarray:
    """Return a smooth photo, by default too dark to be detected as scratches."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [0.5 + 0.5 * np.sin(x / (9 + channel) + y / (7 - channel)) for channel in range(3)]
    return np.rint(low + (high - low) * np.stack(planes, axis=-1)).astype(np.uint8)


def scratched(width: int, height: int) -> np.ndarray:
    """Return the same with a bright line in columns 40 to 43."""
    pixels = waves(width, height)
    pixels[:, 40:44] = 200
    return pixels


def face_at(x: float, y: float, side_px: float) -> Face:
    """Return a face whose aligned square has this side and centre."""
    half = side_px / 2
    landmarks = TEMPLATE * TEMPLATE_SCALE * half + (x, y)
    return Face((x - half, y - half, x + half, y + half), 0.9, landmarks)
