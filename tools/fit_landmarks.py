"""Fit the correction of CenterFace's landmarks in weights/lite/centerface.safetensors.

The targets are landmarks of RetinaFace (mobile0.25, MIT) in the portraits of train/faces, without
the held-back people; see `benchmarks.face_landmarks.target_of`. Ridge regression
explains the differences from the landmarks of CenterFace, in the frame of the template, by these
landmarks.

    python tools/fit_landmarks.py ../shared/photos --weights FOLDER
    restore weights refresh          # size and checksum in weights/manifest.toml
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.face_detectors import detectors_from
from benchmarks.face_landmarks import mirror, target_of
from restore.faces.align import TEMPLATE
from restore.faces.centerface import CenterFaceDetector
from restore.faces.detect import Detector
from restore.faces.detector_cache import CENTERFACE, DETECTION
from restore.faces.landmark_correction import UNIT_PX, align
from restore.imaging.convert import to_8_bits, to_rgb
from restore.imaging.photo import open_photo
from restore.models.catalog import Catalog
from restore.models.loader import load_model
from restore.models.policy import Policy, resolve
from restore.models.store import WeightStore
from restore.nets.centerface import CenterFace
from training.recipe_faces import HELD_BACK_PEOPLE, person_of

PROJECT = Path(__file__).resolve().parents[1]
FILE = PROJECT / "weights" / "lite" / "centerface.safetensors"
STRIDE = 3
"""Every third portrait is enough."""
SEARCH_PX = 320
"""Short side at which CenterFace searches a portrait."""
RIDGE = 0.3
"""Deviations of landmarks are about 0.05, so that 400 samples weigh about 1. Less regularisation
fits portraits better (3.6 % with 0.01), but not faces in old photos (9.7 %)."""


def portraits(photos: Path) -> Iterator[np.ndarray]:
    """Yield portraits with a border, as HxWx3 uint8."""
    paths = sorted((photos / "train" / "faces").glob("*.jpg"))
    for path in [path for path in paths if person_of(path.name) not in HELD_BACK_PEOPLE][::STRIDE]:
        pixels = to_rgb(to_8_bits(open_photo(path).pixels))
        border = pixels.shape[0] // 4
        yield np.pad(pixels, ((border, border), (border, border), (0, 0)), mode="reflect")


def samples(
    photos: Path, student: Detector, teacher: Detector
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the landmarks of CenterFace and their targets, in pixels of the portrait."""
    for pixels in portraits(photos):
        target = target_of(pixels, teacher)
        faces = student.find(pixels, short_side_px=SEARCH_PX, threshold=0.0)
        if target is not None and faces:
            found, width = np.array(faces[0].landmarks), pixels.shape[1]
            yield found, target
            yield mirror(found, width), mirror(target, width)


def fit(pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Return weight (10x10) and bias (10) of the correction."""
    inputs, changes = [], []
    for found, target in pairs:
        aligned = align(found)
        if aligned is None:
            raise ValueError(f"the landmarks {found.tolist()} are not a face")
        points, factor = aligned
        change = (target - found) @ (1.0, 1.0j) * factor
        inputs.append([*((points - TEMPLATE).ravel() / UNIT_PX), 1.0])
        changes.append(np.stack([change.real, change.imag], axis=1).ravel() / UNIT_PX)
    design = np.array(inputs)
    penalty = np.diag([RIDGE] * 10 + [0.0])
    solution = np.linalg.solve(design.T @ design + penalty, design.T @ np.array(changes))
    return solution[:10].T, solution[10]


def uncorrected_detector() -> Detector:
    """Return CenterFace with the landmarks of the published network."""
    store = WeightStore(Catalog.load(), Path(), offline=True)
    model = load_model(resolve(store, DETECTION, CENTERFACE, Policy.LITE), torch.device("cpu"))
    net = cast(CenterFace, model.net)
    nn.init.zeros_(net.correction.weight)
    nn.init.zeros_(net.correction.bias)
    return CenterFaceDetector(model)


def main() -> None:
    """Fit the correction and write it into the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of shared photos")
    parser.add_argument("--weights", type=Path, required=True, help="folder with face_detect/*.pth")
    arguments = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    detectors = {each.name: each for each in detectors_from(arguments.weights)}
    teacher = detectors["retinaface_mobile0.25"]
    pairs = list(samples(arguments.photos, uncorrected_detector(), teacher))
    weight, bias = fit(pairs)
    state = load_file(FILE)
    with safe_open(FILE, "pt") as file:
        facts = file.metadata()
    state["correction.weight"] = torch.from_numpy(weight).half().contiguous()
    state["correction.bias"] = torch.from_numpy(bias).half()
    save_file(state, FILE, facts)


if __name__ == "__main__":
    main()
