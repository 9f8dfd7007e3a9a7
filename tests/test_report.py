"""The report: plain JSON, times that add up, warnings once."""

import json

import pytest

from restore.report import Report


def test_a_report_is_plain_json():
    report = Report(photo="a.jpg", task="upscale", variant="lite", tiles=[{"count": 3}])
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()
    assert report.to_dict()["tiles"] == [{"count": 3}]


def test_stage_times_add_up_even_when_the_stage_fails():
    report = Report(photo="a.jpg", task="upscale")
    with report.stage("net"):
        pass
    first = report.stages_ms["net"]

    def failing() -> None:
        with report.stage("net"):
            sum(range(100_000))
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        failing()
    assert report.stages_ms["net"] > first


def test_a_warning_is_recorded_once_and_logged_with_the_photo(caplog):
    report = Report(photo="a.jpg", task="upscale")
    report.warn("smaller tiles")
    report.warn("smaller tiles")
    assert report.warnings == ["smaller tiles"]
    assert [record.getMessage() for record in caplog.records] == ["a.jpg: smaller tiles"]
