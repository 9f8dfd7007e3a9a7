"""Shelf: every network and face detector that was loaded so far, and what stood in for what."""

from __future__ import annotations

import logging

from restore.catalog import LITE
from restore.compilation import Compiler
from restore.errors import RestoreError
from restore.faces.detect import Detector, DlibDetector, RetinaFaceDetector
from restore.models import Model, load_model
from restore.runtime import Progress
from restore.weights import STANDS_IN_FOR, Policy, WeightStore

log = logging.getLogger("restore")

DETECTION = "face_detect"
DLIB = "dlib"


class Shelf:
    """Loads each network once, when it is first asked for, under one weights policy and onto one device."""

    def __init__(self, store: WeightStore, policy: Policy, compiler: Compiler, progress: Progress) -> None:
        self.store = store
        self.policy = policy
        self.compiler = compiler
        self.progress = progress
        self._models: dict[tuple[str, str], Model] = {}
        self._optimized: dict[tuple[str, str], tuple[Model, tuple[str, ...]]] = {}
        self._stand_ins: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {}
        self._detectors: dict[str, Detector] = {}
        self._optimized_detectors: dict[str, Detector] = {}
        self._missing: dict[str, str] = {}

    @property
    def loaded(self) -> frozenset[tuple[str, str]]:
        """Task and variant of every network that is loaded."""
        return frozenset(self._models)

    def model(self, task: str, asked: str) -> tuple[Model, tuple[str, ...]]:
        """The network that serves a variant, and what its choice degraded.

        Raises:
            RestoreError: OPTION_INVALID for a variant that does not exist, any WEIGHTS_* code, DEVICE.
        """
        if (task, asked) not in self._stand_ins:
            resolved = self.store.resolve(task, asked, self.policy)
            if (task, resolved.variant) not in self._models:
                self._models[task, resolved.variant] = load_model(resolved, self.compiler.device)
            self._stand_ins[task, asked] = (resolved.variant, resolved.warnings)
        variant, warnings = self._stand_ins[task, asked]
        return self._models[task, variant], warnings

    def optimized(self, model: Model) -> tuple[Model, tuple[str, ...]]:
        """The faster copy of a model, and what could not be done for it."""
        key = (model.row.task, model.variant)
        if key not in self._optimized:
            self.progress(f"optimizing {model.row.task} {model.variant}", 0, 1)
            self._optimized[key] = self.compiler.optimized(model)
        return self._optimized[key]

    def optimized_detector(self, detector: Detector) -> Detector:
        """The detector with the faster copy of its network, where it has one."""
        if (DETECTION, detector.name) not in self._models:
            return detector
        if detector.name not in self._optimized_detectors:
            model, _ = self.optimized(self._models[DETECTION, detector.name])
            self._optimized_detectors[detector.name] = RetinaFaceDetector(model)
        return self._optimized_detectors[detector.name]

    def detector(self, asked: str, *, with_lite: bool) -> tuple[Detector, tuple[str, ...]]:
        """What finds faces, and what its choice degraded.

        Args:
            asked: an option of `face_detector`; `auto` is RetinaFace with ResNet-50, as the official code has it, and dlib
                beside lite weights, which are to need no download.
            with_lite: whether the faces' network is the lite one.

        Raises:
            RestoreError: any WEIGHTS_* code; under the policy `auto` only for a damaged file.
        """
        lite = self.policy is Policy.LITE
        if asked == DLIB or (asked == "auto" and (with_lite or lite)):
            return self._dlib(), ()
        if lite:
            return self._dlib(), (f"{asked} was asked for; the weights policy '{self.policy}' answers with {DLIB}",)
        name = "retinaface_resnet50" if asked == "auto" else asked
        if name not in self._detectors and name not in self._missing:
            try:
                model, _ = self.model(DETECTION, name)
                self._detectors[name] = RetinaFaceDetector(model)
            except RestoreError as error:
                if self.policy is Policy.OFFICIAL or error.code not in STANDS_IN_FOR:
                    raise
                # Remembered, as for networks: a request is not to wait for a download that failed before.
                self._missing[name] = f"{DLIB} stands in for the detector {name}: {error.reason}"
                log.warning("%s", self._missing[name])
        if name in self._missing:
            return self._dlib(), (self._missing[name],)
        return self._detectors[name], ()

    def preload(self, task: str) -> None:
        """Loads every variant of a catalog task that the weights policy offers.

        Raises:
            RestoreError: what `model` raises; under `auto` not for weights that cannot be had.
        """
        if task == DETECTION:
            for name in (DLIB, *(() if self.policy is Policy.LITE else self.store.catalog.variants(task))):
                self.detector(name, with_lite=False)
            return
        offered = self.store.catalog.variants(task)
        # Under `lite` a task without lite weights is left for a request to ask for, and be told so.
        variants = tuple(variant for variant in offered if self.policy is not Policy.LITE or variant == LITE)
        for index, variant in enumerate(variants):
            self.progress(f"loading {task}", index, len(variants))
            try:
                model, _ = self.model(task, variant)
                if self.compiler.compiles:  # from the start, so that no request waits for it
                    self.optimized(model)
            except RestoreError as error:
                if self.policy is not Policy.AUTO or error.code not in STANDS_IN_FOR:
                    raise
                # A task without lite weights is no reason for the others not to start; a request for it is told the same.
                log.warning("%s", error)
        self.progress(f"loading {task}", len(variants), len(variants))

    def _dlib(self) -> Detector:
        if DLIB not in self._detectors:
            self._detectors[DLIB] = DlibDetector()
        return self._detectors[DLIB]
