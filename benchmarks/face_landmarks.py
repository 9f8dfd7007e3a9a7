"""Compares the landmarks of the embedded face detector with those of dlib and RetinaFace.

The error is the mean distance of the five landmarks in distances between the eyes (of RetinaFace).
The detectors see the held-back people of train/faces, each with a border around it, and the
historic and degraded photos. For portraits, RetinaFace is the median of several runs, because one
run differs by 2.8 % from it. The difference between dlib and RetinaFace shows how exactly landmarks
can be told at all.

    python benchmarks/face_landmarks.py ../shared/photos --weights FOLDER --record
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.face_detectors import detectors_from
from benchmarks.rows import machine, record
from restore.faces.centerface_views import MIRRORED
from restore.faces.convention import CODEFORMER
from restore.faces.detect import Detector
from restore.imaging.convert import to_8_bits, to_rgb
from restore.imaging.photo import open_photo
from training.recipe_faces import HELD_BACK_PEOPLE, person_of

SIZES_PX = (284, 413, 568)
"""Short sides at which RetinaFace sees a portrait with its border."""

MIN_DETECTIONS = 4
PORTRAITS = "portraits"
NAMES = ("centerface", "dlib", "retinaface_mobile0.25")
PAIRS = tuple(itertools.combinations(NAMES, 2))
MAX_DISTANCE = 0.6
"""Faces of two detectors that are further apart, in distances between the eyes, are two faces."""

Landmarks = list[np.ndarray]


def photos_of(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the set and the HxWx3 uint8 pixels of every photo."""
    for path in sorted((folder / "train" / "faces").glob("*.jpg")):
        if person_of(path.name) in HELD_BACK_PEOPLE:
            pixels = _read(path)
            border = pixels.shape[0] // 4
            yield (
                "portraits",
                np.pad(pixels, ((border, border), (border, border), (0, 0)), mode="reflect"),
            )
    for name in ("historic", "degraded"):
        for path in sorted((folder / "test" / name).glob("*.*")):
            yield "old photos", _read(path)


def errors_between(first: Landmarks, second: Landmarks, reference: Landmarks) -> Iterator[float]:
    """Yield the error of every face that all three detectors found."""
    for face in reference:
        eyes_px = float(np.linalg.norm(face[0] - face[1]))
        pair = [_nearest(face, found, MAX_DISTANCE * eyes_px) for found in (first, second)]
        if pair[0] is not None and pair[1] is not None:
            yield float(np.linalg.norm(pair[0] - pair[1], axis=1).mean()) / eyes_px


def _nearest(face: np.ndarray, found: Landmarks, max_px: float) -> np.ndarray | None:
    center = face.mean(axis=0)
    near = [each for each in found if np.linalg.norm(each.mean(axis=0) - center) < max_px]
    return min(near, key=lambda each: np.linalg.norm(each.mean(axis=0) - center), default=None)


def target_of(pixels: np.ndarray, teacher: Detector) -> np.ndarray | None:
    """Return the median of the landmarks at all sizes, mirrored or not; None if they are few."""
    found = []
    for side_px in SIZES_PX:
        for flipped in (False, True):
            seen = np.ascontiguousarray(pixels[:, ::-1]) if flipped else pixels
            faces = teacher.find(seen, short_side_px=side_px, threshold=0.8)
            if faces:
                landmarks = np.array(faces[0].landmarks)
                found.append(mirror(landmarks, pixels.shape[1]) if flipped else landmarks)
    return np.median(found, axis=0) if len(found) >= MIN_DETECTIONS else None


def mirror(landmarks: np.ndarray, width: int) -> np.ndarray:
    """Return the landmarks of a mirrored picture of this width."""
    return np.stack([width - 1 - landmarks[:, 0], landmarks[:, 1]], axis=1)[MIRRORED]


def landmarks_of(detector: Detector, pixels: np.ndarray) -> Landmarks:
    """Return the landmarks of all faces in a photo."""
    faces = detector.find(
        pixels,
        short_side_px=CODEFORMER.detect_short_side_px,
        threshold=CODEFORMER.score_threshold,
    )
    return [face.landmarks for face in faces]


def _read(path: Path) -> np.ndarray:
    return to_rgb(to_8_bits(open_photo(path).pixels))


def measure(photos: Path, detectors: Sequence[Detector]) -> dict[str, dict[str, list[float]]]:
    """Return the errors by set of photos and pair of detectors."""
    by_name = {detector.name: detector for detector in detectors}
    errors: dict[str, dict[str, list[float]]] = {}
    for group, pixels in photos_of(photos):
        found = {name: landmarks_of(by_name[name], pixels) for name in NAMES}
        if group == PORTRAITS:
            target = target_of(pixels, by_name["retinaface_mobile0.25"])
            found["retinaface_mobile0.25"] = [] if target is None else [target]
        rows = errors.setdefault(group, {})
        for first, second in PAIRS:
            rows.setdefault(f"{first} to {second}", []).extend(
                errors_between(found[first], found[second], found["retinaface_mobile0.25"])
            )
    return errors


def main() -> None:
    """Print and record the errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of shared photos")
    parser.add_argument("--weights", type=Path, required=True, help="folder with face_detect/*.pth")
    parser.add_argument("--record", action="store_true", help="append rows to results/")
    arguments = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    for group, pairs in measure(arguments.photos, detectors_from(arguments.weights)).items():
        for pair, values in pairs.items():
            percent = 100 * np.array(values)
            print(
                f"{group}, {pair}: {len(values)} faces, mean {percent.mean():.1f} %, "
                f"median {np.median(percent):.1f} %"
            )
            if arguments.record:
                row = {"photos": group, "pair": pair, "faces": len(values)}
                mean, median = round(float(percent.mean()), 2), round(float(np.median(percent)), 2)
                record("face_landmarks", row | {"mean": mean, "median": median} | machine())


if __name__ == "__main__":
    main()
