"""The removal of what has expired: inputs, results, uploads, job records, leftovers on the disk.

Nothing of a job that waits or runs is removed. The record of a file is deleted before its bytes, so
a process that is killed in between leaves bytes without a record, which the next round removes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from restore.service import database, job_files
from restore.service.file_writer import TEMPORARY
from restore.service.files import FileStore
from restore.service.ids import is_id
from restore.service.jobs import JobStore
from restore.service.settings import Settings
from restore.service.tables import files

PERIOD_S = 120.0
BATCH = 200
LEFTOVER_AFTER_S = 3600.0
"""Bytes without a record may belong to a file that is being written, unless they are this old."""

log = logging.getLogger("restore.service.cleaner")


@dataclass(frozen=True)
class Cleaned:
    """What one round removed: the data of jobs, records of jobs, files, and leftovers."""

    data_of_jobs: int = 0
    jobs: int = 0
    files: int = 0
    leftovers: int = 0


class Cleaner:
    """Removes what has expired, again and again. Several gateways may clean at the same time."""

    def __init__(self, jobs: JobStore, store: FileStore, settings: Settings) -> None:
        self._jobs = jobs
        self._store = store
        self._keep = timedelta(seconds=settings.keep_s)
        self._keep_jobs = timedelta(seconds=settings.keep_jobs_s)

    async def run(self) -> None:
        """Clean every PERIOD_S until the task is cancelled."""
        while True:
            try:
                cleaned = await asyncio.to_thread(self.clean)
            except (DBAPIError, OSError) as error:
                log.warning("cleaning failed, trying again in %.0f s: %s", PERIOD_S, error)
            else:
                if cleaned != Cleaned():
                    log.info("removed %s", cleaned)
            await asyncio.sleep(PERIOD_S)

    def clean(self) -> Cleaned:
        """Do one round."""
        with database.read(self._jobs.engine) as connection:
            now = database.now(connection)
        return Cleaned(
            data_of_jobs=self._remove_data(now - self._keep),
            files=self._remove_files(now),
            jobs=self._jobs.delete_records(now - self._keep - self._keep_jobs),
            leftovers=sum(map(self._remove_leftovers, {self._store.uploads, self._store.results})),
        )

    def _remove_data(self, ended_before: datetime) -> int:
        total = 0
        while count := self._jobs.remove_data(ended_before, limit=BATCH):
            total += count
        return total

    def _remove_files(self, now: datetime) -> int:
        total = 0
        while True:
            with database.write(self._jobs.engine) as connection:
                removed = job_files.remove_records(connection, _expired(connection, now), now)
            for file in removed:
                self._store.path(file).unlink(missing_ok=True)
            if not removed:
                return total
            total += len(removed)

    def _remove_leftovers(self, folder: Path) -> int:
        """Remove old temporary files and old bytes without a record, and nothing else."""
        count = 0
        for batch in _batches(_old_files(folder)):
            ids = [path.name.removesuffix(TEMPORARY) for path in batch]
            with database.read(self._jobs.engine) as connection:
                query = select(files.c.id).where(files.c.id.in_(ids))
                recorded = set(connection.execute(query).scalars())
            for path in batch:
                if path.name not in recorded:
                    path.unlink(missing_ok=True)
                    count += 1
        return count


def _expired(connection: Connection, now: datetime) -> list[str]:
    unused = files.c.expires_at < now, ~job_files.in_use()
    query = select(files.c.id).where(*unused).order_by(files.c.expires_at).limit(BATCH)
    return list(connection.execute(query).scalars())


def _old_files(folder: Path) -> Iterator[Path]:
    """Yield the files that the service wrote to a folder and that were not changed lately."""
    newest_s = time.time() - LEFTOVER_AFTER_S
    for path in folder.glob("??/*"):
        file_id = path.name.removesuffix(TEMPORARY)
        try:
            old = path.stat().st_mtime < newest_s
        except FileNotFoundError:
            continue  # another gateway has removed it
        if old and is_id(file_id) and path.parent.name == file_id[:2]:
            yield path


def _batches(paths: Iterator[Path]) -> Iterator[list[Path]]:
    batch: list[Path] = []
    for path in paths:
        batch.append(path)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
