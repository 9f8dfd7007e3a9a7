"""StepContext: the models, runtime and report with which a step processes one photo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from torch import Tensor

from restore.errors import RestoreError
from restore.faces.detect import Detector
from restore.faces.points import FacePoints
from restore.imaging.photo import Photo
from restore.models.loader import Model
from restore.pipelines.rules import PixelRules
from restore.report import Report
from restore.runtime.device import Runtime
from restore.runtime.memory import translate_memory_errors
from restore.runtime.progress import Progress, no_progress

TaskOption = TypeVar("TaskOption")
PhotoT = TypeVar("PhotoT")
"""A photo on the host or on the device."""


@dataclass(frozen=True)
class StepContext:
    """Everything a step needs to process one photo, apart from the photo and the options.

    Attributes:
        models: loaded models by catalog task.
        runtime: device, precision and profile.
        report: the report of this step for this photo.
        progress: called with the name of the work, the finished and the total number of its parts.
        detector: the face detector, for steps that need one.
        mask: HxW bool of the photo's size, True where the photo is to be filled.
        face_points: the points that select faces; None if all faces are selected.
        found_masks: masks that a step returns beside the photo, such as the scratches it found.
        changed_areas: HxW bool masks of the input photo's size, True where the step changed the
            photo on purpose (holes, scratches, faces). The harm check does not look there.
        changed_on_device: the same for a step on the device, 1x1xHxW bool.
        rules: how results are computed where official codes have faults.
    """

    models: Mapping[str, Model]
    runtime: Runtime
    report: Report
    progress: Progress = no_progress
    detector: Detector | None = None
    mask: np.ndarray | None = None
    face_points: FacePoints | None = None
    found_masks: list[Photo] = field(default_factory=list)
    changed_areas: list[np.ndarray] = field(default_factory=list)
    changed_on_device: list[Tensor] = field(default_factory=list)
    rules: PixelRules = field(default_factory=PixelRules)

    @contextmanager
    def name_photo_in_errors(self) -> Iterator[None]:
        """Add the photo's name to errors that are raised in the block.

        Raises:
            RestoreError: any error of the block; OUT_OF_MEMORY if memory runs out.
        """
        try:
            with translate_memory_errors(self.report.photo, "restoring"):
                yield
        except RestoreError as error:
            raise error.about(self.report.photo) from error


def run_each_photo(
    run: Callable[[PhotoT, TaskOption, StepContext], PhotoT],
) -> Callable[[Sequence[PhotoT], TaskOption, Sequence[StepContext]], Iterator[PhotoT]]:
    """Turn a function for one photo into one that processes the photos of a request in order.

    Each result is available before the next photo is processed.
    """

    def run_all(
        photos: Sequence[PhotoT], options: TaskOption, contexts: Sequence[StepContext]
    ) -> Iterator[PhotoT]:
        for index, (photo, context) in enumerate(zip(photos, contexts, strict=True)):
            context.progress("photos", index, len(photos))
            with context.name_photo_in_errors():
                result = run(photo, options, context)
            yield result

    return run_all
