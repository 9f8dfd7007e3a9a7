"""Uploads and results: bytes in the data folder, records in the database.

The record of a file is written after its bytes are on the disk. Bytes without a record are left by
a process that was killed; the cleaner removes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, Engine, bindparam, insert, select

from restore.errors import Code, RestoreError
from restore.service import database, job_files, url_tokens
from restore.service.file_names import clean_name, clean_type
from restore.service.file_writer import FileWriter, check_folder, disk_full, is_full, sync_file
from restore.service.ids import is_id
from restore.service.new_files import Draft, Written
from restore.service.quota import UPLOAD_SHARE, Quota, check_new_file, over_quota
from restore.service.recent_files import RecentFiles
from restore.service.records import StoredFile
from restore.service.secret_file import secret
from restore.service.settings import MIB, Settings
from restore.service.tables import files

CHUNK_BYTES = MIB

_INSERT = insert(files)
_FILES = select(files).where(files.c.id.in_(bindparam("ids", expanding=True)))


class FileStore:
    """All stored files. The methods block, but for `save`; call them from threads.

    Attributes:
        recent: records that need no look at the database.

    Raises:
        RestoreError: SERVER if the data folder cannot be used.
    """

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.uploads = settings.upload_folder or settings.data / "uploads"
        self.results = settings.processed_folder or settings.data / "results"
        self.quota = Quota(engine, settings.disk_quota_mib * MIB)
        self.recent = RecentFiles()
        self._engine = engine
        self._max_upload_bytes = settings.max_file_mib * MIB
        self._keep = timedelta(seconds=settings.keep_s)
        self._secret = secret(settings.data, "urls")
        for folder in (self.uploads, self.results):
            check_folder(folder)

    async def save(
        self,
        stream: AsyncIterator[bytes],
        *,
        owner: str,
        name: str,
        content_type: str,
        job_id: str | None = None,
        owner_limit_bytes: int | None = None,
    ) -> StoredFile:
        """Store a stream. At most CHUNK_BYTES and one chunk of it are in memory.

        Args:
            owner: id of the API key.
            name: name that the user gave; never used as a path.
            job_id: the job that made the file; None for an upload, which has a size limit.
            owner_limit_bytes: limit of all files of this owner together.

        Raises:
            RestoreError: PHOTO_TOO_LARGE, as soon as the stream exceeds the limit of one file;
                DISK_QUOTA, as soon as it exceeds one of all files, or if the disk is full.
        """
        draft = Draft(owner, name, content_type, job_id, owner_limit_bytes)
        writing = self._writing(draft)
        writer = await asyncio.to_thread(writing.__enter__)
        try:
            async for chunk in _collected(stream):
                await asyncio.to_thread(writer.write, chunk)
            return await asyncio.to_thread(self._finish, draft, writer)
        finally:
            # Not awaited: the file of a cancelled request must be removed, too.
            writing.__exit__(None, None, None)

    def save_bytes(
        self, data: bytes, *, owner: str, name: str, content_type: str, job_id: str | None = None
    ) -> StoredFile:
        """Store a file that is in memory; as `save`."""
        return self._save(data, Draft(owner, name, content_type, job_id))

    def save_path(
        self, path: Path, *, owner: str, name: str, content_type: str, job_id: str | None = None
    ) -> StoredFile:
        """Store a copy of a file; as `save`."""
        with path.open("rb") as source:
            chunks = iter(lambda: source.read(CHUNK_BYTES), b"")
            return self._save(chunks, Draft(owner, name, content_type, job_id))

    def get(self, file_id: str, owner: str | None = None) -> StoredFile | None:
        """Return a file, or None if it does not exist or has another owner than the given one."""
        if not is_id(file_id):
            return None
        file = self.get_many([file_id]).get(file_id)
        return file if file is None or owner in {None, file.owner} else None

    def get_many(self, file_ids: Iterable[str]) -> dict[str, StoredFile]:
        """Return those of the files that exist, by their ids."""
        with database.read(self._engine) as connection:
            rows = connection.execute(_FILES, {"ids": list(file_ids)}).all()
        return {row.id: StoredFile(**row._mapping) for row in rows}

    def uploads_of(self, owner: str, limit: int = 100) -> list[StoredFile]:
        """Return the newest uploads of an owner."""
        query = select(files).where(files.c.owner == owner, files.c.job_id.is_(None))
        newest = query.order_by(files.c.created_at.desc(), files.c.id).limit(limit)
        with database.read(self._engine) as connection:
            return [StoredFile(**row._mapping) for row in connection.execute(newest)]

    def path(self, file: StoredFile) -> Path:
        """Return the path of a file, which is made of its id only."""
        return self.path_of(file)

    def read_bytes(self, file: StoredFile) -> bytes:
        """Return the content of a file.

        Raises:
            RestoreError: PHOTO_MISSING if the file has been removed.
        """
        try:
            return self.path(file).read_bytes()
        except FileNotFoundError as error:
            raise RestoreError(
                Code.PHOTO_MISSING, f"the file '{file.id}' has been removed", "Upload it again."
            ) from error

    def delete(self, file_id: str, owner: str | None = None) -> bool:
        """Delete a file.

        Returns:
            False if it does not exist or has another owner than the given one.

        Raises:
            RestoreError: REQUEST_INVALID if a job that has not ended uses it.
        """
        file = self.get(file_id, owner)
        if file is None:
            return False
        with database.write(self._engine) as connection:
            removed = job_files.remove_records(connection, [file_id])
        if not removed:
            raise RestoreError(
                Code.REQUEST_INVALID,
                f"the file '{file_id}' is used by a job that has not ended",
                "Cancel the job, or wait until it has ended.",
            )
        self.recent.forget([file_id])
        self.path(file).unlink(missing_ok=True)
        return True

    def total_bytes(self, owner: str | None = None) -> int:
        """Return the size of all files, or of those of an owner."""
        return self.quota.used_bytes(owner)

    def url_token(self, file: StoredFile) -> str:
        """Return a token that gives access to a file until it expires."""
        return url_tokens.new_token(self._secret, file.id, file.expires_at)

    def check_token(self, file_id: str, token: str) -> bool:
        """Return whether a token gives access to a file now."""
        return url_tokens.is_valid(self._secret, file_id, token)

    def sync(self, file_ids: Iterable[str]) -> None:
        """Wait until the disk has uploads that were written without `durable`.

        Raises:
            RestoreError: DISK_QUOTA if the disk fails.
        """
        for file_id in file_ids:
            sync_file(self.uploads / file_id[:2] / file_id)

    def write(
        self, content: bytes | Iterable[bytes], draft: Draft, *, durable: bool = True
    ) -> Written:
        """Write the bytes of a file, whose record is missing then.

        Raises:
            RestoreError: as of `save`.
        """
        # The quota of what is small is checked once, by `record`.
        is_small = isinstance(content, bytes) and len(content) <= CHUNK_BYTES
        opened = FileWriter(self.path_of(draft), partial(self._check_upload, draft))
        with opened if is_small else self._writing(draft) as writer:
            for chunk in (content,) if isinstance(content, bytes) else content:
                writer.write(chunk)
            return Written(draft, writer.size, writer.finish(durable=durable))

    def record(self, connection: Connection, written: Written) -> StoredFile:
        """Write the record of a file in an open transaction.

        Raises:
            RestoreError: DISK_QUOTA if the file exceeds a limit.
        """
        draft = written.draft
        limits = self._limit_bytes(draft), draft.owner, draft.owner_limit_bytes
        check_new_file(connection, written.size, *limits)
        now = database.now(connection)
        file = StoredFile(
            id=draft.id,
            owner=draft.owner,
            job_id=draft.job_id,
            name=clean_name(draft.name),
            content_type=clean_type(draft.content_type),
            size=written.size,
            sha256=written.sha256,
            created_at=now,
            expires_at=now + self._keep,
        )
        connection.execute(_INSERT, vars(file))
        return file

    def path_of(self, file: StoredFile | Draft) -> Path:
        """Return the path of a file, with or without a record."""
        return (self.uploads if file.job_id is None else self.results) / file.id[:2] / file.id

    def upload_refusal(self, stored_bytes: int) -> RestoreError | None:
        """Return the error that every upload gets now, or None.

        Args:
            stored_bytes: the size of all stored files.
        """
        if is_full(self.uploads) or is_full(self.results):
            return disk_full()
        limit_bytes = int(self.quota.limit_bytes * UPLOAD_SHARE)
        return over_quota(limit_bytes) if stored_bytes >= limit_bytes else None

    def _save(self, content: bytes | Iterable[bytes], draft: Draft) -> StoredFile:
        return self._record(self.write(content, draft))

    @contextmanager
    def _writing(self, draft: Draft) -> Iterator[FileWriter]:
        used_by_owner = 0 if draft.owner_limit_bytes is None else self.total_bytes(draft.owner)

        def check_size(size: int) -> None:
            self._check_upload(draft, size)
            owner_limit = draft.owner_limit_bytes
            if owner_limit is not None and used_by_owner + size > owner_limit:
                raise over_quota(owner_limit)
            reservation.grow(size)

        with (
            self.quota.reservation(self._limit_bytes(draft)) as reservation,
            FileWriter(self.path_of(draft), check_size) as writer,
        ):
            yield writer

    def _check_upload(self, draft: Draft, size: int) -> None:
        if draft.job_id is None and size > self._max_upload_bytes:
            raise _too_large(draft.name, self._max_upload_bytes)

    def _finish(self, draft: Draft, writer: FileWriter) -> StoredFile:
        return self._record(Written(draft, writer.size, writer.finish()))

    def _record(self, written: Written) -> StoredFile:
        # The record of a result reaches the disk with the end of its job.
        durable = written.draft.job_id is None
        try:
            with database.write(self._engine, durable=durable) as connection:
                return self.record(connection, written)
        except RestoreError:  # anything else may have been committed: the cleaner decides
            self.path_of(written.draft).unlink()
            raise

    def _limit_bytes(self, draft: Draft) -> int:
        share = UPLOAD_SHARE if draft.job_id is None else 1
        return int(self.quota.limit_bytes * share)


async def _collected(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Join small chunks, because writing each of them costs a change of the thread."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in stream:
        chunks.append(chunk)
        size += len(chunk)
        if size >= CHUNK_BYTES:
            yield b"".join(chunks)
            chunks, size = [], 0
    if chunks:
        yield b"".join(chunks)


def _too_large(name: str, limit_bytes: int) -> RestoreError:
    return RestoreError(
        Code.PHOTO_TOO_LARGE,
        f"more than {limit_bytes / MIB:.0f} MiB, which is the limit",
        "Make the photo smaller.",
        photo=clean_name(name),
    )
