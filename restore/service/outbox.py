"""The outbox: webhook events, written in the transaction that changes the job.

So an event is sent if and only if its change was committed. The deliverer (webhooks.py) sends them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from restore.service.ids import new_id
from restore.service.records import Job, Status
from restore.service.tables import deliveries

_TIMES = ("started_at", "completed_at")
_SNAPSHOT = ("status", "output", "logs", "error", "worker", "attempt", "predict_s", *_TIMES)


def add(connection: Connection, job: Job, events: tuple[str, ...], now: datetime) -> None:
    """Write the events of a change of a job.

    A `logs` event replaces an earlier one that nobody has tried to send yet.
    """
    for name in events:
        if name == "logs" and _replace_logs(connection, job):
            continue
        connection.execute(
            insert(deliveries).values(
                id=new_id(),
                job_id=job.id,
                url=job.webhook,
                event=name,
                snapshot=snapshot(job),
                created_at=now,
                attempts=0,
                next_attempt_at=now,
                delivered=False,
            )
        )


def snapshot(job: Job) -> dict[str, Any]:
    """Return the fields that change while a job runs, as JSON types."""
    values = {name: getattr(job, name) for name in _SNAPSHOT}
    for name in _TIMES:
        values[name] = None if values[name] is None else values[name].isoformat()
    return values


def at_event(job: Job, saved: Mapping[str, Any]) -> Job:
    """Return a job as it was when an event happened.

    Args:
        job: the job as it is now.
        saved: the snapshot of the event.
    """
    values = dict(saved)
    for name in _TIMES:
        values[name] = None if values[name] is None else datetime.fromisoformat(values[name])
    values["status"] = Status(values["status"])
    values["output"] = None if values["output"] is None else tuple(values["output"])
    return replace(job, **values)


def remove_ended(connection: Connection, job_id: str) -> None:
    """Delete the events of a job that were delivered or given up."""
    ended = deliveries.c.job_id == job_id, deliveries.c.ended_at.is_not(None)
    connection.execute(delete(deliveries).where(*ended))


def _replace_logs(connection: Connection, job: Job) -> bool:
    newest = (
        select(deliveries.c.sequence)
        .where(deliveries.c.job_id == job.id)
        .order_by(deliveries.c.sequence.desc())
        .limit(1)
        .scalar_subquery()
    )
    untouched = update(deliveries).where(
        deliveries.c.sequence == newest,
        deliveries.c.event == "logs",
        deliveries.c.attempts == 0,
        deliveries.c.claimed_until.is_(None),
        deliveries.c.ended_at.is_(None),
    )
    return connection.execute(untouched.values(snapshot=snapshot(job))).rowcount == 1
