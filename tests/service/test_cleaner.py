"""Tests of the cleaner: it removes what has expired, and nothing that a job still needs."""

import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from servicejobs import BOTH, LEASE_S, new_job, running, set_back
from sqlalchemy import func, select, update

from restore.errors import Code, RestoreError
from restore.service import cleaner as module
from restore.service import database, tables
from restore.service.cleaner import Cleaned, Cleaner
from restore.service.files import FileStore
from restore.service.ids import new_id
from restore.service.jobs import JobStore
from restore.service.records import Job, StoredFile
from restore.service.settings import Settings

HOUR_S = 3600.0
JOB_TIMES = ("created_at", "started_at", "completed_at")


class Shop:
    """The stores of one service, its cleaner, and a clock that tests can move."""

    def __init__(self, jobs: JobStore, settings: Settings) -> None:
        self.jobs = jobs
        self.files = FileStore(jobs.engine, settings)
        self.cleaner = Cleaner(jobs, self.files, settings)

    def file(self, content: bytes = b"photo", job_id: str | None = None) -> StoredFile:
        facts = {"owner": "", "name": "a", "content_type": "image/png"}
        return self.files.save_bytes(content, **facts, job_id=job_id)

    def finished(self, *inputs: StoredFile) -> tuple[Job, StoredFile]:
        """A job that has succeeded, and its result."""
        job = running(self.jobs, input={"images": [f"file:{file.id}" for file in inputs]})
        result = self.file(b"result", job.id)
        assert self.jobs.succeed(job.id, 1, output=[f"file:{result.id}"], logs="log\n")
        return job, result

    def pass_time(self, seconds: float) -> None:
        set_back(self.jobs.engine, tables.jobs, seconds, *JOB_TIMES)
        set_back(self.jobs.engine, tables.files, seconds, "created_at", "expires_at")

    def exists(self, file: StoredFile) -> bool:
        recorded = self.files.get(file.id) is not None
        assert self.files.path(file).exists() == recorded
        return recorded


@pytest.fixture
def shop(jobs: JobStore, database_settings: Settings) -> Shop:
    return Shop(jobs, database_settings)


def age(path: Path, seconds: float) -> None:
    then_s = time.time() - seconds
    os.utime(path, (then_s, then_s))


def test_nothing_is_removed_before_its_time(shop: Shop) -> None:
    upload = shop.file()
    job, result = shop.finished(upload)
    shop.pass_time(HOUR_S - 60)
    assert shop.cleaner.clean() == Cleaned()
    assert shop.exists(upload)
    assert shop.exists(result)
    found = shop.jobs.get(job.id)
    assert found is not None
    assert not found.removed


def test_input_and_output_are_removed_after_an_hour(shop: Shop) -> None:
    upload, unused = shop.file(), shop.file()
    job, result = shop.finished(upload)
    shop.pass_time(HOUR_S + 1)
    assert shop.cleaner.clean() == Cleaned(data_of_jobs=1, files=3)
    assert not any(map(shop.exists, (upload, unused, result)))
    found = shop.jobs.get(job.id)
    assert found is not None
    assert (found.status, found.removed) == ("succeeded", True)
    assert (found.input, found.output, found.reports, found.logs) == ({}, None, None, "")
    assert found.completed_at is not None
    assert shop.cleaner.clean() == Cleaned()


def test_files_of_waiting_and_running_jobs_are_kept_for_ever(shop: Shop) -> None:
    inputs = [shop.file(), shop.file()]
    runs = running(shop.jobs, input={"image": f"file:{inputs[0].id}"})
    draft = shop.file(b"half of the results", runs.id)
    waits = shop.jobs.submit(new_job(input={"image": f"file:{inputs[1].id}"}))
    shop.pass_time(1000 * HOUR_S)
    assert shop.cleaner.clean() == Cleaned()
    assert all(map(shop.exists, (*inputs, draft)))
    shop.jobs.fail(runs.id, 1, "broken")
    shop.jobs.cancel(waits.id)
    assert shop.cleaner.clean() == Cleaned(files=1)  # the draft; the inputs stay for an hour
    assert all(map(shop.exists, inputs))


@BOTH
def test_file_that_another_job_still_needs_is_kept(shop: Shop) -> None:
    shared = shop.file()
    shop.finished(shared)
    shop.pass_time(HOUR_S + 1)
    waits = shop.jobs.submit(new_job(input={"image": f"file:{shared.id}"}))
    assert shop.cleaner.clean() == Cleaned(data_of_jobs=1, files=1)
    assert shop.exists(shared)
    claimed = shop.jobs.claim("w", "g", LEASE_S)
    assert claimed is not None
    assert claimed.id == waits.id


