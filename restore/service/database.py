"""The connection to the database: SQLite in the data folder, or PostgreSQL.

Transactions that write are serialised on SQLite (`BEGIN IMMEDIATE`), and lock the rows that they
change on PostgreSQL. A transaction that has been committed survives the end of the process and, if
it is durable, a power failure.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path

from sqlalchemy import (
    Connection,
    Engine,
    create_engine,
    event,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from restore.errors import Code, RestoreError, system_reason
from restore.service import tables
from restore.service.settings import Settings

FILE_NAME = "service.sqlite3"
BUSY_TIMEOUT_S = 30.0
CONNECTIONS = 8
MORE_CONNECTIONS = 32
DISK_FULL_STATE = "53100"
"""SQLSTATE of PostgreSQL."""


class Lock(IntEnum):
    """Keys of PostgreSQL's advisory locks."""

    SCHEMA = 24_060_124
    SUBMIT = 24_060_125
    QUOTA = 24_060_126


_READ_ONLY, _DURABLE = "restore_read_only", "restore_durable"
_SYNCHRONOUS = "restore_synchronous"
"""The last value of SQLite's setting of this name, which a connection keeps."""
_NOT_DURABLE = text("SET LOCAL synchronous_commit = off")

# SQLite's own lock is polled with growing pauses: a queue of threads in front of it is faster.
_sqlite_writer = threading.RLock()


def connect(settings: Settings) -> Engine:
    """Connect to the database of the settings, and create its tables if they are missing.

    Raises:
        RestoreError: SERVER if the database cannot be reached, opened or written, or if its tables
            are those of another version.
    """
    url = _url(settings)
    engine = _sqlite_engine(url) if url.drivername == "sqlite" else _postgresql_engine(url)
    try:
        _prepare(engine)
    except DBAPIError as error:
        engine.dispose()
        raise _unusable(url, error) from error
    except RestoreError:
        engine.dispose()
        raise
    return engine


@contextmanager
def read(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that only reads. It never waits for a writer."""
    with engine.connect() as connection:
        yield connection.execution_options(**{_READ_ONLY: True})


@contextmanager
def write(engine: Engine, *, durable: bool = True) -> Iterator[Connection]:
    """Open a transaction that writes, and commit it at the end of the block; never nested.

    Args:
        durable: wait until the disk has the transaction. Others survive the end of the process, and
            a power failure only if a durable one follows.
    """
    lock = _sqlite_writer if engine.dialect.name == "sqlite" else nullcontext()
    with lock, engine.connect() as connection:
        # The option reaches the transaction only if it is set before the transaction begins.
        connection.execution_options(**{_DURABLE: durable})
        with connection.begin():
            if not durable and connection.dialect.name == "postgresql":
                connection.execute(_NOT_DURABLE)
            yield connection


def flush(engine: Engine) -> None:
    """Wait until the disk has all transactions that were committed before.

    Raises:
        OSError: the disk has failed.
    """
    if engine.dialect.name == "sqlite":
        # A transaction that changes nothing would not reach the log.
        with Path(f"{engine.url.database}-wal").open("rb") as log:
            os.fsync(log.fileno())
        return
    with write(engine) as connection:  # it cannot be on the disk before the earlier ones
        connection.execute(update(tables.schema).values(version=tables.schema.c.version))


def is_full(error: DBAPIError) -> bool:
    """Return whether a statement failed because the disk of the database is full."""
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return getattr(cause, "sqlstate", None) == DISK_FULL_STATE


def exclude_others(connection: Connection, lock: Lock) -> None:
    """Wait for other transactions that called this, and keep them waiting until this one ends.

    SQLite's transactions follow each other anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": int(lock)})


def now(connection: Connection) -> datetime:
    """Return the time in UTC. Gateways of one PostgreSQL database share its clock."""
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    time: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return time.astimezone(UTC)


def _url(settings: Settings) -> URL:
    if settings.database_url is None:
        _make_folder(settings.data)
        path = settings.data / FILE_NAME
        _make_private(path)
        return URL.create("sqlite", database=str(path))
    try:
        url = make_url(settings.database_url)
    except ArgumentError as error:
        raise _wrong_url() from error
    if url.drivername in {"postgres", "postgresql", "postgresql+psycopg"}:
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database not in {None, "", ":memory:"}:
        return url
    raise _wrong_url()


def _wrong_url() -> RestoreError:
    # The URL may hold a password, so the message does not show it.
    return RestoreError(
        Code.SERVER,
        "RESTORE_DATABASE_URL is not the URL of a PostgreSQL database or a SQLite file",
        "Give it as postgresql://USER:PASSWORD@HOST/DATABASE, or leave it out for SQLite.",
    )


def _unusable(url: URL, error: DBAPIError) -> RestoreError:
    name, remedy = url.render_as_string(), "Check RESTORE_DATABASE_URL, and that the server runs."
    if url.drivername == "sqlite":
        name = f"'{url.database}'"
        remedy = (
            "Check that its folder is writable and its disk has space. If the file is damaged,"
            " restore it from a backup, or move it away: the service then starts without keys and"
            " jobs."
        )
    reason = f"the database {name} cannot be used: {str(error.orig).strip().rstrip('.')}"
    return RestoreError(Code.SERVER, reason, remedy)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise RestoreError(
            Code.SERVER,
            f"the data folder '{folder}' cannot be created: {system_reason(error)}",
            "Choose a writable folder with --data.",
        ) from error


def _make_private(path: Path) -> None:
    """Create the database file, or change its mode, so that only its user can read it."""
    # Errors are those of the connection, too, which reports them. SQLite's other files get the
    # same mode.
    with suppress(OSError):
        path.touch(mode=0o600)
        path.chmod(0o600)


def _sqlite_engine(url: URL) -> Engine:
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_TIMEOUT_S},
        pool_size=CONNECTIONS,
        max_overflow=MORE_CONNECTIONS,
        pool_use_lifo=True,  # each connection has caches of pages and statements
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    del record
    connection.isolation_level = None  # `_begin_sqlite` begins transactions, not the driver
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that first reads and then writes would fail if another wrote in between.
    options = connection.get_execution_options()
    if options.get(_READ_ONLY, False):
        connection.exec_driver_sql("BEGIN")
        return
    level = "FULL" if options.get(_DURABLE, True) else "NORMAL"
    if connection.info.get(_SYNCHRONOUS) != level:
        connection.exec_driver_sql(f"PRAGMA synchronous={level}")
        connection.info[_SYNCHRONOUS] = level
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _postgresql_engine(url: URL) -> Engine:
    return create_engine(
        url,
        connect_args={"options": "-c synchronous_commit=on", "connect_timeout": 10},
        isolation_level="READ COMMITTED",
        pool_size=CONNECTIONS,
        max_overflow=MORE_CONNECTIONS,
        pool_pre_ping=True,  # a restarted server has closed the connections of the pool
    )


def _prepare(engine: Engine) -> None:
    with write(engine) as connection:
        exclude_others(connection, Lock.SCHEMA)  # several gateways may start at the same time
        tables.metadata.create_all(connection)
        version = connection.execute(select(tables.schema.c.version)).scalar()
        if version is None:
            version = tables.SCHEMA_VERSION
            connection.execute(insert(tables.schema).values(version=version))
    if version != tables.SCHEMA_VERSION:
        raise RestoreError(
            Code.SERVER,
            f"the database has the tables of version {version}, this program needs version "
            f"{tables.SCHEMA_VERSION}",
            "Start with another data folder or database, or use the program that made it.",
        )
