"""Stand-ins for the old-photo networks: an autoencoder that loses nothing, a detector to which bright is scratched."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.faces.face import Face
from restore.imaging.photo import Photo
from restore.models.catalog import Catalog
from restore.models.loader import Model
from restore.nets.old_photo import scratches as old_photo_scratches
from restore.nets.old_photo import vae as old_photo_vae
from restore.options import OldPhotoOptions
from restore.pipelines import TASK_SPECS
from restore.pipelines.context import StepContext
from restore.pipelines.official import OfficialRules
from restore.pipelines.old_photo_alignment import TEMPLATE, TEMPLATE_SCALE
from restore.pipelines.rules import PixelRules
from restore.report import Report
from restore.runtime.device import runtime_for

MODES = {
    "quality": {},
    "scratch": {"with_scratch": True},
    "scratch_hr": {"with_scratch": True, "old_photo_hr": True},
}
ROLES = ("vae_a", "vae_b", "scratch_detector", "face_generator")


class StandIn(nn.Module):
    """Remembers what it saw; answers with NaN where a test asks for that."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.seen: list[Tensor] = []
        self.broken = False

    def answer(self, seen: Tensor, answer: Tensor) -> Tensor:
        self.seen.append(seen.clone())
        return torch.full_like(answer, torch.nan) if self.broken else answer


class Autoencoder(StandIn):
    """Features that are the photo's own samples; picky about sides as the real one is."""

    def encode(self, photos: Tensor) -> Tensor:
        assert photos.shape[1] == 3
        assert min(photos.shape[-2:]) >= old_photo_vae.MIN_PHOTO_PX
        return self.answer(photos, F.pixel_unshuffle(photos, old_photo_vae.FEATURE_STRIDE))

    def decode(self, features: Tensor) -> Tensor:
        return self.answer(features, F.pixel_shuffle(features, old_photo_vae.FEATURE_STRIDE))


class Mapping(StandIn):
    """Brightens by `change` of the range; keeps the holes that it was handed."""

    def __init__(self, change: float = 0.0) -> None:
        super().__init__()
        self.change = change
        self.holes: list[Tensor] = []

    def forward(self, features: Tensor, holes: Tensor) -> Tensor:
        assert holes.shape[-2:] == tuple(
            old_photo_vae.FEATURE_STRIDE * side for side in features.shape[-2:]
        )
        self.holes.append(holes.clone())
        return self.answer(features, features + 2.0 * self.change)


class ScratchDetector(StandIn):
    """The brighter, the more probably a scratch: level 102 is 0.4. As picky about sides as the real one."""

    def forward(self, grey: Tensor) -> Tensor:
        assert all(side % old_photo_scratches.SIZE_MULTIPLE == 0 for side in grey.shape[-2:])
        assert min(grey.shape[-2:]) >= old_photo_scratches.MIN_PHOTO_PX
        return self.answer(grey, torch.logit((grey + 1.0) / 2.0, eps=1e-6))


class FaceGenerator(StandIn):
    """Mirrors a face and brightens it, which the levels of the face that it replaces undo."""

    def forward(self, faces: Tensor) -> Tensor:
        return self.answer(faces, (faces.flip(-1) + 0.3).clamp(-1.0, 1.0))


class FixedDetector:
    """Finds the faces that it was given."""

    name = "fixed"
    weights = ()

    def __init__(self, *faces: Face) -> None:
        self.faces = list(faces)
        self.asked: list[tuple[int, ...]] = []

    def find(
        self, pixels: np.ndarray, *, short_side_px: int | None, threshold: float
    ) -> list[Face]:
        assert pixels.dtype == np.uint8
        self.asked.append(pixels.shape)
        return self.faces


def model_of(variant: str = "quality", net: nn.Module | None = None) -> Model:
    partners = {
        "vae_a": Autoencoder(),
        "vae_b": Autoencoder(),
        "scratch_detector": ScratchDetector(),
        "face_generator": FaceGenerator(),
    }
    return Model(
        Catalog.load().find("old_photo_restore", variant), variant, net or Mapping(), partners
    )


def context_of(model: Model, *faces: Face, quirks: bool = False) -> StepContext:
    runtime = runtime_for("baseline", torch.device("cpu"))
    report = Report("grandma.png", "old_photo_restore")
    return StepContext(
        {"old_photo_restore": model},
        runtime,
        report,
        detector=FixedDetector(*faces),
        rules=OfficialRules() if quirks else PixelRules(),
    )


def restored(
    pixels: np.ndarray,
    context: StepContext,
    *,
    alpha: np.ndarray | None = None,
    with_face: bool = False,
    **options,
) -> Photo:
    [result] = TASK_SPECS["old_photo_restore"].run(
        [Photo("grandma.png", pixels, alpha)],
        OldPhotoOptions(with_face=with_face, **options),
        [context],
    )
    return result


def waves(width: int, height: int, *, low: int = 20, high: int = 90) -> np.ndarray:
    """A smooth photo, darker than what counts as a scratch."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [0.5 + 0.5 * np.sin(x / (9 + channel) + y / (7 - channel)) for channel in range(3)]
    return np.rint(low + (high - low) * np.stack(planes, axis=-1)).astype(np.uint8)


def scratched(width: int, height: int) -> np.ndarray:
    """The same with a bright line of 4 pixels, at columns 40 to 43."""
    pixels = waves(width, height)
    pixels[:, 40:44] = 200
    return pixels


def face_at(x: float, y: float, side_px: float) -> Face:
    """A face whose aligned square has this side and this middle."""
    half = side_px / 2
    return Face(
        (x - half, y - half, x + half, y + half), 0.9, TEMPLATE * TEMPLATE_SCALE * half + (x, y)
    )


class WhiteIsScratched(nn.Module):
    """Takes for a scratch whatever is white."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(0.95), requires_grad=False)
        self.seen: list[tuple[int, int]] = []

    def forward(self, luminance):
        assert luminance.shape[:2] == (1, 1)
        self.seen.append((luminance.shape[2], luminance.shape[3]))
        return (luminance - self.level) * 1000.0
