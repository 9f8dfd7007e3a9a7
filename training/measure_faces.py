"""Measures the lite face network on sixty people it was never trained on, and draws some of them.

Every photo of the held-back people (`faces.HELD_BACK_PEOPLE`, some have two) at 256 px is degraded as in training, by a seed of
its own, and restored. Beside PSNR and SSIM over RGB stand two figures for what people see, as LPIPS' weights cannot be had without
a download: GMSD (gradient magnitude similarity deviation, Xue et al., TIP 2014; 0 is equal), and the distance of dlib's face
descriptor from the clean photo's (0 is the same picture, below 0.6 the same person). The landmarks' shift is in percent of
the distance of the eyes. What the network takes from a face that has nothing wrong is `clean_in_psnr_rgb_db`.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import dlib
import numpy as np
from PIL import Image

from training.basicsr_import import import_basicsr
from training.recipe_faces import (
    FACE_RECIPE,
    HELD_BACK_PEOPLE,
    aligned_face,
    degraded_face,
    person_of,
)
from training.metrics import (
    Figures,
    Findings,
    Measure,
    Places,
    as_tensor,
    colour_shift,
    cost_of,
    held_back,
    psnr,
    through,
    trained,
)

FACE_BOX = (56, 72, 200, 216)  # where an aligned face of 256 px lies
SHOWN = 8


@dataclass(frozen=True)
class Recogniser:
    """dlib's landmarks and face descriptor, from the files of face_recognition_models."""

    predictor: Any
    encoder: Any

    @classmethod
    def load(cls) -> Recogniser:
        spec = importlib.util.find_spec("face_recognition_models")
        assert spec is not None
        assert spec.submodule_search_locations is not None
        folder = Path(spec.submodule_search_locations[0]) / "models"
        predictor = dlib.shape_predictor(str(folder / "shape_predictor_68_face_landmarks.dat"))
        return cls(
            predictor,
            dlib.face_recognition_model_v1(
                str(folder / "dlib_face_recognition_resnet_model_v1.dat")
            ),
        )

    def seen(self, face: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(68x2 landmarks, 128 numbers of the descriptor) of an aligned face of 256 px."""
        shape = self.predictor(face, dlib.rectangle(*FACE_BOX))
        return np.array([(p.x, p.y) for p in shape.parts()], float), np.array(
            self.encoder.compute_face_descriptor(face, shape)
        )


def gmsd(first: np.ndarray, second: np.ndarray) -> float:
    """Gradient magnitude similarity deviation of two HxWx3 uint8 pictures; 0 is equal, higher is worse."""
    maps = []
    for image in (first, second):
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)
        halved = cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        prewitt = np.array([[1, 0, -1]] * 3, np.float64) / 3.0
        maps.append(
            np.hypot(cv2.filter2D(halved, -1, prewitt), cv2.filter2D(halved, -1, prewitt.T))
        )
    similarity = (2 * maps[0] * maps[1] + 170.0) / (maps[0] ** 2 + maps[1] ** 2 + 170.0)
    return float(similarity.std())


def figures_of(triples: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Means over (degraded, restored, clean) faces."""
    metrics = import_basicsr("metrics.psnr_ssim")
    recogniser, rows = Recogniser.load(), []
    for degraded, restored, clean in triples:
        landmarks, descriptor = recogniser.seen(clean)
        eyes_px = float(
            np.linalg.norm(landmarks[36:42].mean(axis=0) - landmarks[42:48].mean(axis=0))
        )
        row = []
        for image in (degraded, restored):
            moved, described = recogniser.seen(image)
            row += [
                metrics.calculate_psnr(image, clean, crop_border=0),
                metrics.calculate_ssim(image, clean, crop_border=0),
                gmsd(image, clean),
                float(np.linalg.norm(described - descriptor)),
                100.0 * float(np.linalg.norm(moved - landmarks, axis=1).mean()) / eyes_px,
            ]
        rows.append(row)
    names = ("psnr_rgb_db", "ssim", "gmsd", "descriptor_distance", "landmark_shift_percent")
    keys = [f"degraded_{name}" for name in names] + list(names)
    means = dict(zip(keys, np.mean(rows, axis=0), strict=True))
    means |= {
        "gain_db": means["psnr_rgb_db"] - means["degraded_psnr_rgb_db"],
        "ssim_gain": means["ssim"] - means["degraded_ssim"],
    }
    return {key: round(float(value), 4) for key, value in sorted(means.items())} | {
        "photos": len(rows),
        "people": len(HELD_BACK_PEOPLE),
    }


def sheet_of(triples: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Image.Image:
    """Degraded, restored and clean in three rows, some people side by side."""
    shown = triples[:: max(1, len(triples) // SHOWN)][:SHOWN]
    return Image.fromarray(
        np.vstack([np.hstack([triple[row] for triple in shown]) for row in range(3)])
    )


def find(places: Places) -> Findings:
    """The figures of all held-back people, and pictures of some.

    Raises:
        SystemExit: the photos are of other people.
    """
    faces = held_back(FACE_RECIPE.folders[0], places.train)
    if len({person_of(name) for name in faces}) != len(HELD_BACK_PEOPLE):
        raise SystemExit(
            f"{places.train} does not hold all {len(HELD_BACK_PEOPLE)} held-back people: these are other faces"
        )
    net, triples, untouched = trained(FACE_RECIPE, places.weights), [], []
    for index, photo in enumerate(faces.values()):
        _, clean = aligned_face(photo)
        degraded = degraded_face(clean, np.random.default_rng((2026, index)))
        triples.append((degraded, through(net, degraded), clean))
        untouched.append(psnr(through(net, clean), clean))
    shifts = [colour_shift(degraded, result) for degraded, result, _ in triples]
    figures = {
        "held_back_people": figures_of(triples)
        | {"clean_in_psnr_rgb_db": round(float(np.mean(untouched)), 4)},
        "cost": cost_of(net, as_tensor(triples[0][0]), shifts),
    }
    return Findings(figures, sheet_of(triples))


def verdict(figures: Figures) -> tuple[str, bool]:
    """The gains, and how far landmarks move."""
    found = figures["held_back_people"]
    words = f"PSNR + {found['gain_db']:.2f} dB, SSIM + {found['ssim_gain']:.3f}, landmarks {found['landmark_shift_percent']:.2f} %"
    return words, found["gain_db"] >= 2.5 and found["ssim_gain"] >= 0.08 and found[
        "landmark_shift_percent"
    ] < 2.0


MEASURE = Measure(
    find, "+ 2.5 dB, SSIM + 0.08, landmarks within 2 % of the eyes' distance", verdict
)
