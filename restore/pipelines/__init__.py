"""One file a task. Each takes the decoded photos of a request and loaded networks and gives the restored photos."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from restore.models import Model
from restore.options import BACKGROUND, FACE, NAFNET, UPSCALER, Choice, Task
from restore.photo import Photo
from restore.pipelines import face_restore, restore, upscale
from restore.pipelines.enhance import enhance, upscale_or_enhance
from restore.pipelines.job import Job, photo_by_photo


@dataclass(frozen=True)
class Pipeline:
    """A task's work, and what refuses a photo before any work.

    Attributes:
        run: (photos, the task's options, one job a photo) -> the restored photos; an error names its photo.
        check: (photo, the task's options, output format, networks); raises RestoreError.
        needs: (the task's options) -> the networks that such a request needs, the task's own first.
    """

    run: Callable[[Sequence[Photo], Any, Sequence[Job]], list[Photo]]
    check: Callable[[Photo, Any, str, Mapping[str, Model]], None]
    needs: Callable[[Any], tuple[Choice, ...]]


PIPELINES: Mapping[Task, Pipeline] = {
    "face_restore": Pipeline(
        face_restore.face_restore, face_restore.check, lambda options: (FACE, BACKGROUND) if options.background_enhance else (FACE,)
    ),
    "enhance": Pipeline(enhance, upscale.check, lambda options: (UPSCALER, FACE)),
    "upscale": Pipeline(upscale_or_enhance, upscale.check, lambda options: (UPSCALER, FACE) if options.face_enhance else (UPSCALER,)),
    "restore": Pipeline(photo_by_photo(restore.restore), restore.check, lambda options: (NAFNET,)),
}
