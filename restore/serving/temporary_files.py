"""Temporary files for the content of photos that are no local files.

A process holds a lock on each of its folders while it lives, so that those of a process that was
killed can be told from the others.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from restore.errors import Code, RestoreError, system_reason

PREFIX = "restore-photos-"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Provide a folder that is removed at the end of the block.

    Raises:
        RestoreError: SERVER if it cannot be created.
    """
    try:
        path, lock = _new_locked_folder()
    except OSError as error:
        raise _error("a temporary folder cannot be created", error) from error
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _new_locked_folder() -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX))
        with suppress(FileNotFoundError):  # deleted by another process before it was locked
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return path, lock
            os.close(lock)


def delete_folders_of_ended_processes() -> None:
    """Delete the folders of this user's processes that were killed before they could do so."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(lock).st_uid == os.getuid():
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


def write_temporary(path: Path, data: bytes, name: str) -> None:
    """Write the content of a photo to a temporary file.

    Args:
        path: the file.
        data: its content.
        name: the name of the photo in errors.

    Raises:
        RestoreError: SERVER if it cannot be written.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        what = "its content cannot be written to the temporary folder"
        raise _error(what, error, name) from error


def _error(what: str, error: OSError, name: str | None = None) -> RestoreError:
    return RestoreError(
        Code.SERVER,
        f"{what} ({system_reason(error)})",
        "Free disk space, or set TMPDIR to another folder.",
        photo=name,
    )
