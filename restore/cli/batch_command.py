"""`restore batch IN OUT`: restore the photos of a folder and its subfolders."""

from __future__ import annotations

import inspect
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restore.cli.messages import error_with_flags, on_one_line
from restore.cli.option_parameters import (
    computation_parameters,
    flag_parameter,
    is_given,
    keyword,
    option_parameter,
    weights_policy,
    with_parameters,
)
from restore.cli.values import (
    NumberType,
    choice_metavar,
    choice_option,
    number_option,
    require_text,
)
from restore.errors import Code, RestoreError, system_reason
from restore.options import (
    PIPELINE_TASK,
    TASK_OPTIONS,
    OutputOptions,
    Request,
    choices_of,
    describe_options,
    foreign_option_warnings,
)
from restore.options.flags import with_flags
from restore.options.suggest import did_you_mean

if TYPE_CHECKING:
    from restore.batch.run import BatchOptions
    from restore.batch.saver import Summary

HELP = (
    "Restore the photos of a folder and its subfolders into another folder. A second run restores "
    "what is new or was not finished, and with --overwrite what has changed."
)
PANEL = "Batch"
GLOB_REMEDY = "Give a pattern such as '*.tif', or leave the option out."
MAX_SHOWN_FAILURES = 20
OUTPUT_FORMAT = "output_format"
DEFAULT_FORMAT = "same"
ENGINES = ("local", "ray")
TASKS = (*TASK_OPTIONS, PIPELINE_TASK)

_SHARD = re.compile(r"(\d+)/(\d+)")


def batch_command() -> Callable[..., None]:
    """Return the function of the command, with every option that a single photo has."""
    options = describe_options(PIPELINE_TASK)
    names = [option.name for option in options]

    def command(context: typer.Context, **values: Any) -> None:  # noqa: ANN401 - typed by signature
        given = {name: values[name] for name in names if is_given(context, name)}
        try:
            code = _run(given, values)
        except RestoreError as error:
            raise error_with_flags(error) from error
        raise typer.Exit(code)

    return with_parameters(
        command,
        [
            *_own_parameters(),
            *(option_parameter(option) for option in options if option.group == "task"),
            *(
                option_parameter(option)
                for option in options
                if option.group == "output" and option.name != OUTPUT_FORMAT
            ),
            *computation_parameters(),
            *(option_parameter(option) for option in options if option.group == "run"),
        ],
    )


def _run(given: Mapping[str, object], values: Mapping[str, Any]) -> int:
    from restore.batch.processing import BatchJob  # noqa: PLC0415 - other commands need it not
    from restore.batch.run import BatchOptions  # noqa: PLC0415

    weights = weights_policy(values["weights"])
    task = str(values["task"]).replace("-", "_")
    if task not in TASKS:
        reason = f"--task is '{values['task']}', which is no task of a batch"
        remedy = f"{did_you_mean(task, TASKS)}Choose one of {', '.join(TASKS)}."
        raise RestoreError(Code.OPTION_INVALID, reason, remedy)
    inputs = {**given, OUTPUT_FORMAT: values["format"]}
    request = Request.from_inputs(task, inputs)
    if not values["quiet"]:
        for warning in (*request.warnings, *foreign_option_warnings(request)):
            typer.echo(f"warning: {with_flags(warning)}", err=True)
    options = BatchOptions(
        source=values["source"],
        target=values["target"],
        job=BatchJob(task, inputs, weights, values["device"]),
        globs=tuple(require_text("--glob", one, GLOB_REMEDY) for one in values["glob"] or ()),
        recursive=values["recursive"],
        shard=_parse_shard(values["shard"]),
        limit=values["limit"],
        retry_failed=values["retry_failed"],
        overwrite=values["overwrite"],
        force=values["force"],
        min_free_bytes=values["min_free_mib"] * 2**20,
    )
    if values["dry_run"]:
        return _preview(options, values["workers"])
    return _restore(options, values)


