"""Tests of the durable queue and the records of jobs, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest
from servicejobs import BOTH, LEASE_S, events, new_job, running, set_back
from sqlalchemy import Engine, func, select

from restore.errors import Code, RestoreError
from restore.service import database, outbox, tables
from restore.service.ids import new_id
from restore.service.jobs import JobStore
from restore.service.records import MAX_FAILURES, Renewal, Status

pytestmark = BOTH
MAX_ATTEMPTS = MAX_FAILURES + 4
HOOK = "https://example.org/hook"


def test_job_is_stored_as_it_was_requested(jobs: JobStore) -> None:
    new = new_job(
        "anna",
        input={"photos": ["https://example.org/a.jpg"], "scale": 2, "nested": {"a": [1, None]}},
        filenames=("a.jpg", "é\u4e2d.png"),
        webhook=HOOK,
        webhook_events=("start",),
        deadline=datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    )
    submitted = jobs.submit(new)
    assert jobs.get(new.id) == submitted
    assert {name: getattr(submitted, name) for name in vars(new)} == vars(new)
    assert submitted.status is Status.STARTING
    assert abs(datetime.now(UTC) - submitted.created_at) < timedelta(seconds=30)


def test_job_runs_and_succeeds(jobs: JobStore) -> None:
    job = running(jobs)
    assert (job.status, job.attempt, job.worker, job.gateway) == ("processing", 1, "w", "g")
    assert job.lease_until is not None
    assert job.started_at is not None
    assert job.lease_until - job.started_at == timedelta(seconds=LEASE_S)
    assert jobs.add_logs(job.id, 1, "one\n")
    assert jobs.add_logs(job.id, 1, "two\n")
    reports = [{"photo": "a", "faces": [1.5]}]
    assert jobs.succeed(job.id, 1, output=["file:x", "file:y"], reports=reports, predict_s=1.25)
    ended = jobs.get(job.id)
    assert ended is not None
    assert (ended.status, ended.logs, ended.predict_s) == ("succeeded", "one\ntwo\n", 1.25)
    assert (ended.output, ended.reports) == (("file:x", "file:y"), tuple(reports))
    assert ended.completed_at is not None
    assert ended.lease_until is None


def test_complete_logs_replace_the_streamed_ones(jobs: JobStore) -> None:
    job = running(jobs)
    jobs.add_logs(job.id, 1, "half a li\n")
    jobs.fail(job.id, 1, "[E203] too large", logs="half a line, complete\n", predict_s=2.0)
    ended = jobs.get(job.id)
    assert ended is not None
    assert (ended.status, ended.error) == ("failed", "[E203] too large")
    assert (ended.logs, ended.predict_s) == ("half a line, complete\n", 2.0)


def test_jobs_are_claimed_in_the_order_of_submission(jobs: JobStore) -> None:
    ids = [jobs.submit(new_job()).id for _ in range(5)]
    claimed = [jobs.claim("w", "g", LEASE_S) for _ in range(5)]
    assert [job.id for job in claimed if job] == ids
    assert jobs.claim("w", "g", LEASE_S) is None


def test_another_owner_sees_no_job(jobs: JobStore) -> None:
    job = jobs.submit(new_job("anna"))
    assert jobs.get(job.id, "berta") is None
    assert jobs.cancel(job.id, "berta") is None
    assert jobs.list("berta").jobs == ()
    assert jobs.get(job.id, "anna") == jobs.get(job.id) == job


def test_text_that_is_no_id_finds_nothing(jobs: JobStore) -> None:
    for job_id in ("", "../../etc", "a" * 25, "A" * 26, "' OR 1=1 --", "a\0" * 13):
        assert jobs.get(job_id) is None
        assert jobs.cancel(job_id) is None


def test_queue_position_counts_waiting_jobs_before_it(jobs: JobStore) -> None:
    submitted = [jobs.submit(new_job()) for _ in range(4)]
    assert [jobs.queue_position(job) for job in submitted] == [0, 1, 2, 3]
    first = jobs.claim("w", "g", LEASE_S)
    assert first is not None
    assert [jobs.queue_position(job) for job in (first, *submitted[1:])] == [0, 0, 1, 2]
    jobs.cancel(submitted[1].id)
    assert jobs.queue_position(submitted[3]) == 1


def test_counts_of_each_status(jobs: JobStore) -> None:
    for _ in range(4):
        jobs.submit(new_job("anna"))
    first, second = jobs.claim("w", "g", LEASE_S), jobs.claim("w", "g", LEASE_S)
    assert first
    assert second
    jobs.fail(first.id, 1, "broken")
    assert jobs.counts() == {
        Status.STARTING: 2,
        Status.PROCESSING: 1,
        Status.SUCCEEDED: 0,
        Status.FAILED: 1,
        Status.CANCELED: 0,
    }
    assert (jobs.waiting_of("anna"), jobs.waiting_of("berta")) == (3, 0)


def test_full_queue_refuses_until_a_job_has_ended(jobs: JobStore) -> None:
    jobs.submit(new_job("anna"))
    jobs.submit(new_job("berta"))
    with pytest.raises(RestoreError, match="2 jobs are waiting or running") as refused:
        jobs.submit(new_job("anna"), max_waiting=2)
    assert refused.value.code is Code.QUEUE_FULL
    with pytest.raises(RestoreError, match="1 of your jobs"):
        jobs.submit(new_job("anna"), max_waiting=3, max_waiting_of_owner=1)
    job = jobs.claim("w", "g", LEASE_S)
    assert job
    jobs.fail(job.id, 1, "broken")
    jobs.submit(new_job("anna"), max_waiting=2, max_waiting_of_owner=1)


def test_pages_show_each_job_once_in_both_directions(jobs: JobStore) -> None:
    ids = [jobs.submit(new_job("anna")).id for _ in range(7)]
    jobs.submit(new_job("berta"))
    pages = [jobs.list("anna", limit=3)]
    jobs.submit(new_job("anna"))  # new jobs do not move the following pages
    while pages[-1].next:
        pages.append(jobs.list("anna", limit=3, cursor=pages[-1].next))
    assert [job.id for page in pages for job in page.jobs] == ids[::-1]
    back = jobs.list("anna", limit=3, cursor=pages[-1].previous)
    assert back.jobs == pages[1].jobs
    assert (back.next, back.previous) == (pages[1].next, pages[1].previous)
    assert pages[0].previous is None


def test_bad_cursor_is_refused(jobs: JobStore) -> None:
    for cursor in ("", "x", "older.", "older.1", f"newer.{new_id()}", "' --", "older.\0"):
        with pytest.raises(RestoreError, match="belongs to no page") as refused:
            jobs.list("anna", cursor=cursor)
        assert refused.value.code is Code.REQUEST_INVALID


def test_cancelling_a_waiting_job_is_immediate(jobs: JobStore) -> None:
    job = jobs.submit(new_job())
    cancelled = jobs.cancel(job.id)
    assert cancelled is not None
    assert cancelled.status is Status.CANCELED
    assert cancelled.completed_at is not None
    assert jobs.claim("w", "g", LEASE_S) is None
    assert jobs.cancel(job.id) == cancelled


def test_cancelling_a_running_job_asks_its_worker(jobs: JobStore) -> None:
    job = running(jobs)
    asked = jobs.cancel(job.id)
    assert asked is not None
    assert (asked.status, asked.cancel_requested) == ("processing", True)
    assert jobs.renew(job.id, 1, LEASE_S) is Renewal.CANCEL
    assert jobs.cancelled(job.id, 1, logs="stopped\n")
    ended = jobs.get(job.id)
    assert ended is not None
    assert (ended.status, ended.logs) == ("canceled", "stopped\n")
    assert jobs.renew(job.id, 1, LEASE_S) is Renewal.LOST


def test_released_job_is_the_next_one(jobs: JobStore) -> None:
    job = running(jobs)
    jobs.submit(new_job())
    released = jobs.release(job.id, 1, worker_died=True, error="it was killed")
    assert released is not None
    assert (released.status, released.failures, released.started_at) == ("starting", 1, None)
    assert "it was killed" in released.logs
    again = jobs.claim("v", "g", LEASE_S)
    assert again is not None
    assert (again.id, again.attempt, again.worker) == (job.id, 2, "v")


def test_result_of_a_lost_attempt_does_not_count(jobs: JobStore) -> None:
    job = running(jobs)
    jobs.release(job.id, 1, worker_died=True, error="it hung")
    for attempt in (1, 0):
        assert not jobs.succeed(job.id, attempt, output=["file:late"])
        assert not jobs.fail(job.id, attempt, "late")
        assert not jobs.cancelled(job.id, attempt)
        assert not jobs.add_logs(job.id, attempt, "late\n")
        assert jobs.renew(job.id, attempt, LEASE_S) is Renewal.LOST
        assert jobs.release(job.id, attempt, worker_died=True, error="late") is None
    assert jobs.claim("v", "g", LEASE_S)
    assert not jobs.succeed(job.id, 1, output=["file:late"])
    assert jobs.succeed(job.id, 2, output=["file:good"])
    ended = jobs.get(job.id)
    assert ended is not None
    assert ended.output == ("file:good",)


def test_job_that_ends_its_workers_fails(jobs: JobStore) -> None:
    job = running(jobs)
    for attempt in range(1, MAX_FAILURES + 1):
        jobs.release(job.id, attempt, worker_died=True, error="it was killed")
        assert jobs.claim("w", "g", LEASE_S)
    last = jobs.release(job.id, MAX_FAILURES + 1, worker_died=True, error="it was killed")
    assert last is not None
    assert last.status is Status.FAILED
    assert last.error is not None
    assert last.error.startswith("[E606] 3 attempts")
    assert jobs.claim("w", "g", LEASE_S) is None


def test_job_without_fault_is_tried_more_often(
    jobs: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restore.service.transitions.MAX_ATTEMPTS", MAX_ATTEMPTS)
    job = running(jobs)
    for attempt in range(1, MAX_ATTEMPTS):
        jobs.release(job.id, attempt, worker_died=False, error="the gateway ended")
        assert jobs.claim("w", "g", LEASE_S)
    last = jobs.release(job.id, MAX_ATTEMPTS, worker_died=False, error="the gateway ended")
    assert last is not None
    assert (last.status, last.failures) == ("failed", 0)


def test_released_job_is_cancelled_if_that_was_requested(jobs: JobStore) -> None:
    job = running(jobs)
    jobs.cancel(job.id)
    released = jobs.release(job.id, 1, worker_died=True, error="it was killed")
    assert released is not None
    assert released.status is Status.CANCELED


def test_only_jobs_with_expired_leases_are_recovered(jobs: JobStore) -> None:
    late = running(jobs)
    set_back(jobs.engine, tables.jobs, LEASE_S + 1, "lease_until")
    running(jobs)
    assert jobs.recover() == 1
    assert jobs.recover() == 0
    waiting = jobs.get(late.id)
    assert waiting is not None
    assert (waiting.status, waiting.failures) == ("starting", 0)


def test_renewed_lease_does_not_expire(jobs: JobStore) -> None:
    job = running(jobs)
    set_back(jobs.engine, tables.jobs, LEASE_S + 1, "lease_until")
    assert jobs.renew(job.id, 1, LEASE_S) is Renewal.KEEP
    assert jobs.recover() == 0


def test_jobs_of_a_dead_gateway_are_recovered_at_once(jobs: JobStore) -> None:
    dead, alive = running(jobs, "dead"), running(jobs, "alive")
    assert jobs.recover("dead") == 1
    statuses = {job.id: job.status for job in jobs.list(None).jobs}
    assert statuses == {dead.id: Status.STARTING, alive.id: Status.PROCESSING}


def test_deadlines_cancel_waiting_and_running_jobs(jobs: JobStore) -> None:
    past, future = (datetime.now(UTC) + timedelta(hours=h) for h in (-1, 1))
    runs = running(jobs, deadline=past)
    waits = jobs.submit(new_job(deadline=past))
    later = jobs.submit(new_job(deadline=future))
    without = jobs.submit(new_job())
    assert {job.id for job in jobs.expire_deadlines()} == {runs.id, waits.id}
    assert jobs.expire_deadlines() == []
    found = {job.id: job for job in jobs.list(None).jobs}
    assert (found[runs.id].status, found[runs.id].cancel_requested) == ("processing", True)
    assert found[waits.id].status is Status.CANCELED
    assert found[later.id].status is found[without.id].status is Status.STARTING


def test_each_change_writes_its_webhook_event(jobs: JobStore) -> None:
    job = running(jobs, webhook=HOOK)
    jobs.add_logs(job.id, 1, "one\n")
    jobs.succeed(job.id, 1, output=["file:x"])
    assert events(jobs.engine, job.id) == ["start", "logs", "output", "completed"]
    unwanted = running(jobs, webhook=HOOK, webhook_events=("completed",))
    jobs.add_logs(unwanted.id, 1, "one\n")
    jobs.fail(unwanted.id, 1, "broken")
    assert events(jobs.engine, unwanted.id) == ["completed"]
    cancelled = jobs.submit(new_job(webhook=HOOK))
    jobs.cancel(cancelled.id)
    assert events(jobs.engine, cancelled.id) == ["completed"]
    without = running(jobs)
    jobs.fail(without.id, 1, "broken")
    assert events(jobs.engine, without.id) == []


def test_second_attempt_sends_no_second_start(jobs: JobStore) -> None:
    job = running(jobs, webhook=HOOK, webhook_events=("start", "completed"))
    jobs.release(job.id, 1, worker_died=True, error="it was killed")
    assert jobs.claim("w", "g", LEASE_S)
    jobs.succeed(job.id, 2, output=[])
    assert events(jobs.engine, job.id) == ["start", "completed"]


def test_unsent_log_events_become_one(jobs: JobStore) -> None:
    job = running(jobs, webhook=HOOK, webhook_events=("logs",))
    for line in ("one\n", "two\n", "three\n"):
        jobs.add_logs(job.id, 1, line)
    with database.read(jobs.engine) as connection:
        (row,) = connection.execute(select(tables.deliveries)).all()
    then = outbox.at_event(job, row.snapshot)
    assert then.logs == "one\ntwo\nthree\n"


def test_event_shows_the_job_as_it_was(jobs: JobStore) -> None:
    job = running(jobs, webhook=HOOK, webhook_events=("start", "completed"))
    jobs.succeed(job.id, 1, output=["file:x"], predict_s=2.0)
    ended = jobs.get(job.id)
    assert ended is not None
    query = select(tables.deliveries).order_by(tables.deliveries.c.sequence)
    with database.read(jobs.engine) as connection:
        start, completed = connection.execute(query).all()
    assert outbox.at_event(ended, start.snapshot).status is Status.PROCESSING
    assert outbox.at_event(ended, start.snapshot).output is None
    assert outbox.at_event(ended, start.snapshot).started_at == job.started_at
    then = outbox.at_event(ended, completed.snapshot)
    assert (then.status, then.output) == ("succeeded", ("file:x",))
    assert then.completed_at == ended.completed_at


def test_event_and_change_are_one_transaction(
    jobs: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = running(jobs, webhook=HOOK, webhook_events=("completed",))
    with monkeypatch.context() as patch:
        patch.setattr("restore.service.job_files.keep_until", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            jobs.succeed(job.id, 1, output=[])
    assert events(jobs.engine, job.id) == []
    unchanged = jobs.get(job.id)
    assert unchanged == job
    assert jobs.succeed(job.id, 1, output=[])


def test_same_id_is_accepted_once(jobs: JobStore) -> None:
    new = new_job()
    jobs.submit(new)
    with pytest.raises(Exception, match=r"(?i)unique"):
        jobs.submit(new)
    assert jobs.counts()[Status.STARTING] == 1


def test_logs_and_errors_may_hold_any_text(jobs: JobStore) -> None:
    job = running(jobs)
    assert jobs.add_logs(job.id, 1, "a\0b \ud800 é\n")
    assert jobs.fail(job.id, 1, "c\0d \udfff")
    ended = jobs.get(job.id)
    assert ended is not None
    assert (ended.logs, ended.error) == ("ab ? é\n", "cd ?")


def test_jobs_of_a_page_do_not_lock_the_queue(jobs: JobStore, engine: Engine) -> None:
    """A long read neither blocks a writer nor sees half of its changes."""
    jobs.submit(new_job())
    query = select(func.count()).select_from(tables.jobs)
    with database.read(engine) as connection:
        assert connection.execute(query).scalar_one() == 1
        jobs.submit(new_job())
        assert jobs.counts()[Status.STARTING] == 2
