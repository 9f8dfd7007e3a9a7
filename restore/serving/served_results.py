"""The folders with the results of a worker process of Cog's server, and their deletion.

Cog reads the results after predict() has returned, and never deletes them. They are deleted when
they are LIFETIME_S old, and when their process ends: by itself, or by the next process if it was
killed. A process holds a lock on a file while it lives, so that others leave its results alone.

The folders that Cog itself makes for each prediction (`cog_folders`) are deleted here too.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import stat
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from restore.errors import Code, RestoreError, system_reason
from restore.serving import cog_folders
from restore.serving.temporary_files import delete_folders_of_ended_processes

ROOT_NAME = f"restore-outputs-{os.getuid()}"
"""The folder in the temporary folder that holds the results of all processes of this user."""
LIFETIME_S = 600.0
"""Age at which the results of a request are deleted."""
SWEEP_INTERVAL_S = 15.0
MIN_COG_AGE_S = 5.0
"""Younger folders of Cog may belong to a prediction that another server is about to start."""
LOCK_SUFFIX = ".lock"

log = logging.getLogger("restore.serving.served_results")


class ServedResults:
    """The result folders of this process.

    Nothing is written before the first result. A thread deletes old results.
    """

    def __init__(self) -> None:
        self._name = uuid.uuid4().hex
        self._lock: int | None = None
        self._created_s: dict[Path, float] = {}
        self._started_s = time.time()
        self._closed = threading.Event()
        delete_results_of_ended_processes()
        threading.Thread(target=self._sweep, name="delete old results", daemon=True).start()

    @contextmanager
    def new_folder(self) -> Iterator[Path]:
        """Create a folder for the results of one request; delete it if the block fails.

        Raises:
            RestoreError: OUTPUT_UNWRITABLE.
        """
        from restore.imaging.outputs import make_folder  # noqa: PLC0415 - imports OpenCV

        self.delete_old()
        folder = self._own_folder() / uuid.uuid4().hex
        self._created_s[folder] = time.monotonic()
        try:
            make_folder(folder)
            yield folder
        except BaseException:  # cancellation included
            self._delete(folder)
            raise

    def delete_old(self) -> None:
        """Delete the results that are older than LIFETIME_S, by the monotonic clock."""
        for folder, created_s in list(self._created_s.items()):
            if time.monotonic() - created_s > LIFETIME_S:
                self._delete(folder)

    def close(self) -> None:
        """Delete all results of this process, and the folders that Cog has made since its start."""
        self._closed.set()
        cog_folders.delete_old_folders(MIN_COG_AGE_S, self._started_s)
        if self._lock is None:
            return
        lock, self._lock = self._lock, None
        _delete_process_folder(_root() / self._name)
        os.close(lock)

    def _sweep(self) -> None:
        cog_folders.delete_old_folders(LIFETIME_S)
        while not self._closed.wait(SWEEP_INTERVAL_S):
            self.delete_old()
            cog_folders.delete_old_folders(LIFETIME_S)

    def _delete(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self._created_s.pop(folder, None)

    def _own_folder(self) -> Path:
        root = _root()
        _make_private(root)
        if self._lock is None:
            self._lock = _locked(root / f"{self._name}{LOCK_SUFFIX}", os.O_CREAT)
        return root / self._name


def delete_results_of_ended_processes() -> None:
    """Delete results and temporary photos of processes that were killed before they could do so."""
    delete_folders_of_ended_processes()
    with suppress(OSError):
        for path in _root().glob(f"*{LOCK_SUFFIX}"):
            if (lock := _locked(path)) is not None:
                _delete_process_folder(path.with_suffix(""))
                os.close(lock)


def _root() -> Path:
    return Path(tempfile.gettempdir()) / ROOT_NAME


def _delete_process_folder(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        folder.with_suffix(LOCK_SUFFIX).unlink()


def _locked(path: Path, flags: int = 0) -> int | None:
    """Open a file and lock it; return its descriptor, or None if it cannot be locked."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | flags, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _make_private(root: Path) -> None:
    """Create the folder of all results for this user only.

    The temporary folder is shared and the name is predictable, so a folder or link of another user
    must not be used.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE.
    """
    try:
        root.mkdir(mode=0o700, exist_ok=True)
        status = root.lstat()
        is_private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
        if is_private:
            root.chmod(0o700)
    except OSError as error:
        raise RestoreError(
            Code.OUTPUT_UNWRITABLE,
            f"the folder '{root}' cannot be created ({system_reason(error)})",
            "Set TMPDIR to a folder that you can write to.",
        ) from error
    if not is_private:
        raise RestoreError(
            Code.OUTPUT_UNWRITABLE,
            f"'{root}' is a link, not a folder, or belongs to another user",
            "Delete it, or set TMPDIR to your own folder.",
        )
