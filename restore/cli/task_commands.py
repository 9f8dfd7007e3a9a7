"""One command per task, its options generated from `restore.options`."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restore.cli.inspect_command import run_inspect
from restore.cli.messages import error_with_flags, on_one_line
from restore.cli.option_parameters import (
    PANELS,
    alias_parameter,
    computation_parameters,
    flag_parameter,
    is_given,
    keyword,
    option_parameter,
    weights_policy,
    with_parameters,
)
from restore.cli.photo_job import Job, Outcome, Settings, exit_code, restore_photos
from restore.cli.progress import ProgressBars
from restore.cli.targets import output_file
from restore.cli.values import path_option
from restore.errors import RestoreError
from restore.imaging.suffixes import FORMAT_OF_SUFFIX
from restore.options import (
    INSPECT_TASK,
    PIPELINE_TASK,
    TASK_OPTIONS,
    TASK_SUMMARIES,
    Request,
    aliases_for,
    describe_options,
    takes_masks,
)
from restore.options.flags import with_flags

if TYPE_CHECKING:
    from restore.restorer import Restorer


def add_task_commands(app: typer.Typer) -> None:
    """Add a command for each task to a Typer application."""
    for task in (*TASK_OPTIONS, PIPELINE_TASK, INSPECT_TASK):
        summary = TASK_SUMMARIES[task].replace("`steps`", "--steps")
        app.command(task.replace("_", "-"), help=f"{summary}.")(task_command(task))


def task_command(task: str) -> Callable[..., None]:
    """Return a function with one typed parameter per option of a task, as Typer expects."""
    options = describe_options(task)
    by_name = {option.name: option for option in options}
    aliases = [alias for alias in aliases_for(task) if alias.option in by_name]
    names = [*by_name, *(alias.name for alias in aliases)]

    def command(context: typer.Context, **values: Any) -> None:  # noqa: ANN401 - typed by signature
        given = {name: values[name] for name in names if is_given(context, name)}
        values["weights"] = weights_policy(values["weights"])
        run = run_inspect if task == INSPECT_TASK else functools.partial(_run, task)
        raise typer.Exit(run(given, values))

    return with_parameters(
        command,
        [
            *_photo_parameters(task),
            *(option_parameter(option) for option in options if option.group == "task"),
            *(alias_parameter(alias.name, by_name[alias.option]) for alias in aliases),
            *_output_parameters(task),
            *(option_parameter(option) for option in options if option.group == "output"),
            *computation_parameters(),
            *(option_parameter(option) for option in options if option.group == "run"),
        ],
    )


def _run(task: str, given: Mapping[str, object], values: Mapping[str, Any]) -> int:
    """Run a task command; return its exit code.

    Raises:
        RestoreError: the command is refused; options have the names of their flags.
    """
    as_json, quiet = values["json"], values["quiet"] or values["json"]
    sources = list(values["photos"])
    with ProgressBars(quiet=quiet) as bars:
        bars("photos", 0, len(sources))

        def on_outcome(outcome: Outcome, done: int) -> None:
            bars("photos", done, len(sources))
            if not quiet or (outcome.status == "failed" and not as_json):
                _print_outcome(outcome, bars)

        try:
            job = _job(task, given, values, bars)
            outcomes = restore_photos(job, sources, list(values.get("mask") or ()), on_outcome)
        except RestoreError as error:
            raise error_with_flags(error) from error
    code = exit_code(outcomes)
    if as_json:
        photos = [outcome.to_dict() for outcome in outcomes]
        print(json.dumps({"task": task, "exit_code": code, "photos": photos}, indent=2))
    elif len(outcomes) > 1 and not values["quiet"]:
        print(_summary(outcomes))
    return code


def _job(
    task: str, given: Mapping[str, object], values: Mapping[str, Any], bars: ProgressBars
) -> Job:
    """Return the job of a command, its options validated before torch is imported.

    Raises:
        RestoreError: OPTION_INVALID, OUTPUT_UNWRITABLE.
    """
    from restore.imaging.outputs import require_writable  # noqa: PLC0415 - imports OpenCV

    output: Path = values["output"]
    file = output_file(output, len(values["photos"]), given)
    options = {**given, "output_format": FORMAT_OF_SUFFIX[file.suffix.lower()]} if file else given
    Request.from_inputs(task, options)
    weights = values["weights"]

    def progress(what: str, done: int, total: int) -> None:
        if what != "photos":  # this command counts the photos
            bars(what, done, total)

    def make_restorer() -> Restorer:
        from restore.restorer import Restorer  # noqa: PLC0415 - imports torch

        return Restorer(weights=weights, device=values["device"], progress=progress)

    folder = output.parent if file else output
    require_writable(folder)
    settings = Settings(folder, file, values["overwrite"], values["report"])
    return Job(task, options, weights, settings, make_restorer)


def _print_outcome(outcome: Outcome, bars: ProgressBars) -> None:
    if outcome.status == "failed":
        typer.echo(f"error: {on_one_line(outcome.detail)}", err=True)
    elif outcome.status == "skipped":
        bars.print(f"skipped {outcome.photo}: {outcome.detail}")
    else:
        bars.print(f"{outcome.output}  {with_flags(outcome.detail)}")
        for path in outcome.extra:
            bars.print(f"{path}")


def _summary(outcomes: list[Outcome]) -> str:
    counts = dict.fromkeys(("done", "skipped", "failed"), 0)
    for outcome in outcomes:
        counts[outcome.status] += 1
    return ", ".join(f"{count} {status}" for status, count in counts.items() if count)


def _photo_parameters(task: str) -> list[inspect.Parameter]:
    photos = typer.Argument(
        help="Photos: paths or URLs; any number.", metavar="PHOTO...", show_default=False
    )
    parameters = [keyword("photos", Annotated[list[str], photos], inspect.Parameter.empty)]
    if takes_masks(task):
        mask = typer.Option(
            "--mask",
            help="Image that is white where a photo is to be filled; repeat for one per photo.",
            rich_help_panel=PANELS["task"],
        )
        parameters.append(keyword("mask", Annotated[list[str] | None, mask], None))
    return parameters


def _output_parameters(task: str) -> list[inspect.Parameter]:
    panel = PANELS["output"]
    as_json = flag_parameter("json", (), "Print one JSON object instead of text.")
    if task == INSPECT_TASK:
        return [as_json]
    folder = path_option(
        "-o",
        "--output",
        text="Folder of the results; for one photo, a file such as result.png, in its format.",
        rich_help_panel=panel,
    )
    flags = (
        (
            "overwrite",
            (),
            "Replace existing files. Otherwise a result of the same photo with the same options is"
            " skipped, and any other file is an error.",
        ),
        ("report", (), "Write a JSON report beside each result."),
    )
    return [
        keyword("output", Annotated[Path, folder], Path("restored")),
        *(flag_parameter(*flag) for flag in flags),
        as_json,
        flag_parameter("quiet", ("-q",), "Print errors only."),
    ]