@BOTH
def test_job_is_refused_or_keeps_its_expired_file(shop: Shop) -> None:
    """Jobs are submitted while two cleaners remove the files that they name."""
    uploads = [shop.file() for _ in range(24)]
    shop.pass_time(HOUR_S + 1)
    submitting = threading.Event()

    def submit(file: StoredFile) -> Code | None:
        submitting.set()
        try:
            shop.jobs.submit(new_job(input={"image": f"file:{file.id}"}))
        except RestoreError as error:
            return error.code
        return None

    def clean(_: int) -> None:
        submitting.wait()
        for _ in range(3):
            shop.cleaner.clean()

    with ThreadPoolExecutor(8) as pool:
        cleaning = [pool.submit(clean, number) for number in range(2)]
        refused = list(pool.map(submit, uploads))
        for future in cleaning:
            future.result()
    expected = [None if shop.exists(file) else Code.PHOTO_MISSING for file in uploads]
    assert refused == expected


@BOTH
def test_records_of_jobs_are_deleted_at_last(shop: Shop, database_settings: Settings) -> None:
    job = running(shop.jobs, webhook="https://example.org/hook")
    shop.jobs.fail(job.id, 1, "broken")
    waits = shop.jobs.submit(new_job())
    shop.pass_time(database_settings.keep_s + database_settings.keep_jobs_s + 1)
    assert shop.cleaner.clean() == Cleaned(data_of_jobs=1, jobs=1)
    assert shop.jobs.get(job.id) is None
    assert shop.jobs.get(waits.id) is not None
    with database.read(shop.jobs.engine) as connection:
        query = select(func.count()).select_from(tables.deliveries)
        assert connection.execute(query).scalar() == 0


def test_sent_webhooks_are_removed_with_the_data(shop: Shop) -> None:
    job = running(shop.jobs, webhook="https://example.org/hook")
    shop.jobs.succeed(job.id, 1, output=[])
    sent = update(tables.deliveries).where(tables.deliveries.c.event == "start")
    with database.write(shop.jobs.engine) as connection:
        connection.execute(sent.values(ended_at=datetime.now(UTC), delivered=True))
    shop.pass_time(HOUR_S + 1)
    shop.cleaner.clean()
    with database.read(shop.jobs.engine) as connection:
        left = connection.execute(select(tables.deliveries.c.event)).scalars().all()
    assert sorted(left) == ["completed", "output"]  # not delivered yet


def test_leftovers_of_killed_processes_are_removed(shop: Shop) -> None:
    kept = shop.file()
    folder = shop.files.path(kept).parent
    names = [kept.id[:2] + new_id()[2:] for _ in range(4)]
    old = [folder / names[0], folder / f"{names[1]}.part"]
    young = [folder / names[2], folder / f"{names[3]}.part"]
    for path in (*old, *young):
        path.write_bytes(b"leftover")
    for path in (*old, shop.files.path(kept)):
        age(path, HOUR_S + 1)
    assert shop.cleaner.clean() == Cleaned(leftovers=2)
    assert sorted(folder.iterdir()) == sorted((*young, shop.files.path(kept)))


def test_files_of_others_in_the_folders_are_never_removed(shop: Shop) -> None:
    folder = shop.files.uploads
    mine = [folder / "a.jpg", folder / "ab" / "holiday.jpg", folder / "ab" / ("c" * 26)]
    (folder / "ab").mkdir(parents=True)
    for path in mine:
        path.write_bytes(b"photo")
        age(path, 1000 * HOUR_S)
    assert shop.cleaner.clean() == Cleaned()
    assert all(path.exists() for path in mine)


def test_more_than_one_batch_is_removed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    for _ in range(5):
        shop.finished()
    leftovers = [shop.files.uploads / name[:2] / name for name in (new_id() for _ in range(5))]
    for path in leftovers:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        age(path, HOUR_S + 1)
    shop.pass_time(HOUR_S + 1)
    assert shop.cleaner.clean() == Cleaned(data_of_jobs=5, files=5, leftovers=5)


def test_missing_bytes_do_not_stop_the_cleaner(shop: Shop) -> None:
    upload = shop.file()
    shop.files.path(upload).unlink()
    with pytest.raises(RestoreError, match="has been removed"):
        shop.files.read_bytes(upload)
    shop.pass_time(HOUR_S + 1)
    assert shop.cleaner.clean() == Cleaned(files=1)


def test_cleaner_goes_on_after_a_failure(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "PERIOD_S", 0.01)
    rounds = 0
    work = shop.cleaner.clean

    def clean() -> Cleaned:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise OSError("the disk is away")
        return work()

    monkeypatch.setattr(shop.cleaner, "clean", clean)
    upload = shop.file()
    shop.pass_time(HOUR_S + 1)

    async def run() -> None:
        task = asyncio.create_task(shop.cleaner.run())
        async with asyncio.timeout(30):
            while shop.files.get(upload.id) is not None:
                await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(run())
    assert "the disk is away" in caplog.text
