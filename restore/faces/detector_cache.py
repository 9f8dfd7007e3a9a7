"""Chooses the face detector of a request and keeps the loaded detectors."""

from __future__ import annotations

import logging
from collections.abc import Hashable
from typing import TypeVar

from restore.errors import RestoreError
from restore.faces.detect import Detector, DlibDetector, RetinaFaceDetector
from restore.models.cache import ModelCache
from restore.models.loader import Model
from restore.models.policy import FALLBACK_CODES, Policy
from restore.runtime.device import Runtime

DETECTION = "face_detect"
"""The catalog task of the detectors."""
DLIB = "dlib"
AUTO = "auto"
DEFAULT_NETWORK = "retinaface_resnet50"
"""The detector of the official face restoration code."""

log = logging.getLogger("restore")
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
        self._unavailable: dict[str, str] = {}
        """Detectors without available weights, and the warning about each."""

    def get(self, name: str, *, with_lite: bool) -> tuple[Detector, tuple[str, ...]]:
        """Return a face detector, and warnings if it is a fallback.

        Args:
            name: a value of the option `face_detector`. `auto` is RetinaFace with ResNet-50, or
                dlib together with lite weights, because these need no download.
            with_lite: whether the faces are restored with lite weights.

        Raises:
            RestoreError: any WEIGHTS_* code; with the policy `auto` only for a damaged file.
        """
        policy = self._models.policy
        if name == DLIB or (name == AUTO and (with_lite or policy is Policy.LITE)):
            return self._get_dlib(), ()
        if policy is Policy.LITE:
            warning = f"{DLIB} is used instead of {name}, because the weights policy is '{policy}'"
            return self._get_dlib(), (warning,)
        name = DEFAULT_NETWORK if name == AUTO else name
        # A failed download is not repeated by every request.
        if name not in self._unavailable:
            try:
                return self._get_network(name), ()
            except RestoreError as error:
                if policy is Policy.OFFICIAL or error.code not in FALLBACK_CODES:
                    raise
                self._unavailable[name] = f"{DLIB} is used instead of {name}: {error.reason}"
                log.warning("%s", self._unavailable[name])
        return self._get_dlib(), (self._unavailable[name],)

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
        networks = self._models.store.catalog.variants(DETECTION)
        offered = () if self._models.policy is Policy.LITE else networks
        for name in (DLIB, *offered):
            self.get(name, with_lite=False)

    def _get_network(self, name: str) -> Detector:
        model, _ = self._models.get(DETECTION, name)
        return _cached_detector(self._detectors, name, model)

    def _get_dlib(self) -> Detector:
        if self._dlib is None:
            self._dlib = DlibDetector()
        return self._dlib


def _cached_detector(
    detectors: dict[KeyT, tuple[Model, Detector]], key: KeyT, model: Model
) -> Detector:
    """Return the detector of a model; a new one if the model was loaded again."""
    if key not in detectors or detectors[key][0] is not model:
        detectors[key] = (model, RetinaFaceDetector(model))
    return detectors[key][1]
