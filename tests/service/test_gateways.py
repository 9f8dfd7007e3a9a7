"""Tests of gateways: registration, and the jobs of dead ones."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from servicejobs import LEASE_S, new_job, running, set_back
from sqlalchemy.exc import OperationalError

from restore.service import gateways, keeper, outage_log, tables
from restore.service.gateways import all_gateways, joined
from restore.service.ids import new_id
from restore.service.jobs import JobStore
from restore.service.keeper import Keeper
from restore.service.records import Status


def test_gateway_is_registered_while_it_lives(jobs: JobStore, tmp_path: Path) -> None:
    with joined(jobs, tmp_path) as gateway:
        assert all_gateways(jobs.engine) == (gateway,)
    assert all_gateways(jobs.engine) == ()
    assert list((tmp_path / "gateways").iterdir()) == []


def test_gateways_of_one_folder_leave_each_others_jobs(jobs: JobStore, tmp_path: Path) -> None:
    with joined(jobs, tmp_path) as first:
        job = running(jobs, first.id)
        with joined(jobs, tmp_path) as second:
            found = jobs.get(job.id)
            assert found is not None
            assert found.status is Status.PROCESSING
            assert all_gateways(jobs.engine) == (first, second)


def test_jobs_of_a_dead_gateway_are_released_at_the_next_start(
    jobs: JobStore, tmp_path: Path
) -> None:
    dead = new_id()
    (tmp_path / "gateways").mkdir()
    (tmp_path / "gateways" / f"{dead}.lock").touch()
    job, elsewhere = running(jobs, dead), running(jobs, new_id())
    with joined(jobs, tmp_path):
        statuses = {each.id: each.status for each in jobs.list(None).jobs}
        assert statuses == {job.id: Status.STARTING, elsewhere.id: Status.PROCESSING}
    assert list((tmp_path / "gateways").iterdir()) == []


def test_other_files_beside_the_locks_are_left(jobs: JobStore, tmp_path: Path) -> None:
    note = tmp_path / "gateways" / "readme.lock"
    note.parent.mkdir()
    note.touch()
    with joined(jobs, tmp_path):
        pass
    assert note.exists()


def test_heartbeat_forgets_gateways_that_were_not_seen_for_a_day(
    jobs: JobStore, tmp_path: Path
) -> None:
    with joined(jobs, tmp_path) as gone:
        set_back(jobs.engine, tables.gateways, 90_000, "started_at", "seen_at")
        with joined(jobs, tmp_path) as gateway:
            gateways.report(jobs.engine, gateway.id)
            (left,) = all_gateways(jobs.engine)
            assert left.id == gateway.id != gone.id
            assert left.seen_at >= gateway.seen_at


def test_keeper_releases_late_jobs_and_cancels_expired_ones(jobs: JobStore) -> None:
    late = running(jobs)
    set_back(jobs.engine, tables.jobs, LEASE_S + 1, "lease_until")
    expired = jobs.submit(new_job(deadline=datetime.now(UTC) - timedelta(seconds=1)))
    Keeper(jobs, "g").work()
    statuses = {job.id: job.status for job in jobs.list(None).jobs}
    assert statuses == {late.id: Status.STARTING, expired.id: Status.CANCELED}


def test_keeper_goes_on_when_the_database_was_away(
    jobs: JobStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(keeper, "PERIOD_S", 0.01)
    calls = 0
    recover = jobs.recover

    def recover_or_fail() -> int:
        nonlocal calls
        calls += 1
        if calls <= 2:
            raise OperationalError("SELECT", {}, Exception("the server is away"))
        return recover()

    monkeypatch.setattr(jobs, "recover", recover_or_fail)

    async def run(gateway_id: str) -> None:
        task = asyncio.create_task(Keeper(jobs, gateway_id).run())
        async with asyncio.timeout(30):
            while calls < 4:
                await asyncio.sleep(0.01)
        task.cancel()

    with joined(jobs, tmp_path) as gateway:
        asyncio.run(run(gateway.id))
        (found,) = all_gateways(jobs.engine)
        assert found.seen_at > gateway.seen_at
    assert [record.message for record in caplog.records if record.name == outage_log.__name__] == [
        "job keeper: the database does not answer: the server is away",
        "job keeper: the database answers again",
    ]
