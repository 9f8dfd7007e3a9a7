"""Tests of temporary files: without space or a folder, there is an error with a remedy."""

import tempfile
from pathlib import Path

import pytest

from restore.errors import Code, RestoreError
from restore.serving.temporary_files import temporary_folder, write_temporary


def test_files_are_removed_with_their_folder() -> None:
    with temporary_folder() as folder:
        write_temporary(folder / "0", b"photo", "a.jpg")
        assert (folder / "0").read_bytes() == b"photo"
    assert not folder.exists()


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
