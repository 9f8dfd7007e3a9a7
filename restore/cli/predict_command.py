"""`restore predict`: one request with inputs in Cog's form, for users of `cog predict`."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from restore.cli.descriptions import Describer
from restore.cli.inputs import read_json, read_pairs, take_photos
from restore.cli.option_parameters import weights_option
from restore.cli.progress import ProgressBars
from restore.cli.values import path_option
from restore.errors import Code, RestoreError
from restore.imaging.named_file import NamedFile
from restore.imaging.suffixes import FORMAT_OF_SUFFIX
from restore.options import DEFAULT_TASK, INSPECT_TASK, OutputOptions, Request
from restore.serving.temporary_files import temporary_folder

if TYPE_CHECKING:
    from restore.results import Results


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
    output: Annotated[Path, path_option("-o", "--output", text="Folder of the results.")] = Path(
        "output"
    ),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing results.")
    ] = False,
    weights: Annotated[
        str | None, weights_option("Weights to use. Default: RESTORE_WEIGHTS, or auto.")
    ] = None,
) -> None:
    """Restore one to four photos in one request, with inputs as in `cog predict`.

    Results are named 1-a.jpg, 2-b.jpg and so on, with a JSON report beside each; those of the task
    inspect are 1-a.json and so on. With --json, a failure is printed as JSON too.
    """
    if (pairs is None) == (json_text is None):
        reason = "the inputs must be given either as -i NAME=VALUE or as --json"
        raise RestoreError(Code.OPTION_INVALID, reason, "Write for example -i image=@a.jpg.")
    inputs = read_json(json_text) if json_text is not None else read_pairs(pairs or ())
    task = str(inputs.pop("task", DEFAULT_TASK))
    with temporary_folder() as folder:
        photos = take_photos(inputs, ("image", "images"), folder)
        masks = take_photos(inputs, ("mask", "masks"), folder)
        Request.from_inputs(task, inputs)  # refuses bad values before torch is imported
        if not photos:
            reason = "the request has no photo"
            raise RestoreError(Code.PHOTO_COUNT, reason, "Write for example -i image=@a.jpg.")
        _require_free(task, photos, inputs, output, overwrite=overwrite)
        with ProgressBars(quiet=json_text is not None) as bars:
            from restore.restorer import Restorer  # noqa: PLC0415 - imports torch

            restorer = Restorer(weights=weights, progress=bars)
            results = restorer.run(task, photos, masks=masks, **cast(Any, inputs))
            paths = results.save(output, with_reports=True)
    if json_text is not None:
        _print_json(results, paths)
    else:
        _print_lines(results, paths, restorer.fallback_warnings)


def _require_free(
    task: str,
    photos: Sequence[NamedFile],
    inputs: dict[str, object],
    folder: Path,
    *,
    overwrite: bool,
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

    if folder.suffix.lower() in FORMAT_OF_SUFFIX and not folder.is_dir():
        reason = f"'{folder}' is the name of a file, but this command writes into a folder"
        remedy = "Choose a folder, or use a command such as `restore upscale`, which writes files."
        raise RestoreError(Code.OUTPUT_UNWRITABLE, reason, remedy)
    require_writable(folder)
    requested = OutputOptions.from_inputs(inputs).output_format
    formats = [
        "json" if task == INSPECT_TASK else planned_format(photo.path, requested)
        for photo in photos
    ]
    names = [photo.name for photo in photos]
    existing = [str(path) for path in planned_paths(names, formats, folder) if path.exists()]
    if existing and not overwrite:
        reason = f"{', '.join(existing)} exist already" if existing[1:] else f"{existing[0]} exists"
        remedy = "Use --overwrite to replace results, or choose another folder with --output."
        raise RestoreError(Code.OUTPUT_UNWRITABLE, reason, remedy)


def _print_json(results: Results, paths: Sequence[Path]) -> None:
    reports = [report.to_dict() for report in results.reports]
    answer = {
        "status": "succeeded",
        "output": [str(path) for path in paths],
        "metrics": {"photos": reports},
    }
    print(json.dumps(answer, indent=2))


def _print_lines(
    results: Results, paths: Sequence[Path], fallback_warnings: Collection[str]
) -> None:
    describer = Describer()
    for path, photo, report in zip(paths, results.photos, results.reports, strict=False):
        size = f"{photo.width}x{photo.height}"
        print(f"{path}  {describer.describe(report, size, fallback_warnings)}")
    for path in paths[len(results.photos) :]:
        print(f"{path}  mask")
