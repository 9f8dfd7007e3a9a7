"""Tests of `restore batch`: options, output, exit codes and signals."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event

import pytest
from batchfakes import answer, write_photos
from photofiles import file_of, picture
from PIL import Image
from places import PROJECT

from restore.batch import local_engine
from restore.batch.folder import Folder
from restore.batch.listing import BatchPhoto
from restore.batch.local_engine import read_photo
from restore.batch.plan import Plan
from restore.batch.processing import BatchJob, Outcome
from restore.batch.run import OnOutcome
from restore.batch.saver import Summary
from restore.cli.main import main
from restore.options import PIPELINE_TASK, describe_options

JOBS: list[BatchJob] = []


def direct(workers: int | None = None) -> Callable[..., None]:
    """The local engine, with the stand-in in this process instead of networks."""

    def engine(
        job: BatchJob,
        folder: Folder,
        photos: Sequence[BatchPhoto],
        on_outcome: OnOutcome,
        stop: Event,
    ) -> None:
        JOBS.append(job)
        for photo in photos:
            work = read_photo(folder, photo.name, photo.entry.size)
            assert not isinstance(work, Outcome)
            on_outcome(photo, answer([work])[0])

    return engine


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local_engine, "run_local", direct)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("RESTORE_WEIGHTS", raising=False)
    JOBS.clear()
    write_photos(tmp_path / "in", "a.jpg", "sub/b.jpg")


def test_every_option_of_a_single_photo_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["batch", "--help"]) == 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    for option in describe_options(PIPELINE_TASK):
        name = "format" if option.name == "output_format" else option.name
        assert f"--{name.replace('_', '-')}" in shown


def test_options_reach_the_job(capsys: pytest.CaptureFixture[str]) -> None:
    flags = "--task upscale --scale 2 --format png --weights lite --device cpu -q"
    assert main(["batch", "in", "out", *flags.split()]) == 0
    options = {"scale": "2", "output_format": "png"}
    assert [BatchJob("upscale", options, "lite", "cpu")] == JOBS
    assert capsys.readouterr().out == ""


def test_options_of_other_tasks_are_told_once_before_the_work(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["batch", "in", "out", "--task", "colors", "--target-px", "900"]
    assert main(arguments) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == (
        "warning: --target-px has no effect: it is an option of enhance, upscale, not of colors"
    )
    assert sum("has no effect" in line for line in lines) == 1
    assert main([*arguments, "--force", "-q"]) == 0
    assert capsys.readouterr().err == ""


def test_default_is_what_each_photo_needs_in_its_own_format() -> None:
    assert main(["batch", "in", "out"]) == 0
    assert [BatchJob("pipeline", {"output_format": "same"}, "local")] == JOBS


def test_counts_and_report_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["batch", "in", "out"]) == 0
    captured = capsys.readouterr()
    assert "2 photos to restore, 0 done before" in captured.err
    assert captured.out.splitlines() == [
        "report: out/report.html",
        "2 restored; results in out",
    ]
    assert main(["batch", "in", "out"]) == 0
    assert capsys.readouterr().out == "0 restored, 2 done before; results in out\n"


def test_failures_are_listed_with_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(25):
        write_photos(tmp_path / "in", f"bad{number}.jpg", content=b"bad")
    assert main(["batch", "in", "out", "-q"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "failed: bad0.jpg: [E206] it is damaged. Send another one."
    assert lines[-1] == "and 5 more: see failed.csv in the output folder"
    assert len(lines) == 21
    assert main(["batch", "in", "out"]) == 1
    assert "25 failed before (--retry-failed tries them again)" in capsys.readouterr().out


def test_terminal_shows_what_there_is_to_do_and_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["batch", "in", "out"]) == 0
    shown = capsys.readouterr().err
    assert "2 photos to restore, 0 done before" in shown
    assert "2/2" in shown
    assert main(["batch", "in", "out"]) == 0
    shown = capsys.readouterr().err
    assert "0 photos to restore, 2 done before" in shown
    assert "0/0" not in shown


@pytest.mark.parametrize(("others", "words"), [(1, "1 other file"), (2, "2 other files")])
def test_other_files_are_counted_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], others: int, words: str
) -> None:
    write_photos(tmp_path / "in", *(f"{number}.txt" for number in range(others)))
    (tmp_path / "in" / "a.jpg").unlink()
    assert main(["batch", "in", "out"]) == 0
    assert f"1 photo to restore, 0 done before, {words} ignored\n" in capsys.readouterr().err


def test_progress_says_what_takes_the_longest(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restore.cli.batch_progress.LINE_EVERY_S", 0.0)
    assert main(["batch", "in", "out"]) == 0
    assert "0 failed, mostly computing networks, " in capsys.readouterr().err


def test_report_that_cannot_be_written_is_told_and_the_summary_follows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out" / "report.html").mkdir(parents=True)
    assert main(["batch", "in", "out"]) == 0
    captured = capsys.readouterr()
    assert "the report cannot be written (is a directory)" in captured.err
    assert "2 restored" in captured.out


def test_each_shard_has_its_report(tmp_path: Path) -> None:
    for shard in ("1/2", "2/2"):
        assert main(["batch", "in", "out", "--shard", shard]) == 0
    names = {path.name for path in (tmp_path / "out").glob("report*")}
    assert names <= {"report-1of2.html", "report-2of2.html"}
    assert names


def test_dry_run_counts_estimates_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["batch", "in", "out", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "to restore: 2 photos" in shown
    assert "unknown until some photos are done" in shown
    assert not (tmp_path / "out").exists()
    assert main(["batch", "in", "out", "--limit", "1"]) == 0
    capsys.readouterr()
    assert main(["batch", "in", "out", "--dry-run", "--device", "cpu", "--workers", "1"]) == 0
    shown = capsys.readouterr().out
    assert "to restore: 1 photo," in shown
    assert "done already: 1" in shown
    assert "(0.10 s per photo, from 1 photo)" in shown


def test_dry_run_tells_of_results_that_would_be_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["batch", "in", "out"]) == 0
    capsys.readouterr()
    other = ["batch", "in", "out", "--scale", "3", "--workers", "1"]
    assert main([*other, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "  of them restored before: 2\n" in shown
    assert "results that this replaces: 2, which needs --overwrite\n" in shown
    assert main([*other, "--dry-run", "--overwrite"]) == 0
    assert "results that this replaces: 2\n" in capsys.readouterr().out
    assert main(other) == 2
    assert "replace files in 'out': 2 results made with other options" in capsys.readouterr().err
    assert main([*other, "--overwrite"]) == 0
    again = "2 photos to restore, 2 of them restored before, 0 done before"
    assert again in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["in", "out", "--task", "upscal"],
            "'upscal', which is no task of a batch. Did you mean upscale? Choose one of",
        ),
        (["in", "out", "--task", "inspect"], "'inspect', which is no task of a batch"),
        (["in", "out", "--scale", "99"], "--scale"),
        (["in", "out", "--format", "gif"], "gif"),
        (["in", "out", "--shard", "5/4"], "--shard is '5/4', which is not a part such as 1/4"),
        (["in", "file"], "the output 'file' is a file, not a folder. Choose a folder"),
        (["in", "in/a.jpg"], "the output 'in/a.jpg' is a file, not a folder"),
        (["in", "file/x"], "the output folder 'file/x' cannot be written to (not a directory)"),
        (["in/a.jpg", "out"], "Give its folder, or use `restore in/a.jpg` for one photo"),
        (["in", "x" * 300], "cannot be written to (file name too long)"),
        (["empty", "out"], "there are no files in 'empty'"),
        (["in", "in/out"], "inside of it"),
        (["missing", "out"], "'missing' cannot be read"),
        (["in", "out", "--glob", "*.tif"], "match *.tif"),
        (["in", "out", "--engine", "spark"], "spark"),
    ],
)
def test_mistakes_are_refused_before_any_work(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    assert main(["batch", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not JOBS
    assert not (tmp_path / "in" / "out").exists()


@pytest.mark.slow
def test_real_photos_are_restored_as_by_the_single_command(tmp_path: Path) -> None:
    """The only test with real workers: the bytes are those of `restore upscale`."""
    photos = tmp_path / "real"
    write_photos(photos, "a.png", content=file_of(picture(24, 32), "PNG"))
    frame = Image.fromarray(picture(24, 32))
    frame.save(photos / "b.gif", save_all=True, append_images=[frame.rotate(180)])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RESTORE_WEIGHTS": "lite"}
    common = [sys.executable, "-m", "restore"]
    options = ["--scale", "2", "--device", "cpu", "-q"]
    commands = [
        [*common, "batch", "real", "out", "--task", "upscale", "--workers", "1", *options],
        [*common, "upscale", "real/a.png", "--output-format", "same", "-o", "single", *options],
    ]
    for command in commands:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        )
        assert done.stderr == ""  # warnings about photos are in the manifest only
    assert (tmp_path / "out" / "a.png").read_bytes() == (tmp_path / "single/a.png").read_bytes()


SLOW_COMMAND = """
import sys, time
sys.path[:0] = [{tests!r}]
from batchfakes import answer
from restore.batch import local_engine
from restore.cli import run

