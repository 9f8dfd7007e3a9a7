"""The gateways of a database: which ones live, and what a dead one has left behind.

A gateway holds a lock on a file in the data folder as long as its process lives, however it ends.
So a gateway that starts knows at once which ones on its data folder are dead. Gateways elsewhere
are dead when the leases of their jobs have expired.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Engine, delete, insert, select, update

from restore.service import database
from restore.service.ids import is_id, new_id
from restore.service.jobs import JobStore
from restore.service.tables import gateways

FORGET_AFTER = timedelta(days=1)
"""Gateways that were not seen for so long are forgotten."""


@dataclass(frozen=True)
class Gateway:
    """A gateway process.

    Attributes:
        seen_at: the last time at which it wrote to the database.
    """

    id: str
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime


@contextmanager
def joined(jobs: JobStore, folder: Path) -> Iterator[Gateway]:
    """Register this process as a gateway, and release the jobs of dead gateways of the folder.

    Args:
        folder: the data folder.
    """
    locks = folder / "gateways"
    locks.mkdir(parents=True, exist_ok=True, mode=0o700)
    recover_dead(jobs, locks)
    gateway_id = new_id()
    # The lock is held before the id is used for a claim.
    with FileLock(_lock_path(locks, gateway_id)):
        gateway = _register(jobs.engine, gateway_id)
        try:
            yield gateway
        finally:
            with database.write(jobs.engine) as connection:
                connection.execute(delete(gateways).where(gateways.c.id == gateway_id))
    _lock_path(locks, gateway_id).unlink(missing_ok=True)


def recover_dead(jobs: JobStore, locks: Path) -> int:
    """Release the jobs of all gateways whose lock in a folder is free.

    Returns:
        Number of released jobs.
    """
    released = 0
    for path in sorted(locks.glob("*.lock")):
        if not is_id(path.stem):
            continue
        try:
            with FileLock(path, timeout=0):
                released += jobs.recover(path.stem)
                with database.write(jobs.engine) as connection:
                    connection.execute(delete(gateways).where(gateways.c.id == path.stem))
        except Timeout:
            continue  # it lives
        path.unlink(missing_ok=True)
    return released


def report(engine: Engine, gateway_id: str) -> None:
    """Write that a gateway lives, and forget those that were not seen for a day."""
    with database.write(engine) as connection:
        now = database.now(connection)
        own = update(gateways).where(gateways.c.id == gateway_id)
        connection.execute(own.values(seen_at=now))
        connection.execute(delete(gateways).where(gateways.c.seen_at < now - FORGET_AFTER))


def all_gateways(engine: Engine) -> tuple[Gateway, ...]:
    """Return the registered gateways, the oldest first."""
    with database.read(engine) as connection:
        rows = connection.execute(select(gateways).order_by(gateways.c.started_at)).all()
    return tuple(Gateway(**row._mapping) for row in rows)


def _register(engine: Engine, gateway_id: str) -> Gateway:
    with database.write(engine) as connection:
        now = database.now(connection)
        gateway = Gateway(gateway_id, socket.gethostname(), os.getpid(), now, now)
        connection.execute(insert(gateways).values(vars(gateway)))
    return gateway


def _lock_path(locks: Path, gateway_id: str) -> Path:
    return locks / f"{gateway_id}.lock"
