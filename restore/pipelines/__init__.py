"""One file a task. Each takes the decoded photos of a request and loaded networks and gives the restored photos."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from restore.imaging.photo import Photo
from restore.models.loader import Model
from restore.options import (
    BACKGROUND,
    DDCOLOR,
    FACE,
    LAMA,
    NAFNET,
    OLD_PHOTO,
    UPSCALER,
    Choice,
    EnhanceOptions,
    Step,
)
from restore.pipelines import (
    colorize,
    face_restore,
    inpaint,
    old_photo,
    old_photo_lite,
    restore,
    upscale,
)
from restore.pipelines.enhance import enhance, upscale_or_enhance
from restore.pipelines.job import Job, photo_by_photo
from restore.pipelines.upscale import output_size


@dataclass(frozen=True)
class Pipeline:
    """A task's work, and what is known of it before any work.

    Attributes:
        run: (photos, the task's options, one job a photo) -> the restored photos; an error names its photo.
        check: (photo, the task's options, output format, job); raises RestoreError for a photo that will not do.
        needs: (the task's options) -> the networks that such a request needs, the task's own first.
        size: (photo, the task's options) -> width and height of the result.
        runs: (one of these networks, the task's options) -> what of it and its partners will run.
        with_lite: the catalog tasks whose lite networks work beside the task's own where that is a lite one.
    """

    run: Callable[[Sequence[Photo], Any, Sequence[Job]], list[Photo]]
    check: Callable[[Photo, Any, str, Job], None]
    needs: Callable[[Any], tuple[Choice, ...]]
    size: Callable[[Photo, Any], tuple[int, int]] = lambda photo, options: (
        photo.width,
        photo.height,
    )
    runs: Callable[[Model, Any], Model] = lambda model, options: model
    with_lite: tuple[str, ...] = ()


def scaled_size(photo: Photo, options: EnhanceOptions) -> tuple[int, int]:
    """Width and height of the result of a task that enlarges by `scale`."""
    return output_size(photo, options.scale)


def scaled_by(model: Model, options: EnhanceOptions) -> Model:
    """What of an upscaler runs for `scale`."""
    return upscale.suited(model, options.scale)


PIPELINES: Mapping[Step, Pipeline] = {
    "face_restore": Pipeline(
        face_restore.face_restore,
        face_restore.check,
        lambda options: (
            (FACE, BACKGROUND)
            if options.background_enhance and not options.has_aligned
            else (FACE,)
        ),
        size=lambda photo, options: output_size(photo, options.face_upscale),
        runs=lambda model, options: upscale.suited(model, options.face_upscale),
    ),
    "enhance": Pipeline(
        enhance, upscale.check, lambda options: (UPSCALER, FACE), size=scaled_size, runs=scaled_by
    ),
    "upscale": Pipeline(
        upscale_or_enhance,
        upscale.check,
        lambda options: (UPSCALER, FACE) if options.face_enhance else (UPSCALER,),
        size=scaled_size,
        runs=scaled_by,
    ),
    "restore": Pipeline(photo_by_photo(restore.restore), restore.check, lambda options: (NAFNET,)),
    "colorize": Pipeline(
        photo_by_photo(colorize.colorize), colorize.check, lambda options: (DDCOLOR,)
    ),
    "old_photo_restore": Pipeline(
        photo_by_photo(old_photo.old_photo),
        old_photo.check,
        lambda options: (OLD_PHOTO,),
        with_lite=old_photo_lite.COMPANIONS,
    ),
    "inpaint": Pipeline(photo_by_photo(inpaint.inpaint), inpaint.check, lambda options: (LAMA,)),
}