def slow(workers=None):
    def engine(job, folder, photos, on_outcome, stop):
        for photo in photos:
            if stop.is_set():
                return
            print("working", flush=True)
            time.sleep(0.5)
            work = local_engine.read_photo(folder, photo.name, photo.entry.size)
            on_outcome(photo, answer([work])[0])
    return engine

local_engine.run_local = slow
run()
"""


@pytest.mark.parametrize(("presses", "code"), [(1, 1), (2, 130)])
def test_first_interrupt_finishes_the_photo_and_the_second_ends_at_once(
    tmp_path: Path, presses: int, code: int
) -> None:
    script = tmp_path / "command.py"
    script.write_text(SLOW_COMMAND.format(tests=str(PROJECT / "tests")))
    with subprocess.Popen(
        [sys.executable, str(script), "batch", "in", "out"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "working\n"
        for _ in range(presses):
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        errors = process.stderr.read()
        assert process.wait() == code
    assert "stopping after the photos in progress" in errors
    done = presses == 1
    assert ("interrupted\n" in errors) is not done
    assert (tmp_path / "out" / "a.jpg").exists() is done
    assert ("interrupted, 1 photo left" in errors) is done
    assert not (tmp_path / "out" / "sub").exists()


def test_weights_that_another_machine_lacks_are_a_warning(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = Summary(Plan((), 0, (), 0), lacking={"official weights of upscale x4plus"})
    monkeypatch.setattr("restore.batch.run.run_batch", lambda *_: summary)
    assert main(["batch", "in", "out"]) == 0
    error = capsys.readouterr().err
    assert "without the official weights of upscale x4plus, which are on this machine" in error


def test_results_without_a_record_of_their_weights_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["batch", "in", "out", "-q"]) == 0
    manifest = tmp_path / "out" / ".restore-batch" / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    for row in rows:
        del row["substitutes"]
    manifest.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    before = manifest.read_bytes()
    for flags in ([], ["--dry-run"]):
        assert main(["batch", "in", "out", *flags]) == 0
        said = capsys.readouterr()
        assert "2 photos done by an older version, which did not record" in said.out + said.err
    assert manifest.read_bytes() == before
