"""Restores the photos of one command one after the other and writes each result when it is done.

A photo that fails does not stop the others. An existing file is never overwritten unless asked.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from restore.errors import Code, RestoreError, unexpected
from restore.imaging.sources import NamedFile
from restore.options import OutputOptions
from restore.serving.fetch import fetch_photo

if TYPE_CHECKING:
    from restore.report import Report
    from restore.restorer import Restorer
    from restore.results import Results

Status = Literal["done", "skipped", "failed"]


@dataclass(frozen=True)
class Settings:
    """How the results of a command are written.

    Attributes:
        folder: output folder; it is created with the first result.
        overwrite: replace existing files.
        with_reports: write `<name>.json` beside each result.
    """

    folder: Path
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


def plan_outputs(sources: Sequence[str], settings: Settings, output_format: str) -> list[Path]:
    """Return one output path per source: the photo's own name, numbered where names repeat.

    Args:
        sources: paths, URLs or data URIs.
        settings: the output folder.
        output_format: the value of the option. With 'same' the suffix of a URL is provisional.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE if a result would replace its own photo.
    """
    from restore.imaging.outputs import (  # noqa: PLC0415 - imports numpy and OpenCV
        file_stem,
        planned_format,
    )

    used: set[str] = set()
    paths = []
    for source in sources:
        stem = name = file_stem(_name_of(source))
        number = 1
        while name in used:
            number += 1
            name = f"{stem}-{number}"
        used.add(name)
        suffix = planned_format(Path(source.removeprefix("@")), output_format)
        path = settings.folder / f"{name}.{suffix}"
        if _is_same_file(path, source):
            reason = f"the result '{path}' would replace the photo itself"
            remedy = "Choose another folder with --output."
            raise RestoreError(Code.OUTPUT_UNWRITABLE, reason, remedy, photo=source)
        paths.append(path)
    return paths


def run_batch(
    make_restorer: Callable[[], Restorer],
    task: str,
    sources: Sequence[str],
    masks: Sequence[str],
    options: Mapping[str, object],
    settings: Settings,
    on_outcome: Callable[[Outcome, int], None],
) -> list[Outcome]:
    """Restore photos one by one.

    Args:
        make_restorer: called once, and not at all if there is nothing to do.
        sources: paths, URLs or data URIs.
        masks: none, one for all photos, or one for each photo.
        options: the options that the user gave, by their input names.
        on_outcome: called as on_outcome(outcome, photos_done) after each photo.

    Raises:
        RestoreError: MASK, OUTPUT_UNWRITABLE, OPTION_INVALID, any WEIGHTS_* code: before any work.
    """
    if len(masks) not in {0, 1, len(sources)}:
        reason = f"{len(masks)} masks were given for {len(sources)} photos"
        raise RestoreError(Code.MASK, reason, "Give one mask for all photos, or one for each.")
    output = OutputOptions.from_inputs(options)
    paths = plan_outputs(sources, settings, output.output_format)
    restorer: Restorer | None = None
    outcomes: list[Outcome] = []
    for index, (source, path) in enumerate(zip(sources, paths, strict=True)):
        if path.exists() and not settings.overwrite:
            detail = (
                f"{path} exists already; use --overwrite to replace it, or another folder with -o"
            )
            outcome = Outcome(source, "skipped", path, detail=detail)
        else:
            restorer = restorer or make_restorer()
            own_masks = masks if len(masks) < 2 else [masks[index]]
            outcome = _restore_one(restorer, task, source, own_masks, options, path, settings)
        outcomes.append(outcome)
        on_outcome(outcome, index + 1)
    return outcomes


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return 0 if no photo failed, 1 if some failed and others did not, 2 if all failed."""
    failed = sum(outcome.status == "failed" for outcome in outcomes)
    if not failed:
        return 0
    return 2 if failed == len(outcomes) else 1


def _restore_one(
    restorer: Restorer,
    task: str,
    source: str,
    masks: Sequence[str],
    options: Mapping[str, object],
    path: Path,
    settings: Settings,
) -> Outcome:
    try:
        with tempfile.TemporaryDirectory() as folder:
            photo = fetch_photo(source, Path(folder) / "photo")
            mask_files = [
                fetch_photo(mask, Path(folder) / f"mask-{index}")
                for index, mask in enumerate(masks)
            ]
            results = _run(restorer, task, photo, mask_files, options)
        written = _write(results, path, settings)
    except RestoreError as error:
        return Outcome(source, "failed", detail=str(error), error_code=error.code)
    report = results.reports[0]
    size = f"{results.photos[0].width}x{results.photos[0].height}"
    detail = describe(report, size)
    return Outcome(source, "done", written[0], written[1:], detail, report=report.to_dict())


def _run(
    restorer: Restorer,
    task: str,
    photo: NamedFile,
    masks: Sequence[NamedFile],
    options: Mapping[str, object],
) -> Results:
    try:
        return restorer.run(task, [photo], masks=masks, **dict(options))
    except RestoreError as error:
        raise error.about(photo.name) from error
    except (KeyboardInterrupt, SystemExit):
        raise
    except Exception as error:
        raise unexpected(error).about(photo.name) from error


def _write(results: Results, path: Path, settings: Settings) -> tuple[Path, ...]:
    """Write the result, its masks and its report; return all files, the result first."""
    from restore.imaging.outputs import make_folder  # noqa: PLC0415 - imports numpy and OpenCV

    make_folder(path.parent)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".restore-") as folder:
        written = results.save(folder)
        # With output_format=same, only the content of a fetched photo tells the suffix.
        moves = [(written[0], path.with_name(path.stem + written[0].suffix))]
        moves += [(mask, path.with_name(f"{path.stem}-mask.png")) for mask in written[1:]]
        for source, target in moves:
            if target.exists() and not settings.overwrite:
                reason = f"'{target}' exists already"
                remedy = "Use --overwrite to replace it."
                raise RestoreError(Code.OUTPUT_UNWRITABLE, reason, remedy)
            source.replace(target)
    files = [target for _, target in moves]
    if settings.with_reports:
        from restore.imaging.outputs import write_atomically  # noqa: PLC0415 - imports numpy

        text = json.dumps(results.reports[0].to_dict(), indent=2) + "\n"
        write_atomically(text.encode(), path.with_suffix(".json"))
        files.append(path.with_suffix(".json"))
    return tuple(files)


def describe(report: Report, size: str) -> str:
    """Return what was done to a photo: a summary line, then its steps and warnings, indented."""
    steps = report.steps or []
    seconds = sum(sum(one.stages_ms.values()) for one in (report, *steps)) / 1000.0
    variant = f" {report.variant}" if report.variant else ""
    lines = [f"{size}  {report.task}{variant} on {report.device or 'cpu'}, {seconds:.1f} s"]
    for step in steps:
        reason = f": {step.why}" if step.why else ""
        lines.append(f"    {step.task} {step.variant}{reason}")
    lines += [f"    note: {note}" for note in (*report.notes, *report.profile_effects)]
    lines += [f"    warning: {warning}" for warning in report.warnings]
    return "\n".join(lines)


def _name_of(source: str) -> str:
    if source.startswith("data:"):
        return "photo"
    return source.partition("?")[0].removeprefix("@").rstrip("/")


def _is_same_file(path: Path, source: str) -> bool:
    try:
        return path.exists() and path.samefile(source.removeprefix("@"))
    except OSError:
        return False
