"""Run photos through the steps of a plan, on the host or on the device.

A step runs on the device if the runtime keeps pixels there, the step supports it with its options,
and the photos fit. The photos are copied only where a step on the device follows one on the host,
or the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from restore.imaging.device_photo import DevicePhoto, download_photo, upload_photo
from restore.imaging.photo import Photo
from restore.options import TaskOptions
from restore.pipelines import DeviceRun, TaskSpec
from restore.pipelines.context import StepContext
from restore.pipelines.device_harm import check_harm_on_device
from restore.pipelines.harm_check import check_harm
from restore.runtime.device import Runtime
from restore.runtime.memory import USABLE_MEMORY_FRACTION, free_memory_bytes

DEVICE_BYTES_PER_PX = 100
"""Memory on the device for each pixel of the largest picture of a step: float copies of three
channels for the tiles, the corrections and the harm check."""

HeldPhoto = Photo | DevicePhoto


@dataclass(frozen=True)
class PlannedStep:
    """A step that is ready to run.

    Attributes:
        spec: its task.
        options: its options.
        contexts: one context for each photo of its group.
        is_proposed: whether `steps=auto` proposed it.
        largest_px: pixels of the largest result of one of its photos, or of a network's output if
            that is larger.
    """

    spec: TaskSpec
    options: TaskOptions
    contexts: Sequence[StepContext]
    is_proposed: bool
    largest_px: int


def run_steps(
    photos: Sequence[Photo], steps: Sequence[PlannedStep], *, corrects_harm: bool
) -> Iterator[Photo]:
    """Run photos through steps, without encoding them in between.

    Args:
        photos: the photos.
        steps: the steps in order.
        corrects_harm: whether harmful results are reduced or rejected.

    Yields:
        The results in order, on the host, each before the last step processes the next photo (if
        it processes photos one by one).

    Raises:
        RestoreError: HARM if a step that the request names would damage a photo.
    """
    held: Iterable[HeldPhoto] = photos
    for step in steps:
        run = device_run_of(step)
        before = list(held)
        if run is None:
            held = _run_on_host(step, before, corrects_harm=corrects_harm)
        else:
            held = _run_on_device(run, step, before, corrects_harm=corrects_harm)
    if not steps:
        yield from photos
        return
    for photo, context in zip(held, steps[-1].contexts, strict=True):
        yield _to_host(photo, context)


def device_run_of(step: PlannedStep) -> DeviceRun | None:
    """Return the function that runs a step on the device, or None if it runs on the host.

    The reports say where the pixels are, if the runtime keeps them on the device.
    """
    runtime = step.contexts[0].runtime
    if not runtime.pixels_on_device:
        return None
    run = step.spec.run_on_device(step.options)
    if run is not None and _fits(step, runtime):
        effect = "pixels stayed on the device"
    else:
        reason = "its photos may not fit on the device" if run else "it only runs there"
        effect, run = f"pixels were processed on the host: {reason}", None
    for context in step.contexts:
        context.report.add_profile_effect(effect)
    return run


def _fits(step: PlannedStep, runtime: Runtime) -> bool:
    """Tell whether the photos of a step fit into the device's memory, beside the network."""
    needed_bytes = DEVICE_BYTES_PER_PX * step.largest_px
    return needed_bytes <= USABLE_MEMORY_FRACTION / 2 * free_memory_bytes(runtime.device)


def _run_on_host(
    step: PlannedStep, held: Sequence[HeldPhoto], *, corrects_harm: bool
) -> Iterator[HeldPhoto]:
    photos = [_to_host(*pair) for pair in zip(held, step.contexts, strict=True)]
    results = step.spec.run(photos, step.options, step.contexts)
    for before, after, context in zip(photos, results, step.contexts, strict=True):
        if _is_reduced(before, after):
            yield after
            continue
        yield check_harm(
            before,
            after,
            step.spec.expected,
            context,
            is_proposed=step.is_proposed,
            corrects=corrects_harm,
        )


def _run_on_device(
    run: DeviceRun, step: PlannedStep, held: Sequence[HeldPhoto], *, corrects_harm: bool
) -> Iterator[HeldPhoto]:
    photos = [_to_device(*pair) for pair in zip(held, step.contexts, strict=True)]
    results = run(photos, step.options, step.contexts)
    for before, after, context in zip(photos, results, step.contexts, strict=True):
        if _is_reduced(before, after):
            yield after
            continue
        with context.name_photo_in_errors():
            checked = check_harm_on_device(
                before,
                after,
                step.spec.expected,
                context,
                is_proposed=step.is_proposed,
                corrects=corrects_harm,
            )
        yield checked


def _is_reduced(before: HeldPhoto, after: HeldPhoto) -> bool:
    """Tell whether a step reduced a photo, as the request wants it, instead of a network's work.

    The check would take the means of its fine patterns, which are those of the light, for damage.
    """
    return after.width < before.width or after.height < before.height


def _to_device(photo: HeldPhoto, context: StepContext) -> DevicePhoto:
    if isinstance(photo, DevicePhoto):
        return photo
    with context.name_photo_in_errors(), context.report.stage("upload"):
        return upload_photo(photo, context.runtime.device)


def _to_host(photo: HeldPhoto, context: StepContext) -> Photo:
    if isinstance(photo, Photo):
        return photo
    with context.name_photo_in_errors(), context.report.stage("download"):
        return download_photo(photo)
