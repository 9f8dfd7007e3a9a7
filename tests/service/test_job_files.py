"""Tests of the files that a job uses: which ones it may use, and how long they are kept."""

from datetime import timedelta

import pytest
from servicejobs import BOTH, LEASE_S, new_job, running
from sqlalchemy import Engine
from storedfiles import on_disk, small_store, upload

from restore.errors import Code, RestoreError
from restore.service.files import FileStore
from restore.service.jobs import JobStore
from restore.service.settings import Settings


@pytest.fixture
def store(engine: Engine, database_settings: Settings) -> FileStore:
    return small_store(engine, database_settings)


@BOTH
def test_job_takes_the_files_of_its_input(store: FileStore, jobs: JobStore) -> None:
    file = upload(store)
    deep = {"photos": ["https://example.org/a.jpg", f"file:{file.id}"], "more": {"mask": "file"}}
    job = jobs.submit(new_job("anna", input=deep))
    with pytest.raises(RestoreError, match="is used by a job that has not ended") as refused:
        store.delete(file.id, "anna")
    assert refused.value.code is Code.REQUEST_INVALID
    jobs.cancel(job.id)
    assert store.delete(file.id, "anna")
    assert store.get(file.id) is None
    assert on_disk(store) == []


@BOTH
def test_job_with_a_missing_file_is_refused(jobs: JobStore) -> None:
    for file_id in ("a" * 26, "../x", "", "a\0b"):
        with pytest.raises(RestoreError, match="does not exist or has been removed") as refused:
            jobs.submit(new_job(input={"image": f"file:{file_id}"}))
        assert refused.value.code is Code.PHOTO_MISSING
    assert jobs.list(None).jobs == ()


def test_job_with_the_file_of_another_owner_is_refused(store: FileStore, jobs: JobStore) -> None:
    file = upload(store, owner="anna")
    with pytest.raises(RestoreError, match="does not exist"):
        jobs.submit(new_job("berta", input={"image": f"file:{file.id}"}))


@BOTH
def test_files_are_kept_from_the_end_of_their_job(store: FileStore, jobs: JobStore) -> None:
    file = upload(store, owner="")
    job = running(jobs, input={"image": f"file:{file.id}"})
    facts = {"owner": "", "name": "r", "content_type": "image/png", "job_id": job.id}
    lost, result = store.save_bytes(b"lost", **facts), store.save_bytes(b"good", **facts)
    jobs.succeed(job.id, 1, output=[f"file:{result.id}"])
    ended = jobs.get(job.id)
    assert ended is not None
    assert ended.completed_at is not None
    after_end = {
        name: stored.expires_at - ended.completed_at
        for name, kept in (("input", file), ("result", result), ("lost", lost))
        if (stored := store.get(kept.id))
    }
    hour, now = timedelta(hours=1), timedelta()
    assert after_end == {"input": hour, "result": hour, "lost": now}


@BOTH
def test_two_jobs_may_share_a_file(store: FileStore, jobs: JobStore) -> None:
    file = upload(store, owner="")
    first, second = (jobs.submit(new_job(input={"image": f"file:{file.id}"})) for _ in range(2))
    jobs.cancel(first.id)
    with pytest.raises(RestoreError, match="has not ended"):
        store.delete(file.id)
    claimed = jobs.claim("w", "g", LEASE_S)
    assert claimed is not None
    assert claimed.id == second.id
    jobs.fail(second.id, 1, "broken")
    assert store.delete(file.id)
