"""`restore weights`: list, download, verify and bake checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from restore.cli.progress import ProgressBars
from restore.errors import Code, RestoreError
from restore.options import CATALOG_TASKS
from restore.options.suggest import did_you_mean

app = typer.Typer(
    help="List, download and verify weights.", no_args_is_help=True, rich_markup_mode=None
)

Tasks = Annotated[
    list[str] | None, typer.Argument(metavar="TASK...", help="Tasks; all if none is named.")
]


@app.command("list")
def list_weights(tasks: Tasks = None) -> None:
    """List the checkpoints with their size, licence and state."""
    _for_each_row(tasks, lambda store, row: None)


@app.command("fetch")
def fetch_weights(tasks: Tasks = None) -> None:
    """Download the checkpoints that are missing, and verify them."""
    _for_each_row(tasks, lambda store, row: store.ensure(row))


@app.command("verify")
def verify_weights(tasks: Tasks = None) -> None:
    """Compute the checksums of all present checkpoints again."""
    _for_each_row(tasks, lambda store, row: store.find(row) and store.verify(row))


@app.command("bake")
def bake_weights(
    folder: Annotated[str, typer.Option(help="Folder of the weights in the container.")] = (
        "/opt/weights"
    ),
) -> None:
    """Print the build steps that put the official weights into a container (cog.yaml)."""
    from restore.models.bake import bake_commands  # noqa: PLC0415
    from restore.models.catalog import Catalog  # noqa: PLC0415

    tasks = {needed for several in CATALOG_TASKS.values() for needed in several}
    for line in bake_commands(Catalog.load(), tasks, folder):
        typer.echo(line)


@app.command("refresh")
def refresh_weights() -> None:
    """Write size and checksum of the embedded weights into the manifest, after training."""
    from restore.models.refresh import refresh_embedded  # noqa: PLC0415

    for row_id in refresh_embedded():
        typer.echo(f"updated {row_id}")


def _for_each_row(tasks: Sequence[str] | None, action: Callable[..., object]) -> None:
    """Apply an action to the manifest rows of some tasks, then print their table.

    One bad file does not stop the others; exit code 2 if there was any.
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
    for failure in errors:
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
