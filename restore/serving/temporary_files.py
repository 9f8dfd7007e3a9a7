"""Temporary files for the content of photos that are no local files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from restore.errors import Code, RestoreError, system_reason


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Provide a folder that is removed at the end of the block.

    Raises:
        RestoreError: SERVER if it cannot be created.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="restore-", ignore_cleanup_errors=True)
    except OSError as error:
        raise _error("a temporary folder cannot be created", error) from error
    with folder as path:
        yield Path(path)


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
