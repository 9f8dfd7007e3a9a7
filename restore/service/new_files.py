"""New files whose records belong to a transaction of their job: its submission, or its end.

So a job costs one transaction instead of two, and no record exists without its job.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from restore.errors import RestoreError
from restore.service.ids import new_id

if TYPE_CHECKING:
    from restore.service.files import FileStore


@dataclass(frozen=True)
class Draft:
    """A file that is being received.

    Attributes:
        owner, name, content_type, job_id, owner_limit_bytes: as of `FileStore.save`.
    """

    owner: str
    name: str
    content_type: str
    job_id: str | None = None
    owner_limit_bytes: int | None = None
    id: str = field(default_factory=new_id)


@dataclass(frozen=True)
class Written:
    """A file whose bytes are at their path, and whose record is missing."""

    draft: Draft
    size: int
    sha256: str


class NewFiles:
    """Writes files, and then their records in a transaction of the caller. The methods block.

    A context manager. At the end of its block, files are deleted whose records were not written. If
    the block ends with another error than a RestoreError, the transaction may have been committed:
    then the cleaner decides.

    Args:
        store: stores the files.
        durable: wait until the disk has them; if not, call `FileStore.sync`.
    """

    def __init__(self, store: FileStore, *, durable: bool = True) -> None:
        self._store, self._durable = store, durable
        self._written: list[Written] = []
        self._recorded = False

    def __enter__(self) -> NewFiles:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._store.recent.forget(written.draft.id for written in self._written)
        refused = kind is not None and issubclass(kind, RestoreError)
        if refused or (kind is None and not self._recorded):
            for written in self._written:
                self._store.path_of(written.draft).unlink(missing_ok=True)

    def add(self, content: bytes | Iterable[bytes], draft: Draft) -> str:
        """Write a file, and return its id.

        Raises:
            RestoreError: as of `FileStore.save`.
        """
        self._written.append(self._store.write(content, draft, durable=self._durable))
        return draft.id

    def record(self, connection: Connection) -> None:
        """Write the records of all files.

        Raises:
            RestoreError: DISK_QUOTA if a file exceeds a limit.
        """
        for written in self._written:
            self._store.recent.add(self._store.record(connection, written))
        self._recorded = True
