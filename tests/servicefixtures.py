"""Fixtures of the job service: settings, both databases, and the API.

They are a plugin and no conftest.py, because the tests import names of the one `conftest`.
"""

# ruff: noqa: PLC0415 - the fixtures are loaded with all tests, the service only with its own

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from apicalls import Api
    from runningservice import RunningService
    from sqlalchemy import Engine

    from restore.service.jobs import JobStore
    from restore.service.settings import Settings

USER = "restore"
START_TIMEOUT_S = 30.0


@pytest.fixture
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no `.env` and no variable of this machine change the settings."""
    from restore.service.settings import Settings

    monkeypatch.chdir(tmp_path)
    for name in (*Settings.model_fields, "max_file_size_mb"):
        monkeypatch.delenv(f"RESTORE_{name}".upper(), raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def settings(tmp_path: Path, no_settings_of_the_machine: None) -> "Settings":
    """The default settings, with an empty data folder."""
    from restore.service.settings import Settings

    return Settings(data=tmp_path / "data")


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """URL of an empty database of a PostgreSQL server that runs during the session."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = found[-1] if found else shutil.which("initdb")
    if initdb is None:
        pytest.skip("PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp(prefix="restore-pg-"))
    run_as: dict[str, Any] = {"cwd": folder, "stdout": subprocess.DEVNULL}
    if os.geteuid() == 0:  # the server refuses to run as root
        nobody = pwd.getpwnam("nobody")
        run_as |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    data = folder / "data"
    options = ["-A", "trust", "-U", USER, "--no-sync", "-E", "UTF8", "--locale", "C"]
    subprocess.run([initdb, "-D", data, *options], check=True, **run_as)
    server = subprocess.Popen(
        [Path(initdb).with_name("postgres"), "-D", data, "-k", folder, "-h", "", "-F"],
        stderr=subprocess.DEVNULL,
        **run_as,
    )
    try:
        _wait_for_server(folder)
        yield f"postgresql://{USER}@/postgres?host={folder}"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)
        shutil.rmtree(folder)


def _wait_for_server(folder: Path) -> None:
    import psycopg

    end_s = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            psycopg.connect(host=str(folder), user=USER, dbname="postgres").close()
        except psycopg.OperationalError:
            assert time.monotonic() < end_s, "PostgreSQL did not start"
            time.sleep(0.05)
        else:
            return


@pytest.fixture(scope="session")
def postgresql_engine(postgresql_url: str) -> Iterator["Engine"]:
    """An engine of the PostgreSQL database of the session; connecting takes longer than a test."""
    from restore.service import database
    from restore.service.settings import Settings

    connected = database.connect(Settings(database_url=postgresql_url))
    yield connected
    connected.dispose()


@pytest.fixture(scope="session")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with empty tables; copying it is faster than creating the tables."""
    from restore.service import database
    from restore.service.settings import Settings

    folder = tmp_path_factory.mktemp("sqlite")
    database.connect(Settings(data=folder)).dispose()
    return folder / database.FILE_NAME


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database_settings(request: pytest.FixtureRequest, settings: "Settings") -> Iterator["Settings"]:
    """Settings with an empty database: SQLite, and with --slow PostgreSQL, too.

    Tests of what depends on the database name both (`BOTH` of servicejobs.py).
    """
    if request.param == "sqlite":
        settings.data.mkdir(mode=0o700)
        shutil.copy(request.getfixturevalue("sqlite_file"), settings.data)
        yield settings
        return
    connected = request.getfixturevalue("postgresql_engine")
    url = request.getfixturevalue("postgresql_url")
    yield settings.model_copy(update={"database_url": url})
    empty(connected)


@pytest.fixture
def engine(request: pytest.FixtureRequest, database_settings: "Settings") -> Iterator["Engine"]:
    """An engine of an empty database; see `database_settings`."""
    from restore.service import database

    if database_settings.database_url is not None:
        yield request.getfixturevalue("postgresql_engine")
        return
    connected = database.connect(database_settings)
    yield connected
    connected.dispose()


@pytest.fixture
def jobs(engine: "Engine") -> "JobStore":
    """The jobs of an empty database; see `database_settings`."""
    from restore.service.jobs import JobStore

    return JobStore(engine)


def empty(engine: "Engine") -> None:
    """Delete the rows of all tables but the version of the schema."""
    from restore.service import database, tables

    with database.write(engine) as connection:
        for table in reversed(tables.metadata.sorted_tables):
            if table is not tables.schema:
                connection.execute(table.delete())


@pytest.fixture
def api_of(tmp_path: Path, no_settings_of_the_machine: None) -> Iterator[Callable[..., "Api"]]:
    """Return a function that makes the API of a service without workers, from its settings."""
    from apicalls import Api

    from restore.service.service import Service
    from restore.service.settings import Settings

    services: list[Service] = []

    def build(**settings: Any) -> Api:
        # The workers are not started, because the application's lifespan is not run.
        services.append(Service(Settings(data=tmp_path / "data", **settings)))
        return Api(services[-1])

    yield build
    for service in services:
        service.engine.dispose()


@pytest.fixture
def api(api_of: Callable[..., "Api"]) -> "Api":
    """The API of a service without keys and workers."""
    return api_of()


@pytest.fixture(scope="session")
def running_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator["RunningService"]:
    """A real service with one worker and the embedded networks, for the whole session."""
    from runningservice import running

    with running(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def with_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that runs a scenario with a gateway and its worker (fakegateway.py)."""
    from fakegateway import Gateway, LocalWorker, Scenario, running
    from fakeworker import FakeCog

    from restore.service import attempt_watch, worker

    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(worker, "WAIT_POLL_S", 0.01)
    monkeypatch.setattr(worker, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(attempt_watch, "POLL_S", 0.02)
    monkeypatch.setattr(attempt_watch, "RENEW_S", 0.04)

    async def serve(scenario: Scenario, kind: type[worker.Worker]) -> None:
        cog = FakeCog()
        async with cog.serving() as url, running(Gateway(tmp_path, cog, kind("w", url))) as gateway:
            await scenario(gateway)

    def run(scenario: Scenario, kind: type[worker.Worker] = LocalWorker) -> None:
        asyncio.run(serve(scenario, kind))

    return run
