"""Tests of folders: the same behaviour on a disk and at an fsspec URL."""

import os
import uuid
from pathlib import Path

import pytest
from batchfakes import write_photos

from restore.batch.folder import Folder, LocalFolder, RemoteFolder, open_folder, require_separate
from restore.errors import RestoreError


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    if request.param == "disk":
        return open_folder(str(tmp_path))
    return open_folder(f"memory://{uuid.uuid4().hex}")


def test_written_files_are_listed_in_order_without_hidden_ones(folder: Folder) -> None:
    for name in ("b/2.jpg", "a.jpg", ".hidden/x.jpg", "b/.x.jpg", "b/c/1.png"):
        folder.write(name, b"content")
    assert [entry.name for entry in folder.entries()] == ["a.jpg", "b/2.jpg", "b/c/1.png"]
    assert [entry.name for entry in folder.entries(recursive=False)] == ["a.jpg"]
    assert {entry.size for entry in folder.entries()} == {7}


def test_content_lines_existence_and_subfolders(folder: Folder) -> None:
    folder.write("sub/rows", b"one\ntwo")
    assert folder.read("sub/rows") == b"one\ntwo"
    assert list(folder.lines("sub/rows")) == [b"one\n", b"two"]
    assert folder.exists("sub/rows")
    assert not folder.exists("rows")
    inner = folder.subfolder("sub")
    assert inner is not None
    assert inner.read("rows") == b"one\ntwo"
    assert folder.subfolder("other") is None


def test_state_changes_with_the_content(folder: Folder) -> None:
    folder.write("a.jpg", b"one", 1_000_000_000)
    [before] = folder.entries()
    folder.write("a.jpg", b"two", 2_000_000_000)
    [after] = folder.entries()
    assert before.state != after.state


def test_dates_are_kept_on_a_disk(tmp_path: Path) -> None:
    LocalFolder(tmp_path).write("a.jpg", b"x", 1_234_567_890_000_000_000)
    assert (tmp_path / "a.jpg").stat().st_mtime == 1_234_567_890


def test_failed_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        LocalFolder(tmp_path).write("a.jpg", b"x")
    assert not list(tmp_path.iterdir())


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    write_photos(tmp_path, "in/a.jpg")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "b.jpg").symlink_to(tmp_path / "in" / "a.jpg")
    names = [entry.name for entry in LocalFolder(tmp_path / "in").entries()]
    assert names == ["a.jpg", "b.jpg"]


def test_links_to_themselves_or_to_nothing_are_listed_to_fail_with_a_message(
    tmp_path: Path,
) -> None:
    write_photos(tmp_path, "a.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "dead.jpg").symlink_to("nothing.jpg")
    names = [entry.name for entry in LocalFolder(tmp_path).entries()]
    assert names == ["a.jpg", "dead.jpg", "loop.jpg"]


def test_missing_folder_is_an_error_that_names_it() -> None:
    with pytest.raises(RestoreError, match="'/does/not/exist' cannot be read"):
        list(open_folder("/does/not/exist").entries())
    assert not list(open_folder("memory://does-not-exist").entries())  # stores have no folders


def test_unknown_scheme_is_an_error_that_names_the_url() -> None:
    with pytest.raises(RestoreError, match="'nosuch://x' cannot be opened"):
        open_folder("nosuch://x")


def test_file_url_is_a_local_folder(tmp_path: Path) -> None:
    assert isinstance(open_folder(f"file://{tmp_path}"), LocalFolder)
    assert isinstance(open_folder("memory://x"), RemoteFolder)


def test_free_space_of_a_folder_that_does_not_exist_yet(tmp_path: Path) -> None:
    free_bytes = LocalFolder(tmp_path / "new" / "folder").free_bytes()
    assert free_bytes is not None
    assert free_bytes > 0
    assert open_folder("memory://x").free_bytes() is None


@pytest.mark.parametrize(
    ("source", "target", "refused"),
    [
        ("in", "in", True),
        ("in", "in/out", True),
        ("in", "in2", False),
        ("in/sub", "in", False),
        ("memory://a", "memory://a/b", True),
        ("memory://a", "memory://ab", False),
    ],
)
def test_output_inside_the_input_is_refused(
    source: str, target: str, refused: bool, tmp_path: Path
) -> None:
    folders = [
        open_folder(one if "://" in one else str(tmp_path / one)) for one in (source, target)
    ]
    if refused:
        with pytest.raises(RestoreError, match="inside of it"):
            require_separate(*folders)
    else:
        require_separate(*folders)


def test_output_inside_the_input_is_found_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "in" / "deep")
    with pytest.raises(RestoreError, match="inside of it"):
        require_separate(LocalFolder(tmp_path / "in"), LocalFolder(tmp_path / "link" / "out"))
