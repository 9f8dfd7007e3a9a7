"""Tests of the connection: durability, schema, transactions."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from servicejobs import BOTH, new_job
from sqlalchemy import Engine, select, text, update

from restore.errors import Code, RestoreError
from restore.service import database, tables
from restore.service.jobs import JobStore
from restore.service.settings import Settings


@pytest.mark.parametrize("durable", [True, False])
def test_sqlite_commits_reach_the_disk(settings: Settings, durable: bool) -> None:
    engine = database.connect(settings)
    for before in (True, False):  # a connection of the pool keeps nothing of its last use
        with database.write(engine, durable=before):
            pass
        with database.write(engine, durable=durable) as connection:
            names = ("journal_mode", "synchronous", "foreign_keys")
            values = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in names]
        full, normal = 2, 1
        assert values == ["wal", full if durable else normal, 1]
    engine.dispose()


def test_postgresql_commits_reach_the_disk(settings: Settings, postgresql_url: str) -> None:
    """Even if the server's configuration says otherwise."""
    chosen = settings.model_copy(update={"database_url": postgresql_url})
    engine = database.connect(chosen)
    with database.write(engine) as connection:
        connection.execute(text("ALTER ROLE restore SET synchronous_commit = off"))
    engine.dispose()
    engine = database.connect(chosen)
    for durable, expected in ((True, "on"), (False, "off"), (True, "on")):
        with database.write(engine, durable=durable) as connection:
            assert connection.execute(text("SHOW synchronous_commit")).scalar() == expected
            level = connection.execute(text("SHOW transaction_isolation")).scalar()
            assert level == "read committed"
    with database.write(engine) as connection:
        connection.execute(text("ALTER ROLE restore RESET synchronous_commit"))
    engine.dispose()


def test_data_folder_is_private(settings: Settings) -> None:
    database.connect(settings).dispose()
    assert settings.data.stat().st_mode & 0o077 == 0


def test_database_is_private_in_a_folder_that_others_can_read(settings: Settings) -> None:
    settings.data.mkdir(mode=0o755)
    engine = database.connect(settings)
    with database.read(engine) as connection:
        connection.execute(select(tables.schema.c.version))
        modes = {path.name: path.stat().st_mode & 0o077 for path in settings.data.iterdir()}
    engine.dispose()
    assert modes == dict.fromkeys(modes, 0)
    assert len(modes) == 3, "the database, its log and its index"


@BOTH
def test_tables_are_kept_at_the_next_start(database_settings: Settings) -> None:
    first = database.connect(database_settings)
    job = JobStore(first).submit(new_job())
    first.dispose()
    second = database.connect(database_settings)
    assert JobStore(second).get(job.id) == job
    second.dispose()


def test_gateways_may_create_the_tables_at_the_same_time(
    settings: Settings, postgresql_url: str
) -> None:
    chosen = [settings, settings.model_copy(update={"database_url": postgresql_url})]
    engine = database.connect(chosen[1])
    with database.write(engine) as connection:
        tables.metadata.drop_all(connection)
    engine.dispose()
    with ThreadPoolExecutor(8) as pool:
        engines = list(pool.map(database.connect, chosen * 4))
    for engine in engines:
        with database.read(engine) as connection:
            versions = connection.execute(select(tables.schema.c.version)).scalars().all()
        assert versions == [tables.SCHEMA_VERSION]
        engine.dispose()


@BOTH
def test_tables_of_another_version_are_refused(database_settings: Settings) -> None:
    engine = database.connect(database_settings)
    change = update(tables.schema)
    with database.write(engine) as connection:
        connection.execute(change.values(version=99))
    with pytest.raises(RestoreError, match="tables of version 99") as refused:
        database.connect(database_settings)
    with database.write(engine) as connection:
        connection.execute(change.values(version=tables.SCHEMA_VERSION))
    engine.dispose()
    assert refused.value.code is Code.SERVER


@pytest.mark.parametrize(
    "url",
    ["mysql://u:geheim@h/d", "geheim", "sqlite://", "sqlite:///:memory:", "sqlite+x:///geheim"],
)
def test_other_databases_are_refused_without_showing_the_url(settings: Settings, url: str) -> None:
    with pytest.raises(RestoreError, match="RESTORE_DATABASE_URL is not") as refused:
        database.connect(settings.model_copy(update={"database_url": url}))
    assert "geheim" not in str(refused.value)


def test_unreachable_server_is_reported_without_the_password(settings: Settings) -> None:
    url = "postgres://user:geheim@127.0.0.1:9/restore"
    with pytest.raises(RestoreError, match="cannot be used: ") as refused:
        database.connect(settings.model_copy(update={"database_url": url}))
    assert "geheim" not in str(refused.value)
    assert "127.0.0.1" in str(refused.value)


def test_folder_that_cannot_be_used_is_reported(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RestoreError, match="cannot be created"):
        database.connect(settings.model_copy(update={"data": tmp_path / "file" / "data"}))


def test_damaged_file_is_reported(settings: Settings) -> None:
    settings.data.mkdir()
    (settings.data / database.FILE_NAME).write_bytes(b"no database" * 1000)
    with pytest.raises(RestoreError, match=r"not a database.* If the file is damaged") as refused:
        database.connect(settings)
    assert f"'{settings.data / database.FILE_NAME}'" in str(refused.value)
    assert "RESTORE_DATABASE_URL" not in str(refused.value), "this database has no URL"


@BOTH
def test_transactions_that_read_and_then_write_follow_each_other(engine: Engine) -> None:
    """Eight threads increase one number; no increase is lost, none is refused."""
    job = JobStore(engine).submit(new_job())
    row = tables.jobs.c.id == job.id
    start = threading.Barrier(8)

    def increase() -> None:
        start.wait()
        for _ in range(5):
            with database.write(engine) as connection:
                query = select(tables.jobs.c.attempt).where(row).with_for_update()
                attempt = connection.execute(query).scalar_one()
                change = update(tables.jobs).where(row).values(attempt=attempt + 1)
                connection.execute(change)

    threads = [threading.Thread(target=increase) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = JobStore(engine).get(job.id)
    assert found is not None
    assert found.attempt == 40


@BOTH
def test_failed_transaction_changes_nothing(engine: Engine) -> None:
    job = JobStore(engine).submit(new_job())

    def fail() -> None:
        with database.write(engine) as connection:
            connection.execute(update(tables.jobs).values(attempt=7))
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        fail()
    assert JobStore(engine).get(job.id) == job


@pytest.mark.parametrize("durable", [True, False])
def test_only_durable_transactions_wait_for_the_disk(
    database_settings: Settings, durable: bool
) -> None:
    engine = database.connect(database_settings)
    is_sqlite = engine.dialect.name == "sqlite"
    setting = "PRAGMA synchronous" if is_sqlite else "SHOW synchronous_commit"
    expected = {True: (2, "on"), False: (1, "off")}[durable]
    with database.write(engine, durable=not durable):
        pass
    with database.write(engine, durable=durable) as connection:
        assert connection.execute(text(setting)).scalar() in expected
    engine.dispose()
