"""Tests of the notifications between threads and tasks."""

import asyncio
import threading
import time

import pytest
from servicejobs import new_job, running

from restore.service.changes import MAX_POLL_S, QUEUE, Changes, wait_for
from restore.service.jobs import JobStore
from restore.service.records import Job

TIMEOUT_S = 30.0


def ended(job: Job) -> bool:
    return job.status.is_final


def test_notification_of_another_thread_wakes_a_task() -> None:
    changes = Changes()

    async def wait() -> bool:
        with changes.subscribe("a") as news:
            thread = threading.Thread(target=changes.notify, args=("a",))
            thread.start()
            woken = await news.wait(TIMEOUT_S)
            thread.join()
            return woken

    assert asyncio.run(wait())


def test_notification_before_the_wait_is_not_missed_and_counts_once() -> None:
    changes = Changes()

    async def wait() -> list[bool]:
        with changes.subscribe("a") as news:
            changes.notify("a")
            changes.notify("a")
            changes.notify("b")
            return [await news.wait(TIMEOUT_S), await news.wait(0.01)]

    assert asyncio.run(wait()) == [True, False]


def test_ended_subscriptions_leave_nothing_behind() -> None:
    changes = Changes()

    async def subscribe() -> None:
        for number in range(3):
            with changes.subscribe(f"{number}"), changes.subscribe("same"):
                pass

    asyncio.run(subscribe())
    changes.notify("same")
    assert changes._news == {}


def test_waits_end_when_the_process_ends(jobs: JobStore) -> None:
    job = jobs.submit(new_job())

    async def wait() -> tuple[Job | None, float]:
        started_s = time.monotonic()
        waiting = asyncio.create_task(wait_for(jobs, jobs.changes, job.id, ended, TIMEOUT_S))
        await asyncio.sleep(0.1)
        jobs.changes.waits_end_s = time.monotonic() + 0.1
        return await waiting, time.monotonic() - started_s

    found, passed_s = asyncio.run(wait())
    assert found == job
    assert passed_s < 2 * MAX_POLL_S


def test_notification_after_the_end_of_the_loop_is_ignored() -> None:
    changes = Changes()

    async def subscribe() -> None:
        changes.subscribe("a").__enter__()

    asyncio.run(subscribe())
    changes.notify("a")


def test_waiting_ends_with_the_job(jobs: JobStore) -> None:
    job = jobs.submit(new_job())

    async def scenario() -> Job | None:
        waiting = asyncio.create_task(wait_for(jobs, jobs.changes, job.id, ended, TIMEOUT_S))
        await asyncio.sleep(0.01)
        await asyncio.to_thread(jobs.cancel, job.id)
        return await waiting

    found = asyncio.run(scenario())
    assert found is not None
    assert ended(found)


def test_waiting_needs_no_look_at_the_database_if_all_news_arrive(jobs: JobStore) -> None:
    job = jobs.submit(new_job())

    class NoDatabase:
        def get(self, job_id: str, owner: str | None = None) -> Job | None:
            raise AssertionError("the database was asked")

    async def scenario() -> Job | None:
        waiting = asyncio.create_task(
            wait_for(NoDatabase(), jobs.changes, job.id, ended, TIMEOUT_S, known=job)
        )
        await asyncio.sleep(0.01)
        claimed = await asyncio.to_thread(jobs.claim, "w", "g", 60.0)
        assert claimed is not None
        await asyncio.sleep(0.01)
        await asyncio.to_thread(jobs.fail, job.id, claimed.attempt, "broken")
        return await waiting

    found = asyncio.run(scenario())
    assert found is not None
    assert ended(found)


def test_change_by_another_gateway_is_seen(jobs: JobStore) -> None:
    other = JobStore(jobs.engine)  # has its own notifications
    job = jobs.submit(new_job())

    async def scenario() -> Job | None:
        waiting = asyncio.create_task(wait_for(jobs, jobs.changes, job.id, ended, TIMEOUT_S))
        await asyncio.sleep(0.01)
        await asyncio.to_thread(other.cancel, job.id)
        return await waiting

    found = asyncio.run(scenario())
    assert found is not None
    assert ended(found)


def test_waiting_ends_with_its_time(jobs: JobStore) -> None:
    job = jobs.submit(new_job())
    assert asyncio.run(wait_for(jobs, jobs.changes, job.id, ended, 0.05)) == job
    assert asyncio.run(wait_for(jobs, jobs.changes, "a" * 26, ended, TIMEOUT_S)) is None


@pytest.mark.parametrize("back", [False, True], ids=["submitted", "released"])
def test_dispatchers_hear_of_waiting_jobs(jobs: JobStore, back: bool) -> None:
    async def scenario() -> bool:
        job = running(jobs)
        with jobs.changes.subscribe(QUEUE) as news:
            if back:
                jobs.release(job.id, 1, worker_died=True, error="it was killed")
            else:
                jobs.submit(new_job())
            return await news.wait(TIMEOUT_S)

    assert asyncio.run(scenario())
