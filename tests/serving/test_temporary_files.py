"""Tests of temporary files: without space or a folder, there is an error with a remedy."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from restore.errors import Code, RestoreError
from restore.serving.served_results import delete_results_of_ended_processes
from restore.serving.temporary_files import PREFIX, temporary_folder, write_temporary


def test_files_are_removed_with_their_folder() -> None:
    with temporary_folder() as folder:
        write_temporary(folder / "0", b"photo", "a.jpg")
        assert (folder / "0").read_bytes() == b"photo"
    assert not folder.exists()


KILLED = """
import os
from restore.serving.temporary_files import temporary_folder
with temporary_folder() as folder:
    (folder / "0").write_bytes(b"photo")
    print(folder, flush=True)
    os.kill(os.getpid(), 9)
"""


def test_folder_of_a_killed_process_is_deleted_and_that_of_a_living_one_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", KILLED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    left = Path(done.stdout.strip())
    assert (left.parent, (left / "0").read_bytes()) == (tmp_path, b"photo")
    (tmp_path / "away").mkdir()
    (tmp_path / f"{PREFIX}link").symlink_to(tmp_path / "away")
    with temporary_folder() as folder:
        delete_results_of_ended_processes()
        assert folder.exists()
    assert not left.exists()
    assert (tmp_path / "away").exists()


def test_folder_that_another_process_deletes_at_once_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    make, made = tempfile.mkdtemp, list[str]()

    def made_and_deleted(prefix: str) -> str:
        made.append(make(prefix=prefix))
        if len(made) == 1:
            Path(made[0]).rmdir()
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", made_and_deleted)
    with temporary_folder() as folder:
        assert str(folder) == made[1]


def test_folder_that_cannot_be_created_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(RestoreError, match="TMPDIR") as caught, temporary_folder():
        pass
    assert caught.value.code is Code.SERVER
    assert caught.value.reason.endswith("cannot be created (no such file or directory)")


def test_file_that_cannot_be_written_is_an_error_of_its_photo(tmp_path: Path) -> None:
    with pytest.raises(RestoreError, match=r"temporary folder \(is a directory\)") as caught:
        write_temporary(tmp_path, b"photo", "a.jpg")
    assert (caught.value.code, caught.value.photo) == (Code.SERVER, "a.jpg")
