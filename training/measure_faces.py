"""Evaluate the lite face network on sixty people that it was never trained on.

Every photo of the held-back people (`HELD_BACK_PEOPLE`; some have two) is degraded as in training,
with a fixed seed, and restored. Besides PSNR and SSIM over RGB, GMSD and the distance of dlib's
face descriptors are measured (0 is the same picture, below 0.6 the same person). The landmark shift
is in percent of the distance between the eyes. `clean_in_psnr_rgb_db` is the PSNR of the output for
a face without degradation. Further rows compare SSIMULACRA2 and FLIP with the degraded faces, and
with OpenCV's non-local means at a strength of NON_LOCAL_MEANS_STRENGTH levels.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import dlib
import numpy as np
from PIL import Image

from benchmarks.perceptual import gmsd_of
from benchmarks.quality import psnr_db
from training.basicsr_import import import_basicsr
from training.dataset import read_held_back
from training.evaluation import (
    EVALUATION_SEED,
    Assessment,
    Evaluation,
    EvaluationPaths,
    Measurement,
    apply_net,
    load_trained,
)
from training.metrics import (
    JUDGED_SMALL,
    colour_shift_levels,
    judge_methods,
    measure_cost,
    round_figures,
)
from training.provenance import Figures
from training.recipe import Photo
from training.recipe_faces import (
    FACE_RECIPE,
    HELD_BACK_PEOPLE,
    degrade_face,
    person_of,
    prepare_face,
)
from training.tensors import to_tensor

FACE_BOX = (56, 72, 200, 216)  # of an aligned face of 256 px
LEFT_EYE, RIGHT_EYE = slice(36, 42), slice(42, 48)  # of the 68 landmarks
NON_LOCAL_MEANS_STRENGTH = 6.0
SHEET_FACES = 8
MIN_GAIN_DB = 2.5
MIN_SSIM_GAIN = 0.08
MAX_LANDMARK_SHIFT_PERCENT = 2.0
FIGURE_NAMES = ("psnr_rgb_db", "ssim", "gmsd", "descriptor_distance", "landmark_shift_percent")


class FaceTriple(NamedTuple):
    """A face of 256 px in three versions."""

    degraded: Photo
    restored: Photo
    clean: Photo


@dataclass(frozen=True)
class FaceRecogniser:
    """dlib's landmark predictor and face descriptor."""

    predictor: Any
    encoder: Any

    @classmethod
    def load(cls) -> FaceRecogniser:
        """Load the model files of the package face_recognition_models."""
        spec = importlib.util.find_spec("face_recognition_models")
        assert spec is not None
        assert spec.submodule_search_locations is not None
        folder = Path(spec.submodule_search_locations[0]) / "models"
        return cls(
            dlib.shape_predictor(str(folder / "shape_predictor_68_face_landmarks.dat")),
            dlib.face_recognition_model_v1(
                str(folder / "dlib_face_recognition_resnet_model_v1.dat")
            ),
        )

    def describe(self, face: Photo) -> tuple[np.ndarray, np.ndarray]:
        """Return (68x2 landmarks, descriptor of 128 numbers) of an aligned face of 256 px."""
        shape = self.predictor(face, dlib.rectangle(*FACE_BOX))
        landmarks = np.array([(point.x, point.y) for point in shape.parts()], float)
        return landmarks, np.array(self.encoder.compute_face_descriptor(face, shape))


def compute_figures(triples: list[FaceTriple]) -> dict[str, float]:
    """Return the means over faces."""
    recogniser = FaceRecogniser.load()
    rows = [_compare(triple, recogniser) for triple in triples]
    keys = [f"degraded_{name}" for name in FIGURE_NAMES] + list(FIGURE_NAMES)
    means = dict(zip(keys, np.mean(rows, axis=0), strict=True))
    means |= {
        "gain_db": means["psnr_rgb_db"] - means["degraded_psnr_rgb_db"],
        "ssim_gain": means["ssim"] - means["degraded_ssim"],
    }
    return round_figures(means) | {"photos": len(rows), "people": len(HELD_BACK_PEOPLE)}


