"""Restores the photos of one command one after the other and writes each result when it is done.

A photo that fails does not stop the others. An existing file is never overwritten unless asked. It
is skipped if it is the result of the same photo with the same options and no better weights have
arrived since, else it is an error.
"""

from __future__ import annotations

import functools
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from restore.cli.descriptions import Describer
from restore.cli.inputs import fetch_existing, fetch_masks, masks_of
from restore.cli.messages import error_with_flags
from restore.cli.targets import (
    Origin,
    Targets,
    exists_error,
    forget_origin,
    plan_outputs,
    require_other_files,
    write_error,
)
from restore.errors import Code, RestoreError, system_reason, unexpected
from restore.imaging.named_file import NamedFile
from restore.models.substitutes import BetterWeights
from restore.options import Inputs, Request
from restore.serving.temporary_files import temporary_folder

if TYPE_CHECKING:
    from restore.restorer import Restorer
    from restore.results import Results

log = logging.getLogger("restore.cli")

Status = Literal["done", "skipped", "failed"]


@dataclass(frozen=True)
class Settings:
    """How the results of a command are written.

    Attributes:
        folder: output folder; it is created with the first result.
        file: the output of a single photo, if the user named a file.
        overwrite: replace existing files.
        with_reports: write `<name>.json` beside each result.
    """

    folder: Path
    file: Path | None = None
    overwrite: bool = False
    with_reports: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of one photo.

    Attributes:
        photo: the name that the user gave.
        output: the result's file, existing or written; None if the photo failed.
        extra: further files, such as the mask of the scratches that were found.
        detail: a line for people: size, steps and warnings, or the error message.
    """

    photo: str
    status: Status
    output: Path | None = None
    extra: tuple[Path, ...] = ()
    detail: str = ""
    error_code: str = ""
    report: Mapping[str, object] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """Return the outcome as JSON types."""
        return {
            "photo": self.photo,
            "status": self.status,
            "output": None if self.output is None else str(self.output),
            "extra": [str(path) for path in self.extra],
            "error": {"code": self.error_code, "message": self.detail} if self.error_code else None,
            "report": dict(self.report) or None,
        }


@dataclass(frozen=True)
class Job:
    """What a command does with each of its photos.

    Attributes:
        task: the task.
        options: the options that the user gave, by their input names.
        weights: the weights policy.
        settings: how the results are written.
        make_restorer: returns the restorer; not called if there is nothing to do.
        describer: describes the results.
    """

    task: str
    options: Mapping[str, object]
    weights: str
    settings: Settings
    make_restorer: Callable[[], Restorer]
    describer: Describer = field(default_factory=Describer)

    @functools.cached_property
    def restorer(self) -> Restorer:
        """The restorer, which is made once."""
        return self.make_restorer()

    @functools.cached_property
    def request(self) -> Request:
        """The validated request."""
        return Request.from_inputs(self.task, self.options)

    @functools.cached_property
    def better_weights(self) -> BetterWeights | None:
        """Finds weights that are better than those that a result was made with."""
        return BetterWeights.for_policy(self.weights)

    def targets_of(self, result: Path) -> Targets:
        """Return the files that are written for a photo."""
        steps = self.request.steps or tuple(self.request.options)
        options = self.request.options["old_photo_restore"]
        with_mask = "old_photo_restore" in steps and options.return_mask
        return Targets.beside(result, with_mask=with_mask, with_report=self.settings.with_reports)


def restore_photos(
    job: Job,
    sources: Sequence[str],
    masks: Sequence[str],
    on_outcome: Callable[[Outcome, int], None],
) -> list[Outcome]:
    """Restore photos one by one.

    Args:
        job: what to do.
        sources: paths, URLs or data URIs.
        masks: none, one for all photos, or one for each photo.
        on_outcome: called as on_outcome(outcome, photos_done) after each photo.

    Raises:
        RestoreError: MASK, OUTPUT_UNWRITABLE, OPTION_INVALID, any WEIGHTS_* code: before any work.
    """
    masks_by_photo = masks_of(sources, masks)
    settings = job.settings
    paths = [settings.file] if settings.file else None
    paths = paths or plan_outputs(sources, settings.folder, job.request.output.output_format)
    require_other_files([job.targets_of(path) for path in paths], sources, masks)
    outcomes: list[Outcome] = []
    for source, path, own_masks in zip(sources, paths, masks_by_photo, strict=True):
        with temporary_folder() as folder:
            outcome = _restore_one(job, source, own_masks, path, folder)
        outcomes.append(outcome)
        on_outcome(outcome, len(outcomes))
    return outcomes


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return 0 if no photo failed, 1 if some failed and others did not, 2 if all failed."""
    failed = sum(outcome.status == "failed" for outcome in outcomes)
    if not failed:
        return 0
    return 2 if failed == len(outcomes) else 1


