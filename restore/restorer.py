"""Restorer: the one object that predict.py, the command line, the benchmarks and Python callers use."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from restore.errors import Code, RestoreError
from restore.imaging.masks import masks_of
from restore.imaging.outputs import save_all
from restore.imaging.photo import Photo, open_photo
from restore.models.cache import DLIB, Shelf
from restore.models.catalog import LITE, Catalog
from restore.models.loader import Model
from restore.models.store import Policy, WeightStore
from restore.optimize.compiler import NONE, Compiler
from restore.options import (
    CATALOG_TASKS,
    CHAIN,
    FACE,
    MAX_PHOTOS,
    OLD_PHOTO,
    STEPS,
    TASK_OPTIONS,
    FaceOptions,
    OldPhotoOptions,
    Request,
    RunOptions,
    Step,
    TaskOptions,
)
from restore.pipelines import PIPELINES, Pipeline
from restore.pipelines.job import Job
from restore.pipelines.propose import PROPOSED_WITH, proposed_steps
from restore.report import Report
from restore.runtime.allocator import HEAP
from restore.runtime.device import (
    Progress,
    Runtime,
    coded_memory_errors,
    runtime_for,
    select_device,
    silent,
)
from restore.serving.uploads import NamedFile

Source = str | os.PathLike[str] | NamedFile | Photo


@dataclass(frozen=True)
class Results:
    """Restored photos and their reports, in the order of the request.

    Attributes:
        masks: by the photo's index, the scratches that were found in it, where the request asked to `return_mask`.
    """

    photos: tuple[Photo, ...]
    reports: tuple[Report, ...]
    request: Request
    masks: Mapping[int, Photo] = field(default_factory=dict)

    def save(
        self, folder: str | os.PathLike[str], prefix: str = "", *, with_reports: bool = False
    ) -> list[Path]:
        """Writes all photos into `folder`, or none: unique names in order, encoding times and warnings into the reports.

        Masks follow the photos, as `<prefix><n>-<name>-mask.png`. With `with_reports` each photo's report lies beside it as JSON.

        Raises:
            RestoreError: OUTPUT_UNWRITABLE.
        """
        with coded_memory_errors(", ".join(photo.name for photo in self.photos), "encoding"):
            return save_all(
                self.photos,
                self.reports,
                self.request.output,
                Path(folder),
                prefix,
                self.masks,
                with_reports=with_reports,
            )


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
        self.store = WeightStore(
            self.catalog, Path(weights_dir) if weights_dir else None, progress=progress
        )
        self.compiler = Compiler(self.device)
        self.shelf = Shelf(self.store, self.policy, self.compiler, progress)
        for task in _tasks_of(preload):
            self.preload(task)

    def preload(self, task: Step) -> None:
        """Loads every variant that a task may be asked for and the weights policy offers."""
        # The environment's choice is what most requests will use: a name that does not exist must not wait for one.
        options = TASK_OPTIONS[task]()
        for choice in PIPELINES[task].needs(options):
            options.variant(choice)
        for needed in CATALOG_TASKS[task]:
            self.shelf.preload(needed)
        if self.policy is not Policy.OFFICIAL:
            for companion in PIPELINES[task].with_lite:
                model, _ = self.shelf.model(companion, LITE)
                if self.compiler.compiles:
                    self.shelf.optimized(model)

    def run(
        self,
        task: str,
        photos: Source | Sequence[Source],
        /,
        *,
        masks: Source | Sequence[Source] = (),
        **inputs: object,
    ) -> Results:
        """Restores one to four photos.

        Args:
            task: one of `restore.options.TASKS`.
            photos: one or several: paths, named files, or photos from `open_photo`.
            masks: for `inpaint`, pictures that are white where a photo is to be filled: one for all photos, or one for each.
            **inputs: the task's options and the output's, named as in the input table of the README.

        Raises:
            RestoreError: the request, a photo, the weights or the machine would not do; nothing is returned for any photo.
        """
        request = Request.from_inputs(task, inputs)
        sources = _listed(photos)
        check_count(len(sources))
        runtime = self._runtime(request.run)
        with HEAP.kept():
            try:
                return self._restored(request, sources, _listed(masks), runtime)
            except RestoreError as error:
                if error.code is not Code.BAD_NUMBERS or not runtime.optimized:
                    raise
                failure = error.reason
            # Outside of the handler, whose traceback would keep the memory of what failed.
            results = self._restored(
                request, sources, _listed(masks), runtime_for(runtime.profile, self.device)
            )
        for report in results.reports:
            report.warn(
                f"faster copies of the networks failed ({failure}): this request ran without them"
            )
        return results

    def _restored(
        self, request: Request, sources: Sequence[Source], masks: Sequence[Source], runtime: Runtime
    ) -> Results:
        """What becomes of a request's photos in one way of computing."""
        reports = [Report(photo=_name_of(source), task=request.task) for source in sources]
        decoded = [
            self._opened(source, report) for source, report in zip(sources, reports, strict=True)
        ]
        points = request.options["inpaint"].points
        holes: Sequence[np.ndarray | None] = [None] * len(decoded)
        if "inpaint" in request.steps or not request.steps:
            holes = masks_of(decoded, [_read_mask(mask) for mask in masks], points, reports)
        elif masks or points is not None:
            for report in reports:
                report.warn(
                    "mask, masks and points have a meaning for inpaint alone: they were not looked at"
                )
        if request.steps:
            plan = self._optimized(
                self._planned(request, request.steps, decoded, reports, holes, runtime), runtime
            )
            restored = _run(plan, decoded)
            found = {
                index: job.masks_found[-1]
                for step in plan
                for index, job in enumerate(step.jobs)
                if job.masks_found
            }
        else:
            plans = [
                self._proposed(request, *one, runtime)
                for one in zip(decoded, reports, holes, strict=True)
            ]
            plans = [self._optimized(plan, runtime) for plan in plans]
            restored = [
                photo
                for plan, before in zip(plans, decoded, strict=True)
                for photo in _run(plan, [before])
            ]
            last = (
                (index, job.masks_found)
                for index, plan in enumerate(plans)
                for step in plan
                for job in step.jobs
            )
            found = {index: scratched[-1] for index, scratched in last if scratched}
        for report in reports:
            if report.steps:
                report.sum_up()
            report.recompiles = self.compiler.recompiles if runtime.optimized else 0
        self.progress("photos", len(decoded), len(decoded))
        return Results(tuple(restored), tuple(reports), request, found)

    def _runtime(self, run: RunOptions) -> Runtime:
        """Where and how a request computes.

        Raises:
            RestoreError: OPTION_INVALID for a compile backend that the stability mode, the process or the device does not have.
        """
        if run.stability_mode == "optimized":
            return runtime_for(
                run.runtime_profile, self.device, self.compiler.backend_for(run.compile_backend)
            )
        if run.compile_backend not in {"auto", NONE}:
            reason = f"compile_backend is {run.compile_backend}, and stability_mode safe compiles nothing"
            raise RestoreError(
                Code.OPTION_INVALID,
                reason,
                "Set stability_mode to optimized, or leave compile_backend out.",
            )
        return runtime_for(run.runtime_profile, self.device)

    def _planned(
        self,
        request: Request,
        steps: Sequence[Step],
        photos: Sequence[Photo],
        reports: Sequence[Report],
        holes: Sequence[np.ndarray | None],
        runtime: Runtime,
    ) -> list[Planned]:
        """Every step with its networks and jobs, each photo checked at the size that it will have by then: nothing was done yet."""
        plan: list[Planned] = []
        expected = list(photos)
        for step in steps:
            options, pipeline = request.options[step], PIPELINES[step]
            own = (
                [Report(photo=report.photo, task=step) for report in reports]
                if request.task == CHAIN
                else reports
            )
            jobs = self._jobs(
                step,
                options,
                own,
                [_fitted(hole, photo) for hole, photo in zip(holes, expected, strict=True)],
                runtime,
            )
            for index, (photo, job) in enumerate(zip(expected, jobs, strict=True)):
                try:
                    pipeline.check(photo, options, request.output.output_format, job)
                except RestoreError as error:
                    if len(steps) == 1 or error.code is not Code.OUTPUT_TOO_LARGE:
                        raise
                    reason = f"in step {len(plan) + 1} ({step}), {error.reason}"
                    raise RestoreError(
                        error.code, reason, "Enlarge less, or in fewer steps.", photo=error.photo
                    ) from error
                width, height = pipeline.size(photo, options)
                # A photo of the size to come, in no memory: its pixels are all the same one.
                expected[index] = photo.with_pixels(np.broadcast_to(np.uint8(0), (height, width)))
            if request.task == CHAIN:
                for report, of_step in zip(reports, own, strict=True):
                    report.steps.append(of_step)
            plan.append(Planned(pipeline, options, jobs))
        return plan

    def _proposed(
        self,
        request: Request,
        photo: Photo,
        report: Report,
        hole: np.ndarray | None,
        runtime: Runtime,
    ) -> list[Planned]:
        """The plan of the steps that a photo seems to need; each says in its report why."""
        options = request.options["face_restore"]
        model, _ = self.shelf.model(FACE.task, options.variant(FACE))
        detector, _ = self.shelf.detector(options.face_detector, with_lite=model.variant == LITE)
        scratch_net, _ = self.shelf.model(OLD_PHOTO.task, LITE)
        try:
            with report.stage("propose"), coded_memory_errors(photo.name, "looking at"):
                proposed = proposed_steps(
                    photo, detector, scratch_net.net, has_hole=hole is not None
                )
        except RestoreError as error:
            raise error.about(photo.name) from error
        suited = {
            step: request.options[step].model_copy(update=changes)
            for step, changes in PROPOSED_WITH.items()
        }
        request = request.model_copy(update={"options": request.options | suited})
        plan = self._planned(
            request, [step for step, _ in proposed], [photo], [report], [hole], runtime
        )
        for of_step, (_, why) in zip(report.steps, proposed, strict=True):
            of_step.why = why
        if not proposed:
            report.warn(
                "steps is auto, and this photo seems to need none of them: it comes back as it was"
            )
        return plan

    def _optimized(self, plan: Sequence[Planned], runtime: Runtime) -> list[Planned]:
        """The plan with the faster copies of its networks, where those are asked for; now that nothing of the request was refused."""
        if runtime.compile_backend is None:
            return list(plan)
        self.compiler.backend = runtime.compile_backend
        faster = []
        for planned in plan:
            first, models = planned.jobs[0], dict[str, Model]()
            with first.report.stage("optimize"):
                for task, model in first.models.items():
                    models[task], failures = self.shelf.optimized(model)
                    for job in planned.jobs:
                        for failure in failures:
                            job.report.warn(failure)
                detector = self.shelf.optimized_detector(first.detector) if first.detector else None
            jobs = [replace(job, models=models, detector=detector) for job in planned.jobs]
            faster.append(replace(planned, jobs=jobs))
        return faster

    def _opened(self, source: Source, report: Report) -> Photo:
        with report.stage("decode"):
            photo = _read(source)
        report.input = photo.facts()
        for warning in photo.warnings:
            report.warn(warning)
        return photo

    def _jobs(
        self,
        step: Step,
        options: TaskOptions,
        reports: Sequence[Report],
        holes: Sequence[np.ndarray | None],
        runtime: Runtime,
    ) -> list[Job]:
        """One job a photo, with the networks that the step needs; what their choice degraded goes to every report."""
        models, warnings = dict[str, Model](), list[str]()
        needed = PIPELINES[step].needs(options)
        for choice in needed:
            model, degraded = self.shelf.model(choice.task, options.variant(choice))
            models[choice.task] = model
            warnings += degraded
            asked = getattr(options, choice.field)
            if asked != "auto" and options.variant(choice) != model.variant and not degraded:
                warnings.append(
                    f"{asked} was asked for; the weights policy '{self.policy}' answers with {model.variant}"
                )
        if models[needed[0].task].variant == LITE:
            models |= {task: self.shelf.model(task, LITE)[0] for task in PIPELINES[step].with_lite}
        detector = None
        if (
            FACE in needed
            and isinstance(options, FaceOptions)
            and not getattr(options, "has_aligned", False)
        ):
            detector, degraded = self.shelf.detector(
                options.face_detector, with_lite=models[FACE.task].variant == LITE
            )
            warnings += degraded
        elif isinstance(options, OldPhotoOptions) and options.with_face:
            detector, _ = self.shelf.detector(DLIB, with_lite=False)
        for report in reports:
            report.variant = models[needed[0].task].variant
            running = (PIPELINES[step].runs(model, options) for model in models.values())
            report.weights = [dict(facts) for model in running for facts in model.weights]
            report.weights += [dict(facts) for facts in (detector.weights if detector else ())]
            report.device, report.precision, report.runtime_profile = (
                str(runtime.device),
                runtime.precision,
                runtime.profile,
            )
            report.stability_mode, report.compile_backend = (
                "optimized" if runtime.optimized else "safe",
                runtime.compile_backend,
            )
            for warning in warnings:
                report.warn(warning)
        return [
            Job(models, runtime, report, self.progress, detector, hole)
            for report, hole in zip(reports, holes, strict=True)
        ]


