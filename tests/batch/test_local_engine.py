"""Tests of the worker pool and the local engine, with workers that have no networks."""

import os
import signal
import tempfile
from collections.abc import Iterator
from multiprocessing import active_children
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event

import pytest
from batchfakes import JOB, answer, restored, run_fake_worker, write_photos

from restore.batch.folder import LocalFolder
from restore.batch.listing import BatchPhoto, list_photos
from restore.batch.local_engine import LocalEngine, read_photo
from restore.batch.pool import SetupFailure, WorkerPlan, WorkerPool, serve
from restore.batch.processing import Outcome, scratch_prefix
from restore.errors import Code, RestoreError
from restore.imaging.limits import LIMITS


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(JOB, WorkerPlan((None, None)), run_fake_worker) as pool:
        yield pool


def run(folder: Path, pool: WorkerPool, stop_after: int | None = None) -> dict[str, Outcome]:
    """Restore the photos of a folder; set `stop` after some of them."""
    outcomes: dict[str, Outcome] = {}
    stop = Event()

    def on_outcome(photo: BatchPhoto, outcome: Outcome) -> None:
        assert photo.name not in outcomes
        outcomes[photo.name] = outcome
        if len(outcomes) == stop_after:
            stop.set()

    source = LocalFolder(folder)
    LocalEngine(pool, source, on_outcome, stop).run(list_photos(source).photos)
    return outcomes


def test_all_photos_are_restored_once(tmp_path: Path, pool: WorkerPool) -> None:
    names = [f"{number}.jpg" for number in range(40)]
    write_photos(tmp_path, *names)
    outcomes = run(tmp_path, pool)
    assert sorted(outcomes) == sorted(names)
    assert {outcome.content for outcome in outcomes.values()} == {restored(b"photo")}


def test_photos_larger_than_a_pipe_do_not_block(tmp_path: Path, pool: WorkerPool) -> None:
    write_photos(tmp_path, *(f"{number}.jpg" for number in range(8)), content=b"x" * 2_000_000)
    assert len(run(tmp_path, pool)) == 8


def test_failures_are_outcomes_and_the_others_go_on(tmp_path: Path, pool: WorkerPool) -> None:
    write_photos(tmp_path, "a.jpg", "c.jpg")
    write_photos(tmp_path, "b.jpg", content=b"bad")
    outcomes = run(tmp_path, pool)
    assert outcomes["b.jpg"].error is not None
    assert outcomes["b.jpg"].error["code"] == Code.PHOTO_DAMAGED
    assert outcomes["a.jpg"].content == outcomes["c.jpg"].content == restored(b"photo")


def test_photo_that_ends_its_worker_three_times_has_failed(
    tmp_path: Path, pool: WorkerPool
) -> None:
    write_photos(tmp_path, *(f"{number}.jpg" for number in range(6)))
    write_photos(tmp_path, "2-die.jpg", content=b"die")
    outcomes = run(tmp_path, pool)
    assert len(outcomes) == 7
    lost = outcomes.pop("2-die.jpg")
    assert lost.error is not None
    assert lost.error["code"] == Code.WORKER_LOST
    assert "exit code -9" in lost.error["message"]
    assert all(outcome.content for outcome in outcomes.values())


def test_unreadable_and_too_large_files_are_failures(tmp_path: Path, pool: WorkerPool) -> None:
    write_photos(tmp_path, "a.jpg", "gone.jpg")
    write_photos(tmp_path, "empty.jpg", content=b"")
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(LIMITS.max_bytes + 1)
    source = LocalFolder(tmp_path)
    photos = list_photos(source).photos
    (tmp_path / "gone.jpg").unlink()
    outcomes: dict[str, Outcome] = {}
    engine = LocalEngine(pool, source, lambda p, o: outcomes.update({p.name: o}), Event())
    engine.run(photos)
    errors = {name: (one.error or {}).get("code") for name, one in outcomes.items()}
    assert errors == {
        "a.jpg": None,
        "empty.jpg": Code.PHOTO_DAMAGED,
        "gone.jpg": Code.PHOTO_MISSING,
        "huge.jpg": Code.PHOTO_TOO_LARGE,
    }


def test_stop_finishes_the_photos_in_progress_only(tmp_path: Path, pool: WorkerPool) -> None:
    write_photos(tmp_path, *(f"{number:02}.jpg" for number in range(40)))
    outcomes = run(tmp_path, pool, stop_after=3)
    assert 3 <= len(outcomes) < 20
    assert pool.groups_in_progress == 0


def leave_scratch(connection: Connection, job: object, threads: int) -> None:
    """A worker that is ended while it has a temporary folder."""
    tempfile.mkdtemp(prefix=scratch_prefix(os.getppid(), os.getpid()))
    serve(connection, answer)


def test_interrupt_of_a_starting_worker_is_ignored_and_its_folders_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in a terminal reaches the workers, too."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", None)
    write_photos(tmp_path / "in", "a.jpg")
    others = set(active_children())
    with WorkerPool(JOB, WorkerPlan((None,)), leave_scratch) as pool:
        [process] = set(active_children()) - others
        assert process.pid is not None
        os.kill(process.pid, signal.SIGINT)
        assert len(run(tmp_path / "in", pool)) == 1
        assert set(active_children()) - others == {process}
        assert len(list(scratch.glob("restore-batch-*"))) == 1
    assert not list(scratch.glob("restore-batch-*"))


def fail_setup(connection: object, job: object, threads: int) -> None:
    failure = SetupFailure(Code.WEIGHTS_MISSING, "the weights are missing", "Fetch them.")
    connection.send(failure)  # type: ignore[attr-defined]


def test_worker_that_cannot_load_its_networks_ends_the_batch(tmp_path: Path) -> None:
    write_photos(tmp_path, "a.jpg")
    with (
        WorkerPool(JOB, WorkerPlan((None,)), fail_setup) as pool,
        pytest.raises(RestoreError, match=r"E401.*the weights are missing") as caught,
    ):
        run(tmp_path, pool)
    assert caught.value.code is Code.WEIGHTS_MISSING


def end_at_once(connection: object, job: object, threads: int) -> None:
    raise SystemExit(3)


@pytest.mark.slow
def test_workers_that_always_end_are_given_up(tmp_path: Path) -> None:
    write_photos(tmp_path, *(f"{number}.jpg" for number in range(20)))
    with (
        WorkerPool(JOB, WorkerPlan((None,)), end_at_once) as pool,
        pytest.raises(RestoreError, match="the exit code of the last one is 3"),
    ):
        run(tmp_path, pool)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (
            "dead.jpg",
            "it is a link to 'gone.jpg', which cannot be read (no such file or directory)",
        ),
        ("loop.jpg", "it is a link to 'loop.jpg', which cannot be read (too many levels of symbol"),
        ("none.jpg", "the file cannot be read (no such file or directory)"),
    ],
)
def test_photo_that_cannot_be_read_says_so_of_links(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "dead.jpg").symlink_to("gone.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    outcome = read_photo(LocalFolder(tmp_path), name, 9)
    assert isinstance(outcome, Outcome)
    assert outcome.error is not None
    assert outcome.error["code"] == Code.PHOTO_MISSING
    assert f"photo '{name}': {reason}" in outcome.error["message"]
