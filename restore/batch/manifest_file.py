"""The file of a local manifest: opened and locked, its rows appended and synced."""

from __future__ import annotations

import errno
import os
from io import FileIO
from pathlib import Path

from restore.batch.folder import LocalFolder
from restore.batch.locks import lock_manifest
from restore.errors import Code, RestoreError, system_reason


def open_for_append(folder: LocalFolder, name: str) -> FileIO:
    """Open the manifest and lock it, so that no other run writes the same photos.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE.
    """
    path = folder.path / name
    what = f"the output folder '{folder.place}'"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        what = f"the manifest '{path}'"
        file = lock_manifest(path, folder.place)
    except OSError as error:
        raise RestoreError(
            Code.OUTPUT_UNWRITABLE,
            f"{what} cannot be written to ({system_reason(error)})",
            "Choose another output folder, or check its permissions.",
        ) from error
    if file.tell():  # a killed process may have left half a line
        with path.open("rb") as written:
            written.seek(-1, os.SEEK_END)
            if written.read(1) != b"\n":
                file.truncate(_end_of_last_line(path))
    return file


def append(file: FileIO, line: bytes) -> None:
    """Append a line and sync; if that fails, nothing of it is left.

    Raises:
        OSError: the disk is full, or the file was deleted or moved.
    """
    if not _is_in_place(file):
        raise OSError(errno.ENOENT, "the manifest was deleted or moved during the run")
    end = file.tell()
    try:
        rest = memoryview(line)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
    except OSError:
        file.truncate(end)
        file.seek(end)
        raise


def _is_in_place(file: FileIO) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(file.name))  # noqa: PTH116
    except FileNotFoundError:
        return False


def _end_of_last_line(path: Path) -> int:
    """Return the length of a file without its incomplete last line."""
    end = path.stat().st_size
    with path.open("rb") as file:
        while end:
            start = max(0, end - 2**16)
            file.seek(start)
            if found := file.read(end - start).rfind(b"\n") + 1:
                return start + found
            end = start
    return 0
