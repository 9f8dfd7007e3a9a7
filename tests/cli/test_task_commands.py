"""Tests of the commands per task: options, results, skipped files and exit codes."""

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from restore.cli.main import main
from restore.options import INSPECT_TASK, TASKS, describe_options, takes_masks
from restore.version import __version__

PhotoFile = Callable[..., Path]


@pytest.fixture(autouse=True)
def embedded_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RESTORE_WEIGHTS", "lite")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


def visible(folder: Path) -> list[str]:
    """The names in a folder, without hidden ones."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def help_of(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main([*arguments, "--help"]) == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)


@pytest.mark.parametrize("task", TASKS)
def test_every_option_of_a_task_is_in_its_help(
    task: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = help_of(task.replace("_", "-"), capsys=capsys)
    for option in describe_options(task):
        assert f"--{option.name.replace('_', '-')}" in shown
    assert ("--mask " in shown) == takes_masks(task)
    assert "--json" in shown
    assert ("--overwrite" in shown) is (task != INSPECT_TASK)


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    shown = help_of(capsys=capsys)
    names = {task.replace("_", "-") for task in TASKS}
    for name in names | {"predict", "serve", "weights", "schema", "demo"}:
        assert re.search(rf"\b{name}\b", shown)


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("own_options", [(), ("--verbose",)])
def test_photo_without_a_command_runs_the_proposed_steps(
    own_options: tuple[str, ...],
    photo_file: PhotoFile,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photo = photo_file("a.png")
    assert main([*own_options, str(photo), "--scale", "2"]) == 0
    with Image.open(tmp_path / "restored" / "a.jpg") as result:
        assert result.size == (120, 96)
    shown = capsys.readouterr().out
    assert "pipeline (lite weights)" in shown
    assert "    upscale: its long side has 60 pixels" in shown


def test_several_photos_are_written_under_their_own_names(
    photo_file: PhotoFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = [str(photo_file(name)) for name in ("a.png", "b.png", "c.png", "d.png", "e.png")]
    (tmp_path / "sub").mkdir()
    twin = tmp_path / "sub" / "a.png"
    twin.write_bytes(Path(photos[0]).read_bytes())
    out = tmp_path / "out"
    arguments = ["--scale", "2", "--output-format", "png", "--report", "-o", str(out)]
    assert main(["upscale", *photos, str(twin), *arguments]) == 0
    stems = ["a", "a-2", "b", "c", "d", "e"]
    names = sorted(f"{stem}.{suffix}" for stem in stems for suffix in ("json", "png"))
    assert visible(out) == names
    report = json.loads((out / "a.json").read_text())
    assert (report["task"], report["output"]["width"]) == ("upscale", 120)
    assert "6 done" in capsys.readouterr().out


@pytest.mark.parametrize("flags", [[], ["--overwrite"]])
def test_a_photo_is_never_replaced_by_its_result(
    photo_file: PhotoFile, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    photo = photo_file("a.png")
    before = photo.read_bytes()
    arguments = [str(photo), "--output-format", "png", "-o", str(tmp_path), *flags]
    assert main(["restore", *arguments]) == 2
    assert photo.read_bytes() == before
    assert "[E302]" in capsys.readouterr().err


def test_a_failed_photo_does_not_stop_the_others(
    photo_file: PhotoFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("hello")
    arguments = [str(photo_file("a.png")), str(bad), "missing.jpg", str(photo_file("b.png"))]
    assert main(["restore", *arguments, "-o", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert "[E205]" in captured.err
    assert "[E201]" in captured.err
    assert "2 done, 2 failed" in captured.out
    assert visible(tmp_path / "out") == ["a.jpg", "b.jpg"]


def test_only_failed_photos_are_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["upscale", "missing.jpg", "-o", str(tmp_path / "out")]) == 2
    assert "[E201]" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--scale", "9"],
        ["--scale", "two"],
        ["--upscale-variant", "x9"],
        ["--tile-size", "-1"],
        ["--sacle", "2"],
    ],
)
def test_bad_values_are_refused_before_any_work(
    photo_file: PhotoFile,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    monkeypatch.setattr("restore.restorer.Restorer.__init__", None)
    assert main(["upscale", str(photo_file()), *arguments]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_misspelt_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upscal", "a.jpg"]) == 2
    assert "upscale" in capsys.readouterr().err


def test_json_output_has_reports_and_errors(
    photo_file: PhotoFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = str(photo_file("a.png"))
    assert main(["restore", photo, "missing.jpg", "--json", "-o", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    done, failed = answer["photos"]
    assert answer["exit_code"] == 1
    assert (done["status"], done["output"]) == ("done", str(tmp_path / "out" / "a.jpg"))
    assert done["report"]["task"] == "restore"
    assert (failed["status"], failed["error"]["code"]) == ("failed", "E201")


def test_quiet_prints_nothing_unless_a_photo_fails(
    photo_file: PhotoFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["restore", str(photo_file("a.png")), "-q", "-o", str(tmp_path / "out")]
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert main(["restore", "missing.jpg", "-q"]) == 2
    assert "[E201]" in capsys.readouterr().err


def test_one_mask_serves_all_photos(photo_file: PhotoFile, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    picture = Image.new("L", (60, 48))
    picture.paste(255, (20, 20, 30, 30))
    picture.save(mask)
    photos = [str(photo_file("a.png")), str(photo_file("b.png"))]
    arguments = ["--mask", str(mask), "--output-format", "png", "-o", str(tmp_path / "out")]
    assert main(["inpaint", *photos, *arguments]) == 0
    with Image.open(photos[0]) as before, Image.open(tmp_path / "out" / "a.png") as after:
        assert before.getpixel((5, 5)) == after.getpixel((5, 5))
        assert before.tobytes() != after.tobytes()


def test_mask_count_must_fit_the_photo_count(
    photo_file: PhotoFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = [str(photo_file(name)) for name in ("a.png", "b.png", "c.png")]
    masks = ["--mask", photos[0], "--mask", photos[1]]
    assert main(["inpaint", *photos, *masks, "-o", str(tmp_path / "out")]) == 2
    assert "[E104]" in capsys.readouterr().err


def test_unexpected_errors_are_coded(
    photo_file: PhotoFile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("restore.restorer.Restorer.run", broken)
    assert main(["restore", str(photo_file())]) == 2
    assert "[E505]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environment", "arguments", "expected"),
    [
        ("", [], "local"),
        ("lite", [], "lite"),
        ("official", [], "official"),
        ("lite", ["--weights", "auto"], "auto"),
    ],
)
def test_weights_policy_comes_from_the_option_the_environment_or_is_local(
    photo_file: PhotoFile,
    monkeypatch: pytest.MonkeyPatch,
    environment: str,
    arguments: list[str],
    expected: str,
) -> None:
    seen: list[str | None] = []

    def record(self: object, *, weights: str | None, **options: object) -> None:
        seen.append(weights)

    monkeypatch.setenv("RESTORE_WEIGHTS", environment)
    monkeypatch.setattr("restore.restorer.Restorer.__init__", record)
    main(["restore", str(photo_file()), *arguments])
    assert seen == [expected]


def test_full_disk_is_an_error_that_names_the_result_and_the_remedy(
    photo_file: PhotoFile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    assert main(["restore", str(photo_file("a.png")), "-o", "out"]) == 2
    assert capsys.readouterr().err == (
        "error: [E302] 'out/a.jpg' cannot be written (no space left on device). Free some disk"
        " space, or choose another disk with --output.\n"
    )
    assert visible(Path("out")) == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("restore upsc", ["upscale"]),
        ("restore upscale --output-f", ["--output-format"]),
        ("restore upscale --output-format p", ["png"]),
        ("restore colorize --colorize-variant ", ["auto", "modelscope", "artistic"]),
        ("restore upscale --scale ", []),
    ],
)
def test_shell_completes_commands_options_and_choices(
    words: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    script = "import sys; sys.argv = ['restore']; from restore.cli import run; run()"
    command = [sys.executable, "-c", script]
    environment = {**os.environ, "_RESTORE_COMPLETE": "complete_bash"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split()[: len(expected)] == expected
    assert expected or not done.stdout.strip()


@pytest.mark.parametrize("command", ["upscale", "inspect"])
def test_failures_in_json_name_options_as_flags(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("1", (7200, 7200)).save(tmp_path / "huge.png")
    assert main([command, "huge.png", "--json"]) == 2
    [photo] = json.loads(capsys.readouterr().out)["photos"]
    assert "set --max-megapixels to have it reduced" in photo["error"]["message"]
