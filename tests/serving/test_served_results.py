"""Tests of restore.serving.served_results: folders of results, and when they are deleted."""

import errno
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from restore.errors import Code, RestoreError
from restore.serving import served_results
from restore.serving.served_results import (
    LIFETIME_S,
    ROOT_NAME,
    ServedResults,
    delete_results_of_ended_processes,
)


class Clock:
    """A monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 5000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(served_results.time, "monotonic", clock.monotonic)
    return clock


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path / ROOT_NAME


@pytest.fixture
def results(root: Path) -> Iterator[ServedResults]:
    results = ServedResults()
    yield results
    results.close()


def serve(results: ServedResults) -> Path:
    with results.new_folder() as folder:
        (folder / "1-a.jpg").write_bytes(b"x")
    return folder


def wait_until(condition: Callable[[], bool]) -> bool:
    deadline_s = time.perf_counter() + 20
    while not condition() and time.perf_counter() < deadline_s:
        time.sleep(0.01)
    return condition()


def test_nothing_is_written_before_the_first_result(results: ServedResults, root: Path) -> None:
    assert not root.exists()


def test_root_that_is_a_link_is_rejected(results: ServedResults, root: Path) -> None:
    victim = root.with_name("victim")
    victim.mkdir()
    root.symlink_to(victim)
    with pytest.raises(RestoreError, match="is a link") as caught, results.new_folder():
        pass
    assert caught.value.code is Code.OUTPUT_UNWRITABLE
    assert list(victim.iterdir()) == []


def test_root_is_private(results: ServedResults, root: Path) -> None:
    root.mkdir()
    root.chmod(0o755)
    serve(results)
    assert root.stat().st_mode & 0o777 == 0o700


def test_next_request_deletes_old_folders(results: ServedResults, clock: Clock) -> None:
    old = serve(results)
    clock.now_s += LIFETIME_S - 1
    recent = serve(results)
    assert old.exists(), "its results may still be read"
    assert recent != old
    clock.now_s += 2
    serve(results)
    assert (old.exists(), recent.exists()) == (False, True)


def test_old_folders_are_deleted_without_a_further_request(
    root: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_results, "SWEEP_INTERVAL_S", 0.01)
    results = ServedResults()
    old = serve(results)
    time.sleep(0.1)
    assert old.exists()
    clock.now_s += LIFETIME_S + 1
    assert wait_until(lambda: not old.exists())
    results.close()


@pytest.mark.parametrize("jump_s", [-1e8, 1e8])
def test_change_of_the_system_time_deletes_no_recent_folder(
    results: ServedResults, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    recent = serve(results)
    aged_s = recent.stat().st_mtime + jump_s
    os.utime(recent, (aged_s, aged_s))
    monkeypatch.setattr(time, "time", lambda: 1.8e9 + jump_s)
    serve(results)
    assert recent.exists()


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")]
)
def test_failed_request_leaves_no_folder(results: ServedResults, error: BaseException) -> None:
    kept = serve(results)

    def fail() -> None:
        with results.new_folder() as folder:
            (folder / "1-a.jpg").write_bytes(b"x")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert list(kept.parent.iterdir()) == [kept]


def test_closing_deletes_all_results_of_this_process_only(
    results: ServedResults, root: Path
) -> None:
    other = ServedResults()
    kept = serve(other)
    serve(results)
    results.close()
    results.close()
    assert kept.exists()
    other.close()
    assert list(root.iterdir()) == []


def test_results_of_a_killed_process_are_deleted_by_the_next_one(root: Path) -> None:
    root.parent.mkdir(exist_ok=True)
    script = (
        "import time; from restore.serving.served_results import ServedResults\n"
        "with ServedResults().new_folder() as folder: (folder / 'a.jpg').write_bytes(b'x')\n"
        "print(folder, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "TMPDIR": str(root.parent)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        delete_results_of_ended_processes()
        assert folder.exists(), "the process is still running"
        process.kill()
    ServedResults().close()
    assert list(root.iterdir()) == []
