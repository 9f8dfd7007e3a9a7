"""Which stored files a job uses, and how long they are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, exists, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from restore.errors import Code, RestoreError
from restore.service.ids import is_id
from restore.service.job_reads import unended
from restore.service.records import Job, NewJob, StoredFile
from restore.service.tables import files, job_files, jobs

PREFIX = "file:"


def file_ids(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    """Yield the ids of the stored files that a JSON value names as `file:ID`, at any depth."""
    if isinstance(value, str):
        if value.startswith(PREFIX):
            yield value.removeprefix(PREFIX)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from file_ids(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from file_ids(item)


def link_inputs(connection: Connection, new: NewJob) -> None:
    """Link a new job to the files of its input.

    Raises:
        RestoreError: PHOTO_MISSING if a file does not exist or belongs to another owner.
    """
    wanted = sorted(set(file_ids(new.input)))
    if not wanted:
        return
    possible = [file_id for file_id in wanted if is_id(file_id)]
    query = select(files.c.id).where(files.c.id.in_(possible), files.c.owner == new.owner)
    found = set(connection.execute(query).scalars())
    missing = [file_id for file_id in wanted if file_id not in found]
    if missing:
        raise _missing(missing[0])
    try:
        rows = [{"job_id": new.id, "file_id": file_id} for file_id in wanted]
        connection.execute(insert(job_files), rows)
    except IntegrityError as error:  # the cleaner was faster
        raise _missing(wanted[0]) from error


def keep_until(connection: Connection, job: Job, expires_at: datetime) -> None:
    """Let the files of a job that has ended expire at a time, or later if they did before.

    Results of lost attempts expire at once.
    """
    inputs = select(job_files.c.file_id).where(job_files.c.job_id == job.id)
    outputs = list(file_ids(job.output))
    of_job = or_(files.c.id.in_(inputs), files.c.id.in_(outputs))
    if connection.dialect.name == "postgresql":
        # Locked in one order, because jobs that end at the same time may share files.
        connection.execute(select(files.c.id).where(of_job).order_by(files.c.id).with_for_update())
    connection.execute(
        update(files).where(of_job, files.c.expires_at < expires_at).values(expires_at=expires_at)
    )
    connection.execute(
        update(files)
        .where(files.c.job_id == job.id, files.c.id.not_in(outputs))
        .values(expires_at=job.completed_at)
    )


def unlink_job(connection: Connection, job_id: str) -> None:
    """Let a job that has ended use no files any more."""
    connection.execute(delete(job_files).where(job_files.c.job_id == job_id))


def remove_records(
    connection: Connection, ids: Sequence[str], expired_at: datetime | None = None
) -> list[StoredFile]:
    """Delete the records of files, but not of those that a job uses that has not ended.

    Args:
        expired_at: delete only what has expired at this time.

    Returns:
        The files whose bytes the caller has to delete after the commit.
    """
    # A job that is being submitted holds its files: the next query has to see its links.
    rows = select(files.c.id).where(files.c.id.in_(ids)).order_by(files.c.id)
    connection.execute(rows.with_for_update())
    query = select(files).where(files.c.id.in_(ids), ~in_use())
    if expired_at is not None:
        query = query.where(files.c.expires_at < expired_at)
    removed = [StoredFile(**row._mapping) for row in connection.execute(query)]
    unused = [file.id for file in removed]
    connection.execute(delete(job_files).where(job_files.c.file_id.in_(unused)))
    connection.execute(delete(files).where(files.c.id.in_(unused)))
    return removed


def in_use() -> ColumnElement[bool]:
    """Return the condition on a row of `files` that a job that has not ended uses or made it."""
    used = exists().where(
        job_files.c.file_id == files.c.id, jobs.c.id == job_files.c.job_id, unended()
    )
    made = exists().where(jobs.c.id == files.c.job_id, unended())
    return or_(used, made)


def _missing(file_id: str) -> RestoreError:
    return RestoreError(
        Code.PHOTO_MISSING,
        f"the uploaded file '{file_id[:40]}' does not exist or has been removed",
        "Upload the photo again.",
    )
