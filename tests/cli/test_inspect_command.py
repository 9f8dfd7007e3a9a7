"""`restore inspect`: text, JSON and exit codes."""

import json
from pathlib import Path

import numpy as np
import pytest
from facefakes import ASTRONAUT
from PIL import Image

from restore import Restorer
from restore.cli.inspect_command import describe_inspection
from restore.cli.main import main


@pytest.fixture(autouse=True)
def photo(lite: Restorer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    def restorer(*, weights: str, **_: object) -> Restorer:
        assert weights == "lite"
        return lite

    monkeypatch.setattr("restore.restorer.Restorer", restorer)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a b.png"
    Image.fromarray(np.ascontiguousarray(ASTRONAUT[20:180, 50:210])).save(path)
    return path


def test_photos_are_described_in_lines(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.open(photo).convert("L").save(photo)
    options = ["--weights", "lite", "--min-face-px", "150"]
    assert main(["inspect", "a b.png", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a b.png  160x160 PNG"
    assert lines[1].startswith("    face_restore: it has 1 small face of ")
    assert lines[2] == "    upscale (scale=4): its long side has 160 pixels, less than 1000"
    assert lines[3].startswith("    face 0: (")
    assert "cannot be restored: its " in lines[3]
    measured = [line for line in lines if line.startswith("    measured ")]
    assert lines[4:] == measured
    assert "    measured jpeg_quality: its file is no JPEG" in measured
    assert "    measured tone grey: it is grey; --steps auto,colorize adds colours" in measured
    assert measured[-2].startswith("    measured faces 1: it has 1 small face of ")
    assert measured[-1].endswith("-> upscale")
    assert [path.name for path in photo.parent.iterdir()] == ["a b.png"], "it writes nothing"


def test_nothing_is_downloaded_by_default(monkeypatch: pytest.MonkeyPatch, lite: Restorer) -> None:
    policies = []

    def restorer(*, weights: str, **_: object) -> Restorer:
        policies.append(weights)
        return lite

    monkeypatch.setattr("restore.restorer.Restorer", restorer)
    monkeypatch.delenv("RESTORE_WEIGHTS", raising=False)
    assert main(["inspect", "a b.png"]) == 0
    assert policies == ["local"], "this policy never downloads"


def test_json_has_every_photo_and_every_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESTORE_WEIGHTS", "lite")
    assert main(["inspect", "a b.png", "missing.jpg", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["task"], answer["exit_code"]) == ("inspect", 1)
    found, missing = answer["photos"]
    assert found["photo"]["name"] == "a b.png"
    assert found.keys() == {"photo", "steps", "faces", "findings", "notes", "warnings"}
    assert missing["photo"] == {"name": "missing.jpg"}
    assert missing["error"]["code"] == "E201"


def test_masks_are_inspected_with_their_photos(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, side_px in (("small.png", 16), ("large.png", 80)):
        mask = Image.new("L", (160, 160), "black")
        mask.paste("white", (10, 10, 10 + side_px, 10 + side_px))
        mask.save(name)
    masks = ["--mask", "small.png", "--mask", "large.png"]
    assert main(["inspect", "a b.png", "a b.png", *masks, "--weights", "lite"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("    inpaint: the request has a mask\n") == 2
    assert "    measured hole_width 16 px: its widest hole is about 16 pixels wide\n" in shown
    assert "    measured hole_share 25 % of the photo: the request has a mask -> inpaint\n" in shown
    assert "note: the mask 'small.png' was read by its two values" in shown
    assert sorted(path.name for path in photo.parent.iterdir()) == [
        "a b.png",
        "large.png",
        "small.png",
    ]


def test_masks_that_are_missing_or_too_many_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["inspect", "a b.png", "--mask", "missing.png", "--weights", "lite"]) == 2
    assert "missing.png" in capsys.readouterr().err
    masks = ["--mask", "a b.png", "--mask", "a b.png"]
    assert main(["inspect", "a b.png", *masks, "--weights", "lite"]) == 2
    assert "the request has 2 masks for 1 photo" in capsys.readouterr().err


def test_refused_options_and_photos(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "missing.jpg", "--weights", "lite"]) == 2
    assert "[E201]" in capsys.readouterr().err
    assert main(["inspect", "a b.png", "--min-face-px", "-1"]) == 2
    assert "--min-face-px is '-1'" in capsys.readouterr().err


def test_steps_turned_faces_and_findings_are_described() -> None:
    face = {"index": 0, "box": [1.4, 2, 30, 40.6], "score": 0.5, "rotation": 90, "restorable": True}
    lines = describe_inspection(
        {
            "photo": {"name": "a", "width": 9, "height": 8, "format": ""},
            "steps": [
                {"task": "restore", "options": {}, "strength": 0.75, "reason": "it is noisy"},
                {"task": "upscale", "options": {"scale": 4}, "strength": 1.0, "reason": "small"},
            ],
            "faces": [{**face, "reason": ""}],
            "findings": [
                {"name": "noise", "value": 0.5, "unit": "levels", "step": None, "reason": "none"},
                {"name": "edge_width", "value": None, "unit": "px", "step": None, "reason": "few"},
            ],
            "notes": ["points was read as areas"],
            "warnings": ["min_face_px has no effect"],
        }
    )
    assert lines == [
        "a  9x8",
        "    restore (strength=0.75): it is noisy",
        "    upscale (scale=4): small",
        "    face 0: (1, 2) to (30, 41), score 0.50, upright if turned by 90 degrees clockwise",
        "    measured noise 0.5 levels: none",
        "    measured edge_width: few",
        "    note: --points was read as areas",
        "    warning: --min-face-px has no effect",
    ]


def test_photo_that_needs_no_step_is_described() -> None:
    photo = {"name": "a", "width": 9, "height": 8, "format": "PNG"}
    empty: dict[str, list[object]] = {
        name: [] for name in ("steps", "faces", "findings", "notes", "warnings")
    }
    assert describe_inspection({"photo": photo, **empty}) == [
        "a  9x8 PNG",
        "    no step: the photo seems to need none",
    ]


def test_predict_writes_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["predict", "-i", "task=inspect", "-i", "image=@a b.png", "--weights", "lite"]
    assert main(command) == 0
    assert "1-a_b.json" in capsys.readouterr().out
    written = tmp_path / "output" / "1-a_b.json"
    assert json.loads(written.read_text())["photo"]["width"] == 160
    assert main(command) == 2
    assert "exists" in capsys.readouterr().err
