"""One file a task. Each takes a decoded photo and a loaded model and gives the restored photo."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from restore.options import Task
from restore.photo import Photo
from restore.pipelines.job import Job
from restore.pipelines.restore import check as check_restore
from restore.pipelines.restore import restore
from restore.pipelines.upscale import check as check_upscale
from restore.pipelines.upscale import upscale


@dataclass(frozen=True)
class Pipeline:
    """A task's work, and what refuses a photo before any work.

    Attributes:
        run: (photo, the task's options, job) -> the restored photo.
        check: (photo, the task's options, output format, the net's scale); raises RestoreError.
    """

    run: Callable[[Photo, Any, Job], Photo]
    check: Callable[[Photo, Any, str, int], None]


PIPELINES: Mapping[Task, Pipeline] = {
    "upscale": Pipeline(upscale, check_upscale),
    "restore": Pipeline(restore, check_restore),
}
