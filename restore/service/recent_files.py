"""The records of files that this gateway has written within the last seconds.

A small job is read, shown and downloaded within milliseconds after its files were recorded, and the
database is not asked for what was written to it a moment ago. Only these three use the records: of
a file that another gateway deletes meanwhile, the bytes are missing.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable

from restore.service.records import StoredFile

RECENT_S = 10.0
MAX_FILES = 1000


class RecentFiles:
    """Remembers up to MAX_FILES records for RECENT_S. Its methods may be called by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: OrderedDict[str, tuple[StoredFile, float]] = OrderedDict()

    def add(self, file: StoredFile) -> None:
        """Remember a record. Its transaction may fail: nobody knows the id of the file before."""
        with self._lock:
            self._files[file.id] = file, time.monotonic() + RECENT_S
            while len(self._files) > MAX_FILES:
                self._files.popitem(last=False)

    def forget(self, file_ids: Iterable[str]) -> None:
        """Forget files that were deleted, or whose records were not written."""
        with self._lock:
            for file_id in file_ids:
                self._files.pop(file_id, None)

    def get(self, file_ids: Iterable[str]) -> dict[str, StoredFile] | None:
        """Return the records of files by their ids, or None if one of them is not remembered."""
        now_s, found = time.monotonic(), {}
        for file_id in file_ids:
            file, until_s = self._files.get(file_id, (None, 0.0))
            if file is None or now_s > until_s:
                return None
            found[file_id] = file
        return found
