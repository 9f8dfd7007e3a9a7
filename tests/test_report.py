"""Report: JSON, stage times, warnings and the summary of steps."""

import json

import pytest

from restore.report import Report


def test_report_is_plain_json() -> None:
    report = Report(photo="a.jpg", task="upscale", variant="lite", tiles=[{"count": 3}])
    report.steps.append(Report(photo="a.jpg", task="upscale"))
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()
    assert report.to_dict()["tiles"] == [{"count": 3}]


def test_stage_times_add_up_even_if_the_stage_fails() -> None:
    report = Report(photo="a.jpg", task="upscale")
    with report.stage("net"):
        pass
    first_ms = report.stages_ms["net"]

    def fail() -> None:
        with report.stage("net"):
            sum(range(100_000))
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert report.stages_ms["net"] > first_ms


def test_warning_is_recorded_once_and_logged_with_the_photo(
    caplog: pytest.LogCaptureFixture,
) -> None:
    report = Report(photo="a.jpg", task="upscale")
    report.warn("smaller tiles")
    report.warn("smaller tiles")
    assert report.warnings == ["smaller tiles"]
    assert [record.getMessage() for record in caplog.records] == ["a.jpg: smaller tiles"]


def test_facts_of_steps_are_summed_up() -> None:
    weights: list[dict[str, object]] = [{"file": "a"}]
    steps = [
        Report(photo="a.jpg", task="restore", variant="lite", device="cpu", weights=weights),
        Report(
            photo="a.jpg",
            task="face_restore",
            variant="codeformer",
            device="cpu",
            weights=[*weights, {"file": "b"}],
            face_restoration_applied=True,
            warnings=["smaller tiles"],
        ),
    ]
    report = Report(photo="a.jpg", task="pipeline", steps=steps)
    report.sum_up_steps()
    assert (report.variant, report.device) == ("lite, codeformer", "cpu")
    assert [row["file"] for row in report.weights] == ["a", "b"]
    assert report.face_restoration_applied
    assert report.warnings == ["face_restore: smaller tiles"]


def test_summary_without_steps_changes_nothing() -> None:
    report = Report(photo="a.jpg", task="upscale", variant="lite")
    report.sum_up_steps()
    assert report == Report(photo="a.jpg", task="upscale", variant="lite")
