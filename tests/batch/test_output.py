"""Tests of writing results: each is made once, and no foreign file is replaced."""

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from batchfakes import photo

from restore.batch.folder import LocalFolder, open_folder
from restore.batch.manifest import DONE, FAILED, FOLDER, Manifest
from restore.batch.output import Output
from restore.batch.processing import Outcome

DONE_OUTCOME = Outcome("a.jpg", b"result", "jpg", report={"task": "upscale"}, seconds=2.0)


_OPEN: list[Manifest] = []


@pytest.fixture(autouse=True)
def _close_manifests() -> Iterator[None]:
    yield
    while _OPEN:
        _OPEN.pop().close()


def output_in(
    folder: Path,
    settings: str = "s",
    shard: str = "",
    *,
    overwrite: bool = False,
    force: bool = False,
) -> Output:
    target = LocalFolder(folder)
    _OPEN.append(Manifest(target, shard))
    return Output(target, _OPEN[-1], settings, shard, overwrite=overwrite, force=force)


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and FOLDER not in path.parts
    }


def test_result_is_written_with_row_checksum_and_date(tmp_path: Path) -> None:
    output = output_in(tmp_path)
    row = output.save(photo("b/a.jpg"), Outcome("b/a.jpg", b"result", "jpg", seconds=2.0))
    assert files_in(tmp_path) == {"b/a.jpg": b"result"}
    assert (tmp_path / "b" / "a.jpg").stat().st_mtime == 1.0
    assert (row.status, row.output, row.seconds) == (DONE, "b/a.jpg", 2.0)
    assert row.sha256 == hashlib.sha256(b"result").hexdigest()
    assert not list((tmp_path / FOLDER / "pending").iterdir())


def test_masks_are_written_beside_the_result(tmp_path: Path) -> None:
    outcome = Outcome("a.tif", b"result", "png", masks=(b"mask",))
    row = output_in(tmp_path).save(photo("a.tif"), outcome)
    assert files_in(tmp_path) == {"a.png": b"result", "a-mask.png": b"mask"}
    assert row.extra == ("a-mask.png",)


def test_failure_is_a_row_without_files(tmp_path: Path) -> None:
    error = {"code": "E206", "message": "m"}
    row = output_in(tmp_path).save(photo(), Outcome("a.jpg", error=error))
    assert (row.status, row.error, row.output) == (FAILED, error, None)
    assert files_in(tmp_path) == {}


def test_foreign_file_is_kept_and_the_photo_fails(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"somebody's")
    row = output_in(tmp_path).save(photo(), DONE_OUTCOME)
    assert row.status == FAILED
    assert row.error is not None
    assert "'a.jpg' exists" in row.error["message"]
    assert files_in(tmp_path) == {"a.jpg": b"somebody's"}


@pytest.mark.parametrize("option", ["overwrite", "force"])
def test_foreign_file_is_replaced_on_request(tmp_path: Path, option: str) -> None:
    (tmp_path / "a.jpg").write_bytes(b"somebody's")
    output = output_in(tmp_path, **{option: True})  # type: ignore[arg-type]
    assert output.save(photo(), DONE_OUTCOME).status == DONE
    assert files_in(tmp_path) == {"a.jpg": b"result"}


@pytest.mark.parametrize("changed", ["photo", "options"])
def test_older_result_is_kept_unless_overwrite_is_given(tmp_path: Path, changed: str) -> None:
    output = output_in(tmp_path)
    output.save(photo(), DONE_OUTCOME)
    output.manifest.close()
    settings = "s" if changed == "photo" else "other"
    newer = photo(content=b"newer") if changed == "photo" else photo()
    outcome = Outcome("a.jpg", b"newer result", "jpg")
    again = output_in(tmp_path, settings)
    row = again.save(newer, outcome)
    again.manifest.close()
    assert row.error is not None
    assert "'a.jpg' in " in row.error["message"]
    assert "is the result of an older photo, or of other options. Choose" in row.error["message"]
    assert files_in(tmp_path) == {"a.jpg": b"result"}
    assert output_in(tmp_path, settings, overwrite=True).save(newer, outcome).status == DONE
    assert files_in(tmp_path) == {"a.jpg": b"newer result"}


