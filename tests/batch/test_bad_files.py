"""A batch with files that are no photos, of the kinds of the hostile corpus, on real networks."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from batchfakes import write_crops
from places import PROJECT

from restore.batch.folder import LocalFolder
from restore.batch.manifest import DONE, FAILED, FOLDER, read_rows
from restore.imaging.suffixes import PHOTO_SUFFIXES

SEED = 25
OPTIONS = ["--task", "upscale", "--scale", "2", "--device", "cpu", "--workers", "2"]


def write_bad_files(folder: Path, count: int) -> dict[str, tuple[str, ...]]:
    """Write files that every decoder must refuse.

    Returns:
        The allowed error codes of each file, by its name; `rejected` means any about photos.
    """
    from corpus import corpus  # noqa: PLC0415 - the caller has set its path

    allowed: dict[str, tuple[str, ...]] = {}
    for specimen in corpus(8 * count, SEED):
        is_bad = all(outcome == "rejected" or outcome[0] == "E" for outcome in specimen.expected)
        if is_bad and Path(specimen.name).suffix in PHOTO_SUFFIXES and len(allowed) < count:
            name = f"{len(allowed) % 10}/bad-{specimen.name}"
            (folder / name).write_bytes(specimen.build())
            allowed[name] = specimen.expected
    assert len(allowed) == count
    return allowed


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("photos", "bad"), [(40, 20), (950, 50)])
def test_bad_files_are_listed_and_all_others_are_done(
    photos: int, bad: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(PROJECT / "tests" / "hostile")
    write_crops(tmp_path / "in", photos)
    allowed = write_bad_files(tmp_path / "in", bad)
    out = tmp_path / "out"
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "RESTORE_WEIGHTS": "lite"}
    command = [sys.executable, "-m", "restore", "batch", str(tmp_path / "in"), str(out), *OPTIONS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert f"{photos} restored, {bad} failed; results in {out}" in done.stdout
    listed = [line for line in done.stderr.splitlines() if line.startswith("failed: ")]
    assert len(listed) == min(bad, 20)
    with (out / "failed.csv").open(newline="") as file:
        failures = {row["photo"]: row for row in csv.DictReader(file)}
    assert failures.keys() == allowed.keys()
    for name, row in failures.items():
        codes = ("E2",) if allowed[name] == ("rejected",) else allowed[name]
        assert row["code"].startswith(codes), row
        assert f"photo '{Path(name).name}'" not in row["message"]  # it has its own column
        assert row["message"].endswith(".")
    statuses = [row["status"] for row in read_rows(LocalFolder(out))]
    assert (statuses.count(DONE), statuses.count(FAILED)) == (photos, bad)
    results = {
        str(path.relative_to(out))
        for path in out.rglob("*")
        if path.is_file() and FOLDER not in path.parts
    }
    names = {str(path.relative_to(tmp_path / "in")) for path in (tmp_path / "in").rglob("*.*")}
    assert results == (names - allowed.keys()) | {"failed.csv", "report.html"}
