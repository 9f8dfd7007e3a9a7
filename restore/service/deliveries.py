"""The order and the times in which the webhook events of the outbox are sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Select,
    exists,
    func,
    or_,
    select,
)
from sqlalchemy import update as update_rows

from restore.service import database, outbox
from restore.service.job_rows import to_job
from restore.service.records import Job
from restore.service.tables import deliveries, jobs

THROTTLED = ("output", "logs")
INTERVAL = timedelta(milliseconds=500)
"""Shortest time between two events of these kinds for one job."""

CLAIM = timedelta(seconds=90)
"""Time after which an event is sent again whose gateway has ended meanwhile."""
MAX_ATTEMPTS = 10
FIRST_PAUSE_S, MAX_PAUSE_S = 1.0, 300.0
"""Pauses after failures; each is twice as long as the one before: 8.5 minutes in all."""
MAX_ERROR_CHARACTERS = 300
MAX_EXAMINED = 1000
"""Due events that are looked at: those of busy owners stay where they are."""


@dataclass(frozen=True)
class Delivery:
    """One event that is to be sent now.

    Attributes:
        id: the same for all attempts.
        owner: owner of the job.
        attempts: number of attempts, with this one.
        body: what the first attempt has sent, or None.
        job: the job as it was when the event happened.
    """

    id: str
    owner: str
    url: str
    event: str
    attempts: int
    body: str | None
    job: Job


class Deliveries:
    """The events of a database. The methods block; call them from threads.

    What they write may be lost by a power failure: then the event is sent again.

    Args:
        engine: as of `database.connect`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def claim(self, limit: int, room_of: Callable[[str], int] | None = None) -> list[Delivery]:
        """Return events that are due, each for this gateway only.

        The events of a job are sent one after the other, in their order; one that has failed no
        longer holds up the later ones.

        Args:
            limit: largest number of events.
            room_of: returns how many events of an owner may be sent now; None means `limit`.
        """
        taken: Counter[str] = Counter()

        def has_room(owner: str) -> bool:
            return room_of is None or taken[owner] < room_of(owner)

        with database.write(self._engine, durable=False) as connection:
            now = database.now(connection)
            _drop_superseded_logs(connection, now)
            claimed: list[Delivery] = []
            for row in connection.execute(_due(now)).mappings().all():
                if len(claimed) == limit:
                    break
                if has_room(row["owner"]) and not _postponed(connection, row, now):
                    taken[row["owner"]] += 1
                    claimed.append(self._claimed(connection, row, now))
            return claimed

    def seconds_to_next(self) -> float | None:
        """Return the seconds until the next event is due, or None without events.

        An event that is due may still have to wait for an earlier one of its job: then it is 0.
        """
        times = func.coalesce(deliveries.c.claimed_until, deliveries.c.next_attempt_at)
        query = select(func.min(times)).where(deliveries.c.ended_at.is_(None))
        with database.read(self._engine) as connection:
            next_at: datetime | None = connection.execute(query).scalar()
            if next_at is None:
                return None
            return max(0.0, (next_at - database.now(connection)).total_seconds())

    def succeeded(self, delivery: Delivery) -> None:
        """Record that the receiver has accepted an event."""
        self._end(delivery.id, delivered=True, error=None)

    def failed(
        self, delivery: Delivery, error: str, *, body: str | None = None, permanent: bool = False
    ) -> None:
        """Record a failed attempt, and plan the next one.

        Args:
            error: the reason, for the operator.
            body: what was sent; all attempts send the same.
            permanent: do not try again.
        """
        error = error[:MAX_ERROR_CHARACTERS]
        if permanent or delivery.attempts >= MAX_ATTEMPTS:
            self._end(delivery.id, delivered=False, error=error)
            return
        pause_s = min(FIRST_PAUSE_S * 2 ** (delivery.attempts - 1), MAX_PAUSE_S)
        with database.write(self._engine, durable=False) as connection:
            next_at = database.now(connection) + timedelta(seconds=pause_s)
            values = {
                "next_attempt_at": next_at,
                "claimed_until": None,
                "last_error": error,
                "body": body,
            }
            connection.execute(_row(delivery.id).values(values))

    def _claimed(self, connection: Connection, row: RowMapping, now: datetime) -> Delivery:
        attempts = row["attempts"] + 1
        values = {"attempts": attempts, "claimed_until": now + CLAIM}
        connection.execute(_row(row["id"]).values(values))
        job = to_job(connection.execute(select(jobs).where(jobs.c.id == row["job_id"])).one())
        return Delivery(
            id=row["id"],
            owner=job.owner,
            url=row["url"],
            event=row["event"],
            attempts=attempts,
            body=row["body"],
            job=outbox.at_event(job, row["snapshot"]),
        )

    def _end(self, delivery_id: str, *, delivered: bool, error: str | None) -> None:
        with database.write(self._engine, durable=False) as connection:
            values = {
                "ended_at": database.now(connection),
                "claimed_until": None,
                "delivered": delivered,
                "last_error": error,
            }
            connection.execute(_row(delivery_id).values(values))


