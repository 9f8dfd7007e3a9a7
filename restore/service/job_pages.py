"""Pages of a list of jobs, with cursors that stay valid while jobs are added."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, select

from restore.errors import Code, RestoreError
from restore.service.ids import is_id
from restore.service.job_rows import to_job
from restore.service.records import Page
from restore.service.tables import jobs

OLDER, NEWER = "older.", "newer."


def page(connection: Connection, query: Select[Any], limit: int, cursor: str | None) -> Page:
    """Return a page of the jobs of a query, newest first.

    Args:
        query: selects rows of the table `jobs`, in no order.
        cursor: `older.ID` or `newer.ID` of the job beside the page; None means the newest jobs.

    Raises:
        RestoreError: REQUEST_INVALID if the cursor names no job.
    """
    newer = cursor is not None and cursor.startswith(NEWER)
    if cursor is not None:
        beside = _sequence(connection, cursor)
        query = query.where(jobs.c.sequence > beside if newer else jobs.c.sequence < beside)
    order = jobs.c.sequence.asc() if newer else jobs.c.sequence.desc()
    rows = connection.execute(query.order_by(order).limit(limit + 1)).all()
    found = [to_job(row) for row in rows[:limit]]
    more = len(rows) > limit
    if newer:
        found.reverse()
    if not found:
        return Page((), None, None)
    older_exist, newer_exist = (True, more) if newer else (more, cursor is not None)
    return Page(
        tuple(found),
        next=OLDER + found[-1].id if older_exist else None,
        previous=NEWER + found[0].id if newer_exist else None,
    )


def _sequence(connection: Connection, cursor: str) -> int:
    direction, job_id = cursor[: len(OLDER)], cursor[len(OLDER) :]
    if direction in {OLDER, NEWER} and is_id(job_id):
        query = select(jobs.c.sequence).where(jobs.c.id == job_id)
        found: int | None = connection.execute(query).scalar()
        if found is not None:
            return found
    raise RestoreError(
        Code.REQUEST_INVALID,
        f"the cursor '{cursor[:60]}' belongs to no page, or its job was removed",
        "Start with the first page, and follow `next`.",
    )
