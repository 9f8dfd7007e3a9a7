"""`restore predict`: one request with inputs in Cog's form, for users of `cog predict`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from restore.cli.batch import describe
from restore.cli.inputs import read_json, read_pairs, take_photos
from restore.cli.progress import ProgressBars
from restore.errors import Code, RestoreError, unexpected
from restore.imaging.sources import NamedFile
from restore.options import DEFAULT_TASK, OutputOptions, Request


def predict(
    pairs: Annotated[
        list[str] | None,
        typer.Option(
            "-i",
            "--input",
            metavar="NAME=VALUE",
            help="One input; @FILE, a URL or a data URI for photos; repeat a name for lists.",
        ),
    ] = None,
    json_text: Annotated[
        str | None,
        typer.Option(
            "--json",
            metavar="JSON",
            help="All inputs as JSON, @FILE, or @- for standard input; prints JSON.",
        ),
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the results.")] = Path(
        "output"
    ),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing results.")
    ] = False,
) -> None:
    """Restore one to four photos in one request, with inputs as in `cog predict`.

    Results are named 1-a.jpg, 2-b.jpg and so on, with a JSON report beside each. With --json, a
    failure is printed as JSON too.
    """
    try:
        _predict(pairs, json_text, output, overwrite=overwrite)
    except Exception as error:
        if json_text is None:
            raise
        failure = error if isinstance(error, RestoreError) else unexpected(error)
        print(json.dumps({"status": "failed", "error": str(failure)}, indent=2))
        raise typer.Exit(2) from error


def _predict(
    pairs: Sequence[str] | None, json_text: str | None, output: Path, *, overwrite: bool
) -> None:
    """Run the command.

    Raises:
        RestoreError: any code.
    """
    if (pairs is None) == (json_text is None):
        reason = "the inputs must be given either as -i NAME=VALUE or as --json"
        raise RestoreError(Code.OPTION_INVALID, reason, "Write for example -i image=@a.jpg.")
    inputs = read_json(json_text) if json_text is not None else read_pairs(pairs or ())
    task = str(inputs.pop("task", DEFAULT_TASK))
    with tempfile.TemporaryDirectory() as folder:
        photos = take_photos(inputs, ("image", "images"), Path(folder))
        masks = take_photos(inputs, ("mask", "masks"), Path(folder))
        Request.from_inputs(task, inputs)  # refuses bad values before torch is imported
        _require_free(photos, inputs, output, overwrite=overwrite)
        _run(task, photos, masks, inputs, output, as_json=json_text is not None)


def _require_free(
    photos: Sequence[NamedFile], inputs: dict[str, object], folder: Path, *, overwrite: bool
) -> None:
    """Refuse, before any work, to replace results of an earlier command.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE.
    """
    from restore.imaging.outputs import (  # noqa: PLC0415 - imports numpy and OpenCV
        planned_format,
        planned_paths,
        require_writable,
    )

    require_writable(folder)
    requested = OutputOptions.from_inputs(inputs).output_format
    formats = [planned_format(photo.path, requested) for photo in photos]
    names = [photo.name for photo in photos]
    existing = [str(path) for path in planned_paths(names, formats, folder) if path.exists()]
    if existing and not overwrite:
        reason = f"{', '.join(existing)} exist already" if existing[1:] else f"{existing[0]} exists"
        remedy = "Use --overwrite to replace results, or choose another folder with --output."
        raise RestoreError(Code.OUTPUT_UNWRITABLE, reason, remedy)


def _run(
    task: str,
    photos: Sequence[NamedFile],
    masks: Sequence[NamedFile],
    inputs: dict[str, object],
    folder: Path,
    *,
    as_json: bool,
) -> None:
    from restore.restorer import Restorer  # noqa: PLC0415 - imports torch

    with ProgressBars(quiet=as_json) as bars:
        results = Restorer(progress=bars).run(task, photos, masks=masks, **cast(Any, inputs))
        paths = results.save(folder, with_reports=True)
    if as_json:
        reports = [report.to_dict() for report in results.reports]
        answer = {
            "status": "succeeded",
            "output": [str(path) for path in paths],
            "metrics": {"photos": reports},
        }
        print(json.dumps(answer, indent=2))
        return
    for path, photo, report in zip(paths, results.photos, results.reports, strict=False):
        print(f"{path}  {describe(report, f'{photo.width}x{photo.height}')}")
    for path in paths[len(results.photos) :]:
        print(f"{path}  mask")
