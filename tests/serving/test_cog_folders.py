"""Tests of restore.serving.cog_folders: folders that Cog makes for each prediction."""

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from restore.errors import Code, RestoreError
from restore.serving import cog_folders
from restore.serving.cog_folders import (
    ABANDONED_S,
    check_folder,
    delete_folders,
    delete_old_folders,
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "coglet" / "predictions"
    monkeypatch.setattr(cog_folders, "ROOT", root)
    return root


def make(root: Path, name: str, age_s: float = 0.0, file: str = "") -> Path:
    folder = root / name
    for part in ("inputs", "outputs"):
        (folder / part).mkdir(parents=True)
    if file:
        (folder / file).write_text("x")
    changed_s = time.time() - age_s
    os.utime(folder, (changed_s, changed_s))
    return folder


def test_root_is_made_for_this_user_only(root: Path) -> None:
    check_folder("a", 1)
    assert root.stat().st_mode & 0o777 == 0o700
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("obstacle", ["file", "dangling link"])
def test_path_that_is_not_a_folder_is_refused(root: Path, obstacle: str) -> None:
    root.mkdir(parents=True)
    if obstacle == "file":
        (root / "a").touch()
    else:
        (root / "a").symlink_to(root / "nowhere")
    with pytest.raises(RestoreError, match="predictions/a' cannot be created") as caught:
        check_folder("a", 1)
    assert caught.value.code is Code.SERVER
    check_folder("b", 1)


def test_root_that_cannot_be_made_is_refused(root: Path) -> None:
    root.parent.touch()
    with pytest.raises(RestoreError, match="cannot be created"):
        check_folder("a", 1)


def test_root_that_is_not_writable_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As on a file system that is mounted read-only: there os.access is false for root too.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(RestoreError, match="not writable"):
        check_folder("a", 1)


@pytest.mark.parametrize(
    ("free_bytes", "free_inodes", "input_bytes", "reason"),
    [
        (0, 100, 10, "disk is full"),
        (20 * 2**20, 100, 50 * 2**20, "disk is full"),
        (20 * 2**20, 100, 5 * 2**20, ""),
        (20 * 2**20, 0, 10, "no free inodes"),
    ],
)
def test_full_disk_is_refused(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    free_bytes: int,
    free_inodes: int,
    input_bytes: int,
    reason: str,
) -> None:
    space = SimpleNamespace(
        f_bavail=free_bytes // 512, f_frsize=512, f_files=1000, f_favail=free_inodes
    )
    monkeypatch.setattr(os, "statvfs", lambda path: space)
    if reason:
        with pytest.raises(RestoreError, match=reason):
            check_folder("a", input_bytes)
    else:
        check_folder("a", input_bytes)


def test_folders_of_an_ended_prediction_are_deleted_unless_they_hold_files(root: Path) -> None:
    empty, full = make(root, "a"), make(root, "b", file="outputs/1.png")
    for name in ("a", "b", "missing"):
        delete_folders(name)
    assert not empty.exists()
    assert (full / "outputs" / "1.png").exists()


def test_old_folders_are_deleted_when_they_are_empty_or_abandoned(
    root: Path, tmp_path: Path
) -> None:
    make(root, "old", 700)
    kept = [make(root, "new", 500), make(root, "in use", 700, "inputs/1.json")]
    make(root, "abandoned", ABANDONED_S + 9, "inputs/1.json")
    outside = make(tmp_path, "outside", 10 * ABANDONED_S, "inputs/1.json")
    (root / "link").symlink_to(outside)
    delete_old_folders(600)
    assert {path.name for path in root.iterdir()} == {path.name for path in kept} | {"link"}
    assert (outside / "inputs" / "1.json").exists()


def test_folders_before_a_time_are_left_alone(root: Path) -> None:
    make(root, "before", 100)
    make(root, "since", 20)
    delete_old_folders(5, since_s=time.time() - 50)
    assert [path.name for path in root.iterdir()] == ["before"]
