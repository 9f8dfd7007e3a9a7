"""Writing results: names, all or nothing, clearing."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from restore.errors import Code, RestoreError
from restore.imaging import outputs
from restore.imaging.outputs import SERVED_FOR_S, require_writable, save_all, served_folder
from restore.imaging.photo import Photo, open_photo
from restore.options import OutputOptions
from restore.report import Report


def photo(name: str, level: int = 100) -> Photo:
    return Photo(name=name, pixels=np.full((16, 20, 3), level, np.uint8))


def reports(count: int) -> list[Report]:
    return [Report(photo=str(n), task="upscale") for n in range(count)]


def test_names_are_unique_and_in_order_even_for_equal_inputs(tmp_path):
    paths = save_all(
        [photo("a.jpg", 10), photo("a.jpg", 200)],
        reports(2),
        OutputOptions(output_format="png"),
        tmp_path,
        "p-",
    )
    assert [path.name for path in paths] == ["p-1-a.png", "p-2-a.png"]
    assert [int(open_photo(path).pixels[0, 0, 0]) for path in paths] == [10, 200]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("é" * 200 + ".png", f"1-{'é' * 90}.jpg"),
        ("../../etc/pass wd.png", "1-pass_wd.jpg"),
        ("images[2]", "1-images_2.jpg"),
        ("...", "1-photo.jpg"),
    ],
)
def test_a_name_cannot_leave_the_folder(tmp_path, name, written):
    paths = save_all([photo(name)], reports(1), OutputOptions(), tmp_path / "new")
    assert paths == [tmp_path / "new" / written]


def test_the_report_gets_encode_time_size_and_warnings(tmp_path):
    clear = Photo(name="a", pixels=np.zeros((8, 8, 3), np.uint8), alpha=np.zeros((8, 8), np.uint8))
    report = Report(photo="a", task="upscale")
    path = save_all([clear], [report], OutputOptions(), tmp_path)[0]
    assert report.output == {"format": "jpg", "width": 8, "height": 8, "bytes": path.stat().st_size}
    assert report.stages_ms["encode"] >= 0
    assert len(report.warnings) == 1


def test_if_one_cannot_be_written_none_stays(tmp_path, monkeypatch):
    def failing(data: bytes, path: Path) -> None:
        if path.name.startswith("2"):
            raise RestoreError(Code.OUTPUT_UNWRITABLE, "disk full", "Free space.")
        path.write_bytes(data)

    monkeypatch.setattr(outputs, "write_atomically", failing)
    with pytest.raises(RestoreError, match="disk full"):
        save_all([photo("a"), photo("b")], reports(2), OutputOptions(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_reports_lie_beside_the_photos_and_are_part_of_all_or_none(tmp_path):
    save_all([photo("a")], reports(1), OutputOptions(), tmp_path, with_reports=True)
    assert json.loads((tmp_path / "1-a.json").read_text())["output"]["width"] == 20
    (tmp_path / "2-b.json").mkdir()
    with pytest.raises(RestoreError, match=r"2-b\.json"):
        save_all([photo("c"), photo("b")], reports(2), OutputOptions(), tmp_path, with_reports=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1-a.jpg", "1-a.json", "2-b.json"]


def test_an_interrupt_while_writing_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(data: bytes, path: Path) -> None:
        if path.name.startswith("2"):
            raise KeyboardInterrupt
        path.write_bytes(data)

    monkeypatch.setattr(outputs, "write_atomically", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_all([photo("a"), photo("b")], reports(2), OutputOptions(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_served_folder_behind_a_link_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(outputs.tempfile, "gettempdir", lambda: str(tmp_path))
    (tmp_path / "victim").mkdir()
    (tmp_path / outputs.SERVED_FOLDER).symlink_to(tmp_path / "victim")
    with pytest.raises(RestoreError, match="is a link") as caught, served_folder():
        pass
    assert caught.value.code is Code.OUTPUT_UNWRITABLE


def test_a_served_folder_is_closed_to_others(tmp_path, monkeypatch):
    monkeypatch.setattr(outputs.tempfile, "gettempdir", lambda: str(tmp_path))
    root = tmp_path / outputs.SERVED_FOLDER
    root.mkdir()
    root.chmod(0o755)
    with served_folder():
        pass
    assert root.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RestoreError, match="file/below") as caught:
        save_all([photo("a")], reports(1), OutputOptions(), tmp_path / "file" / "below")
    assert caught.value.code is Code.OUTPUT_UNWRITABLE


def test_whether_a_folder_can_be_written_to_is_known_before_it_is_made(tmp_path):
    (tmp_path / "file").write_text("")
    require_writable(tmp_path / "new" / "below")
    assert not (tmp_path / "new").exists()
    with pytest.raises(RestoreError, match="below") as caught:
        require_writable(tmp_path / "file" / "below")
    assert caught.value.code is Code.OUTPUT_UNWRITABLE


class Clock:
    """The clock that counts from the machine's start, as a test sets it."""

    def __init__(self, monkeypatch, tmp_path: Path) -> None:
        self.now_s = 5000.0
        monkeypatch.setattr(outputs.time, "monotonic", lambda: self.now_s)
        monkeypatch.setattr(outputs.tempfile, "gettempdir", lambda: str(tmp_path))

    def served(self) -> Path:
        with served_folder() as folder:
            (folder / "1-a.jpg").write_bytes(b"x")
        return folder


