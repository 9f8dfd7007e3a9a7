"""Which stored files a job uses, and how long they are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    String,
    bindparam,
    delete,
    exists,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from restore.errors import Code, RestoreError
from restore.service.ids import is_id
from restore.service.job_reads import unended
from restore.service.records import Job, NewJob, StoredFile
from restore.service.tables import files, job_files, jobs

PREFIX = "file:"

_JOB = bindparam("job", type_=String())
_OUTPUTS: BindParameter[str] = bindparam("outputs", expanding=True)
_TIME = bindparam("time", type_=files.c.expires_at.type)
_OWN_FILE = select(_JOB, files.c.id).where(
    files.c.id == bindparam("file"), files.c.owner == bindparam("key_owner")
)
_LINK = insert(job_files).from_select(("job_id", "file_id"), _OWN_FILE)
_COUNTED = {"preserve_rowcount": True}
_OF_JOB = or_(
    files.c.id.in_(select(job_files.c.file_id).where(job_files.c.job_id == _JOB)),
    files.c.id.in_(_OUTPUTS),
)
_LOCK = select(files.c.id).where(_OF_JOB).order_by(files.c.id).with_for_update()
_KEEP = update(files).where(_OF_JOB, files.c.expires_at < _TIME).values(expires_at=_TIME)
_EXPIRE = (
    update(files)
    .where(files.c.job_id == _JOB, files.c.id.not_in(_OUTPUTS))
    .values(expires_at=_TIME)
)


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
    for file_id in sorted(set(file_ids(new.input))):
        if not is_id(file_id):
            raise _missing(file_id)
        names = {"job": new.id, "file": file_id, "key_owner": new.owner}
        try:
            linked = connection.execute(_LINK, names, execution_options=_COUNTED).rowcount
        except IntegrityError as error:  # the cleaner was faster
            raise _missing(file_id) from error
        if not linked:
            raise _missing(file_id)


def keep_until(connection: Connection, job: Job, expires_at: datetime) -> None:
    """Let the files of a job that has ended expire at a time, or later if they did before.

    Results of lost attempts expire at once.
    """
    names = {"job": job.id, "outputs": list(file_ids(job.output))}
    if connection.dialect.name == "postgresql":
        # Locked in one order, because jobs that end at the same time may share files.
        connection.execute(_LOCK, names)
    connection.execute(_KEEP, names | {"time": expires_at})
    connection.execute(_EXPIRE, names | {"time": job.completed_at})


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
