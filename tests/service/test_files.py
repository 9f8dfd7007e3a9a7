"""Tests of stored files: facts, folders, access, and what is left after a failure."""

import asyncio
import hashlib
import tracemalloc
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from storedfiles import on_disk, save, small_store, upload

from restore.errors import Code, RestoreError
from restore.service import file_writer
from restore.service.files import FileStore
from restore.service.settings import MIB, Settings


@pytest.fixture
def store(engine: Engine, database_settings: Settings) -> FileStore:
    return small_store(engine, database_settings)


@pytest.mark.parametrize("name", ["upload_folder", "processed_folder"])
def test_folder_that_cannot_be_written_is_reported_at_the_start(
    engine: Engine, settings: Settings, tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").write_text("")
    chosen = settings.model_copy(update={name: tmp_path / "file" / "photos"})
    with pytest.raises(RestoreError, match=r"no files can be stored in '.*photos'") as refused:
        FileStore(engine, chosen)
    assert refused.value.code is Code.SERVER


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
