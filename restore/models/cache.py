"""Shelf: every network and face detector that was loaded so far, and what stood in for what."""

from __future__ import annotations

import logging
import os
import weakref
from pathlib import Path

from restore.errors import RestoreError
from restore.faces.detect import Detector, DlibDetector, RetinaFaceDetector
from restore.models.loader import Model, load_model
from restore.models.store import STANDS_IN_FOR, Policy, WeightStore
from restore.optimize.compiler import Compiler
from restore.runtime.device import Progress

log = logging.getLogger("restore")

DETECTION = "face_detect"
DLIB = "dlib"


class Shelf:
    """Loads each network once, when it is first asked for, under one weights policy and onto one device."""

    def __init__(
        self, store: WeightStore, policy: Policy, compiler: Compiler, progress: Progress
    ) -> None:
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
        self._mapped: dict[tuple[str, str], list[Mapped]] = {}

    @property
    def loaded(self) -> frozenset[tuple[str, str]]:
        """Task and variant of every network that is loaded."""
        return frozenset(self._models)

    def model(self, task: str, asked: str) -> tuple[Model, tuple[str, ...]]:
        """The network that serves a variant, and what its choice degraded.

        A network whose file was written into since it was loaded is loaded, and the file verified, anew.

        Raises:
            RestoreError: OPTION_INVALID for a variant that does not exist, any WEIGHTS_* code, DEVICE.
        """
        served = self._stand_ins.get((task, asked))
        if served and any(file.written_into() for file in self._mapped.get((task, served[0]), ())):
            self._forget(task, served[0])
        if (task, asked) not in self._stand_ins:
            resolved = self.store.resolve(task, asked, self.policy)
            if (task, resolved.variant) not in self._models:
                # Before it is read: what changes meanwhile shows.
                files = (
                    (resolved.net, *resolved.partners.values())
                    if self.compiler.device.type == "cpu"
                    else ()
                )
                mapped = [Mapped(file.path) for file in files]
                self._models[task, resolved.variant] = load_model(resolved, self.compiler.device)
                self._mapped[task, resolved.variant] = mapped
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
            return self._dlib(), (
                f"{asked} was asked for; the weights policy '{self.policy}' answers with {DLIB}",
            )
        name = "retinaface_resnet50" if asked == "auto" else asked
        if (DETECTION, name) in self._models:
            self.model(
                DETECTION, name
            )  # looks after its file, and drops the detector with the network
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
            for name in (
                DLIB,
                *(() if self.policy is Policy.LITE else self.store.catalog.variants(task)),
            ):
                self.detector(name, with_lite=False)
            return
        offered = self.store.catalog.variants(task)
        # Under `lite` a task without lite weights is left for a request to ask for, and be told so.
        catalog = self.store.catalog
        variants = tuple(
            variant
            for variant in offered
            if self.policy is not Policy.LITE or catalog.find(task, variant).embedded
        )
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

    def _forget(self, task: str, variant: str) -> None:
        """Drops a network, its faster copy and whatever it stands in for."""
        log.warning(
            "the file of %s %s was written into since it was loaded: it is verified and loaded anew",
            task,
            variant,
        )
        for kept in (self._models, self._optimized, self._mapped):
            kept.pop((task, variant), None)
        for asked in [
            key
            for key, (served, _) in self._stand_ins.items()
            if (key[0], served) == (task, variant)
        ]:
            del self._stand_ins[asked]
        if task == DETECTION:
            self._detectors.pop(variant, None)
            self._optimized_detectors.pop(variant, None)

    def _dlib(self) -> Detector:
        if DLIB not in self._detectors:
            self._detectors[DLIB] = DlibDetector()
        return self._detectors[DLIB]


class Mapped:
    """A file that weights are mapped from, kept open: replaced or removed, it lives on, and the network with it.

    Weights on a CPU are pages of their file: where it was cut, the first touch of a page would end the process, with no exception.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        self._before = self._stamp()

    def written_into(self) -> bool:
        """Whether its content is another than it was."""
        return self._stamp() != self._before

    def _stamp(self) -> tuple[int, int]:
        facts = os.fstat(self._file)
        return facts.st_size, facts.st_mtime_ns
