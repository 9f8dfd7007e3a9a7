"""Refusals of the command line: before torch is imported, and as JSON if that is asked for."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from places import PROJECT

from restore.cli.main import main
from restore.cli.values import path_option

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
    ("arguments", "refusal"),
    [
        (["upscale", "a.jpg", "-o", ""], "[E102] --output is empty. Give a path, or leave"),
        (["a.jpg", "--output="], "[E102] --output is empty"),
        (["predict", "-i", "image=@a.jpg", "-o", " "], "[E102] --output is empty"),
        (["demo", "-o", ""], "[E102] --output is empty"),
        (["service", "--data", ""], "[E102] --data is empty"),
        (["service", "--host", ""], "[E102] --host is empty"),
        (["service", "keys", "create", "x", "--new", "--data", ""], "[E102] --data is empty"),
        (["service", "keys", "list", "--data", ""], "[E102] --data is empty"),
        (["service", "keys", "revoke", "x", "--data", ""], "[E102] --data is empty"),
        (["serve", "--host", ""], "[E102] --host is empty"),
        (["weights", "bake", "--folder", ""], "[E102] --folder is empty"),
        (["batch", "in", "out", "--glob", ""], "[E102] --glob is empty"),
        (["batch", "", "out"], "[E102] the path of a folder is empty"),
        (["batch", ".", ""], "[E102] the path of a folder is empty"),
        (["upscale", ""], "[E201] the path of a photo or mask is empty"),
        ([""], "[E201] the path of a photo or mask is empty"),
        (["inspect", ""], "[E201] the path of a photo or mask is empty"),
        (["inpaint", "a.jpg", "--mask", ""], "[E201] the path of a photo or mask is empty"),
        (["predict", "-i", "image="], "[E201] the path of a photo or mask is empty"),
        (["predict", "-i", "image=@"], "[E201] the path of a photo or mask is empty"),
        (["upscale", "file://"], "[E201] the path of a photo or mask is empty"),
        (["predict", "--json", "@"], "[E102] --json @ names no file"),
    ],
    ids=" ".join,
)
def test_empty_path_is_not_the_current_folder(
    arguments: Sequence[str],
    refusal: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"photo")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESTORE_WEIGHTS", "lite")
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert refusal in shown.err + shown.out
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


@pytest.mark.parametrize("path", [".", "./", "here"])
def test_path_of_an_option_is_given_as_it_is(path: str) -> None:
    assert path_option("-o", "--output", text="Folder.").parser(path) == Path(path)


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
