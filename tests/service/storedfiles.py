"""Storing uploads in tests, within small limits."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from sqlalchemy import Engine

from restore.service.files import FileStore
from restore.service.records import StoredFile
from restore.service.settings import Settings

SMALL = {"max_file_mib": 2, "disk_quota_mib": 10}


def small_store(engine: Engine, settings: Settings) -> FileStore:
    """Files of at most 2 MiB, 10 MiB together; uploads may fill 9 MiB."""
    return FileStore(engine, settings.model_copy(update=SMALL))


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
