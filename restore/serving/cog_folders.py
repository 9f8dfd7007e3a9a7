"""The folders that Cog's server makes for each prediction and never deletes.

`/tmp/coglet/predictions/<id>` holds `inputs` and `outputs`, which Cog uses for values above 6 MiB.
TMPDIR does not change this path. If Cog cannot make the folders, or cannot write a large input into
them, it fails the request and never frees the server's only slot.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from restore.errors import Code, RestoreError, system_reason

ROOT = Path("/tmp/coglet/predictions")
PARTS = ("inputs", "outputs")
SPILLED_BYTES = 6 * 2**20
"""Cog writes inputs of more bytes to the disk."""

ABANDONED_S = 86_400.0
"""Age at which folders with files in them are deleted: their server was killed."""

MIN_FREE_BYTES, MIN_FREE_INODES = 2**20, 16
"""With less space, folders may not be made."""


def check_folder(prediction_id: str, input_bytes: int) -> None:
    """Check that Cog can make the folder of a prediction and write its inputs there.

    Args:
        prediction_id: an id that `check_id` has accepted.
        input_bytes: size of the inputs.

    Raises:
        RestoreError: SERVER if it cannot.
    """
    folder = ROOT / prediction_id
    try:
        ROOT.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_usable = folder.is_dir() or (not folder.is_symlink() and not folder.exists())
        # Also false for a file system that is mounted read-only.
        is_usable &= os.access(folder if folder.exists() else ROOT, os.W_OK | os.X_OK)
        space = os.statvfs(ROOT)
    except OSError as error:
        raise _unusable(folder, system_reason(error)) from error
    if not is_usable:
        raise _unusable(folder, "the path is not a folder, or is not writable")
    written_bytes = input_bytes if input_bytes > SPILLED_BYTES else 0
    if space.f_bavail * space.f_frsize < written_bytes + MIN_FREE_BYTES:
        raise _unusable(folder, "the disk is full")
    if space.f_files and space.f_favail < MIN_FREE_INODES:
        raise _unusable(folder, "the disk has no free inodes")


def _unusable(folder: Path, reason: str) -> RestoreError:
    return RestoreError(
        Code.SERVER,
        f"the folder '{folder}' cannot be created ({reason})",
        "Free disk space, or make this path writable for the user of the server.",
    )


def delete_folders(prediction_id: str) -> None:
    """Delete the folders of a prediction that has ended, unless they hold files."""
    _delete_if_empty(ROOT / prediction_id)


def delete_old_folders(min_age_s: float, since_s: float = 0.0) -> None:
    """Delete empty folders of predictions, and abandoned ones with their files.

    Cog makes a folder again if it is missing when a prediction starts, and uses it later only for
    outputs that are not files, which Restore does not have. So an empty folder is not needed.

    Args:
        min_age_s: age of the folders that are deleted, by the time of their last change.
        since_s: leave folders alone that were last changed before this time (seconds since 1970).
    """
    now_s = time.time()
    for entry in _own_folders():
        with suppress(OSError):
            changed_s = entry.stat(follow_symlinks=False).st_mtime
            if changed_s > now_s - min_age_s or changed_s < since_s:
                continue
            _delete_if_empty(Path(entry.path))
            if changed_s < now_s - ABANDONED_S:
                shutil.rmtree(entry.path, ignore_errors=True)


def _delete_if_empty(folder: Path) -> None:
    """Delete a prediction's folder and its parts, each unless it holds files."""
    for path in (*(folder / part for part in PARTS), folder):
        with suppress(OSError):
            path.rmdir()


def _own_folders() -> Iterator[os.DirEntry[str]]:
    """Yield the folders of this user's predictions."""
    with suppress(OSError), os.scandir(ROOT) as entries:
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_folder and entry.stat(follow_symlinks=False).st_uid == os.getuid():
                yield entry
