"""Tests of stored files: limits, names, access, and what is left after a failure."""

import asyncio
import hashlib
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servicejobs import BOTH, LEASE_S, new_job, running
from sqlalchemy import Engine

from restore.errors import Code, RestoreError
from restore.service import file_writer
from restore.service.files import FileStore, clean_name, clean_type
from restore.service.jobs import JobStore
from restore.service.records import StoredFile
from restore.service.settings import MIB, Settings

SMALL = {"max_file_mib": 2, "disk_quota_mib": 10}


@pytest.fixture
def store(engine: Engine, database_settings: Settings) -> FileStore:
    """Files of at most 2 MiB, 10 MiB together; uploads may fill 9 MiB."""
    return FileStore(engine, database_settings.model_copy(update=SMALL))


@pytest.mark.parametrize("name", ["upload_folder", "processed_folder"])
def test_folder_that_cannot_be_written_is_reported_at_the_start(
    engine: Engine, settings: Settings, tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").write_text("")
    chosen = settings.model_copy(update={name: tmp_path / "file" / "photos"})
    with pytest.raises(RestoreError, match=r"no files can be stored in '.*photos'") as refused:
        FileStore(engine, chosen)
    assert refused.value.code is Code.SERVER


async def chunks(data: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def save(
    store: FileStore,
    stream: AsyncIterator[bytes],
    owner: str = "anna",
    name: str = "a.jpg",
    owner_limit_bytes: int | None = None,
) -> StoredFile:
    return await store.save(
        stream,
        owner=owner,
        name=name,
        content_type="image/jpeg",
        owner_limit_bytes=owner_limit_bytes,
    )


def upload(
    store: FileStore,
    data: bytes = b"photo",
    owner: str = "anna",
    name: str = "a.jpg",
    owner_limit_bytes: int | None = None,
) -> StoredFile:
    return asyncio.run(save(store, chunks(data), owner, name, owner_limit_bytes))


def on_disk(store: FileStore) -> list[Path]:
    folders = (store.uploads, store.results)
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def test_upload_is_stored_with_its_facts(store: FileStore) -> None:
    data = bytes(range(256)) * 5000
    file = upload(store, data)
    assert store.get(file.id) == file
    assert store.path(file).read_bytes() == store.read_bytes(file) == data
    assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert (file.name, file.content_type, file.job_id) == ("a.jpg", "image/jpeg", None)
    assert file.expires_at - file.created_at == timedelta(hours=1)
    assert on_disk(store) == [store.path(file)]


def test_empty_file_is_stored(store: FileStore) -> None:
    file = upload(store, b"")
    assert (file.size, store.read_bytes(file)) == (0, b"")


def test_result_lies_in_the_folder_of_results(store: FileStore, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"result")
    facts = {"owner": "anna", "name": "x.png", "content_type": "image/png", "job_id": "j" * 26}
    for file in (
        store.save_bytes(b"result", **facts),
        store.save_path(tmp_path / "x.png", **facts),
    ):
        assert store.path(file).is_relative_to(store.results)
        assert store.read_bytes(file) == b"result"
        assert file.job_id == "j" * 26


def test_folders_of_the_settings_are_used(
    engine: Engine, database_settings: Settings, tmp_path: Path
) -> None:
    folders = {"upload_folder": tmp_path / "in", "processed_folder": tmp_path / "out"}
    store = FileStore(engine, database_settings.model_copy(update=folders))
    assert store.path(upload(store)).is_relative_to(tmp_path / "in")
    result = store.save_bytes(b"", owner="", name="", content_type="", job_id="j" * 26)
    assert store.path(result).is_relative_to(tmp_path / "out")


def test_upload_ends_at_the_limit(store: FileStore) -> None:
    """An endless stream is refused after the first chunk beyond the limit, and leaves nothing."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65_536
            yield bytes(65_536)

    saving = save(store, endless(), name="big.png")
    with pytest.raises(RestoreError, match=r"\[E202\] photo 'big.png': more than 2 MiB") as refused:
        asyncio.run(saving)
    assert refused.value.code is Code.PHOTO_TOO_LARGE
    assert sent <= 3 * MIB
    assert on_disk(store) == []
    assert store.total_bytes() == 0


def test_upload_is_not_held_in_memory(engine: Engine, database_settings: Settings) -> None:
    store = FileStore(engine, database_settings)

    async def long() -> AsyncIterator[bytes]:
        for _ in range(24 * 16):
            yield bytes(65_536)

    tracemalloc.start()
    file = asyncio.run(save(store, long()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert file.size == 24 * MIB
    assert peak < 6 * MIB


def test_file_of_exactly_the_limit_is_accepted(store: FileStore) -> None:
    assert upload(store, bytes(2 * MIB)).size == 2 * MIB
    with pytest.raises(RestoreError, match="more than 2 MiB"):
        upload(store, bytes(2 * MIB + 1))


def test_quota_refuses_uploads_before_results(store: FileStore) -> None:
    for _ in range(4):
        upload(store, bytes(2 * MIB))
    with pytest.raises(RestoreError, match="would take more than 9 MiB") as refused:
        upload(store, bytes(2 * MIB))
    assert refused.value.code is Code.DISK_QUOTA
    facts = {"owner": "", "name": "r", "content_type": "image/png", "job_id": "j" * 26}
    result = store.save_bytes(bytes(2 * MIB), **facts)
    with pytest.raises(RestoreError, match="would take more than 10 MiB"):
        store.save_bytes(b"x", **facts)
    assert store.delete(result.id)
    store.save_bytes(b"x", **facts)
    assert store.total_bytes() == 8 * MIB + 1


@BOTH
def test_quota_counts_uploads_that_are_being_received(store: FileStore) -> None:
    async def scenario() -> list[StoredFile | BaseException]:
        saving = [save(store, chunks(bytes(2 * MIB))) for _ in range(8)]
        return await asyncio.gather(*saving, return_exceptions=True)

    results = asyncio.run(scenario())
    refused = [result for result in results if isinstance(result, RestoreError)]
    assert {error.code for error in refused} == {Code.DISK_QUOTA}
    assert len(results) - len(refused) <= 4
    assert store.total_bytes() <= 9 * MIB
    assert len(on_disk(store)) == len(results) - len(refused)
    upload(store)  # the refused uploads take no part of the quota any more


def test_quota_counts_what_was_stored_meanwhile(store: FileStore) -> None:
    """By this gateway or another one, while the last upload was being received."""

    async def slow() -> AsyncIterator[bytes]:
        yield bytes(MIB)
        for _ in range(4):
            await save(store, chunks(bytes(2 * MIB)), owner="berta")
        yield bytes(MIB)

    with pytest.raises(RestoreError, match="would take more than 9 MiB"):
        asyncio.run(save(store, slow()))
    assert store.total_bytes() == 8 * MIB
    assert len(on_disk(store)) == 4


def test_limit_of_an_owner_counts_what_was_stored_meanwhile(store: FileStore) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield bytes(MIB)
        await save(store, chunks(bytes(MIB)))
        yield b"end"

    with pytest.raises(RestoreError, match="would take more than 2 MiB"):
        asyncio.run(save(store, slow(), owner_limit_bytes=2 * MIB))
    assert store.total_bytes() == MIB


def test_limit_of_an_owner(store: FileStore) -> None:
    upload(store, bytes(MIB), owner_limit_bytes=2 * MIB)
    with pytest.raises(RestoreError, match="would take more than 2 MiB"):
        upload(store, bytes(MIB + 1), owner_limit_bytes=2 * MIB)
    upload(store, bytes(MIB + 1), owner="berta", owner_limit_bytes=2 * MIB)
    assert (store.total_bytes("anna"), store.total_bytes("berta")) == (MIB, MIB + 1)


def test_full_disk_is_reported(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_writer, "MIN_FREE_BYTES", 2**62)
    with pytest.raises(RestoreError, match="disk of the service is full"):
        upload(store)
    assert on_disk(store) == []


def test_folder_that_cannot_be_written_is_reported_without_its_path(store: FileStore) -> None:
    store.uploads.rmdir()
    store.uploads.write_text("a file in place of the folder")
    with pytest.raises(RestoreError, match="cannot store files: ") as refused:
        upload(store)
    assert str(store.uploads) not in str(refused.value)


def test_interrupted_upload_leaves_nothing(store: FileStore) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(MIB)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        asyncio.run(save(store, broken()))

    async def cancelled() -> None:
        async def endless() -> AsyncIterator[bytes]:
            yield bytes(MIB)
            await asyncio.Event().wait()

        task = asyncio.create_task(save(store, endless()))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert on_disk(store) == []
    assert store.quota.add_incoming(0) == 0


def test_another_owner_sees_no_file(store: FileStore) -> None:
    file = upload(store)
    assert store.get(file.id, "berta") is None
    assert not store.delete(file.id, "berta")
    assert store.get(file.id, "anna") == file


def test_text_that_is_no_id_finds_nothing(store: FileStore) -> None:
    for file_id in ("", "..", "../../etc/passwd", "a/b", "a" * 27, "a\0" * 13):
        assert store.get(file_id) is None
        assert not store.delete(file_id)


NAMES = {
    "../../etc/passwd": "passwd",
    "C:\\Users\\me\\a.jpg": "a.jpg",
    "a\0b\r\nc\x1b[31m.jpg": "abc[31m.jpg",
    "..": "photo",
    "": "photo",
    "/": "photo",
    " é\u4e2d 1.jpg ": "é\u4e2d 1.jpg",
    "\u202egpj.exe": "gpj.exe",
    "x" * 500 + ".jpg": "x" * 196 + ".jpg",
}


def test_names_are_cleaned_and_never_paths(store: FileStore) -> None:
    stored = {name: upload(store, name=name) for name in NAMES}
    assert {name: file.name for name, file in stored.items()} == NAMES
    paths = [store.uploads / file.id[:2] / file.id for file in stored.values()]
    assert sorted(on_disk(store)) == sorted(paths)


@given(st.text())
def test_any_name_becomes_a_printable_name_without_folders(name: str) -> None:
    cleaned = clean_name(name)
    assert cleaned
    assert cleaned.isprintable()
    assert not set("/\\") & set(cleaned)
    assert cleaned not in {".", ".."}
    assert len(cleaned) <= 200
    cleaned.encode()


@pytest.mark.parametrize(
    ("given_type", "stored"),
    [
        ("image/PNG; charset=x", "image/png"),
        ("text/html\r\nX-Evil: 1", "application/octet-stream"),
        ("", "application/octet-stream"),
        ("x", "application/octet-stream"),
    ],
)
def test_media_type_is_cleaned(given_type: str, stored: str) -> None:
    assert clean_type(given_type) == stored


def test_token_gives_access_to_one_file_until_it_expires(store: FileStore) -> None:
    file, other = upload(store), upload(store)
    token = store.url_token(file)
    assert store.check_token(file.id, token)
    assert not store.check_token(other.id, token)
    expired = replace(file, expires_at=file.created_at - timedelta(seconds=1))
    assert not store.check_token(file.id, store.url_token(expired))
    later = replace(file, expires_at=file.expires_at + timedelta(seconds=60))
    time, signature = token.split(".")
    assert store.check_token(file.id, store.url_token(later))
    assert not store.check_token(file.id, f"{int(time) + 60}.{signature}")


def test_forged_tokens_are_refused(store: FileStore) -> None:
    for token in ("", ".", "9999999999.", "9999999999.x", "x.y", "é.\ud800"):
        assert not store.check_token("a" * 26, token)


def test_tokens_are_valid_after_a_restart(
    store: FileStore, engine: Engine, database_settings: Settings
) -> None:
    file = upload(store)
    assert FileStore(engine, database_settings).check_token(file.id, store.url_token(file))


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
