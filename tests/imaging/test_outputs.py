"""Result files: names, writing all or none, and folders of served requests."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest

from restore.errors import Code, RestoreError
from restore.imaging import outputs
from restore.imaging.outputs import (
    planned_paths,
    require_writable,
    save_all,
    write_atomically,
)
from restore.imaging.photo import Photo, open_photo
from restore.options import OutputOptions
from restore.report import Report


def photo(name: str, level: int = 100) -> Photo:
    return Photo(name=name, pixels=np.full((16, 20, 3), level, np.uint8))


def reports(count: int) -> list[Report]:
    return [Report(photo=str(n), task="upscale") for n in range(count)]


def test_equal_names_give_different_files_in_order(tmp_path: Path) -> None:
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
        ("1944 \u2013 a\u2013b.png", "1-1944_-_a-b.jpg"),
        ("...", "1-photo.jpg"),
    ],
)
def test_file_name_is_inside_the_folder(tmp_path: Path, name: str, written: str) -> None:
    paths = save_all([photo(name)], reports(1), OutputOptions(), tmp_path / "new")
    assert paths == [tmp_path / "new" / written]


def test_planned_paths_are_the_paths_that_are_written(tmp_path: Path) -> None:
    photos, mask = [photo("a.jpg"), photo("../b c.png")], photo("b")
    planned = planned_paths(
        [photo.name for photo in photos], ["webp", "webp"], tmp_path, "p-", masks={1: mask.name}
    )
    assert list(tmp_path.iterdir()) == []
    output = OutputOptions(output_format="webp")
    written = save_all(photos, reports(2), output, tmp_path, "p-", {1: mask})
    assert planned == written
    assert [path.name for path in planned] == ["p-1-a.webp", "p-2-b_c.webp", "p-2-b-mask.png"]
    assert set(tmp_path.iterdir()) == set(written)


def test_report_contains_size_time_and_warnings_of_encoding(tmp_path: Path) -> None:
    transparent = Photo(
        name="a", pixels=np.zeros((8, 8, 3), np.uint8), alpha=np.zeros((8, 8), np.uint8)
    )
    report = Report(photo="a", task="upscale")
    path = save_all([transparent], [report], OutputOptions(), tmp_path)[0]
    assert report.output == {"format": "jpg", "width": 8, "height": 8, "bytes": path.stat().st_size}
    assert report.stages_ms["encode"] >= 0
    assert len(report.warnings) == 1


def test_no_file_remains_if_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(data: bytes, path: Path) -> None:
        if path.name.startswith("2"):
            raise RestoreError(Code.OUTPUT_UNWRITABLE, "disk full", "Free space.")
        path.write_bytes(data)

    monkeypatch.setattr(outputs, "write_atomically", failing)
    with pytest.raises(RestoreError, match="disk full"):
        save_all([photo("a"), photo("b")], reports(2), OutputOptions(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_reports_are_written_beside_photos_or_nothing_is(tmp_path: Path) -> None:
    save_all([photo("a")], reports(1), OutputOptions(), tmp_path, with_reports=True)
    assert json.loads((tmp_path / "1-a.json").read_text())["output"]["width"] == 20
    (tmp_path / "2-b.json").mkdir()
    with pytest.raises(RestoreError, match=r"2-b\.json"):
        save_all([photo("c"), photo("b")], reports(2), OutputOptions(), tmp_path, with_reports=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1-a.jpg", "1-a.json", "2-b.json"]


def test_no_file_remains_after_an_interrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(data: bytes, path: Path) -> None:
        if path.name.startswith("2"):
            raise KeyboardInterrupt
        path.write_bytes(data)

    monkeypatch.setattr(outputs, "write_atomically", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_all([photo("a"), photo("b")], reports(2), OutputOptions(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_created_is_named_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RestoreError, match="file/below") as caught:
        save_all([photo("a")], reports(1), OutputOptions(), tmp_path / "file" / "below")
    assert caught.value.code is Code.OUTPUT_UNWRITABLE


def test_require_writable_does_not_create_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    require_writable(tmp_path / "new" / "below")
    assert not (tmp_path / "new").exists()
    with pytest.raises(RestoreError, match="below") as caught:
        require_writable(tmp_path / "file" / "below")
    assert caught.value.code is Code.OUTPUT_UNWRITABLE


def test_full_disk_is_a_coded_error_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, free_bytes = Path.write_bytes, [1000]

    def full(path: Path, data: bytes) -> int:
        free_bytes[0] -= len(data)
        if free_bytes[0] < 0:
            real(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RestoreError, match=r" \(no space left on device\)") as caught:
        save_all([photo("a")] * 4, reports(4), OutputOptions(), tmp_path)
    assert caught.value.code is Code.OUTPUT_UNWRITABLE
    assert free_bytes[0] < 0
    assert list(tmp_path.iterdir()) == []


def test_write_atomically_replaces_a_file(tmp_path: Path) -> None:
    path = tmp_path / "out.jpg"
    path.write_bytes(b"old")
    write_atomically(b"new", path)
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_bytes() == b"new"
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_write_atomically_names_the_folder_in_its_error(tmp_path: Path) -> None:
    folder = tmp_path / "taken.jpg"
    folder.mkdir()
    for path in (tmp_path / "absent" / "out.jpg", folder):
        with pytest.raises(RestoreError) as caught:
            write_atomically(b"data", path)
        assert caught.value.code == Code.OUTPUT_UNWRITABLE
        assert str(path.parent) in str(caught.value)
        assert "Choose an existing folder" in caught.value.remedy
    assert [*tmp_path.iterdir()] == [folder]
