"""Locks on the manifests of a local output folder: which runs may write at the same time.

Each run locks its own manifest. Shards of the same count have no photo in common, so that they may
run together. All other runs could restore the same photo and are refused.
"""

from __future__ import annotations

import fcntl
import re
import time
from io import FileIO
from pathlib import Path

from restore.errors import Code, RestoreError

LOCK_WAIT_S = 2.0
"""How long a run waits for its own manifest: other runs lock it for a moment when they start."""
POLL_S = 0.05

_SHARD_COUNT = re.compile(r"-\d+of(\d+)\.")


def lock_manifest(path: Path, place: str) -> FileIO:
    """Open a manifest to append to it, and lock it until it is closed.

    Args:
        path: the manifest of the run; the manifests of the other shards are beside it.
        place: the output folder, as it is shown to users.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE if another run writes the same photos.
        OSError: it cannot be opened.
    """
    until_s = time.monotonic() + LOCK_WAIT_S
    while (file := try_lock(path)) is None:
        if time.monotonic() > until_s:
            raise _refusal(place)
        time.sleep(POLL_S)
    try:
        _refuse_other_counts(path, place)
    except BaseException:
        file.close()
        raise
    return file


def try_lock(path: Path) -> FileIO | None:
    """Open a manifest to append to it, and lock it; None if another run has locked it.

    Raises:
        OSError: it cannot be opened.
    """
    file = path.open("ab", buffering=0)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _refuse_other_counts(path: Path, place: str) -> None:
    """Refuse to run beside a run with another number of shards, or without shards.

    The own manifest is locked already. So of two runs that start at the same time, at least one
    finds the other.
    """
    for other in path.parent.glob(f"*{path.suffix}"):
        if _shard_count(other) == _shard_count(path):
            continue
        if _is_locked(other):
            raise _refusal(place)


def _is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            # A shared lock, so that two runs which check at the same time do not find each other.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _shard_count(path: Path) -> int:
    found = _SHARD_COUNT.search(path.name)
    return int(found[1]) if found else 1


def _refusal(place: str) -> RestoreError:
    return RestoreError(
        Code.OUTPUT_UNWRITABLE,
        f"another run is writing into '{place}'",
        "Wait until it has ended, or give all runs their parts of the same number of shards, such"
        " as --shard 1/2 and --shard 2/2.",
    )
