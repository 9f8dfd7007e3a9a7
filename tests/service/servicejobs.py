"""Builders of jobs and files for the tests of the job service."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from restore.service import database, tables
from restore.service.ids import new_id
from restore.service.jobs import JobStore
from restore.service.records import Job, NewJob

LEASE_S = 60.0
BOTH = pytest.mark.parametrize("database_settings", ["sqlite", "postgresql"], indirect=True)
"""Runs a test that uses a database on SQLite and on PostgreSQL, also without --slow."""


def new_job(owner: str = "", **fields: Any) -> NewJob:
    """A valid request of an owner."""
    values = {"input": {"task": "upscale"}, "model": "restore/upscale", "version": "1"} | fields
    return NewJob(new_id(), owner, **values)


def running(jobs: JobStore, gateway: str = "g", **fields: Any) -> Job:
    """A job that a worker has just taken; no other job may wait."""
    submitted = jobs.submit(new_job(**fields))
    job = jobs.claim("w", gateway, LEASE_S)
    assert job is not None
    assert job.id == submitted.id
    return job


def events(engine: Engine, job_id: str) -> list[str]:
    """The webhook events of a job, in their order."""
    table = tables.deliveries
    query = select(table.c.event).where(table.c.job_id == job_id).order_by(table.c.sequence)
    with database.read(engine) as connection:
        return list(connection.execute(query).scalars())


def set_back(engine: Engine, table: Any, seconds: float, *names: str) -> None:
    """Move times of all rows of a table into the past."""
    with database.write(engine) as connection:
        for row in connection.execute(select(table)).all():
            times = {name: row._mapping[name] for name in names}
            moved = {n: t - timedelta(seconds=seconds) for n, t in times.items() if t is not None}
            if moved:
                connection.execute(update(table).where(table.c.id == row.id).values(moved))
