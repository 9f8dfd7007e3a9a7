"""Tests of which runs may write into an output folder at the same time."""

import threading
from pathlib import Path

import pytest

from restore.batch import locks
from restore.batch.folder import LocalFolder
from restore.batch.locks import try_lock
from restore.batch.manifest import FOLDER, Manifest
from restore.errors import RestoreError


@pytest.fixture(autouse=True)
def _short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "LOCK_WAIT_S", 0.1)


@pytest.mark.parametrize(
    ("first", "second"),
    [("", ""), ("1of2", "1of2"), ("", "1of2"), ("1of2", ""), ("1of2", "3of4"), ("12of40", "2of4")],
)
def test_runs_that_may_have_a_photo_in_common_are_refused(
    first: str, second: str, tmp_path: Path
) -> None:
    folder = LocalFolder(tmp_path)
    with Manifest(folder, first), pytest.raises(RestoreError, match=r"another run is writing into"):
        Manifest(folder, second)
    Manifest(folder, second).close()


def test_shards_of_the_same_count_run_together_beside_older_manifests(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    for older in ("", "1of3"):
        Manifest(folder, older).close()
    with Manifest(folder, "1of2"), Manifest(folder, "2of2"):
        pass


def test_two_runs_that_check_an_older_manifest_at_the_same_time_do_not_find_each_other(
    tmp_path: Path,
) -> None:
    folder = LocalFolder(tmp_path)
    Manifest(folder).close()
    with (tmp_path / FOLDER / "manifest.jsonl").open("rb") as checked:
        locks.fcntl.flock(checked, locks.fcntl.LOCK_SH)
        Manifest(folder, "2of2").close()


def test_manifest_that_another_run_locks_for_a_moment_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "LOCK_WAIT_S", 20.0)
    folder = LocalFolder(tmp_path)
    Manifest(folder, "1of2").close()
    lock = try_lock(tmp_path / FOLDER / "manifest-1of2.jsonl")
    assert lock is not None
    threading.Timer(0.1, lock.close).start()
    Manifest(folder, "1of2").close()
    assert lock.closed
