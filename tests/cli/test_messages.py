"""Messages of the command line: flags instead of input names, codes, JSON and Ctrl-C."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from places import PROJECT

from restore.cli.main import main
from restore.cli.messages import on_one_line


@pytest.fixture(autouse=True)
def lite_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RESTORE_WEIGHTS", "lite")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        (["upscale", "a.jpg", "--scale", "9"], "E102", ("--scale is '9'", "from 1 to 8")),
        (["upscale", "a.jpg", "--scale", "two"], "E102", ("'two'", "from 1 to 8")),
        (["upscale", "a.jpg", "--tile-size", "-1"], "E102", ("--tile-size", "at least 64")),
        (["upscale", "a.jpg", "--upscale-variant", "x4pls"], "E102", ("x4pls", "x4plus")),
        (
            ["upscale", "a.jpg", "--weights", "offical"],
            "E102",
            ("--weights is 'offical', which", "Did you mean official? Use one of official, lite"),
        ),
        (["batch", "in", "out", "--limit", "0"], "E102", ("--limit is '0'", "of at least 1.")),
        (["batch", "in", "out", "--limit", "1.5"], "E102", ("--limit is '1.5'", "a whole number")),
        (["batch", "in", "out", "--num-gpus", "nan"], "E102", ("'nan'", "finite number of at")),
        (["batch", "in", "out", "--num-gpus", "inf"], "E102", ("'inf'", "finite number of at")),
        (["batch", "in", "out", "--engine", "spark"], "E102", ("'spark'", "one of local, ray.")),
        (["serve", "--port", "65536"], "E102", ("--port is '65536'", "from 1 to 65535.")),
        (["service", "--workers", "-1"], "E102", ("--workers is '-1'", "from 0 to 64.")),
        (
            ["service", "keys", "create", "x", "--stored-mib", "1e3"],
            "E102",
            ("--stored-mib is '1e3'", "a whole number of at least 1."),
        ),
        (["weights", "fetch", "--from", "idnex"], "E102", ("--from is 'idnex'", "mean index?")),
        (["upscale", "a.jpg", "--scale"], "E102", ("--scale has no value", "Write its value")),
        (["upscale", "a.jpg", "--overwrite=3"], "E102", ("--overwrite takes no value", "Leave")),
        (["upscale", "a.jpg", "--sacle", "2"], "E101", ("--sacle", "--scale")),
        (["upscale", "-x.jpg"], "E101", ("-x", "Write ./ before the name of a photo")),
        (["upscale"], "E102", ("PHOTO", "--help")),
        (["upscal", "a.jpg"], "E102", ("upscal", "Did you mean 'upscale'?")),
        (["weights", "list", "colourise"], "E102", ("'colourise'", "Did you mean colorize?")),
    ],
    ids=" ".join,
)
def test_refusal_has_a_code_the_value_and_the_remedy(
    arguments: list[str], code: str, parts: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"error: [{code}] ")
    assert said.out == ""
    for part in parts:
        assert part in said.err


def test_command_without_arguments_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    said = capsys.readouterr()
    assert "face-restore" in said.out + said.err
    assert "[E102] no photo and no command is given." in said.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--scale", "9"], "E102"),
        (["--sacle", "2"], "E101"),
        (["--weights", "x"], "E102"),
        (["-o", "x.png", "b.jpg"], "E302"),
    ],
    ids=" ".join,
)
def test_refusal_with_json_is_json(
    arguments: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["upscale", "a.jpg", "--json", *arguments]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["exit_code"] == 2
    assert answer["error"]["code"] == code
    assert answer["error"]["message"].startswith(f"[{code}]")


def test_missing_argument_and_unknown_option_of_predict_with_json_are_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["upscale", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "E102"
    assert main(["predict", "--json", "{}", "--bogus"]) == 2
    assert json.loads(capsys.readouterr().out)["error"].startswith("[E101]")
    assert main(["upscale", "--", "--json"]) == 2  # a photo, not the option
    assert capsys.readouterr().out == ""


def test_folder_is_named_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photos").mkdir()
    for command in (["upscale", "photos"], ["predict", "-i", "image=photos"]):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert "[E201]" in error
        assert "'photos' is a folder. Give the photos in it, for example photos/*.jpg." in error
        assert "`restore batch photos OUT`" in error


def test_link_to_nothing_is_named_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dead.jpg").symlink_to("moved.jpg")
    assert main(["upscale", "dead.jpg"]) == 2
    error = capsys.readouterr().err
    assert "[E201]" in error
    assert "'dead.jpg' is a link to 'moved.jpg', which does not exist" in error


def test_photo_that_looks_like_an_option_or_a_command_follows_two_dashes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("-x.jpg", "upscale"):
        (tmp_path / name).write_text("no photo")
    assert main(["upscale", "--", "-x.jpg"]) == 2
    assert "[E205] photo '-x.jpg'" in capsys.readouterr().err
    assert main(["--", "upscale"]) == 2
    assert "[E205] photo 'upscale'" in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert "`--`" in capsys.readouterr().out


@pytest.mark.parametrize("module", ["typer", "torch"])
def test_ctrl_c_while_modules_are_imported_is_reported(module: str, tmp_path: Path) -> None:
    """The interrupt arrives in an import; some libraries turn it into an ImportError there."""
    photo = PROJECT / "data" / "12.jpg"
    code = f"""
import sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            print("importing", flush=True)
            try:
                import time; time.sleep(60)
            except KeyboardInterrupt as error:
                raise ImportError("a library hides the interrupt") from error

sys.meta_path.insert(0, Finder())
sys.argv = ["restore", "upscale", {str(photo)!r}, "--weights", "lite", "-o", {str(tmp_path)!r}]
from restore.cli import run
run()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "importing\n"
    time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert errors == "interrupted\n"
    assert process.returncode == 130


def test_completion_that_cannot_be_installed_names_the_file_and_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "home").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("bash", "/bin/bash"))
    assert main(["--install-completion"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: [E302] '{tmp_path}/home")
    assert "`restore --show-completion` prints the completion" in error


def test_internal_error_says_where_its_details_are(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("the details")

    monkeypatch.setattr("restore.restorer.Restorer.run", broken)
    (tmp_path / "a.jpg").touch()
    for command in (["upscale", "a.jpg"], ["predict", "-i", "image=@a.jpg"]):
        assert main(command) == 2
        assert "`restore -v` prints them" in capsys.readouterr().err
        with caplog.at_level(logging.INFO):
            assert main(["-v", *command]) == 2
        assert "the details" in caplog.text
        caplog.clear()


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("utf-8", b"/w\xff\xc3\xa9/"), ("ascii", b"/w\\udcff\\xe9/")],
)
def test_every_name_is_printed_in_every_encoding(encoding: str, shown: bytes) -> None:
    """Python's standard output is strict in most locales, and a name may be no text at all."""
    script = "import sys; from restore.cli.main import main; main(['-h']); print(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", script, os.fsdecode(b"/w\xff\xc3\xa9/")],
        cwd=PROJECT,
        env={**os.environ, "PYTHONIOENCODING": f"{encoding}:strict", "PYTHONUTF8": "1"},
        capture_output=True,
        check=True,
    )
    assert shown in done.stdout


def test_control_characters_of_names_do_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert on_one_line("a\n\x1b[2J\x9b\u00e9b") == "a\\n\\x1b[2J\\x9b\u00e9b"
    name = "a\x1b[2J\nfailed: b.jpg"
    (tmp_path / name).write_bytes(b"no photo")
    assert main(["upscale", name]) == 2
    error = capsys.readouterr().err
    assert "photo 'a\\x1b[2J\\nfailed: b.jpg'" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_to_end_leaves_no_temporary_files(number: signal.Signals, tmp_path: Path) -> None:
    code = """
import sys, time
from restore.cli import photo_job, run

def work(*_):
    print("working", flush=True)
    time.sleep(60)

photo_job._restore_one = work
sys.argv = ["restore", "upscale", "data/12.jpg", "--weights", "lite", "-q"]
run()
"""
    (tmp_path / "tmp").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509
    )
    assert process.stdout
    assert process.stdout.readline() == "working\n"
    assert list((tmp_path / "tmp").iterdir())
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert list((tmp_path / "tmp").iterdir()) == []
