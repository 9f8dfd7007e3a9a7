"""`make demo`, on two of its photos."""

import json

import pytest
from conftest import PROJECT
from PIL import Image

from restore.cli import demo
from restore.errors import Code, RestoreError
from restore.runtime.device import silent


def test_the_demo_writes_results_reports_and_a_sheet(tmp_path, monkeypatch):
    samples = tmp_path / "data"
    samples.mkdir()
    for number in (10, 12):
        (samples / f"{number}.jpg").write_bytes((PROJECT / "data" / f"{number}.jpg").read_bytes())
    monkeypatch.setattr(demo, "SAMPLES", samples)
    out = tmp_path / "out"
    lines = list(demo.run_demo(out, silent))
    assert sorted(path.name for path in out.iterdir()) == [
        "10.jpg",
        "10.json",
        "12.jpg",
        "12.json",
        "sheet.png",
    ]
    with Image.open(samples / "12.jpg") as before, Image.open(out / "12.jpg") as after:
        assert after.size == (4 * before.width, 4 * before.height)
    steps = json.loads((out / "10.json").read_text())
    assert [(step["task"], step["variant"]) for step in steps] == [("restore", "lite")]
    assert steps[0]["stages_ms"]["encode"] > 0
    assert str(out) in lines[-1]


def test_every_sample_has_a_part_in_the_demo():
    assert {path.stem for path in (PROJECT / "data").glob("[0-9]*.jpg")} == {
        str(number) for number in demo.KIND
    }


def test_a_checkout_without_samples_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "SAMPLES", tmp_path)
    with pytest.raises(RestoreError) as caught:
        list(demo.run_demo(tmp_path / "out", silent))
    assert caught.value.code is Code.PHOTO_MISSING
