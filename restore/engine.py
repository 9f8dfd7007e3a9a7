"""Plans a request (steps, models, contexts) and runs the plan.

Named steps and proposed steps take the same path. They differ only in the groups of photos that run
through the same steps: all photos of the request, or each photo with the steps proposed for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from restore.errors import Code, RestoreError
from restore.faces.detector_cache import DetectorCache
from restore.imaging.coding import output_format_of
from restore.imaging.photo import Photo
from restore.imaging.resize import resize_mask
from restore.models.cache import ModelCache
from restore.models.loader import Model
from restore.optimize.compiler import Compiler
from restore.options import PIPELINE_TASK, Request, Step
from restore.pipelines import TASK_SPECS
from restore.pipelines.context import StepContext
from restore.pipelines.loading import describe_precision, describe_step, load_step
from restore.pipelines.prepare import prepare_photo
from restore.pipelines.propose import Judge, ProposedStep
from restore.pipelines.record import record_steps
from restore.pipelines.request_photos import RequestPhoto
from restore.pipelines.step_runs import PlannedStep, run_steps
from restore.pipelines.unused import StepUse, unused_option_warnings
from restore.report import Report
from restore.runtime.device import Runtime
from restore.runtime.progress import Progress, of_step


@dataclass(frozen=True)
class StepGroup:
    """Photos that run through the same steps.

    Attributes:
        indices: the positions of the photos in the request.
        photos: the photos.
        steps: the steps in order.
    """

    indices: Sequence[int]
    photos: Sequence[RequestPhoto]
    steps: Sequence[ProposedStep]


@dataclass(frozen=True)
class Plan:
    """The steps of a group, ready to run."""

    group: StepGroup
    steps: Sequence[PlannedStep]


@dataclass(frozen=True)
class Engine:
    """Runs requests.

    Attributes:
        models: provides the models.
        detectors: provides the face detectors.
        compiler: makes the optimized copies of the models.
        progress: called while the request runs.
        on_finished: called with position and result of each photo as soon as it is finished.
    """

    models: ModelCache
    detectors: DetectorCache
    compiler: Compiler
    progress: Progress
    on_finished: Callable[[int, Photo], None]

    def run(
        self, request: Request, photos: Sequence[RequestPhoto], runtime: Runtime
    ) -> tuple[list[Photo], dict[int, Photo]]:
        """Run a request.

        All photos are checked before any of them is processed, except that proposing steps looks at
        the photos.

        Returns:
            The restored photos in order, and by photo index the masks that the steps found.

        Raises:
            RestoreError: a photo, the weights or the machine does not suffice.
        """
        prepared = [prepare_photo(item.photo, item.mask) for item in photos]
        photos = [
            replace(item, photo=ready.photo) for item, ready in zip(photos, prepared, strict=True)
        ]
        plans = [
            self._plan(request, group, runtime)
            for group in self._group_photos(request, photos, runtime)
        ]
        if runtime.compile_backend is not None:
            # Set only now, because a request that is refused must not fix the backend.
            self.compiler.backend = runtime.compile_backend
        if runtime.optimized or runtime.low_precision:
            plans = [self._use_copies(plan, runtime) for plan in plans]
        finished: dict[int, Photo] = {}
        masks: dict[int, Photo] = {}
        for plan in plans:
            restored = run_steps(
                [item.photo for item in plan.group.photos],
                plan.steps,
                corrects_harm=request.run.harm_check,
            )
            for index, photo in zip(plan.group.indices, restored, strict=True):
                finished[index] = prepared[index].finish(photo, photos[index].mask)
                if request.output.record_steps:
                    finished[index] = record_steps(finished[index], photos[index].report)
                self.on_finished(index, finished[index])
            for step in plan.steps:
                for index, context in zip(plan.group.indices, step.contexts, strict=True):
                    if context.found_masks:
                        masks[index] = context.found_masks[-1]
        return [finished[index] for index in range(len(photos))], masks

    def _group_photos(
        self, request: Request, photos: Sequence[RequestPhoto], runtime: Runtime
    ) -> Iterator[StepGroup]:
        if request.steps:
            steps = [ProposedStep(step) for step in request.steps]
            yield StepGroup(range(len(photos)), photos, steps)
            return
        judge = Judge.load(request, self.models, self.detectors, runtime)
        for index, photo in enumerate(photos):
            yield StepGroup([index], [photo], self._propose(request, photo, judge))

    def _propose(
        self, request: Request, item: RequestPhoto, judge: Judge
    ) -> Sequence[ProposedStep]:
        """Return the steps that a photo seems to need, each with the reason."""
        steps = judge.assess(item, request).steps
        if not steps:
            item.report.warn(
                "steps is auto, but this photo seems to need no step: it was returned unchanged"
            )
        return steps

    def _plan(self, request: Request, group: StepGroup, runtime: Runtime) -> Plan:
        """Load the models of all steps, and check each photo at its size before each step."""
        photos = [item.photo for item in group.photos]
        planned, uses = list[PlannedStep](), list[StepUse]()
        for number, proposed in enumerate(group.steps, start=1):
            step, reason = proposed.step, proposed.reason
            spec, options = TASK_SPECS[step], proposed.task_options(request)
            loaded = load_step(spec, options, self.models, self.detectors)
            contexts, progress = [], of_step(self.progress, step)
            for photo, item in zip(photos, group.photos, strict=True):
                report = _step_report(request, item.report, step, reason)
                describe_step(report, spec, options, loaded, runtime)
                mask = item.mask
                if mask is not None:
                    mask = resize_mask(mask, (photo.width, photo.height))
                contexts.append(
                    StepContext(
                        loaded.models,
                        runtime,
                        report,
                        progress,
                        loaded.detector,
                        mask,
                        item.face_points,
                    )
                )
            for photo, context in zip(photos, contexts, strict=True):
                with _name_step_in_errors(number, step, len(group.steps)):
                    spec.check(photo, options, _output_format(request, photo), context)
            network_scale = max(
                spec.running_model(model, options).row.scale for model in loaded.models.values()
            )
            network_px = max(photo.width * photo.height for photo in photos) * network_scale**2
            photos = [_placeholder(photo, spec.output_size(photo, options)) for photo in photos]
            largest_px = max(network_px, *(photo.width * photo.height for photo in photos))
            planned.append(PlannedStep(spec, options, contexts, bool(reason), largest_px))
            uses.append(StepUse(step, spec, options, loaded.models, proposed.options))
        for warning in unused_option_warnings(request, uses):
            for item in group.photos:
                item.report.warn(warning)
        return Plan(group, planned)

    def _use_copies(self, plan: Plan, runtime: Runtime) -> Plan:
        """Replace the networks of a plan by the copies for profile and stability mode."""
        steps = []
        for step in plan.steps:
            first, models, warnings = step.contexts[0], dict[str, Model](), list[str]()
            detector, detector_model = first.detector, None
            with first.report.stage("optimize"):
                for task, model in first.models.items():
                    models[task], failures = self.models.prepare(model, runtime)
                    warnings += failures
                if detector is not None:
                    detector, detector_model = self.detectors.prepare(detector, runtime)
            for context in step.contexts:
                for warning in warnings:
                    context.report.warn(warning)
                describe_precision(
                    context.report, step.spec, step.options, models, detector_model, runtime
                )
            contexts = [
                replace(context, models=models, detector=detector) for context in step.contexts
            ]
            steps.append(replace(step, contexts=contexts))
        return replace(plan, steps=steps)


def _output_format(request: Request, photo: Photo) -> str:
    return output_format_of(request.output.output_format, photo.format)


def _placeholder(photo: Photo, size: tuple[int, int]) -> Photo:
    """Return a photo of (width, height) that takes no memory, for checks of the next step."""
    return photo.with_pixels(np.broadcast_to(np.uint8(0), (size[1], size[0])))


def _step_report(request: Request, report: Report, step: Step, reason: str) -> Report:
    """Return the report of a step: the photo's own, or for the task `pipeline` a new part of it."""
    if request.task != PIPELINE_TASK:
        return report
    step_report = Report(photo=report.photo, task=step, why=reason)
    report.steps.append(step_report)
    return step_report


@contextmanager
def _name_step_in_errors(number: int, step: Step, count: int) -> Iterator[None]:
    """Name the step in errors about the output size, if the request has several steps."""
    try:
        yield
    except RestoreError as error:
        if count == 1 or error.code is not Code.OUTPUT_TOO_LARGE:
            raise
        raise RestoreError(
            error.code,
            f"in step {number} ({step}), {error.reason}",
            "Enlarge less, or in fewer steps.",
            photo=error.photo,
        ) from error