def _row(delivery_id: str) -> Any:  # noqa: ANN401 - SQLAlchemy's own type
    return update_rows(deliveries).where(deliveries.c.id == delivery_id)


def _due(now: datetime) -> Select[Any]:
    """Return the query for the events that may be sent now, with the owners of their jobs."""
    return (
        select(deliveries, jobs.c.owner)
        .join(jobs, jobs.c.id == deliveries.c.job_id)
        .where(_is_due(now), ~_waits_for_earlier(now))
        .order_by(deliveries.c.next_attempt_at, deliveries.c.sequence)
        .limit(MAX_EXAMINED)
        .with_for_update(skip_locked=True, of=deliveries)
    )


def _is_due(now: datetime) -> ColumnElement[bool]:
    claimed_until = deliveries.c.claimed_until
    is_free = or_(claimed_until.is_(None), claimed_until < now)
    return deliveries.c.ended_at.is_(None) & (deliveries.c.next_attempt_at <= now) & is_free


def _waits_for_earlier(now: datetime) -> ColumnElement[bool]:
    """Return the condition that an earlier event of the job is still in its first attempt."""
    earlier = deliveries.alias()
    in_progress = (earlier.c.attempts == 0) | (earlier.c.claimed_until >= now)
    return exists().where(
        earlier.c.job_id == deliveries.c.job_id,
        earlier.c.sequence < deliveries.c.sequence,
        earlier.c.ended_at.is_(None),
        in_progress,
    )


def _drop_superseded_logs(connection: Connection, now: datetime) -> None:
    """End `logs` events that nobody sends now, if a later event of the job has the same logs."""
    later = deliveries.alias()
    has_later = exists().where(
        later.c.job_id == deliveries.c.job_id, later.c.sequence > deliveries.c.sequence
    )
    claimed_until = deliveries.c.claimed_until
    superseded = update_rows(deliveries).where(
        deliveries.c.event == "logs",
        deliveries.c.ended_at.is_(None),
        or_(claimed_until.is_(None), claimed_until < now),
        has_later,
    )
    connection.execute(superseded.values(ended_at=now, last_error="a later event has these logs"))


def _postponed(connection: Connection, row: RowMapping, now: datetime) -> bool:
    """Postpone an event that follows a similar one too closely; return whether it was."""
    if row["event"] not in THROTTLED:
        return False
    query = select(func.max(deliveries.c.ended_at)).where(
        deliveries.c.job_id == row["job_id"],
        deliveries.c.event.in_(THROTTLED),
        deliveries.c.attempts > 0,
    )
    last: datetime | None = connection.execute(query).scalar()
    if last is None or last + INTERVAL <= now:
        return False
    connection.execute(_row(row["id"]).values(next_attempt_at=last + INTERVAL))
    return True