def test_mask_of_other_options_is_kept(tmp_path: Path) -> None:
    """The result has another format, but its mask has the name of the older mask."""
    output = output_in(tmp_path)
    output.save(photo(), Outcome("a.jpg", b"result", "jpg", masks=(b"mask",)))
    output.manifest.close()
    outcome = Outcome("a.jpg", b"other", "png", masks=(b"other mask",))
    row = output_in(tmp_path, "other").save(photo(), outcome)
    assert row.error is not None
    assert "'a-mask.png' in " in row.error["message"]
    assert files_in(tmp_path) == {"a.jpg": b"result", "a-mask.png": b"mask"}


def test_own_result_is_replaced(tmp_path: Path) -> None:
    output = output_in(tmp_path)
    output.save(photo(), DONE_OUTCOME)
    assert output.save(photo(), Outcome("a.jpg", b"newer", "jpg")).status == DONE
    assert files_in(tmp_path) == {"a.jpg": b"newer"}


class Killed(BaseException):
    """Stands for SIGKILL at a point of the code."""


def kill(*_: object) -> None:
    raise Killed


def kill_before_the_move(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patches:
        patches.setattr(output.folder, "move", kill)
        with pytest.raises(Killed):
            output.save(photo(), DONE_OUTCOME)


@pytest.mark.parametrize("stage", ["write", "row", "move"])
def test_kill_at_any_stage_leaves_a_result_with_a_row_or_nothing(
    tmp_path: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = output_in(tmp_path)
    with monkeypatch.context() as patches:
        if stage == "write":
            patches.setattr(output, "_add", kill)
        elif stage == "row":
            patches.setattr(output.manifest, "add", kill)
        else:
            patches.setattr(output.folder, "move", kill)
        with pytest.raises(Killed):
            output.save(photo(), DONE_OUTCOME)
    output.manifest.close()
    assert files_in(tmp_path) == {}

    again = output_in(tmp_path)
    again.complete_moves()
    has_row = stage == "move"
    assert bool(again.manifest.is_current(photo(), "s")) == has_row
    assert files_in(tmp_path) == ({"a.jpg": b"result"} if has_row else {})
    assert not list((tmp_path / FOLDER / "pending").iterdir())


def test_pending_files_of_another_shard_are_left_alone(tmp_path: Path) -> None:
    output_in(tmp_path, shard="2of2")
    pending = tmp_path / FOLDER / "pending-2of2"
    pending.mkdir(parents=True)
    (pending / "x").write_bytes(b"x")
    output_in(tmp_path, shard="1of2").complete_moves()
    assert (pending / "x").exists()


def test_moves_of_a_shard_that_was_killed_are_completed_by_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = output_in(tmp_path, shard="2of2")
    kill_before_the_move(output, monkeypatch)
    output.manifest.close()
    output_in(tmp_path).complete_moves()
    assert files_in(tmp_path) == {"a.jpg": b"result"}
    assert not list((tmp_path / FOLDER / "pending-2of2").iterdir())


def test_pending_file_of_other_settings_does_not_become_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = output_in(tmp_path)
    output.save(photo(), DONE_OUTCOME)
    output.manifest.close()
    manifest = Manifest(LocalFolder(tmp_path))
    changed = Output(LocalFolder(tmp_path), manifest, "other settings", overwrite=True)
    with monkeypatch.context() as patches:
        patches.setattr(manifest, "add", kill)
        with pytest.raises(Killed):
            changed.save(photo(), Outcome("a.jpg", b"other result", "jpg"))
    manifest.close()
    output_in(tmp_path).complete_moves()
    assert files_in(tmp_path) == {"a.jpg": b"result"}


def test_file_in_place_of_a_folder_fails_its_photos_and_no_later_run(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"somebody's")
    output = output_in(tmp_path)
    row = output.save(photo("b/a.jpg"), DONE_OUTCOME)
    assert row.status == FAILED
    assert row.error is not None
    assert "'b/a.jpg' cannot be written" in row.error["message"]
    assert output.manifest.known["b/a.jpg"].status == FAILED
    assert not list((tmp_path / FOLDER / "pending").iterdir())


def test_move_that_a_killed_run_left_and_that_is_impossible_now_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = output_in(tmp_path)
    kill_before_the_move(output, monkeypatch)
    output.manifest.close()
    (tmp_path / "a.jpg").mkdir()
    output_in(tmp_path).complete_moves()
    assert not list((tmp_path / FOLDER / "pending").iterdir())


def test_name_that_is_no_unicode_gets_its_result(tmp_path: Path) -> None:
    name = os.fsdecode(b"bad\xff.jpg")
    output_in(tmp_path).save(photo(name), Outcome(name, b"result", "jpg"))
    assert (tmp_path / name).read_bytes() == b"result"


@pytest.mark.parametrize("force", [False, True])
def test_result_of_another_photo_is_not_replaced(tmp_path: Path, *, force: bool) -> None:
    output = output_in(tmp_path, force=force)
    output.save(photo("a.tif", shares_stem=True), Outcome("a.tif", b"result", "png"))
    row = output.save(photo("a.tif.png"), Outcome("a.tif.png", b"other", "png"))
    assert row.error is not None
    assert "is the result of 'a.tif'. Rename one" in row.error["message"]
    assert files_in(tmp_path) == {"a.tif.png": b"result"}


def test_result_of_an_earlier_run_is_replaced_on_request(tmp_path: Path) -> None:
    output = output_in(tmp_path)
    output.save(photo("a.tif"), Outcome("a.tif", b"result", "png"))
    output.manifest.close()
    newer = Outcome("a.png", b"new", "png")
    again = output_in(tmp_path, overwrite=True)
    assert again.save(photo("a.png"), newer).status == FAILED
    again.manifest.close()
    assert files_in(tmp_path) == {"a.png": b"result"}
    row = output_in(tmp_path, force=True).save(photo("a.png"), newer)
    assert row.status == DONE
    assert files_in(tmp_path) == {"a.png": b"new"}


def test_file_that_cannot_be_written_is_a_failure_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = output_in(tmp_path)

    def fail(*_: object) -> None:
        raise OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr(output.folder, "write", fail)
    row = output.save(photo(), DONE_OUTCOME)
    assert row.error is not None
    assert "(file too large)" in row.error["message"]
    assert "--retry-failed" in row.error["message"]


def test_full_disk_is_no_failure_of_the_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = output_in(tmp_path)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(output.folder, "write", fail)
    with pytest.raises(OSError, match="No space left"):
        output.save(photo(), DONE_OUTCOME)
    assert not output.manifest.known


@pytest.mark.parametrize("read_only", ["", f"{FOLDER}/pending", "b"])
def test_read_only_output_is_no_failure_of_the_photo_but_a_read_only_subfolder_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_only: str
) -> None:
    """Stands for permissions, which do not stop the user root."""
    output = output_in(tmp_path)
    (tmp_path / "b").mkdir()
    (tmp_path / FOLDER / "pending").mkdir()

    def fail(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    refused = tmp_path / read_only
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != refused)
    monkeypatch.setattr(output.folder, "write" if "pending" in read_only else "move", fail)
    outcome = Outcome("b/a.jpg", b"result", "jpg")
    if read_only == "b":
        assert output.save(photo("b/a.jpg"), outcome).status == FAILED
    else:
        with pytest.raises(PermissionError):
            output.save(photo("b/a.jpg"), outcome)
    assert files_in(tmp_path) == {}
    assert not list((tmp_path / FOLDER / "pending").iterdir())


def test_remote_result_without_a_row_is_taken_over_if_it_is_the_same() -> None:
    target = open_folder("memory://taken-over")
    target.write("a.jpg", b"result")
    target.write("b.jpg", b"other")
    output = Output(target, Manifest(target), "s")
    assert output.save(photo("a.jpg"), DONE_OUTCOME).status == DONE
    assert output.save(photo("b.jpg"), Outcome("b.jpg", b"result", "jpg")).status == FAILED
    assert target.read("b.jpg") == b"other"
