"""The limits of stored bytes: of all files together, and of one owner."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, bindparam, case, func, select

from restore.errors import Code, RestoreError
from restore.service import database
from restore.service.settings import MIB
from restore.service.tables import files

UPLOAD_SHARE = 0.9
"""Share of the quota that uploads may fill; the rest is for results of accepted jobs."""

_ALL = func.coalesce(func.sum(files.c.size), 0)
_OF_OWNER = case((files.c.owner == bindparam("owner"), files.c.size), else_=0)
_USED = select(_ALL, func.coalesce(func.sum(_OF_OWNER), 0))


class Quota:
    """Counts the stored bytes, including those of uploads that are being received.

    Args:
        limit_bytes: limit of all stored files together.
    """

    def __init__(self, engine: Engine, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._engine = engine
        self._lock = threading.Lock()
        self._incoming = 0

    def used_bytes(self, owner: str | None = None) -> int:
        """Return the size of all stored files, or of those of an owner."""
        with database.read(self._engine) as connection:
            return stored_bytes(connection, owner)

    @contextmanager
    def reservation(self, limit_bytes: int) -> Iterator[Reservation]:
        """Open a reservation for a file that grows, which ends with the block.

        Args:
            limit_bytes: limit of all files together that this file must not exceed.
        """
        reservation = Reservation(self, limit_bytes)
        try:
            yield reservation
        finally:
            self.add_incoming(-reservation.size)

    def add_incoming(self, count: int) -> int:
        """Change the number of bytes that are being received, and return it."""
        with self._lock:
            self._incoming += count
            return self._incoming


class Reservation:
    """The part of the quota that one incoming file takes."""

    def __init__(self, quota: Quota, limit_bytes: int) -> None:
        self.size = 0
        self._quota = quota
        self._limit_bytes = limit_bytes
        self._used_bytes = quota.used_bytes()

    def grow(self, size: int) -> None:
        """Take more of the quota.

        Raises:
            RestoreError: DISK_QUOTA if that is too much.
        """
        incoming = self._quota.add_incoming(size - self.size)
        self.size = size
        if self._used_bytes + incoming > self._limit_bytes:
            raise over_quota(self._limit_bytes)


def stored_bytes(connection: Connection, owner: str | None = None) -> int:
    """Return the size of all stored files, or of those of an owner."""
    query = select(_ALL)
    if owner is not None:
        query = query.where(files.c.owner == owner)
    return int(connection.execute(query).scalar_one())


def check_new_file(
    connection: Connection, size: int, limit_bytes: int, owner: str, owner_limit_bytes: int | None
) -> None:
    """Check that a received file may be recorded in this transaction.

    Other files may have been recorded since it began to arrive, by other gateways, too.

    Raises:
        RestoreError: DISK_QUOTA if the file exceeds a limit.
    """
    database.exclude_others(connection, database.Lock.QUOTA)
    used, used_by_owner = connection.execute(_USED, {"owner": owner}).one()
    if used + size > limit_bytes:
        raise over_quota(limit_bytes)
    if owner_limit_bytes is not None and used_by_owner + size > owner_limit_bytes:
        raise over_quota(owner_limit_bytes)


def over_quota(limit_bytes: int) -> RestoreError:
    """Return the error for a file that exceeds a limit of stored bytes."""
    return RestoreError(
        Code.DISK_QUOTA,
        f"the stored files would take more than {limit_bytes / MIB:.0f} MiB, which is the limit",
        "Try again later; files are removed some time after their job has ended.",
    )