def test_served_folders_are_new_and_old_ones_are_cleared(tmp_path, monkeypatch):
    clock = Clock(monkeypatch, tmp_path)
    old = clock.served()
    kept = old.with_name("not ours")
    kept.mkdir()
    clock.now_s += SERVED_FOR_S - 1
    recent = clock.served()
    assert old.exists(), "it may still be read"
    assert recent != old
    clock.now_s += 2
    clock.served()
    assert (old.exists(), recent.exists(), kept.exists()) == (False, True, True)


def test_a_folder_from_before_the_machine_was_started_is_cleared(tmp_path, monkeypatch):
    clock = Clock(monkeypatch, tmp_path)
    old = clock.served()
    clock.now_s = 10.0
    clock.served()
    assert not old.exists()


@pytest.mark.parametrize("jump_s", [-1e8, 1e8])
def test_a_clock_that_is_set_clears_nothing_that_may_be_read(tmp_path, monkeypatch, jump_s):
    clock = Clock(monkeypatch, tmp_path)
    recent = clock.served()
    aged_s = recent.stat().st_mtime + jump_s
    os.utime(recent, (aged_s, aged_s))
    monkeypatch.setattr(outputs.time, "time", lambda: 1.8e9 + jump_s)
    clock.served()
    assert recent.exists()


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space left on device")]
)
def test_what_fails_while_it_is_served_leaves_no_folder(tmp_path, monkeypatch, error):
    monkeypatch.setattr(outputs.tempfile, "gettempdir", lambda: str(tmp_path))

    def fails() -> None:
        with served_folder() as folder:
            (folder / "1-a.jpg").write_bytes(b"x")
            raise error

    with pytest.raises(type(error) if isinstance(error, OSError) else error):
        fails()
    assert list((tmp_path / outputs.SERVED_FOLDER).iterdir()) == []


def test_a_disk_that_fills_up_while_a_result_is_written_is_a_coded_error_that_leaves_nothing(
    tmp_path, monkeypatch
):
    real, room = Path.write_bytes, [1000]

    def full(path: Path, data: bytes) -> int:
        room[0] -= len(data)
        if room[0] < 0:
            real(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RestoreError, match="No space left") as caught:
        save_all([photo("a")] * 4, reports(4), OutputOptions(), tmp_path)
    assert caught.value.code is Code.OUTPUT_UNWRITABLE
    assert room[0] < 0
    assert list(tmp_path.iterdir()) == []
