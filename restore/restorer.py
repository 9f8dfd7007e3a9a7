"""Restorer: the public class that the Cog predictor, the command line and Python callers use."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Self, Unpack, get_args

import torch

from restore.engine import Engine
from restore.errors import Code, RestoreError
from restore.faces.detector_cache import AUTO, DETECTION, DetectorCache
from restore.imaging.early_encoding import EarlyEncoder
from restore.imaging.photo import Photo
from restore.imaging.sources import Source, as_list
from restore.models.cache import ModelCache
from restore.models.catalog import LITE, Catalog
from restore.models.download_plan import download_plan
from restore.models.patience import BRIEF, PATIENT
from restore.models.policy import Policy
from restore.models.store import WeightStore
from restore.optimize.compiler import Compiler
from restore.optimize.copies import Copies
from restore.optimize.cpu_probe import CpuProbe
from restore.options import (
    CATALOG_TASKS,
    INSPECT_TASK,
    STEPS,
    TASK_OPTIONS,
    Inputs,
    Request,
    RunOptions,
    RuntimeProfile,
    Step,
)
from restore.options.arguments import is_given, parse_preload, path_of
from restore.options.base import choices_in_words, value_error
from restore.options.counts import PASS_PHOTOS, check_photo_count
from restore.options.suggest import did_you_mean
from restore.pipelines import TASK_SPECS
from restore.pipelines.inspect import inspect_photo
from restore.pipelines.propose import Judge
from restore.pipelines.request_photos import RequestPhoto, decode_photos
from restore.results import Results
from restore.runtime.allocator import ALLOCATOR
from restore.runtime.device import Runtime, runtime_for, select_device
from restore.runtime.forks import require_usable_process
from restore.runtime.progress import Progress, progress_of

PIXEL_DEVICES = frozenset({"cuda"})
"""Types of devices on which photos stay between networks, in the profiles that allow it. On a CPU
the same functions of OpenCV are faster. Tests set `Restorer.pixel_devices` to add `cpu`."""

log = logging.getLogger("restore")


class Restorer:
    """Loads networks once and restores photos with them.

    Several threads may use one restorer; their requests run one after the other. Its memory is
    freed with it. It cannot be pickled: each process needs one of its own, and must not be forked
    after networks ran.

    Args:
        weights: `official`, `lite`, `local` or `auto`; defaults to RESTORE_WEIGHTS, else `auto`.
        weights_dir: folder of downloaded checkpoints; defaults to RESTORE_WEIGHTS_DIR.
        device: `cpu`, `cuda`, ... or a torch.device; defaults to RESTORE_DEVICE, else CUDA if
            available, else `cpu`.
        preload: tasks whose networks are loaded at once: `all`, `none`, or their names, as a list
            or separated by commas. The networks of other tasks are loaded by their first request.
        progress: called as progress(what, done, total), in the thread of the request. An exception
            that it raises ends the request.

    Raises:
        RestoreError: OPTION_INVALID for an unknown setting, DEVICE, any WEIGHTS_* code.
    """

    def __init__(
        self,
        *,
        weights: str | None = None,
        weights_dir: str | os.PathLike[str] | None = None,
        device: str | torch.device | None = None,
        preload: str | Collection[str] = "none",
        progress: Progress | None = None,
    ) -> None:
        folder = path_of("weights_dir", weights_dir) if is_given(weights_dir) else None
        tasks = parse_preload(preload)
        self.policy = Policy.select(weights)
        self.progress = progress_of(progress)
        self.device = select_device(device)
        self.catalog = Catalog.load()
        self.pixel_devices = PIXEL_DEVICES
        self._lock = threading.RLock()
        self.encodes_early = False
        """Whether results of requests with several photos are encoded while the device processes
        the next ones. Only for callers that always save the results."""
        # The policy `auto` has the embedded weights, so it does not wait long for a network.
        patience = BRIEF if self.policy is Policy.AUTO else PATIENT
        self.store = WeightStore(
            self.catalog,
            folder,
            progress=self.progress,
            patience=patience,
            offline=self.policy is Policy.LOCAL,
        )
        self.compiler = Compiler(self.device)
        self.copies = Copies(self.compiler, CpuProbe())
        self.cache = ModelCache(self.store, self.policy, self.copies, self.progress)
        self.detectors = DetectorCache(self.cache)
        if tasks:
            needed = {name for task in tasks for name in CATALOG_TASKS[task]}
            plan = download_plan(self.store, needed, self.policy)
            log.info("weights to download before the start: %s", plan.describe())
        for task in tasks:
            self.preload(task)
        if tasks:
            self._prepare_copies()

    def __getstate__(self) -> dict[str, object]:
        """Refuse pickling in words; copies of a restorer share its networks.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "a Restorer cannot be pickled: make one in each process, see docs/python.md"
        )

    def __copy__(self) -> Self:
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    @property
    def fallback_warnings(self) -> frozenset[str]:
        """All warnings so far about weights that are used instead of the requested ones.

        They hold for all photos alike. In the report of a pipeline, the name of the step is before
        each: `upscale: lite weights are used ...`.
        """
        return frozenset(self.cache.fallback_warnings)

    def preload(self, task: Step) -> None:
        """Load every variant of a task that the weights policy offers.

        Raises:
            RestoreError: OPTION_INVALID for another task, or if an environment variable names an
                unknown variant; DEVICE in a process that was forked after networks ran; any
                WEIGHTS_* code.
        """
        if task not in STEPS:
            raise value_error("task", task, choices_in_words(STEPS), did_you_mean(task, STEPS))
        require_usable_process(self.device)
        options, spec = TASK_OPTIONS[task](), TASK_SPECS[task]
        for choice in spec.choices(options):
            options.variant(choice)  # a wrong environment variable must fail now
        for catalog_task in CATALOG_TASKS[task]:
            if catalog_task == DETECTION:
                self.detectors.preload()
            else:
                self.cache.preload(catalog_task)
        if self.policy is Policy.OFFICIAL:
            return
        for companion in spec.lite_companions:
            self.cache.get(companion, LITE)
        if spec.lite_companions:
            self.detectors.get(AUTO, with_lite=True)

    def _prepare_copies(self) -> None:
        """Make the copies of all loaded networks, so that no request waits for them.

        On CUDA these are the copies below float32. If the environment names a compile backend, they
        are also the optimized ones. On a CPU the probe decides which networks have copies below
        float32; these are made by the first request that needs them.
        """
        self.copies.probe_all(self.cache.models)
        backend = self.compiler.backend
        for each in {None, backend}:
            for profile in get_args(RuntimeProfile):
                runtime = runtime_for(profile, self.device, each, low_precision=True)
                if self.device.type == "cuda" or runtime.compiles:
                    for model in self.cache.models:
                        self.cache.prepare(model, runtime)

    def run(
        self,
        task: str,
        photos: Source | Sequence[Source],
        /,
        *,
        masks: Source | Sequence[Source] | None = None,
        **inputs: Unpack[Inputs],
    ) -> Results:
        """Restore one to four photos, or judge them (`inspect`).

        Args:
            task: `face_restore`, `enhance`, `upscale`, `restore`, `colorize`, `old_photo_restore`,
                `inpaint`, `colors`, `pipeline` or `inspect`.
            photos: one or several of all that `open_photo` accepts (paths, bytes, binary files,
                arrays, PIL images) or returns. They are not changed.
            masks: for `inpaint`, the same, white where a photo is to be filled: one for all photos,
                or one for each.
            **inputs: options of the task, the output and the run, such as `scale=2`; `Inputs`,
                docs/inputs.md and `restore upscale --help` list them. None means "not set".

        Raises:
            RestoreError: any code; no photo is returned then.
        """
        request = Request.from_inputs(task, inputs)
        sources, mask_sources = as_list(photos), as_list(masks, "mask")
        check_photo_count(len(sources), PASS_PHOTOS)
        require_usable_process(self.device)
        runtime = self._runtime(request.run)
        with self._lock, ALLOCATOR.keep_freed_memory():
            try:
                return self._run_once(request, sources, mask_sources, runtime)
            except RestoreError as error:
                fallback = _fallback_of(runtime, error)
                if fallback is None:
                    raise
            # Outside of the handler, because the traceback would keep tensors alive.
            runtime, warning = fallback
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            results = self._run_once(request, sources, mask_sources, runtime)
        for report in results.reports:
            report.warn(warning)
        return results

    def _run_once(
        self,
        request: Request,
        sources: Sequence[Source],
        mask_sources: Sequence[Source],
        runtime: Runtime,
    ) -> Results:
        photos = decode_photos(request, sources, mask_sources)
        self.cache.substitutes.clear()
        self.cache.used.clear()
        if request.task == INSPECT_TASK:
            return self._inspect(request, photos, runtime)
        encoder = EarlyEncoder(request.output)
        # On a CPU, encoding and networks would compete for the cores.
        is_parallel = self.device.type in self.pixel_devices and len(photos) > 1
        on_finished = encoder.start if self.encodes_early and is_parallel else _ignore
        engine = Engine(self.cache, self.detectors, self.compiler, self.progress, on_finished)
        try:
            restored, found_masks = engine.run(request, photos, runtime)
        except BaseException:
            encoder.close(failed=True)
            raise
        reports = tuple(photo.report for photo in photos)
        for report in reports:
            report.sum_up_steps()
            report.recompiles = self.compiler.recompiles if runtime.optimized else 0
        self.progress("photos", len(photos), len(photos))
        return Results(
            tuple(restored),
            reports,
            request,
            found_masks,
            encoded=encoder.close(),
            substitutes=frozenset(self.cache.substitutes),
            networks=frozenset(used.to_text(self.store.catalog) for used in self.cache.used),
        )

    def _inspect(
        self, request: Request, items: Sequence[RequestPhoto], runtime: Runtime
    ) -> Results:
        judge = Judge.load(request, self.cache, self.detectors, runtime)
        inspections = []
        for index, item in enumerate(items):
            self.progress("photos", index, len(items))
            inspections.append(inspect_photo(item, request, judge, runtime))
        self.progress("photos", len(items), len(items))
        return Results(
            photos=tuple(item.photo for item in items),
            reports=tuple(item.report for item in items),
            request=request,
            inspections=tuple(inspections),
        )

    def _runtime(self, run: RunOptions) -> Runtime:
        """Return device, precision and compile backend of a request.

        Raises:
            RestoreError: OPTION_INVALID for a compile backend that cannot be used.
        """
        backend = None
        if run.stability_mode == "optimized":
            backend = self.compiler.backend_for(run.compile_backend)
        return runtime_for(
            run.runtime_profile,
            self.device,
            backend,
            low_precision=True,
            pixels_on_device=self.device.type in self.pixel_devices,
        )


def _fallback_of(runtime: Runtime, error: RestoreError) -> tuple[Runtime, str] | None:
    """Return with which runtime a failed request is repeated, and the warning; None to fail."""
    if error.code is Code.BAD_NUMBERS and (runtime.optimized or runtime.low_precision):
        failed = "optimized" if runtime.optimized else "low-precision"
        return runtime_for(runtime.profile, runtime.device), (
            f"the {failed} networks failed ({error.reason}): the request was repeated without them,"
            " in float32"
        )
    if error.code is Code.OUT_OF_MEMORY and runtime.pixels_on_device:
        return replace(runtime, pixels_on_device=False), (
            f"{error.reason} with the photos on the device: the request was repeated with the"
            " photos on the host"
        )
    return None


def _ignore(index: int, photo: Photo) -> None:
    """Do nothing with a finished photo."""