def _restore_one(
    job: Job, source: str, masks: Sequence[str], path: Path, downloads: Path
) -> Outcome:
    try:
        photo = fetch_existing(source, downloads / "photo")
        mask_files = fetch_masks(masks, downloads)
        origin = _origin(job, photo, mask_files)
        existing = [file for _, file in job.targets_of(path).files() if file.exists()]
        if existing and not job.settings.overwrite:
            if existing[0] != path:
                raise exists_error(existing[0])
            origin.require_made(path, job.better_weights)
            is_done = f"{path} is its result already, with the same options"
            detail = f"{is_done}; --overwrite restores it again"
            return Outcome(source, "skipped", path, detail=detail)
    except RestoreError as error:
        return _failed(source, error)
    restorer = job.restorer  # an error about weights or device ends the command
    try:
        results = _run(restorer, job, photo, mask_files)
        written = _write(results, job.targets_of(path), job.settings, origin)
    except RestoreError as error:
        return _failed(source, error)
    except OSError as error:
        return _failed(source, write_error(path, error))
    report = results.reports[0]
    size = f"{results.photos[0].width}x{results.photos[0].height}"
    detail = job.describer.describe(report, size, restorer.fallback_warnings)
    return Outcome(source, "done", written[0], written[1:], detail, report=report.to_dict())


def _failed(source: str, error: RestoreError) -> Outcome:
    return Outcome(source, "failed", detail=str(error_with_flags(error)), error_code=error.code)


def _origin(job: Job, photo: NamedFile, masks: Sequence[NamedFile]) -> Origin:
    try:
        return Origin.of(photo.path, job.request, [mask.path for mask in masks], job.weights)
    except OSError as error:
        reason = f"'{error.filename}' cannot be read ({system_reason(error)})"
        remedy = "Check the path and its permissions."
        raise RestoreError(Code.PHOTO_MISSING, reason, remedy, photo=photo.name) from error


def _run(restorer: Restorer, job: Job, photo: NamedFile, masks: Sequence[NamedFile]) -> Results:
    try:
        return restorer.run(job.task, [photo], masks=masks, **cast(Inputs, job.options))
    except RestoreError as error:
        raise error.about(photo.name) from error
    except Exception as error:
        log.info("%s: unexpected error", photo.name, exc_info=error)
        raise unexpected(error).about(photo.name) from error


def _write(
    results: Results, targets: Targets, settings: Settings, origin: Origin
) -> tuple[Path, ...]:
    """Write the result, its mask and its report; return all files, the result first."""
    from restore.imaging.outputs import make_folder  # noqa: PLC0415 - imports numpy and OpenCV

    parent = targets.result.parent
    make_folder(parent)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".restore-") as folder:
        written = _save(results, Path(folder), targets.result, settings)
        # With output_format=same, only the content of a fetched photo tells the suffix.
        result = settings.file or parent / f"{targets.result.stem}{written[0].suffix}"
        moves = [(written[0], result)]
        if targets.mask:
            moves += [(mask, targets.mask) for mask in written[1:]]
        if targets.report:
            moves.append((written[0].with_suffix(".json"), targets.report))
        for _, target in moves:
            if target.exists() and not settings.overwrite:
                raise exists_error(target)
        for source, target in moves:
            forget_origin(target)
            source.replace(target)
    if not settings.file:
        origin.record(result, results)
    return tuple(target for _, target in moves)


def _save(results: Results, folder: Path, result: Path, settings: Settings) -> list[Path]:
    """Save results into a temporary folder; an error names the result that the user knows."""
    try:
        return results.save(folder, with_reports=settings.with_reports)
    except RestoreError as error:
        if isinstance(error.__cause__, OSError):
            raise write_error(result, error.__cause__) from error
        raise
