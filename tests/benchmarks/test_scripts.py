"""Benchmarks run as scripts from any folder, as the documentation shows them."""

import subprocess
import sys
from pathlib import Path

import pytest
from places import PROJECT

SCRIPTS = sorted(
    path
    for path in (PROJECT / "benchmarks").glob("*.py")
    if '__name__ == "__main__"' in path.read_text()
)
PATH_LINE = "sys.path.insert(0, str(Path(__file__).resolve().parents[1]))"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script_adds_the_project_to_the_path(script: Path) -> None:
    assert PATH_LINE in script.read_text()


@pytest.mark.parametrize(
    "name", ["run_bench", pytest.param("bench_single_image", marks=pytest.mark.slow)]
)
def test_script_runs_from_another_folder(name: str, tmp_path: Path) -> None:
    command = [sys.executable, str(PROJECT / "benchmarks" / f"{name}.py"), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--profiles" in done.stdout
