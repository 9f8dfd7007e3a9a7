"""Keeps every loaded network, and its copies, for the life of the process."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from restore.errors import RestoreError
from restore.models.loader import Model, load_model
from restore.models.policy import FALLBACK_CODES, Policy, Resolved, resolve
from restore.models.store import WeightStore
from restore.models.substitutes import COPIES, LITE_WEIGHTS, Substitute
from restore.models.used_networks import UsedNetwork
from restore.runtime.device import Runtime
from restore.runtime.progress import Progress

Key = tuple[str, str]
"""Catalog task and variant."""

log = logging.getLogger("restore")


PlanT = TypeVar("PlanT", bound=Hashable)


class Optimizer(Protocol[PlanT]):
    """What makes faster copies of models (restore.optimize.copies.Copies)."""

    @property
    def device(self) -> torch.device:
        """The device of all networks."""

    def plan(self, model: Model, runtime: Runtime) -> PlanT:
        """Return what is done for a request. False: the networks run as loaded."""

    def copy(self, model: Model, plan: PlanT) -> tuple[Model, tuple[str, ...]]:
        """Return a faster copy of a model, and a warning for each step that failed."""


class ModelCache:
    """Loads each network once, when it is first needed.

    Args:
        store: provides the checkpoint files.
        policy: which weights are used.
        optimizer: makes the copies; networks are loaded onto its device.
        progress: called while networks are loaded and copied.
    """

    def __init__(
        self, store: WeightStore, policy: Policy, optimizer: Optimizer[Any], progress: Progress
    ) -> None:
        self.store = store
        self.policy = policy
        self.optimizer = optimizer
        self.progress = progress
        self.fallback_warnings = set[str]()
        """All warnings so far about weights that are used instead of the requested ones."""
        self.substitutes = set[Substitute]()
        """The same weights, since the caller last emptied this set."""
        self.used = set[UsedNetwork]()
        """All networks that were asked for, since the caller last emptied this set."""
        self._models: dict[Key, Model] = {}
        self._copies: dict[Key, dict[Hashable, tuple[Model, tuple[str, ...]]]] = {}
        self._mapped_files: dict[Key, list[MappedFile]] = {}
        self._resolutions: dict[Key, tuple[str, tuple[str, ...]]] = {}
        """Requested task and variant to the variant in use and the warnings about it."""

    @property
    def loaded(self) -> frozenset[Key]:
        """Task and variant of every loaded network."""
        return frozenset(self._models)

    def get(self, task: str, variant: str) -> tuple[Model, tuple[str, ...]]:
        """Return the model for a variant, and warnings if a fallback is used.

        If the file of a loaded network was overwritten, the file is verified and loaded again.

        Raises:
            RestoreError: OPTION_INVALID for an unknown variant, any WEIGHTS_* code, DEVICE.
        """
        self._drop_if_overwritten(task, variant)
        if (task, variant) not in self._resolutions:
            resolved = resolve(self.store, task, variant, self.policy)
            if (task, resolved.variant) not in self._models:
                self._load(task, resolved)
            self._resolutions[task, variant] = (resolved.variant, resolved.warnings)
        served, warnings = self._resolutions[task, variant]
        self.used.add(UsedNetwork(task, variant, served))
        if warnings:
            used = COPIES if served == variant else LITE_WEIGHTS
            self.substitutes.add(Substitute(task, variant, used))
        return self._models[task, served], warnings

    def prepare(self, model: Model, runtime: Runtime) -> tuple[Model, tuple[str, ...]]:
        """Return the copy of a loaded model that a request uses, and a warning for each failure.

        A copy is made once and kept. The model itself is returned if its networks run as loaded.
        """
        plan = self.optimizer.plan(model, runtime)
        if not plan:
            return model, ()
        copies = self._copies.setdefault((model.row.task, model.variant), {})
        if plan not in copies:
            self.progress(f"optimizing {model.row.task} {model.variant}", 0, 1)
            copies[plan] = self.optimizer.copy(model, plan)
        return copies[plan]

    @property
    def models(self) -> tuple[Model, ...]:
        """All loaded models."""
        return tuple(self._models.values())

    def preload(self, task: str) -> None:
        """Load every variant of a catalog task that the weights policy offers.

        Raises:
            RestoreError: as `get`. With the policy `auto`, a variant without available weights is
                only logged: a request for it gets the same error.
        """
        variants = self._offered_variants(task)
        for index, variant in enumerate(variants):
            self.progress(f"loading {task}", index, len(variants))
            try:
                self.get(task, variant)
            except RestoreError as error:
                if not self.policy.has_substitutes or error.code not in FALLBACK_CODES:
                    raise
                log.warning("%s", error)
        self.progress(f"loading {task}", len(variants), len(variants))

    def _offered_variants(self, task: str) -> tuple[str, ...]:
        """All variants; with the policy `lite` the embedded ones only, which may be none."""
        catalog = self.store.catalog
        return tuple(
            variant
            for variant in catalog.variants(task)
            if self.policy is not Policy.LITE or catalog.find(task, variant).embedded
        )

    def _load(self, task: str, resolved: Resolved) -> None:
        key = (task, resolved.variant)
        files = (resolved.net, *resolved.partners.values())
        on_cpu = self.optimizer.device.type == "cpu"
        # Opened before they are read, so that later changes are noticed.
        mapped_files = [MappedFile(file.path) for file in files] if on_cpu else []
        self._models[key] = load_model(resolved, self.optimizer.device)
        self._mapped_files[key] = mapped_files

    def _drop_if_overwritten(self, task: str, variant: str) -> None:
        """Drop a network and its copies if its file has changed since it was loaded."""
        if (task, variant) not in self._resolutions:
            return
        served, _ = self._resolutions[task, variant]
        if not any(file.has_changed() for file in self._mapped_files.get((task, served), ())):
            return
        log.warning("the file of %s %s has changed: verifying and loading it again", task, served)
        for entries in (self._models, self._copies, self._mapped_files):
            entries.pop((task, served), None)
        self._resolutions = {
            key: (used, warnings)
            for key, (used, warnings) in self._resolutions.items()
            if (key[0], used) != (task, served)
        }


class MappedFile:
    """Keeps a file open whose content is memory-mapped, so that it survives its deletion.

    Weights on a CPU are mapped from their file. If the file were truncated, the next access would
    kill the process (SIGBUS).

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        self._stamp_before = self._stamp()

    def has_changed(self) -> bool:
        """Return whether the file was written to."""
        return self._stamp() != self._stamp_before

    def _stamp(self) -> tuple[int, int]:
        facts = os.fstat(self._file)
        return facts.st_size, facts.st_mtime_ns
