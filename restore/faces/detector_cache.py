"""Chooses the face detector of a request and keeps the loaded detectors."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar

from restore.faces.centerface import CenterFaceDetector
from restore.faces.detect import Detector, DlibDetector, RetinaFaceDetector
from restore.models.cache import ModelCache
from restore.models.loader import Model
from restore.models.policy import Policy
from restore.runtime.device import Runtime

DETECTION = "face_detect"
"""The catalog task of the detectors."""
DLIB = "dlib"
CENTERFACE = "centerface"
"""The embedded network."""
AUTO = "auto"
DEFAULT_NETWORK = "retinaface_resnet50"
"""The detector of the official face restoration code."""

KeyT = TypeVar("KeyT", bound=Hashable)


class DetectorCache:
    """Loads each face detector once, when it is first needed.

    Args:
        models: provides the networks of the detectors.
    """

    def __init__(self, models: ModelCache) -> None:
        self._models = models
        self._dlib: DlibDetector | None = None
        self._detectors: dict[str, tuple[Model, Detector]] = {}
        self._copies: dict[tuple[str, int], tuple[Model, Detector]] = {}

    def get(self, name: str, *, with_lite: bool) -> tuple[Detector, tuple[str, ...]]:
        """Return a face detector, and warnings if it is a fallback.

        Args:
            name: a value of the option `face_detector`. `auto` is RetinaFace with ResNet-50, or
                CenterFace together with lite weights, because it needs no download.
            with_lite: whether the faces are restored with lite weights.

        Raises:
            RestoreError: any WEIGHTS_* code; with the policy `auto` only for a damaged file.
        """
        if name == DLIB:
            return self._get_dlib(), ()
        policy = self._models.policy
        if name == AUTO:
            name = CENTERFACE if with_lite or policy is Policy.LITE else DEFAULT_NETWORK
        model, warnings = self._models.get(DETECTION, name)
        if model.variant != name and not warnings:
            warnings = (
                f"{model.variant} is used instead of {name}, because the weights policy is "
                f"'{policy}'",
            )
        return _cached_detector(self._detectors, model.variant, model), warnings

    def prepare(self, detector: Detector, runtime: Runtime) -> tuple[Detector, Model | None]:
        """Return the detector with the copy of its network that a request uses, and the copy.

        A detector without network is returned itself, with None.
        """
        if detector.name not in self._detectors:
            return detector, None
        loaded, original = self._detectors[detector.name]
        model, _ = self._models.prepare(loaded, runtime)
        if model is loaded:
            return original, model
        # The cached entry keeps the model alive, so that its id is not used again.
        return _cached_detector(self._copies, (detector.name, id(model)), model), model

    def preload(self) -> None:
        """Load every detector that the weights policy offers.

        Raises:
            RestoreError: as `get`.
        """
        self._get_dlib()
        self._models.preload(DETECTION)

    def _get_dlib(self) -> Detector:
        if self._dlib is None:
            self._dlib = DlibDetector()
        return self._dlib


def _cached_detector(
    detectors: dict[KeyT, tuple[Model, Detector]], key: KeyT, model: Model
) -> Detector:
    """Return the detector of a model; a new one if the model was loaded again."""
    if key not in detectors or detectors[key][0] is not model:
        kind = CenterFaceDetector if model.variant == CENTERFACE else RetinaFaceDetector
        detectors[key] = (model, kind(model))
    return detectors[key][1]
