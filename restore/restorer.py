"""Restorer: the one object that predict.py, the command line, the benchmarks and Python callers use."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from restore.catalog import LITE, Catalog
from restore.errors import Code, RestoreError
from restore.models import Model
from restore.options import CATALOG_TASKS, FACE, MAX_PHOTOS, TASK_OPTIONS, TASKS, FaceOptions, Request, Task
from restore.outputs import save_all
from restore.photo import Photo, open_photo
from restore.pipelines import PIPELINES
from restore.pipelines.job import Job
from restore.report import Report
from restore.runtime import Progress, coded_memory_errors, runtime_for, select_device, silent
from restore.shelf import Shelf
from restore.uploads import NamedFile
from restore.weights import Policy, WeightStore

Source = str | os.PathLike[str] | NamedFile | Photo


@dataclass(frozen=True)
class Results:
    """Restored photos and their reports, in the order of the request."""

    photos: tuple[Photo, ...]
    reports: tuple[Report, ...]
    request: Request

    def save(self, folder: str | os.PathLike[str], prefix: str = "", *, with_reports: bool = False) -> list[Path]:
        """Writes all photos into `folder`, or none: unique names in order, encoding times and warnings into the reports.

        With `with_reports` each photo's report lies beside it as JSON.

        Raises:
            RestoreError: OUTPUT_UNWRITABLE.
        """
        with coded_memory_errors(", ".join(photo.name for photo in self.photos), "encoding"):
            return save_all(self.photos, self.reports, self.request.output, Path(folder), prefix, with_reports=with_reports)


class Restorer:
    """Loads networks once and restores photos with them.

    Args:
        weights: `official`, `lite` or `auto`; RESTORE_WEIGHTS where not given, else `auto`.
        weights_dir: folder of downloaded checkpoints; RESTORE_WEIGHTS_DIR where not given, else `weights/` of the project.
        device: `cpu`, `cuda`, ...; RESTORE_DEVICE where not given, else CUDA where there is one.
        preload: `all`, `none` or task names separated by commas: which networks are loaded at once rather than when needed.
        progress: called as progress(what, done, total).

    Raises:
        RestoreError: OPTION_INVALID for a setting that does not exist, DEVICE, and any WEIGHTS_* code while preloading.
    """

    def __init__(
        self,
        *,
        weights: str | None = None,
        weights_dir: str | os.PathLike[str] | None = None,
        device: str | None = None,
        preload: str = "none",
        progress: Progress = silent,
    ) -> None:
        self.policy = _policy(weights or os.environ.get("RESTORE_WEIGHTS", "").strip() or "auto")
        self.device = select_device(device)
        self.catalog = Catalog.load()
        self.progress = progress
        self.store = WeightStore(self.catalog, Path(weights_dir) if weights_dir else None, progress=progress)
        self.shelf = Shelf(self.store, self.policy, self.device, progress)
        for task in _tasks_of(preload):
            self.preload(task)

    def preload(self, task: Task) -> None:
        """Loads every variant that a task may be asked for and the weights policy offers."""
        # The environment's choice is what most requests will use: a name that does not exist must not wait for one.
        options = TASK_OPTIONS[task]()
        for choice in options.choices:
            options.variant(choice)
        for needed in CATALOG_TASKS[task]:
            self.shelf.preload(needed)

    def run(self, task: str, photos: Source | Sequence[Source], /, **inputs: object) -> Results:
        """Restores one to four photos.

        Args:
            task: one of `restore.options.TASKS`.
            photos: one or several: paths, named files, or photos from `open_photo`.
            **inputs: the task's options and the output's, named as in the input table of the README.

        Raises:
            RestoreError: the request, a photo, the weights or the machine would not do; nothing is returned for any photo.
        """
        request = Request.from_inputs(task, inputs)
        sources = [photos] if isinstance(photos, str | os.PathLike | NamedFile | Photo) else list(photos)
        check_count(len(sources))
        reports = [Report(photo=_name_of(source), task=task) for source in sources]
        decoded = [self._opened(source, report) for source, report in zip(sources, reports, strict=True)]
        jobs = self._jobs(request, reports)
        pipeline = PIPELINES[request.task]
        for photo, job in zip(decoded, jobs, strict=True):
            pipeline.check(photo, request.options, request.output.output_format, job.models)
        restored = pipeline.run(decoded, request.options, jobs)
        self.progress("photos", len(decoded), len(decoded))
        return Results(tuple(restored), tuple(reports), request)

    def _opened(self, source: Source, report: Report) -> Photo:
        with report.stage("decode"):
            photo = _read(source)
        report.input = photo.facts()
        for warning in photo.warnings:
            report.warn(warning)
        return photo

    def _jobs(self, request: Request, reports: Sequence[Report]) -> list[Job]:
        """One job a photo, with the networks that the request needs; what their choice degraded goes to every report."""
        options, models, warnings = request.options, dict[str, Model](), list[str]()
        needed = PIPELINES[request.task].needs(options)
        for choice in needed:
            model, degraded = self.shelf.model(choice.task, options.variant(choice))
            models[choice.task] = model
            warnings += degraded
            asked = getattr(options, choice.field)
            if asked not in {"auto", model.variant} and not degraded:
                warnings.append(f"{asked} was asked for; the weights policy '{self.policy}' answers with {model.variant}")
        detector = None
        if FACE in needed and isinstance(options, FaceOptions):
            detector, degraded = self.shelf.detector(options.face_detector, with_lite=models[FACE.task].variant == LITE)
            warnings += degraded
        runtime = runtime_for(request.run.runtime_profile, self.device)
        for report in reports:
            report.variant = models[needed[0].task].variant
            report.weights = [dict(facts) for model in models.values() for facts in model.weights]
            report.device, report.precision, report.runtime_profile = str(runtime.device), runtime.precision, runtime.profile
            for warning in warnings:
                report.warn(warning)
        return [Job(models, runtime, report, self.progress, detector) for report in reports]


def check_count(count: int) -> None:
    """Refuses a request of no photos, or of too many.

    Raises:
        RestoreError: PHOTO_COUNT.
    """
    if not 1 <= count <= MAX_PHOTOS:
        remedy = f"Send 1 to {MAX_PHOTOS} photos, as image, as images, or both."
        raise RestoreError(Code.PHOTO_COUNT, f"the request has {count} photos", remedy)


def _policy(name: str) -> Policy:
    try:
        return Policy(name)
    except ValueError:
        remedy = f"Set RESTORE_WEIGHTS to one of {', '.join(Policy)}."
        raise RestoreError(Code.OPTION_INVALID, f"the weights policy is '{name}', which does not exist", remedy) from None


def _tasks_of(preload: str) -> tuple[Task, ...]:
    names = [name.strip() for name in preload.split(",") if name.strip()]
    if names in (["none"], []):
        return ()
    if names == ["all"]:
        return TASKS
    for name in names:
        if name not in TASKS:
            reason = f"preload names '{name}', which is no task"
            raise RestoreError(Code.OPTION_INVALID, reason, f"Set RESTORE_PRELOAD to all, none or some of {', '.join(TASKS)}.")
    return tuple(task for task in TASKS if task in names)


def _name_of(source: Source) -> str:
    return source.name if isinstance(source, Photo | NamedFile) else Path(source).name


def _read(source: Source) -> Photo:
    if isinstance(source, Photo):
        return source
    if isinstance(source, NamedFile):
        return open_photo(source.path, name=source.name)
    return open_photo(Path(source))
