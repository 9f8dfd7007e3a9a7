"""Tests of whole runs, with workers that have no networks."""

import errno
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from batchfakes import JOB, Recorder, direct_engine, options_of_tree, restored, write_photos

from restore.batch.failures import write_failures
from restore.batch.figures import Statistics
from restore.batch.folder import Folder, LocalFolder, open_folder
from restore.batch.html_report import write_report
from restore.batch.listing import BatchPhoto
from restore.batch.manifest import DONE, FAILED, FOLDER, Manifest, Row
from restore.batch.plan import Plan
from restore.batch.processing import BatchJob
from restore.batch.run import BatchOptions, OnOutcome, preview, run_batch
from restore.batch.saver import Summary
from restore.errors import Code, RestoreError


@pytest.fixture
def options(tmp_path: Path) -> BatchOptions:
    return options_of_tree(tmp_path)


def run(options: BatchOptions) -> tuple[Summary, Recorder]:
    recorder = Recorder()
    return run_batch(options, direct_engine, recorder, Event()), recorder


def results(tmp_path: Path) -> dict[str, bytes]:
    out = tmp_path / "out"
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and FOLDER not in path.parts
    }


def test_tree_and_names_are_mirrored(options: BatchOptions, tmp_path: Path) -> None:
    summary, _ = run(options)
    assert (summary.done, summary.exit_code) == (3, 0)
    assert results(tmp_path) == dict.fromkeys(
        ("a.jpg", "sub/b.jpg", "sub/c.jpg"), restored(b"photo")
    )


def test_second_run_has_nothing_to_do(options: BatchOptions) -> None:
    run(options)
    summary, recorder = run(options)
    assert recorder.rows == []
    assert summary.plan.done == 3
    assert summary.exit_code == 0


def test_failures_are_rows_and_a_csv_file_and_exit_code_1(
    options: BatchOptions, tmp_path: Path
) -> None:
    write_photos(tmp_path / "in", "x.jpg", content=b"bad")
    summary, _ = run(options)
    assert (summary.done, len(summary.failed), summary.exit_code) == (3, 1, 1)
    lines = (tmp_path / "out" / "failed.csv").read_text().splitlines()
    assert lines[0] == "photo,code,message"
    assert lines[1] == "x.jpg,E206,it is damaged. Send another one."
    summary, recorder = run(options)
    assert recorder.rows == []
    assert summary.exit_code == 1
    write_photos(tmp_path / "in", "x.jpg", content=b"good now")
    summary, _ = run(options)  # there is no result that it would replace
    assert (summary.done, summary.exit_code) == (1, 0)
    assert len((tmp_path / "out" / "failed.csv").read_text().splitlines()) == 1


@pytest.mark.parametrize("changed", ["photo", "options"])
def test_finished_results_are_replaced_on_request_only(
    options: BatchOptions, tmp_path: Path, changed: str
) -> None:
    run(replace(options, limit=2))
    assert run(options)[0].done == 1  # a resumed run
    before = results(tmp_path)
    if changed == "photo":
        write_photos(tmp_path / "in", "a.jpg", content=b"another photo")
        reason = "1 result whose photo has changed; the first is that of 'a.jpg'"
    else:
        options = replace(options, job=replace(JOB, options={**JOB.options, "scale": 3}))
        reason = "3 results made with other options"
    write_photos(tmp_path / "in", "new.jpg")
    with pytest.raises(RestoreError, match=reason):
        run(options)
    assert results(tmp_path) == before
    assert run(replace(options, target=str(tmp_path / "other")))[0].done == 4
    summary, _ = run(replace(options, overwrite=True))
    assert (summary.done, summary.plan.done) == ((2, 2) if changed == "photo" else (4, 0))
    assert run(options)[0].plan.done == 4


def test_changed_photo_that_fails_keeps_its_older_result_until_overwrite(
    options: BatchOptions, tmp_path: Path
) -> None:
    run(options)
    write_photos(tmp_path / "in", "a.jpg", content=b"bad upload")
    overwriting = replace(options, overwrite=True)
    assert len(run(overwriting)[0].failed) == 1
    assert run(options)[0].exit_code == 1  # nothing to do, and still failed
    write_photos(tmp_path / "in", "a.jpg", content=b"mended photo")
    with pytest.raises(RestoreError, match="1 result whose photo has changed"):
        run(options)
    assert results(tmp_path)["a.jpg"] == restored(b"photo")
    assert run(overwriting)[0].done == 1
    assert results(tmp_path)["a.jpg"] == restored(b"mended photo")


