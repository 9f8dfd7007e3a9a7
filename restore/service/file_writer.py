"""Writing one file of the data folder: bounded, checked, durable, and complete or absent."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType

from restore.errors import Code, RestoreError, system_reason
from restore.service.settings import MIB

MIN_FREE_BYTES = 64 * MIB
"""Free space that is left to the database."""
TEMPORARY = ".part"
_folders = ThreadPoolExecutor(8, "folder")


class FileWriter:
    """Writes chunks to a temporary file, and moves it to its path at the end.

    A context manager: leaving the block without `finish` deletes the temporary file.

    Args:
        path: path of the complete file.
        check_size: is called with the size in bytes before each chunk is written, and raises if
            the file must not be that large.
    """

    def __init__(self, path: Path, check_size: Callable[[int], None]) -> None:
        self.size = 0
        self._path = path
        self._check_size = check_size
        self._digest = hashlib.sha256()
        self._part = path.with_name(path.name + TEMPORARY)

    def __enter__(self) -> FileWriter:
        try:
            self._part.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = self._part.open("xb")
        except OSError as error:
            raise unwritable(error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        """Append a chunk.

        Raises:
            RestoreError: of `check_size`; DISK_QUOTA if the disk is full.
        """
        self._check_size(self.size + len(chunk))
        try:
            if is_full(self._part.parent, len(chunk)):
                raise disk_full()
            self._file.write(chunk)
        except OSError as error:
            raise unwritable(error) from error
        self._digest.update(chunk)
        self.size += len(chunk)

    def finish(self, *, durable: bool = True) -> str:
        """Bring the file to its path, and to the disk.

        Args:
            durable: wait until the disk has the file; if not, call `sync_file` before somebody
                relies on it.

        Returns:
            SHA-256 in hexadecimal.
        """
        try:
            self._file.flush()
            # Renamed first: then one write of the file system's journal serves both. The record
            # of the file follows, so that nobody reads a file that a power failure has cut off.
            self._part.rename(self._path)
            if durable:
                _sync(self._file.fileno(), self._path.parent)
        except OSError as error:
            raise unwritable(error) from error
        return self._digest.hexdigest()


def is_full(folder: Path, size: int = 0) -> bool:
    """Return whether the disk of a folder has no space for this many bytes."""
    return shutil.disk_usage(folder).free < MIN_FREE_BYTES + size


def sync_file(path: Path) -> None:
    """Wait until the disk has a file, unless it has been removed.

    Raises:
        RestoreError: DISK_QUOTA if the disk fails.
    """
    try:
        with path.open("rb") as file:
            _sync(file.fileno(), path.parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise unwritable(error) from error


def check_folder(folder: Path) -> None:
    """Check at the start what would otherwise fail at each upload or result.

    Raises:
        RestoreError: SERVER.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RestoreError(
            Code.SERVER,
            f"no files can be stored in '{folder}': {system_reason(error)}",
            "Choose writable folders with --data, UPLOAD_FOLDER and PROCESSED_FOLDER.",
        ) from error


def disk_full() -> RestoreError:
    """Return the error for a disk without free space."""
    return RestoreError(
        Code.DISK_QUOTA,
        "the disk of the service is full",
        "Try again later; files are removed some time after their job has ended.",
    )


def unwritable(error: OSError) -> RestoreError:
    """Return the error for a file that cannot be written; it does not show the path."""
    return RestoreError(
        Code.DISK_QUOTA,
        f"the service cannot store files: {system_reason(error)}",
        "Try again later; the operator has to check the data folder and its disk.",
    )


def _sync(file: int, folder: Path) -> None:
    """Wait until the disk has a file and its name: both at a time, because each may take long."""
    name = _folders.submit(_sync_folder, folder)
    try:
        os.fsync(file)
    finally:
        name.result()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
