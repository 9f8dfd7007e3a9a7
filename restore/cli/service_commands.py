"""`restore service`: the job service with its web page, and the keys of its clients."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restore.cli.option_parameters import weights_option
from restore.cli.values import number_option, path_option, require_text
from restore.errors import Code, RestoreError

if TYPE_CHECKING:
    from restore.service.keys import KeyStore
    from restore.service.records import ApiKey
    from restore.service.settings import Settings

EXTRA = frozenset(
    {
        "fastapi",
        "fastapi_offline",
        "limits",
        "prometheus_client",
        "psycopg",
        "pydantic_settings",
        "python_multipart",
        "sqlalchemy",
        "standardwebhooks",
    }
)
"""The packages of the extra `service`."""

LOG_LEVEL = logging.INFO

HELP = """Run the job service with its web page until Ctrl-C.

The first worker downloads missing official weights (several GB), unless --weights lite is given.
Further settings are environment variables or lines of `.env`: see docs/service.md.
"""

app = typer.Typer(help=HELP, rich_markup_mode=None)
keys_app = typer.Typer(
    help="Create, list and revoke API keys.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(keys_app, name="keys")

DataOption = Annotated[
    Path | None,
    path_option(
        "--data",
        text="Folder of the database, the photos and the secrets. Default: restore-data.",
        show_default=False,
    ),
]


@app.callback(invoke_without_command=True)
def service(
    context: typer.Context,
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on. Default: 127.0.0.1.", show_default=False),
    ] = None,
    port: Annotated[
        int | None,
        number_option(
            "--port",
            "Port to listen on. Default: 8000.",
            minimum=0,
            maximum=65535,
            show_default=False,
        ),
    ] = None,
    data: DataOption = None,
    workers: Annotated[
        int | None,
        number_option(
            "--workers",
            "Workers to start, each on a GPU if there is one. Default: 1, or 0 with --worker.",
            minimum=0,
            maximum=64,
            show_default=False,
        ),
    ] = None,
    worker: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL", help="Address of a worker that runs elsewhere (`restore serve`); repeat."
        ),
    ] = None,
    weights: Annotated[
        str | None, weights_option("Weights of the workers. Default: RESTORE_WEIGHTS, or auto.")
    ] = None,
    public_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Address by which clients reach the service."),
    ] = None,
    open_: Annotated[
        bool,
        typer.Option("--open", help="Serve everybody who can reach the address, without keys."),
    ] = False,
) -> None:
    """Run the service; without a command, until Ctrl-C."""
    if context.invoked_subcommand is not None:
        return
    if host is not None:  # an empty one would be all addresses of the machine
        require_text("--host", host, "Give an address, or leave the option out.")
    given: dict[str, Any] = {
        "host": host,
        "port": port,
        "data": data,
        "workers": workers,
        "worker_urls": tuple(worker) if worker else None,
        "weights": weights,
        "public_url": public_url,
        "open": open_ or None,
    }
    if worker and workers is None and "RESTORE_WORKERS" not in os.environ:
        given["workers"] = 0
    with installed():
        from restore.service.http_server import serve  # noqa: PLC0415

        settings = settings_of(given)
        logging.getLogger("restore").setLevel(LOG_LEVEL)
        raise typer.Exit(serve(settings, typer.echo))


@keys_app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What you call it, such as the client's name.")],
    requests_per_minute: Annotated[
        int | None,
        number_option("--requests-per-minute", "Limit of requests in a minute.", minimum=1),
    ] = None,
    waiting_jobs: Annotated[
        int | None, number_option("--waiting-jobs", "Limit of jobs that have not ended.", minimum=1)
    ] = None,
    stored_mib: Annotated[
        int | None,
        number_option("--stored-mib", "Limit of all its stored files, in MiB.", minimum=1),
    ] = None,
    data: DataOption = None,
    new: Annotated[
        bool, typer.Option("--new", help="Create the folder given by --data if it is missing.")
    ] = False,
) -> None:
    """Create an API key, and print its secret, which is shown only once."""
    with installed(), key_store(data, new=new) as store:
        from restore.service.limits import KeyLimits  # noqa: PLC0415
        from restore.service.settings import MIB  # noqa: PLC0415

        stored_bytes = stored_mib * MIB if stored_mib else None
        key, secret = store.create(name, KeyLimits(requests_per_minute, waiting_jobs, stored_bytes))
        place = store.place
    typer.echo(f"created key {key.id} ({key.name}) in {place}", err=True)
    typer.echo("its secret is not shown again:", err=True)
    typer.echo(secret)


@keys_app.command("list")
def list_keys(data: DataOption = None) -> None:
    """List the API keys with their limits; - is the default of the service."""
    with installed(), key_store(data) as store:
        keys = store.list()
    rows: list[tuple[str, ...]] = [
        ("ID", "NAME", "CREATED", "PER MINUTE", "WAITING", "BYTES", "STATE")
    ]
    rows += [_row(key) for key in keys]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())


@keys_app.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Its id, as in the list.")],
    data: DataOption = None,
) -> None:
    """Revoke an API key. A running service refuses it within seconds."""
    with installed(), key_store(data) as store:
        key = store.revoke(key_id)
    typer.echo(f"revoked key {key.id} ({key.name})")


def settings_of(given: Mapping[str, Any]) -> Settings:
    """Return the settings of a command.

    Args:
        given: values of the command line by name; None means "not given".

    Raises:
        RestoreError: OPTION_INVALID, with the setting.
    """
    from pydantic import ValidationError  # noqa: PLC0415

    from restore.service.setting_errors import setting_error  # noqa: PLC0415
    from restore.service.settings import Settings  # noqa: PLC0415

    known = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(**known)
    except ValidationError as error:
        raise setting_error(error, known) from error


@contextmanager
def key_store(data: Path | None, *, new: bool = False) -> Iterator[KeyStore]:
    """Open the keys of a data folder inside a `with` block.

    Args:
        data: the folder; None means that of the settings.
        new: create the folder if it is missing.

    Raises:
        RestoreError: SERVER if the database cannot be used; OPTION_INVALID for a folder that was
            given and does not exist, because the keys of a mistyped folder would open nothing.
    """
    from restore.service import database  # noqa: PLC0415
    from restore.service.keys import KeyStore  # noqa: PLC0415

    settings = settings_of({"data": data})
    is_missing = data is not None and settings.database_url is None and not data.exists()
    if is_missing and not new:
        raise RestoreError(
            Code.OPTION_INVALID,
            f"there is no data folder '{data}'",
            "Give the folder with which the service is started; `keys create --new` creates it.",
        )
    engine = database.connect(settings)
    try:
        yield KeyStore(engine)
    finally:
        engine.dispose()


@contextmanager
def installed() -> Iterator[None]:
    """Turn the error of a missing package of the extra `service` into one with a remedy.

    Raises:
        RestoreError: SERVER.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRA:
            raise
        raise RestoreError(
            Code.SERVER,
            f"the job service needs packages that are not installed ({package})",
            "Run `pip install 'restore[service]'`.",
        ) from error


def _row(key: ApiKey) -> tuple[str, ...]:
    limits = (key.requests_per_minute, key.waiting_jobs, key.stored_bytes)
    return (
        key.id,
        key.name,
        key.created_at.strftime("%Y-%m-%d %H:%M"),
        *("-" if limit is None else str(limit) for limit in limits),
        "revoked" if key.revoked_at else "valid",
    )
