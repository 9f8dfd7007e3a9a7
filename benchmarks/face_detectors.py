"""Counts true and false detections of the face detectors by score, before and after the check.

The limits in `restore/faces/limits.py` come from this table. `face_labels.csv` has the centres of
the faces in each photo, marked by eye, as fractions of width and height; photos without a row
contain none. Also prints the faces that are accepted in two group photos, and the processor time of
the search in all photos.

    python benchmarks/face_detectors.py ../shared/photos --weights FOLDER
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from restore.errors import RestoreError
from restore.faces.centerface import CenterFaceDetector
from restore.faces.convention import CODEFORMER
from restore.faces.detect import Detector, DlibDetector, RetinaFaceDetector
from restore.faces.face import Face
from restore.faces.fit import check_face
from restore.faces.limits import limits_of
from restore.faces.rotation import QUARTER_DEG, QUARTERS, turn, turn_face_back
from restore.faces.search import find_faces
from restore.imaging.convert import to_8_bits, to_rgb
from restore.imaging.photo import open_photo
from restore.models.catalog import Catalog
from restore.models.loader import load_model
from restore.models.policy import Policy, resolve
from restore.models.store import WeightStore

PROJECT = Path(__file__).resolve().parent.parent
LABELS = Path(__file__).resolve().parent / "face_labels.csv"
FOLDERS = ("historic", "kodak", "degraded", "set5", "real", "formats")
NETWORKS = ("retinaface_mobile0.25", "retinaface_resnet50")
GROUPS = ("test/historic/1888slum.jpg", "test/historic/1908familyphoto.jpg")
"""Group photos: 12 and 5 faces are labelled."""
SCORES = (0.5, 0.55, 0.6, 0.7, 0.8, 0.85, 0.9, 0.97, 0.998, 1.01)
"""Limits of the rows of the table."""

HELD_BACK_PHOTOS = 8
"""The last photos of train/natural, which no network was trained on, contain no face."""

MAX_DISTANCE = 0.6
"""A detection is a labelled face if its centre is nearer than this, in sides of its box."""

Labels = Mapping[str, Sequence[tuple[float, float]]]


@dataclass(frozen=True)
class Detection:
    """One detection: its score, whether it is a face, and whether the check accepts it."""

    score: float
    is_true: bool
    fits: bool


def read_labels() -> Labels:
    """Return the centres of the faces of each photo, as fractions of width and height."""
    labels: dict[str, list[tuple[float, float]]] = {}
    with LABELS.open() as file:
        for row in csv.DictReader(file):
            labels.setdefault(row["photo"], []).append((float(row["x"]), float(row["y"])))
    return labels


def photos_in(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and HxWx3 uint8 pixels of every photo."""
    paths = [(f"data/{path.name}", path) for path in sorted((PROJECT / "data").glob("*.jpg"))]
    natural = sorted((folder / "train" / "natural").glob("*.jpg"))[-HELD_BACK_PHOTOS:]
    paths += [(f"train/natural/{path.name}", path) for path in natural]
    for name in FOLDERS:
        test = folder / "test" / name
        paths += [(f"test/{name}/{path.name}", path) for path in sorted(test.glob("*.*"))]
    for name, path in paths:
        yield name, to_rgb(to_8_bits(open_photo(path).pixels))


def is_labelled(face: Face, pixels: np.ndarray, labels: Sequence[tuple[float, float]]) -> bool:
    """Tell whether a detection is one of the labelled faces."""
    center = face.landmarks.mean(axis=0)
    size = np.array((pixels.shape[1], pixels.shape[0]))
    return any(
        float(np.linalg.norm(np.array(label) * size - center)) < MAX_DISTANCE * face.size_px
        for label in labels
    )


