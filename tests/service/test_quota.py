"""Tests of the limits of stored files: of one, of all, and of one owner."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from servicejobs import BOTH
from sqlalchemy import Engine
from storedfiles import chunks, on_disk, save, small_store, upload

from restore.errors import Code, RestoreError
from restore.service.files import FileStore
from restore.service.records import StoredFile
from restore.service.settings import MIB, Settings


@pytest.fixture
def store(engine: Engine, database_settings: Settings) -> FileStore:
    return small_store(engine, database_settings)


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
