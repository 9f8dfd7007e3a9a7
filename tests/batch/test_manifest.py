"""Tests of the manifest: rows survive kills and are found again."""

import errno
import json
import os
import shutil
import uuid
from io import FileIO
from pathlib import Path

import pytest
from batchfakes import photo

from restore.batch import locks
from restore.batch.folder import Folder, LocalFolder, open_folder
from restore.batch.manifest import DONE, FAILED, FOLDER, Manifest, Row, read_rows
from restore.errors import RestoreError


def row(name: str = "a.jpg", status: str = DONE, finished: float = 1.0, **facts: object) -> Row:
    values: dict[str, object] = {"input": name, "size": 1, "state": "1", "settings": "s"}
    values |= {"status": status, "finished": finished, "output": name if status == DONE else None}
    return Row(**{**values, **facts})  # type: ignore[arg-type]


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    if request.param == "disk":
        return open_folder(str(tmp_path))
    return open_folder(f"memory://{uuid.uuid4().hex}")


def test_rows_are_found_by_the_next_run(folder: Folder) -> None:
    manifest = Manifest(folder)
    manifest.add(row("a.jpg"))
    manifest.add(row("b.jpg", FAILED, error={"code": "E206", "message": "m"}))
    manifest.close()
    again = Manifest(folder, read_only=True)
    assert again.known["a.jpg"].status == DONE
    assert again.known["a.jpg"].files == ("a.jpg",)
    assert again.known["b.jpg"].status == FAILED


def test_only_the_same_photo_and_settings_are_current(folder: Folder) -> None:
    manifest = Manifest(folder)
    manifest.add(row("a.jpg"))
    assert manifest.is_current(photo("a.jpg", b"x"), "s")
    assert not manifest.is_current(photo("a.jpg", b"xx"), "s")
    assert not manifest.is_current(photo("a.jpg", b"x"), "other")
    assert not manifest.is_current(photo("b.jpg", b"x"), "s")
    manifest.close()


def test_substitutes_and_networks_are_read_again_as_one_object(folder: Folder) -> None:
    used = ("face_restore codeformer: lite weights", "upscale x4plus: copies")
    networks = ("upscale x4plus lite abc",)
    with Manifest(folder) as manifest:
        manifest.add(row("a.jpg", substitutes=used, networks=networks))
        manifest.add(row("b.jpg", substitutes=used, networks=networks))
    known = Manifest(folder, read_only=True).known
    assert known["a.jpg"].substitutes == used
    assert known["a.jpg"].substitutes is known["b.jpg"].substitutes
    assert known["a.jpg"].networks == networks
    assert known["a.jpg"].networks is known["b.jpg"].networks


def test_last_row_of_a_photo_counts_across_shards(folder: Folder) -> None:
    for shard, finished, status in (("1of2", 2.0, DONE), ("2of2", 1.0, FAILED)):
        manifest = Manifest(folder, shard)
        manifest.add(row(status=status, finished=finished))
        manifest.close()
    assert Manifest(folder, read_only=True).known["a.jpg"].status == DONE


def test_row_is_on_the_disk_before_the_next_photo(tmp_path: Path) -> None:
    manifest = Manifest(LocalFolder(tmp_path))
    manifest.add(row())
    [line] = (tmp_path / FOLDER / "manifest.jsonl").read_text().splitlines()
    assert json.loads(line)["input"] == "a.jpg"
    manifest.close()


def test_half_a_line_of_a_killed_run_is_cut_off(tmp_path: Path) -> None:
    folder, path = LocalFolder(tmp_path), tmp_path / FOLDER / "manifest.jsonl"
    manifest = Manifest(folder)
    manifest.add(row("a.jpg"))
    manifest.close()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    assert [one["input"] for one in read_rows(folder)] == ["a.jpg"]
    manifest = Manifest(folder)
    manifest.add(row("b.jpg"))
    manifest.close()
    assert [one["input"] for one in read_rows(folder)] == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[1]",
        '{"input": "a.jpg"}',
        row(networks=("upscale x4plus",)).to_line().decode().strip(),
        row(substitutes=("upscale x4plus",)).to_line().decode().strip(),
    ],
)
def test_line_that_is_no_row_is_an_error_that_names_it(tmp_path: Path, line: str) -> None:
    path = tmp_path / FOLDER / "manifest.jsonl"
    path.parent.mkdir()
    path.write_text(f"{row().to_line().decode()}{line}\n")
    with pytest.raises(RestoreError, match=r"line 2 of the manifest .*manifest\.jsonl' is not"):
        Manifest(LocalFolder(tmp_path), read_only=True)


def test_row_that_another_run_writes_until_it_ends_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run before may add its last row after this one has started."""
    folder = LocalFolder(tmp_path)
    before = Manifest(folder)
    lock = locks.try_lock

    def lock_after_the_last_row(path: Path) -> FileIO | None:
        before.add(row("late.jpg"))
        before.close()
        return lock(path)

    monkeypatch.setattr(locks, "try_lock", lock_after_the_last_row)
    with Manifest(folder) as manifest:
        assert "late.jpg" in manifest.known


def test_manifest_that_was_deleted_during_the_run_is_an_error(tmp_path: Path) -> None:
    with Manifest(LocalFolder(tmp_path)) as manifest:
        shutil.rmtree(tmp_path / FOLDER)
        with pytest.raises(OSError, match="was deleted or moved during the run"):
            manifest.add(row())


def test_row_that_does_not_fit_on_the_disk_leaves_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = LocalFolder(tmp_path)

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Manifest(folder) as manifest:
        with monkeypatch.context() as patches:
            patches.setattr(os, "fsync", fail)
            with pytest.raises(OSError, match="No space"):
                manifest.add(row("a.jpg"))
        manifest.add(row("b.jpg"))
    assert [one["input"] for one in read_rows(folder)] == ["b.jpg"]


def test_half_a_line_is_found_behind_many_bytes(tmp_path: Path) -> None:
    path = tmp_path / FOLDER / "manifest.jsonl"
    path.parent.mkdir()
    path.write_bytes(row("a.jpg").to_line() + b"x" * 200_000)
    with Manifest(LocalFolder(tmp_path)) as manifest:
        assert list(manifest.known) == ["a.jpg"]
    assert path.read_bytes() == row("a.jpg").to_line()


def test_read_only_manifest_writes_nothing(tmp_path: Path) -> None:
    Manifest(LocalFolder(tmp_path), read_only=True)
    assert not list(tmp_path.iterdir())


def test_remote_rows_are_written_as_segments() -> None:
    folder = open_folder(f"memory://{uuid.uuid4().hex}")
    manifest = Manifest(folder)
    for number in range(501):
        manifest.add(row(f"{number}.jpg"))
    assert len(list(read_rows(folder))) == 500
    manifest.close()
    assert len(list(read_rows(folder))) == 501