@dataclass(frozen=True)
class Planned:
    """A step that is ready to run."""

    pipeline: Pipeline
    options: TaskOptions
    jobs: Sequence[Job]


def _fitted(hole: np.ndarray | None, photo: Photo) -> np.ndarray | None:
    """A mask at the size that its photo has by then."""
    if hole is None or hole.shape == (photo.height, photo.width):
        return hole
    return (
        cv2.resize(
            hole.astype(np.uint8),
            (photo.width, photo.height),
            interpolation=cv2.INTER_NEAREST_EXACT,
        )
        > 0
    )


def _run(plan: Sequence[Planned], photos: Sequence[Photo]) -> list[Photo]:
    """Photos through all steps, nothing encoded in between."""
    done = list(photos)
    for planned in plan:
        done = planned.pipeline.run(done, planned.options, planned.jobs)
    return done


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
        raise RestoreError(
            Code.OPTION_INVALID, f"the weights policy is '{name}', which does not exist", remedy
        ) from None


def _tasks_of(preload: str) -> tuple[Step, ...]:
    names = [name.strip() for name in preload.split(",") if name.strip()]
    if names in (["none"], []):
        return ()
    if names == ["all"]:
        return STEPS
    for name in names:
        if name not in STEPS:
            reason = f"preload names '{name}', which is no task"
            raise RestoreError(
                Code.OPTION_INVALID,
                reason,
                f"Set RESTORE_PRELOAD to all, none or some of {', '.join(STEPS)}.",
            )
    return tuple(task for task in STEPS if task in names)


def _listed(sources: Source | Sequence[Source]) -> list[Source]:
    return (
        [sources] if isinstance(sources, str | os.PathLike | NamedFile | Photo) else list(sources)
    )


def _name_of(source: Source) -> str:
    return source.name if isinstance(source, Photo | NamedFile) else Path(source).name


def _read_mask(source: Source) -> Photo:
    try:
        return _read(source)
    except RestoreError as error:
        raise RestoreError(
            error.code,
            error.reason,
            error.remedy,
            photo=f"{error.photo or _name_of(source)} (a mask)",
        ) from error


def _read(source: Source) -> Photo:
    if isinstance(source, Photo):
        return source
    if isinstance(source, NamedFile):
        return open_photo(source.path, name=source.name)
    return open_photo(Path(source))
