"""Tests of writing results: each is made once, and no foreign file is replaced."""

import hashlib
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


def output_in(folder: Path, *, replace: bool = False, shard: str = "") -> Output:
    target = LocalFolder(folder)
    _OPEN.append(Manifest(target, shard))
    return Output(target, _OPEN[-1], "s", shard, replace=replace)


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


def test_foreign_file_is_replaced_on_request(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"somebody's")
    assert output_in(tmp_path, replace=True).save(photo(), DONE_OUTCOME).status == DONE
    assert files_in(tmp_path) == {"a.jpg": b"result"}


def test_own_result_is_replaced(tmp_path: Path) -> None:
    output = output_in(tmp_path)
    output.save(photo(), DONE_OUTCOME)
    assert output.save(photo(), Outcome("a.jpg", b"newer", "jpg")).status == DONE
    assert files_in(tmp_path) == {"a.jpg": b"newer"}


class Killed(BaseException):
    """Stands for SIGKILL at a point of the code."""


@pytest.mark.parametrize("stage", ["write", "row", "move"])
def test_kill_at_any_stage_leaves_a_result_with_a_row_or_nothing(
    tmp_path: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = output_in(tmp_path)

    def kill(*_: object) -> None:
        raise Killed

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
    pending = tmp_path / FOLDER / "pending-2of2"
    pending.mkdir(parents=True)
    (pending / "x").write_bytes(b"x")
    output_in(tmp_path, shard="1of2").complete_moves()
    assert (pending / "x").exists()


def test_file_that_cannot_be_written_is_a_failure_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = output_in(tmp_path)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(output.folder, "write", fail)
    row = output.save(photo(), DONE_OUTCOME)
    assert row.error is not None
    assert "No space left on device" in row.error["message"]
    assert "--retry-failed" in row.error["message"]


def test_remote_result_without_a_row_is_taken_over_if_it_is_the_same() -> None:
    target = open_folder("memory://taken-over")
    target.write("a.jpg", b"result")
    target.write("b.jpg", b"other")
    output = Output(target, Manifest(target), "s")
    assert output.save(photo("a.jpg"), DONE_OUTCOME).status == DONE
    assert output.save(photo("b.jpg"), Outcome("b.jpg", b"result", "jpg")).status == FAILED
    assert target.read("b.jpg") == b"other"
