"""Reading jobs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, bindparam, func, or_, select

from restore.service import database
from restore.service.ids import is_id
from restore.service.job_pages import page
from restore.service.job_rows import to_job
from restore.service.records import FINAL, Job, Page, Status
from restore.service.tables import jobs

# Statements of every job are built once: building one takes longer than running it.
_JOB = select(jobs).where(jobs.c.id == bindparam("job"))


class JobReads:
    """The jobs of a database, to read. The methods block; call them from threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def get(self, job_id: str, owner: str | None = None) -> Job | None:
        """Return a job, or None if it does not exist or has another owner than the given one."""
        if not is_id(job_id):
            return None
        with database.read(self.engine) as connection:
            row = connection.execute(_JOB, {"job": job_id}).one_or_none()
        job = to_job(row) if row else None
        return job if job is None or owner in {None, job.owner} else None

    def list(self, owner: str | None, *, limit: int = 100, cursor: str | None = None) -> Page:
        """Return a page of the jobs of an owner, newest first.

        Args:
            owner: None means all.
            cursor: `next` or `previous` of another page; None means the first page.

        Raises:
            RestoreError: REQUEST_INVALID if the cursor is not one of a page.
        """
        with database.read(self.engine) as connection:
            return page(connection, _of_owner(select(jobs), owner), limit, cursor)

    def queue_position(self, job: Job) -> int:
        """Return the number of waiting jobs before a job; 0 if it does not wait itself."""
        if job.status is not Status.STARTING:
            return 0
        own = select(jobs.c.sequence).where(jobs.c.id == job.id).scalar_subquery()
        with database.read(self.engine) as connection:
            return count(connection, jobs.c.status == Status.STARTING, jobs.c.sequence < own)

    def counts(self) -> dict[Status, int]:
        """Return the number of jobs in each status."""
        query = select(jobs.c.status, func.count()).group_by(jobs.c.status)
        with database.read(self.engine) as connection:
            found = {row[0]: row[1] for row in connection.execute(query)}
        return {status: found.get(status, 0) for status in Status}

    def waiting_of(self, owner: str) -> int:
        """Return the number of jobs of an owner that have not ended."""
        with database.read(self.engine) as connection:
            return count(connection, unended(), jobs.c.owner == owner)


def count(connection: Connection, *conditions: ColumnElement[bool]) -> int:
    """Return the number of jobs that meet all conditions."""
    return connection.execute(
        select(func.count()).select_from(jobs).where(*conditions)
    ).scalar_one()


def unended() -> ColumnElement[bool]:
    """Return the condition that a job waits or runs."""
    # Not `not_in(FINAL)`: the index of the status serves equality only.
    return or_(*(jobs.c.status == status for status in Status if status not in FINAL))


def _of_owner(query: Select[Any], owner: str | None) -> Select[Any]:
    return query if owner is None else query.where(jobs.c.owner == owner)
