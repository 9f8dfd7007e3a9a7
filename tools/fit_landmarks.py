"""Train the head for landmarks in weights/lite/centerface.safetensors.

The targets are landmarks of RetinaFace (mobile0.25, MIT) in the portraits of train/faces, without
the held-back people; see `benchmarks.face_landmarks.target_of`. The head sees the features of
CenterFace, which are not trained, in crops that are aligned by these landmarks inexactly. Some
crops are degraded or grey, so that it works in old photos. It takes five minutes of processor
time.

    python tools/fit_landmarks.py ../shared/photos --weights FOLDER
    restore weights refresh          # size and checksum in weights/manifest.toml
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.face_detectors import detectors_from
from benchmarks.face_landmarks import mirror, target_of
from restore.faces.align import CROP_PX as TEMPLATE_PX
from restore.faces.align import TEMPLATE, fit_similarity, smooth_crop
from restore.faces.detect import Detector
from restore.faces.landmark_correction import UNIT_PX
from restore.imaging.convert import to_8_bits, to_rgb
from restore.imaging.photo import open_photo
from restore.nets.centerface import CROP_PX, HEAD_STAGES, CenterFace, LandmarkHead
from training.recipe_faces import (
    HELD_BACK_PEOPLE,
    degrade_face,
    degrade_face_barely,
    person_of,
)

PROJECT = Path(__file__).resolve().parents[1]
FILE = PROJECT / "weights" / "lite" / "centerface.safetensors"
PREFIX = "landmarks."
"""Of the names of the head's parameters."""
CROPS = 10
"""Crops of each portrait."""
DEGRADED, BARELY_DEGRADED, GREY, PALE = (1, 2, 3), (4, 5), (2, 3, 5, 7), 8
"""Crops, by their number, that are changed in these ways; the others are not."""
ROTATION_DEG, ZOOM, SHIFT_PX = 2.5, 0.03, 6.0
"""Standard deviations of the alignment; of the shift, in pixels of the template."""
EPOCHS = 20
BATCH = 64
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 1e-2
SEED = 5


@dataclass(frozen=True)
class Samples:
    """What the head is trained with.

    Attributes:
        features: NxCxHxW float16 for each of HEAD_STAGES.
        deviations: Nx5x2, see `LandmarkHead`.
    """

    features: list[Tensor]
    deviations: Tensor


def portraits(photos: Path) -> Iterator[np.ndarray]:
    """Yield portraits with a border, as HxWx3 uint8."""
    for path in sorted((photos / "train" / "faces").glob("*.jpg")):
        if person_of(path.name) not in HELD_BACK_PEOPLE:
            pixels = to_rgb(to_8_bits(open_photo(path).pixels))
            border = pixels.shape[0] // 4
            yield np.pad(pixels, ((border, border), (border, border), (0, 0)), mode="reflect")


def crops_of(
    pixels: np.ndarray, target: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield crops of CROP_PX of a portrait, and the deviations of their landmarks."""
    matrix = fit_similarity(target)
    if matrix is None:
        return
    for number in range(CROPS):
        aligned = _misaligned(matrix, rng)
        points = target @ aligned[:, :2].T + aligned[:, 2]
        whole = smooth_crop(_changed(pixels, number, rng), aligned)
        crop = cv2.resize(whole, (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA)
        if rng.integers(2):
            crop, points = np.ascontiguousarray(crop[:, ::-1]), mirror(points, TEMPLATE_PX)
        yield crop, (points - TEMPLATE) / UNIT_PX


def _changed(pixels: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    if number in DEGRADED:
        pixels = degrade_face(pixels, rng)
    if number in BARELY_DEGRADED:
        pixels = degrade_face_barely(pixels, rng)
    if number in GREY:
        pixels = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if number == PALE:
        contrast, shift = rng.uniform(0.4, 1.0), rng.uniform(-30.0, 30.0)
        changed = (pixels.astype(np.float32) - 128.0) * contrast + 128.0 + shift
        pixels = changed.clip(0, 255).astype(np.uint8)
    return pixels


def _misaligned(matrix: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a 2x3 transform that also rotates, scales and shifts the crop a little."""
    angle = np.deg2rad(rng.normal(0.0, ROTATION_DEG))
    factor = np.exp(rng.normal(0.0, ZOOM)) * np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    center = TEMPLATE.mean(axis=0)
    offset = center + rng.normal(0.0, SHIFT_PX, 2) - factor @ center
    return np.asarray(np.c_[factor @ matrix[:, :2], factor @ matrix[:, 2] + offset])


def samples_of(photos: Path, net: CenterFace, teacher: Detector) -> Samples:
    """Return the samples of all portraits in which the teacher finds landmarks."""
    rng = np.random.default_rng(SEED)
    features: list[list[Tensor]] = [[] for _ in HEAD_STAGES]
    deviations = list[np.ndarray]()
    for pixels in portraits(photos):
        target = target_of(pixels, teacher)
        if target is None:
            continue
        crops, changes = zip(*crops_of(pixels, target, rng), strict=True)
        outputs = net.features(torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float())
        for kept, stage in zip(features, HEAD_STAGES, strict=True):
            kept.append(outputs[stage].half())
        deviations.extend(changes)
    targets = torch.from_numpy(np.stack(deviations)).float()
    return Samples([torch.cat(each) for each in features], targets)


def train(samples: Samples) -> LandmarkHead:
    """Return the trained head."""
    scales = [each.float().std(dim=(0, 2, 3)) + 1e-2 for each in samples.features]
    features = [
        each / scale.half()[:, None, None]
        for each, scale in zip(samples.features, scales, strict=True)
    ]
    torch.manual_seed(0)
    head = LandmarkHead()
    with torch.no_grad():
        head.points.weight.mul_(0.1)
        head.points.bias.copy_(samples.deviations.mean(dim=0).flatten())
    count = len(samples.deviations)
    steps = EPOCHS * (count // BATCH)
    optimizer = torch.optim.AdamW(head.parameters(), weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    for _ in range(EPOCHS):
        for batch in torch.randperm(count)[: count // BATCH * BATCH].reshape(-1, BATCH):
            found = head([each[batch].float() for each in features])
            loss = (found - samples.deviations[batch]).norm(dim=2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    _unscale(head, scales)
    return head.eval()


def _unscale(head: LandmarkHead, scales: Sequence[Tensor]) -> None:
    """Divide the first weights by the scales of the features."""
    with torch.no_grad():
        for reduce, scale in zip(head.reducers, scales, strict=True):
            cast(nn.Conv2d, reduce).weight.div_(scale[None, :, None, None])


def main() -> None:
    """Train the head and write it into the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of shared photos")
    parser.add_argument("--weights", type=Path, required=True, help="folder with face_detect/*.pth")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    state = load_file(FILE)
    with safe_open(FILE, "pt") as file:
        facts = file.metadata()
    net = CenterFace().eval()
    net.load_state_dict({name: value.float() for name, value in state.items()})
    teachers = {each.name: each for each in detectors_from(arguments.weights)}
    with torch.no_grad():
        samples = samples_of(arguments.photos, net, teachers["retinaface_mobile0.25"])
    head = train(samples).state_dict()
    state |= {f"{PREFIX}{name}": value.half().contiguous() for name, value in head.items()}
    save_file(state, FILE, facts)


if __name__ == "__main__":
    main()