def _restore(options: BatchOptions, values: Mapping[str, Any]) -> int:
    from restore.batch.folder import open_folder  # noqa: PLC0415
    from restore.batch.run import run_batch  # noqa: PLC0415
    from restore.cli.batch_progress import BatchProgress  # noqa: PLC0415

    started_s = time.monotonic()
    with _stopping() as stop, BatchProgress(quiet=values["quiet"]) as progress:
        summary = run_batch(options, _engine(values), progress, stop)
    wall_s = time.monotonic() - started_s
    if progress.figures.done or progress.figures.failed:
        # Late, because it imports OpenCV, which would delay the start of the workers.
        from restore.batch.html_report import write_report  # noqa: PLC0415

        source, target = open_folder(options.source), open_folder(options.target)
        figures, shard = progress.figures, options.shard_name
        try:
            report = write_report(source, target, summary, figures, wall_s, shard)
        except OSError as error:
            typer.echo(f"the report cannot be written ({system_reason(error)})", err=True)
        else:
            if not values["quiet"]:
                print(f"report: {report}")
    _print_summary(summary, options, quiet=values["quiet"])
    return summary.exit_code


def _engine(values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - restore.batch.run.Engine
    if values["engine"] == "ray":
        from restore.batch.ray_engine import RayEngine  # noqa: PLC0415

        return RayEngine(num_gpus=values["num_gpus"], concurrency=values["concurrency"])
    from restore.batch.local_engine import run_local  # noqa: PLC0415

    return run_local(values["workers"])


@contextmanager
def _stopping() -> Iterator[Event]:
    """Provide an event that the first Ctrl-C or SIGTERM sets; the second one ends at once."""
    stop = Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        typer.echo(
            "stopping after the photos in progress; press Ctrl-C again to stop at once", err=True
        )

    before = {one: signal.signal(one, on_signal) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _preview(options: BatchOptions, workers: int | None) -> int:
    """Print what a run would do."""
    from restore.batch.folder import open_folder  # noqa: PLC0415
    from restore.batch.plan import estimate  # noqa: PLC0415
    from restore.batch.run import preview  # noqa: PLC0415
    from restore.batch.workers import plan_workers  # noqa: PLC0415
    from restore.cli.batch_progress import unrecorded_note  # noqa: PLC0415
    from restore.words import counted  # noqa: PLC0415

    plan, ignored = preview(options)
    count = len(plan.to_do)
    print(f"to restore: {counted(count, 'photo')}, {plan.input_bytes / 2**20:.1f} MiB")
    if plan.changed:
        print(f"  of them restored before: {plan.changed}")
    if plan.replaced:
        needed = "" if options.overwrite or options.force else ", which needs --overwrite"
        print(f"  results that this replaces: {len(plan.replaced)}{needed}")
    print(f"done already: {plan.done}")
    if note := unrecorded_note(plan):
        print(f"  {note}")
    print(f"failed before: {len(plan.failed)} (--retry-failed tries them again)")
    print(f"other files, ignored: {ignored}")
    target = open_folder(options.target)
    found = estimate(target, options.job.fingerprint())
    if found is None:
        print("time and disk: unknown until some photos are done; try --limit 20 first")
        return 0
    parallel = len(plan_workers(options.job.device, workers).devices)
    minutes = count * found.seconds_per_photo / parallel / 60.0
    mib = count * found.bytes_per_photo / 2**20
    print(f"time: about {minutes:.1f} minutes with {counted(parallel, 'worker')}", end="")
    print(f" ({found.seconds_per_photo:.2f} s per photo, from {counted(found.rows, 'photo')})")
    free_bytes = target.free_bytes()
    free = "" if free_bytes is None else f" of {free_bytes / 2**20:.0f} MiB that are free"
    print(f"disk: about {mib:.0f} MiB{free}")
    return 0


def _print_summary(summary: Summary, options: BatchOptions, *, quiet: bool) -> None:
    from restore.batch.failures import own_message  # noqa: PLC0415

    for row in summary.failed[:MAX_SHOWN_FAILURES]:
        error = row.error or {}
        message = f"[{error.get('code', '')}] {own_message(row.input, error)}"
        typer.echo(on_one_line(f"failed: {row.input}: {message}"), err=True)
    if len(summary.failed) > MAX_SHOWN_FAILURES:
        more = len(summary.failed) - MAX_SHOWN_FAILURES
        typer.echo(f"and {more} more: see failed.csv in the output folder", err=True)
    for weights in sorted(summary.lacking):
        typer.echo(
            f"warning: some photos were restored without the {weights}, which are on this machine,"
            " but not on one that restored them: run `restore weights fetch` there, then this"
            " command with --overwrite, which restores these photos again",
            err=True,
        )
    if summary.stopped:
        typer.echo(f"not finished: {summary.stopped}", err=True)
    if quiet:
        return
    parts = [f"{summary.done} restored"]
    if summary.failed:
        parts.append(f"{len(summary.failed)} failed")
    if summary.plan.done:
        parts.append(f"{summary.plan.done} done before")
    if summary.plan.failed:
        parts.append(f"{len(summary.plan.failed)} failed before (--retry-failed tries them again)")
    print(f"{', '.join(parts)}; results in {options.target}")


def _parse_shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = _SHARD.fullmatch(text)
    shard = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= shard[0] <= shard[1]:
        raise RestoreError(
            Code.OPTION_INVALID,
            f"--shard is '{text}', which is not a part such as 1/4",
            "Write --shard 1/4 for the first of four runs, up to --shard 4/4 for the last one.",
        )
    return shard


def _own_parameters() -> list[inspect.Parameter]:
    source = typer.Argument(help="Folder of the photos: a path or URL.", metavar="IN")
    target = typer.Argument(help="Folder of the results: a path or URL.", metavar="OUT")
    task = _option("--task", "What to do with each photo.", metavar=choice_metavar(TASKS))
    glob = _option("--glob", "Names of the photos, such as '*.tif'; repeat for several patterns.")
    recursive = _option("--recursive/--no-recursive", "Look into subfolders, too.")
    formats = _option(
        "--format",
        "File format of the results; same is that of each photo, or jpg for HEIC, webp for AVIF, "
        "and png for TIFF, BMP and GIF.",
        metavar=choice_metavar(choices_of(OutputOptions, OUTPUT_FORMAT)),
    )
    limit = _number("--limit", "Restore at most this many photos.", minimum=1)
    shard = _option("--shard", "Restore a part of the photos, such as 1/4; other runs do the rest.")
    space = _number("--min-free-mib", "Stop if the disk has less free space, in MiB.", minimum=0)
    workers = _number(
        "--workers",
        "Worker processes. Default: one per GPU, or one per core if the memory suffices.",
        minimum=1,
    )
    engine = choice_option(
        "--engine",
        "local starts workers on this machine; ray uses Ray Data, also on a cluster, and needs"
        " `pip install 'restore\\[batch]'`.",
        ENGINES,
        rich_help_panel=PANEL,
    )
    gpus = _number("--num-gpus", "Ray: GPUs of each actor, such as 0.5.", float, minimum=0)
    concurrency = _number("--concurrency", "Ray: largest number of actors.", minimum=1)
    return [
        keyword("source", Annotated[str, source], inspect.Parameter.empty),
        keyword("target", Annotated[str, target], inspect.Parameter.empty),
        keyword("task", Annotated[str, task], PIPELINE_TASK),
        keyword("glob", Annotated[list[str] | None, glob], None),
        keyword("recursive", Annotated[bool, recursive], default=True),
        keyword("format", Annotated[str, formats], DEFAULT_FORMAT),
        _batch_flag("retry_failed", "Try photos again that have failed before."),
        _batch_flag(
            "overwrite",
            "Replace existing files in OUT: results of photos that have changed or of other options"
            " or weights, and files that are no results of the batch.",
        ),
        _batch_flag("force", "Restore all photos again, and replace any file in OUT."),
        _batch_flag("dry_run", "Print what would be done and how long it takes; write nothing."),
        keyword("limit", Annotated[int | None, limit], None),
        keyword("shard", Annotated[str | None, shard], None),
        keyword("min_free_mib", Annotated[int, space], 1024),
        keyword("workers", Annotated[int | None, workers], None),
        keyword("engine", Annotated[str, engine], ENGINES[0]),
        keyword("num_gpus", Annotated[float | None, gpus], None),
        keyword("concurrency", Annotated[int | None, concurrency], None),
        flag_parameter("quiet", ("-q",), "Print errors only."),
    ]


def _option(flag: str, text: str, metavar: str | None = None) -> Any:  # noqa: ANN401
    return typer.Option(flag, help=text, metavar=metavar, rich_help_panel=PANEL, show_default=True)


def _number(flag: str, text: str, kind: NumberType = int, *, minimum: int) -> Any:  # noqa: ANN401
    return number_option(flag, text, kind, minimum=minimum, rich_help_panel=PANEL)


def _batch_flag(name: str, text: str) -> inspect.Parameter:
    flag = typer.Option(f"--{name.replace('_', '-')}", help=text, rich_help_panel=PANEL)
    return keyword(name, Annotated[bool, flag], default=False)
