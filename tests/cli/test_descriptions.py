"""What was done to photos, as lines: weights, steps, and warnings that hold for all photos."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from restore.cli.descriptions import Describer
from restore.cli.main import main
from restore.report import Report

FALLBACK = "lite weights are used instead of 'x4plus'"


def pipeline_report(*variants: str) -> Report:
    """Return the report of a pipeline that enlarges once with each of these weights."""
    report = Report("a", "pipeline")
    for variant in variants:
        step = Report("a", "upscale", variant=variant, device="cpu", stages_ms={"net": 250.0})
        step.warn(FALLBACK)
        report.steps.append(step)
    report.sum_up_steps()
    return report


def test_the_weights_of_a_task_are_named() -> None:
    report = Report("a", "upscale", variant="x4plus", stages_ms={"net": 1500.0})
    assert Describer().describe(report, "8x6") == "8x6  upscale (x4plus weights) on cpu, 1.5 s"


def test_weights_that_all_steps_use_are_named_once() -> None:
    lines = Describer().describe(pipeline_report("lite", "lite"), "8x6").splitlines()
    assert lines[0] == "8x6  pipeline (lite weights) on cpu, 0.5 s"
    assert lines[1:3] == ["    upscale", "    upscale"]


def test_weights_that_differ_are_named_at_their_steps() -> None:
    report = pipeline_report("lite", "x4plus")
    report.steps[1].why = "it is small"
    lines = Describer().describe(report, "8x6").splitlines()
    assert lines[0] == "8x6  pipeline on cpu, 0.5 s"
    assert lines[1:3] == [
        "    upscale (lite weights)",
        "    upscale (x4plus weights): it is small",
    ]


def test_a_pipeline_without_steps_names_no_weights() -> None:
    assert Describer().describe(Report("a", "pipeline"), "8x6") == "8x6  pipeline on cpu, 0.0 s"


def test_a_warning_about_weights_is_shown_once_and_others_for_each_photo() -> None:
    describer = Describer()
    for index in range(2):
        report = Report("a", "colorize", warnings=[FALLBACK, "it was in colour"])
        lines = describer.describe(report, "8x6", {FALLBACK}).splitlines()
        first = [f"    warning: {FALLBACK}"] if index == 0 else []
        assert lines[1:] == [*first, "    warning: it was in colour"]


def test_a_warning_of_two_steps_about_weights_is_shown_once() -> None:
    lines = Describer().describe(pipeline_report("lite", "lite"), "8x6", {FALLBACK}).splitlines()
    assert lines[3:] == [f"    warning: {FALLBACK}"]


@pytest.fixture
def local_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Use official weights where they are on this machine: there are none."""
    monkeypatch.setenv("RESTORE_WEIGHTS", "local")
    monkeypatch.setenv("RESTORE_WEIGHTS_DIR", str(tmp_path / "weights"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("local_weights")
@pytest.mark.parametrize("task", ["upscale", "pipeline"])
def test_a_command_says_once_which_weights_it_uses(
    task: str, photo_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    photos = [str(photo_file("a.png")), str(photo_file("b.png"))]
    assert main([task, *photos, "--report", "--scale", "2"]) == 0
    assert capsys.readouterr().out.count(FALLBACK) == 1
    for name in ("a", "b"):
        report = json.loads(Path("restored", f"{name}.json").read_text())
        assert sum(FALLBACK in warning for warning in report["warnings"]) == 1


@pytest.mark.usefixtures("local_weights")
def test_a_request_says_once_which_weights_it_uses(
    photo_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    photos = [f"image=@{photo_file('a.png')}", f"images=@{photo_file('b.png')}"]
    pairs = [part for photo in photos for part in ("-i", photo)]
    assert main(["predict", *pairs, "-i", "task=upscale", "-i", "scale=2"]) == 0
    assert capsys.readouterr().out.count(FALLBACK) == 1


@pytest.mark.usefixtures("local_weights")
def test_inspect_does_not_warn_of_weights_that_it_does_not_use(
    photo_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (64, 48), "white").save("b.png")
    photos = [str(photo_file("a.png")), "b.png"]
    assert main(["inspect", *photos]) == 0
    assert "weights" not in capsys.readouterr().out
    assert main(["inspect", *photos, "--face-detector", "retinaface_resnet50"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("lite weights are used instead of 'retinaface_resnet50'") == 1