def detect(
    detector: Detector, pixels: np.ndarray, labels: Sequence[tuple[float, float]]
) -> list[Detection]:
    """Run a detector and the check on an upright photo."""
    faces = detector.find(pixels, short_side_px=CODEFORMER.detect_short_side_px, threshold=0.5)
    min_score = limits_of(detector.name).min_score
    return [
        Detection(
            face.score,
            is_labelled(face, pixels, labels),
            face.score >= min_score and not check_face(face, pixels, detector).reason,
        )
        for face in faces
    ]


def count_turned(
    detector: Detector, pixels: np.ndarray, labels: Sequence[tuple[float, float]]
) -> tuple[int, int]:
    """Return the true and false faces that are found in a photo turned by 90, 180, 270 degrees."""
    true = false = 0
    height, width = pixels.shape[:2]
    for quarters in range(1, QUARTERS):
        turned = turn(pixels, quarters)
        for checked in find_faces(
            detector, turned, short_side_px=CODEFORMER.detect_short_side_px, threshold=0.5
        ):
            face = turn_face_back(checked.face, quarters, width, height)
            if not checked.reason:
                found = is_labelled(face, pixels, labels)
                true, false = true + found, false + (not found)
    return true, false


def detectors_from(weights: Path | None) -> list[Detector]:
    """Return CenterFace, dlib, and the networks whose files are in the folder."""
    store = WeightStore(Catalog.load(), weights or Path(), offline=True)
    embedded = resolve(store, "face_detect", "centerface", Policy.LITE)
    detectors: list[Detector] = [
        CenterFaceDetector(load_model(embedded, torch.device("cpu"))),
        DlibDetector(),
    ]
    if weights is None:
        return detectors
    for name in NETWORKS:
        try:
            resolved = resolve(store, "face_detect", name, Policy.OFFICIAL)
        except RestoreError as error:
            print(f"{name} is left out: {error}")
            continue
        detectors.append(RetinaFaceDetector(load_model(resolved, torch.device("cpu"))))
    return detectors


def print_table(name: str, detections: Sequence[Detection]) -> None:
    """Print the numbers of true and false detections by score."""
    print(f"\n{name}\n| score | faces | accepted | false detections | accepted |")
    print("|---|---|---|---|---|")
    for low, high in itertools.pairwise(SCORES):
        rows = [row for row in detections if low <= row.score < high]
        counts = [
            sum(row.is_true is true for row in group)
            for true in (True, False)
            for group in (rows, [row for row in rows if row.fits])
        ]
        print(f"| {low:g} to {min(high, 1):g} | " + " | ".join(map(str, counts)) + " |")


def main() -> None:
    """Print a table for each detector."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of shared photos")
    parser.add_argument("--weights", type=Path, help="folder with face_detect/*.pth")
    parser.add_argument("--only", help="name of one detector")
    parser.add_argument("--turned", action="store_true", help="also turn every photo")
    arguments = parser.parse_args()
    torch.set_grad_enabled(False)
    labels = read_labels()
    torch.set_num_threads(1)
    for detector in detectors_from(arguments.weights):
        if arguments.only not in {None, detector.name}:
            continue
        detections: list[Detection] = []
        turned = np.zeros(2, int)
        groups, seconds, photos = dict[str, int](), 0.0, 0
        for name, pixels in photos_in(arguments.photos):
            started = time.process_time()
            found = detect(detector, pixels, labels.get(name, ()))
            seconds, photos = seconds + time.process_time() - started, photos + 1
            detections += found
            if name in GROUPS:
                groups[name] = sum(row.fits for row in found)
            if arguments.turned:
                turned += count_turned(detector, pixels, labels.get(name, ()))
        print_table(detector.name, detections)
        print(f"{seconds / photos:.2f} s of processor time for each of {photos} photos")
        print(", ".join(f"{name}: {count} faces" for name, count in groups.items()))
        if arguments.turned:
            degrees = "/".join(str(QUARTER_DEG * quarters) for quarters in range(1, QUARTERS))
            print(f"photos turned by {degrees} degrees: {turned[0]} faces, {turned[1]} false")


if __name__ == "__main__":
    main()
