"""Refusals of the command line: before torch is imported, and as JSON if that is asked for."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from places import PROJECT

from restore.cli.main import main

RUN_AND_LIST_MODULES = """
import sys
from restore.cli.main import main
code = main(sys.argv[1:])
print(code, "torch" in sys.modules)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "-i", "image=@data/1.jpg", "-i", "scale=99"],
        ["predict", "--json", '{"image": "@data/1.jpg", "steps": "colorise"}'],
        ["predict", "-i", "image=@data/1.jpg", "-i", "det_model=YOLOv5l"],
        ["upscale", "data/1.jpg", "--scale", "99"],
        ["face-restore", "data/1.jpg", "--fidelity", "2"],
        ["data/1.jpg", "--steps", "colorise"],
        ["predict", "-i", "image=@missing.jpg"],
        ["predict", "-i", "scale=2"],
        ["upscale", "missing.jpg", "data"],
    ],
    ids=" ".join,
)
def test_bad_value_is_refused_before_torch_is_imported(arguments: Sequence[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN_AND_LIST_MODULES, *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "2 False", done.stderr


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ('{"image": "@missing.jpg"}', "[E201]"),
        ('{"scale": 99}', "[E102]"),
        ('{"sacle": 2}', "[E101]"),
        ("{", "[E102]"),
        ("[1, 2]", "[E102] --json is [1, 2], which is not a JSON object"),
    ],
)
def test_failure_with_json_is_json(
    inputs: str,
    code: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RESTORE_WEIGHTS", "lite")
    assert main(["predict", "--json", inputs, "-o", str(tmp_path / "out")]) == 2
    response = json.loads(capsys.readouterr().out)
    assert response["status"] == "failed"
    assert response["error"].startswith(code)
    assert not (tmp_path / "out").exists()


def test_internal_error_with_json_is_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("restore.cli.predict_command.take_photos", fail)
    assert main(["predict", "--json", '{"image": "@a.jpg"}']) == 2
    assert json.loads(capsys.readouterr().out)["error"].startswith("[E505]")