def _compare(triple: FaceTriple, recogniser: FaceRecogniser) -> list[float]:
    """Return the figures of the degraded and of the restored face, in the order of FIGURE_NAMES."""
    metrics = import_basicsr("metrics.psnr_ssim")
    landmarks, descriptor = recogniser.describe(triple.clean)
    eyes = landmarks[LEFT_EYE].mean(axis=0) - landmarks[RIGHT_EYE].mean(axis=0)
    eye_distance_px = float(np.linalg.norm(eyes))
    row = []
    for image in (triple.degraded, triple.restored):
        image_landmarks, image_descriptor = recogniser.describe(image)
        shift_px = float(np.linalg.norm(image_landmarks - landmarks, axis=1).mean())
        row += [
            metrics.calculate_psnr(image, triple.clean, crop_border=0),
            metrics.calculate_ssim(image, triple.clean, crop_border=0),
            gmsd_of(image, triple.clean),
            float(np.linalg.norm(image_descriptor - descriptor)),
            100.0 * shift_px / eye_distance_px,
        ]
    return row


def draw_sheet(triples: list[FaceTriple]) -> Image.Image:
    """Draw some faces side by side in three rows: degraded, restored, clean."""
    shown = triples[:: max(1, len(triples) // SHEET_FACES)][:SHEET_FACES]
    rows = [np.hstack(versions) for versions in zip(*shown, strict=True)]
    return Image.fromarray(np.vstack(rows))


def measure(paths: EvaluationPaths) -> Measurement:
    """Measure all held-back people.

    Raises:
        SystemExit: the folder does not contain all of them.
    """
    faces = read_held_back(FACE_RECIPE.folders[0], paths.train)
    people = {person_of(name) for name in faces}
    if len(people) != len(HELD_BACK_PEOPLE):
        raise SystemExit(
            f"{paths.train / 'faces'} has {len(people)} of the {len(HELD_BACK_PEOPLE)} held-back "
            "people: use the photos that the weights were trained with"
        )
    net = load_trained(FACE_RECIPE, paths.weights)
    triples, clean_psnr_db = [], []
    for index, photo in enumerate(faces.values()):
        _, clean = prepare_face(photo)
        degraded = degrade_face(clean, np.random.default_rng((EVALUATION_SEED, index)))
        triples.append(FaceTriple(degraded, apply_net(net, degraded), clean))
        clean_psnr_db.append(psnr_db(apply_net(net, clean), clean))
    figures = compute_figures(triples)
    figures |= round_figures({"clean_in_psnr_rgb_db": float(np.mean(clean_psnr_db))})
    shifts = [colour_shift_levels(triple.degraded, triple.restored) for triple in triples]
    cost = measure_cost(net, to_tensor(triples[0].degraded), shifts)
    rows = {"held_back_people": figures, **judge_faces(triples), "cost": cost}
    return Measurement(rows, draw_sheet(triples))


def judge_faces(triples: list[FaceTriple]) -> Figures:
    """Return the quality figures of the network, the degraded faces and OpenCV's denoiser."""
    degraded, restored, clean = (list(versions) for versions in zip(*triples, strict=True))
    strengths = (NON_LOCAL_MEANS_STRENGTH,) * 2
    denoised = [cv2.fastNlMeansDenoisingColored(face, None, *strengths, 5, 15) for face in degraded]
    outputs = {"lite": restored, "degraded": degraded, "non_local_means": denoised}
    return judge_methods("held_back_people", outputs, clean, JUDGED_SMALL)


def assess(figures: Figures) -> Assessment:
    """Compare the gains and the landmark shift with the target."""
    row = figures["held_back_people"]
    return Assessment(
        f"PSNR + {row['gain_db']:.2f} dB, SSIM + {row['ssim_gain']:.3f}, "
        f"landmarks {row['landmark_shift_percent']:.2f} %, distance of the descriptor "
        f"{row['descriptor_distance']:.3f} (degraded: {row['degraded_descriptor_distance']:.3f})",
        row["gain_db"] >= MIN_GAIN_DB
        and row["ssim_gain"] >= MIN_SSIM_GAIN
        and row["landmark_shift_percent"] < MAX_LANDMARK_SHIFT_PERCENT
        and row["descriptor_distance"] < row["degraded_descriptor_distance"],
    )


EVALUATION = Evaluation(
    measure,
    "+ 2.5 dB, SSIM + 0.08, landmarks within 2 % of the eyes' distance; the distance of the "
    "descriptor falls",
    assess,
)
