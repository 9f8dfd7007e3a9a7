"""Tests of the order and the times of webhook events, on both databases."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from servicejobs import new_job, set_back
from sqlalchemy import Engine, select

from restore.service import database, deliveries, tables
from restore.service.deliveries import Deliveries, Delivery
from restore.service.jobs import JobStore
from restore.service.records import Job

URL = "https://hooks.example/a"


@pytest.fixture
def store(engine: Engine) -> Deliveries:
    return Deliveries(engine)


def started(jobs: JobStore, owner: str = "", **fields: Any) -> Job:
    """A job that runs and calls a webhook."""
    jobs.submit(new_job(owner, webhook=URL, **fields))
    job = jobs.claim("w", "g", 60.0)
    assert job is not None
    return job


def rows(engine: Engine) -> list[dict[str, Any]]:
    query = select(tables.deliveries).order_by(tables.deliveries.c.sequence)
    with database.read(engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def names(claimed: list[Delivery]) -> list[str]:
    return [delivery.event for delivery in claimed]


def test_events_of_a_job_are_sent_one_after_the_other(
    jobs: JobStore, store: Deliveries, engine: Engine
) -> None:
    job = started(jobs)
    jobs.succeed(job.id, job.attempt, output=["file:a"], logs="done\n")
    sent = []
    while claimed := store.claim(10):
        assert len(claimed) == 1, "a later event must wait for the earlier one"
        assert store.claim(10) == [], "an event belongs to whoever has claimed it"
        sent.append(claimed[0])
        store.succeeded(claimed[0])
        set_back(engine, tables.deliveries, 1.0, "ended_at")
    assert names(sent) == ["start", "output", "completed"]
    assert [delivery.job.status for delivery in sent] == ["processing", "succeeded", "succeeded"]
    assert sent[0].job.output is None, "an event shows the job as it was"
    assert sent[2].job.logs == "done\n"
    assert len({delivery.id for delivery in sent}) == 3
    assert store.seconds_to_next() is None


def test_events_of_several_jobs_are_sent_at_the_same_time(
    jobs: JobStore, store: Deliveries
) -> None:
    owners = ["a", "a", "b"]
    for owner in owners:
        started(jobs, owner)
    claimed = store.claim(3, lambda owner: {"a": 1, "b": 5}[owner])
    assert [delivery.owner for delivery in claimed] == ["a", "b"]
    assert store.claim(3, lambda owner: 0) == []
    assert len(store.claim(3)) == 1


def test_failed_event_is_sent_again_later_and_does_not_hold_up_others(
    jobs: JobStore, store: Deliveries, engine: Engine
) -> None:
    job = started(jobs)
    jobs.fail(job.id, job.attempt, "[E205] no photo. Send one.")
    (first,) = store.claim(10)
    store.failed(first, "refused", body="{}")
    (second,) = store.claim(10)
    assert (second.event, second.body) == ("completed", None)
    assert 0 < (store.seconds_to_next() or 0) <= deliveries.FIRST_PAUSE_S
    set_back(engine, tables.deliveries, 5.0, "next_attempt_at")
    (again,) = store.claim(10)
    assert (again.id, again.attempts, again.body) == (first.id, 2, "{}")


def test_attempts_end(jobs: JobStore, store: Deliveries, engine: Engine) -> None:
    started(jobs)
    pauses = []
    for _ in range(deliveries.MAX_ATTEMPTS):
        (delivery,) = store.claim(1)
        store.failed(delivery, "x" * 1000)
        pauses.append(store.seconds_to_next() or 0)
        set_back(engine, tables.deliveries, 400.0, "next_attempt_at")
    assert store.claim(1) == []
    (row,) = rows(engine)
    assert (row["delivered"], len(row["last_error"])) == (False, deliveries.MAX_ERROR_CHARACTERS)
    assert pauses[-1] == 0
    assert pauses[:-1] == sorted(pauses[:-1])
    assert max(pauses) <= deliveries.MAX_PAUSE_S


def test_permanent_failure_ends_an_event(jobs: JobStore, store: Deliveries, engine: Engine) -> None:
    started(jobs)
    store.failed(store.claim(1)[0], "not public", permanent=True)
    assert store.seconds_to_next() is None
    assert rows(engine)[0]["last_error"] == "not public"


def test_event_of_a_gateway_that_has_ended_is_sent_again(
    jobs: JobStore, store: Deliveries, engine: Engine
) -> None:
    started(jobs)
    (claimed,) = store.claim(1)
    assert (store.seconds_to_next() or 0) > 60
    set_back(engine, tables.deliveries, deliveries.CLAIM.total_seconds() + 1, "claimed_until")
    assert store.seconds_to_next() == 0
    assert [delivery.id for delivery in store.claim(1)] == [claimed.id]


def test_logs_are_sent_at_most_twice_in_a_second(
    jobs: JobStore, store: Deliveries, engine: Engine
) -> None:
    job = started(jobs, webhook_events=("logs",))
    add = partial(jobs.add_logs, job.id, job.attempt)
    add("1\n")
    (first,) = store.claim(1)
    store.succeeded(first)
    add("2\n")
    add("3\n")
    assert store.claim(1) == []
    assert 0 < (store.seconds_to_next() or 0) <= 0.5
    set_back(engine, tables.deliveries, 0.6, "ended_at", "next_attempt_at")
    (second,) = store.claim(1)
    assert (first.job.logs, second.job.logs) == ("1\n", "1\n2\n3\n")
    assert timedelta(seconds=0.5) == deliveries.INTERVAL


def test_logs_are_dropped_if_a_later_event_has_them(
    jobs: JobStore, store: Deliveries, engine: Engine
) -> None:
    job = started(jobs, webhook_events=("logs", "completed"))
    jobs.add_logs(job.id, job.attempt, "1\n")
    jobs.succeed(job.id, job.attempt, output=["file:a"])
    (only,) = store.claim(10)
    assert (only.event, only.job.logs) == ("completed", "1\n")
    assert [row["delivered"] for row in rows(engine)] == [False, False]
