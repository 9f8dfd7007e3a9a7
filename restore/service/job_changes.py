"""Changing jobs, one at a time.

A change is one transaction: it locks the job's row, applies a function of transitions.py, and
writes the changed columns and the webhook events. The end of a job is on the disk when the method
returns; what a power failure may undo is done again.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, bindparam, select, update

from restore.service import database, job_files, outbox, transitions
from restore.service.changes import DELIVERIES, QUEUE, Changes
from restore.service.job_reads import JobReads
from restore.service.job_rows import changed_values, to_job
from restore.service.records import Job, Status
from restore.service.tables import jobs

Change = Callable[[Job, datetime], Job | None]
"""From a job and the time to the changed job, or None if the job must not change."""
Addition = Callable[[Connection], None]
"""Writes something else in the transaction of a job."""

_LOCKED_JOB = select(jobs).where(jobs.c.id == bindparam("job")).with_for_update()
_UPDATE_JOB = update(jobs).where(jobs.c.id == bindparam("job"))


class JobChanges(JobReads):
    """Applies changes to jobs, and tells of them.

    Args:
        engine: as of `database.connect`.
        changes: is notified after each change.
        keep_s: time from the end of a job to the removal of its files.

    Attributes:
        listeners: called with each changed job, by the thread that has changed it.
    """

    def __init__(
        self, engine: Engine, changes: Changes | None = None, *, keep_s: float = 3600.0
    ) -> None:
        super().__init__(engine)
        self.changes = changes or Changes()
        self.listeners: list[Callable[[Job], None]] = []
        self._keep = timedelta(seconds=keep_s)

    def change(
        self, job_id: str, change: Change, *, durable: bool = True, also: Addition | None = None
    ) -> Job | None:
        """Apply a change in a transaction of its own.

        Args:
            durable: as of `database.write`.
            also: what else belongs to the transaction, if the job changes.

        Returns:
            The changed job; None if it does not exist or must not change.
        """
        with database.write(self.engine, durable=durable) as connection:
            job = self.change_in(connection, job_id, change)
            if job is not None and also is not None:
                also(connection)
        if job is not None:
            self.tell(job)
        return job

    def change_in(self, connection: Connection, job_id: str, change: Change) -> Job | None:
        """Apply a change in an open transaction; call `tell` after its commit."""
        row = connection.execute(_LOCKED_JOB, {"job": job_id}).one_or_none()
        return None if row is None else self.change_row(connection, row, change)

    def change_row(self, connection: Connection, row: Row[Any], change: Change) -> Job | None:
        """Apply a change to a job whose row this transaction has locked; as `change_in`."""
        before, now = to_job(row), database.now(connection)
        after = change(before, now)
        if after is None:
            return None
        values = changed_values(before, after)
        if values:
            connection.execute(_UPDATE_JOB, values | {"job": before.id})
        outbox.add(connection, after, transitions.events(before, after), now)
        if after.status.is_final and not before.status.is_final:
            job_files.keep_until(connection, after, now + self._keep)
        return after

    def tell(self, job: Job) -> None:
        """Notify those who wait for a change of a job, for work, or for webhooks to send."""
        for listener in self.listeners:
            listener(job)
        self.changes.notify(job.id, job)
        if job.status is Status.STARTING:
            self.changes.notify(QUEUE)
        if job.webhook is not None:
            self.changes.notify(DELIVERIES)
