"""SIGKILL at random moments: of runs without networks, of the command and of its workers."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from batchfakes import write_crops, write_photos
from places import PROJECT

from restore.batch.folder import LocalFolder
from restore.batch.manifest import FOLDER, read_rows

COMMAND = [sys.executable, "-m", "restore", "batch"]
OPTIONS = ["--task", "upscale", "--scale", "2", "--device", "cpu", "--workers", "2", "-q"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PROJECT), "RESTORE_WEIGHTS": "lite"}


def checksums(folder: Path) -> dict[str, str]:
    """Checksums of all results by name."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and FOLDER not in path.parts and path.name != "report.html"
    }


def count_rows(folder: Path) -> int:
    """Number of complete rows of a manifest that may not exist yet."""
    path = folder / FOLDER / "manifest.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def worker_ids(command: int) -> list[int]:
    """Process ids of the workers of a command."""
    children = Path(f"/proc/{command}/task/{command}/children").read_text().split()
    return [
        int(child)
        for child in children
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("photos", "kills"), [(60, 4), (1000, 20)])
def test_killed_runs_have_the_results_of_an_undisturbed_run(
    tmp_path: Path, photos: int, kills: int
) -> None:
    write_crops(tmp_path / "in", photos)
    out, moments = tmp_path / "out", random.Random(25)
    arguments = [*COMMAND, str(tmp_path / "in"), str(out), *OPTIONS]
    undisturbed = [*COMMAND, str(tmp_path / "in"), str(tmp_path / "undisturbed"), *OPTIONS]
    subprocess.run(undisturbed, env=ENVIRONMENT, check=True)
    for kill in range(kills):
        with subprocess.Popen(arguments, env=ENVIRONMENT) as process:
            goal = count_rows(out) + moments.randrange(1, photos // kills)
            while count_rows(out) < goal and process.poll() is None:
                time.sleep(0.002)
            if kill % 2:
                os.kill(moments.choice(worker_ids(process.pid)), signal.SIGKILL)
                time.sleep(moments.uniform(0.0, 2.0))
            process.kill()
    subprocess.run(arguments, env=ENVIRONMENT, check=True)
    assert checksums(out) == checksums(tmp_path / "undisturbed")
    inputs = [row["input"] for row in read_rows(LocalFolder(out))]
    assert len(inputs) == len(set(inputs)) == photos
    hidden = {path.name for path in (out / FOLDER).rglob("*")}
    assert hidden == {"manifest.jsonl", "pending"}


DRIVER = """
import sys
from threading import Event
sys.path.insert(0, {tests!r})
from batchfakes import JOB, Recorder, pool_engine
from restore.batch.run import BatchOptions, run_batch
if __name__ == "__main__":
    run_batch(BatchOptions({source!r}, {target!r}, JOB), pool_engine, Recorder(), Event())
"""


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_runs_lose_and_repeat_nothing(tmp_path: Path, kills: int) -> None:
    """SIGKILL at random moments; a photo whose row was written is not restored again."""
    photos = 60 * kills
    write_photos(tmp_path / "in", *(f"{number % 7}/{number}.jpg" for number in range(photos)))
    out, tests = tmp_path / "out", PROJECT / "tests"
    paths = {"source": str(tmp_path / "in"), "target": str(out)}
    script = tmp_path / "driver.py"
    script.write_text(DRIVER.format(tests=str(tests), **paths))
    moments = random.Random(kills)
    for _ in range(kills):
        process = subprocess.Popen([sys.executable, str(script)], cwd=PROJECT)
        rows = count_rows(out) + moments.randrange(1, 40)
        while count_rows(out) < rows and process.poll() is None:
            time.sleep(0.001)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    subprocess.run([sys.executable, str(script)], cwd=PROJECT, check=True)
    assert len(checksums(out)) == photos
    inputs = [row["input"] for row in read_rows(LocalFolder(out))]
    assert len(inputs) == len(set(inputs)) == photos
    assert not list(out.rglob("*tmp*"))
    assert not list((out / FOLDER / "pending").iterdir())