def test_messages_name_options_as_flags(options: BatchOptions, tmp_path: Path) -> None:
    write_photos(tmp_path / "in", "huge.png", content=bytes(9))
    source, target = open_folder(options.source), open_folder(options.target)
    figures = Statistics()
    message = "[E203] photo 'huge.png': 81 megapixels. Set max_megapixels to have it reduced."
    error = {"code": "E203", "message": message}
    row = Row("huge.png", 9, "1", "s", FAILED, error=error, finished=1.0)
    with Manifest(target) as manifest:
        manifest.add(row)
        assert write_failures(source, target, manifest) == 1
    figures.add(row)
    report = {"warnings": ["tile_size was raised"]}
    figures.add(Row("a.jpg", 1, "1", "s", DONE, output="a.jpg", report=report))
    summary = Summary(Plan((), 0, (), 0), failed=[row])
    assert "--max-megapixels to" in (tmp_path / "out" / "failed.csv").read_text()
    page = Path(write_report(source, target, replace(summary, done=1), figures, 1.0)).read_text()
    assert page.count("Set --max-megapixels to have it reduced") == 2
    assert "--tile-size was raised" in page
    assert "max_megapixels" not in page


def test_preview_writes_nothing(options: BatchOptions, tmp_path: Path) -> None:
    plan, ignored = preview(options)
    assert (len(plan.to_do), plan.input_bytes, ignored) == (3, 15, 1)
    assert not (tmp_path / "out").exists()


def test_limit_and_shards_cover_all_photos(options: BatchOptions) -> None:
    summary, _ = run(replace(options, limit=1))
    assert summary.done == 1
    done = sum(run(replace(options, shard=(index, 2)))[0].done for index in (1, 2))
    assert done == 2


def test_stop_leaves_the_rest_for_the_next_run(options: BatchOptions) -> None:
    stop = Event()

    class Stopper(Recorder):
        def on_row(self, row: Row) -> None:
            stop.set()

    summary = run_batch(options, direct_engine, Stopper(), stop)
    assert (summary.done, summary.exit_code) == (1, 1)
    assert summary.stopped == "interrupted, 2 photos left"
    assert run(options)[0].done == 2


def test_full_disk_stops_before_the_next_photo(
    options: BatchOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalFolder, "free_bytes", lambda self: 2**29)
    summary, recorder = run(options)
    assert recorder.rows == []
    assert summary.stopped.startswith("[E302] the disk of '")
    assert "has 512 MiB left, less than 1024 (--min-free-mib). Free some space" in summary.stopped
    assert summary.exit_code == 1


def test_full_disk_stops_and_the_next_run_goes_on(
    options: BatchOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = LocalFolder.write

    def fail(self: LocalFolder, name: str, content: bytes, modified_ns: int | None = None) -> None:
        if modified_ns is not None:  # a result
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, name, content)

    with monkeypatch.context() as patches:
        patches.setattr(LocalFolder, "write", fail)
        summary, recorder = run(options)
    assert (summary.exit_code, recorder.rows) == (1, [])
    assert summary.stopped.startswith("[E302] '")
    assert "out' cannot be written (no space left on device). Free some" in summary.stopped
    assert run(options)[0].done == 3


def test_failures_of_other_shards_are_in_the_csv_file(
    options: BatchOptions, tmp_path: Path
) -> None:
    for number in range(8):
        write_photos(tmp_path / "in", f"x{number}.jpg", content=b"bad")

    class OtherShard(Recorder):
        def on_plan(self, plan: Plan, ignored: int) -> None:
            run(replace(options, shard=(2, 2)))

    run_batch(replace(options, shard=(1, 2)), direct_engine, OtherShard(), Event())
    assert len((tmp_path / "out" / "failed.csv").read_text().splitlines()) == 9


def test_failures_of_a_run_that_was_killed_are_in_the_csv_file(
    options: BatchOptions, tmp_path: Path
) -> None:
    write_photos(tmp_path / "in", "x.jpg", content=b"bad")
    run(options)
    (tmp_path / "out" / "failed.csv").unlink()
    assert run(options)[0].exit_code == 1
    assert (tmp_path / "out" / "failed.csv").exists()


@pytest.mark.parametrize("shard", [None, (1, 1)])
@pytest.mark.parametrize("error", [RestoreError(Code.WORKER_LOST, "r", "m"), KeyboardInterrupt()])
def test_failures_of_a_run_that_an_error_ends_are_in_the_csv_file(
    options: BatchOptions,
    tmp_path: Path,
    error: BaseException,
    shard: tuple[int, int] | None,
) -> None:
    write_photos(tmp_path / "in", "0.jpg", content=b"bad")

    def engine(
        job: BatchJob,
        folder: Folder,
        photos: Sequence[BatchPhoto],
        on_outcome: OnOutcome,
        stop: Event,
    ) -> None:
        direct_engine(job, folder, photos[:2], on_outcome, stop)
        raise error

    with pytest.raises(type(error)):
        run_batch(replace(options, shard=shard), engine, Recorder(), Event())
    lines = (tmp_path / "out" / "failed.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["photo", "0.jpg"]


def test_error_of_the_engine_is_told_though_failures_cannot_be_written(
    options: BatchOptions, tmp_path: Path
) -> None:
    write_photos(tmp_path / "in", "0.jpg", content=b"bad")
    (tmp_path / "out" / "failed.csv").mkdir(parents=True)

    def engine(*arguments: Any) -> None:
        direct_engine(*arguments)
        raise RestoreError(Code.WORKER_LOST, "reason", "remedy")

    with pytest.raises(RestoreError, match="E606"):
        run_batch(options, engine, Recorder(), Event())


@pytest.mark.parametrize("is_there", [True, False], ids=["empty", "missing"])
def test_run_stops_if_all_photos_vanish(
    options: BatchOptions, tmp_path: Path, *, is_there: bool
) -> None:
    class Unplugged(Recorder):
        def on_row(self, row: Row) -> None:
            super().on_row(row)
            (tmp_path / "in").rename(tmp_path / "away")
            if is_there:  # as the empty folder of a disk that is not mounted
                (tmp_path / "in").mkdir()

    summary = run_batch(options, direct_engine, Unplugged(), Event())
    assert (summary.done, summary.failed, summary.exit_code) == (1, [], 1)
    assert summary.stopped.startswith("[E201] the folder '")
    assert "has vanished, or is empty now. Check that its disk" in summary.stopped
    if is_there:
        (tmp_path / "in").rmdir()
    (tmp_path / "away").rename(tmp_path / "in")
    assert run(options)[0].done == 2


def test_run_stops_if_the_output_is_moved_away(options: BatchOptions, tmp_path: Path) -> None:
    class Mover(Recorder):
        def on_row(self, row: Row) -> None:
            super().on_row(row)
            (tmp_path / "out").rename(tmp_path / "moved")

    summary = run_batch(options, direct_engine, Mover(), Event())
    assert summary.done == 1
    assert "manifest was deleted or moved during the run" in summary.stopped
    assert run(replace(options, target=str(tmp_path / "moved")))[0].plan.done == 1


def test_photos_that_were_deleted_are_not_in_the_csv_file(
    options: BatchOptions, tmp_path: Path
) -> None:
    write_photos(tmp_path / "in", "x.jpg", "sub/y.jpg", content=b"bad")
    run(options)
    (tmp_path / "in" / "x.jpg").unlink()
    assert run(replace(options, recursive=False))[0].exit_code == 0
    lines = (tmp_path / "out" / "failed.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["photo", "sub/y.jpg"]


def test_names_that_are_no_unicode(options: BatchOptions, tmp_path: Path) -> None:
    good, bad = os.fsdecode(b"in/\xe9t\xe9.jpg"), os.fsdecode(b"in/\xff.jpg")
    write_photos(tmp_path, good)
    write_photos(tmp_path, bad, content=b"bad")
    done = [run(replace(options, shard=(index, 2)))[0].done for index in (1, 2)]
    assert sum(done) == 4
    assert b"\xff.jpg" in (tmp_path / "out" / "failed.csv").read_bytes()
    summary, recorder = run(replace(options, force=True))
    source, target = open_folder(options.source), open_folder(options.target)
    assert (
        "udcff.jpg"
        in Path(write_report(source, target, summary, recorder.statistics, 1.0)).read_text()
    )


@pytest.mark.parametrize("name", ["source", "target"])
def test_empty_path_of_a_folder_is_refused(options: BatchOptions, name: str) -> None:
    with pytest.raises(RestoreError, match="the path of a folder is empty"):
        run(replace(options, **{name: ""}))  # type: ignore[arg-type]


@pytest.mark.parametrize("source", ["missing", "empty"])
def test_refused_photos_leave_no_output_folder(
    options: BatchOptions, tmp_path: Path, source: str
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RestoreError) as caught:
        run(replace(options, source=str(tmp_path / source)))
    assert caught.value.code is Code.PHOTO_MISSING
    assert not (tmp_path / "out").exists()


def test_output_inside_the_input_is_refused(options: BatchOptions) -> None:
    with pytest.raises(RestoreError, match="inside of it"):
        run(replace(options, target=f"{options.source}/out"))


def test_result_that_would_get_among_the_photos_is_refused(
    options: BatchOptions, tmp_path: Path
) -> None:
    around = replace(options, target=str(tmp_path), force=True)
    assert run(around)[0].done == 3
    write_photos(tmp_path / "in" / "in", "a.jpg", content=b"photo of a subfolder")
    with pytest.raises(RestoreError, match=r"'in/a\.jpg' would be among the photos"):
        run(around)
    assert (tmp_path / "in" / "a.jpg").read_bytes() == b"photo"


def test_remote_folders(options: BatchOptions) -> None:
    remote = replace(options, target="memory://batch-results")
    assert run(remote)[0].done == 3
    folder = open_folder(remote.target)
    assert folder.read("sub/b.jpg") == restored(b"photo")
    assert run(remote)[0].plan.done == 3
    onward = replace(options, source=remote.target, target="memory://batch-onward")
    assert run(onward)[0].done == 3
