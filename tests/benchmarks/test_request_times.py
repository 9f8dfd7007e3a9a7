"""request_times and run_report: percentiles, rows of profiles, stages and the table."""

from typing import Any

import numpy as np
import pytest

from benchmarks.client import PredictionResult
from benchmarks.request_times import Round, mean_stages_ms, profile_row, summary
from benchmarks.run_report import table

REPORT = {
    "device": "cpu",
    "precision": "float32",
    "weights": [],
    "warnings": [],
    "stages_ms": {},
    "steps": [],
}


def result_of(
    wall_s: float, photos: int = 1, status: Any = "succeeded", **more: Any
) -> PredictionResult:
    return PredictionResult(
        tuple(f"{n}.jpg" for n in range(photos)), status, wall_s, reports=(REPORT,) * photos, **more
    )


def test_percentiles_equal_numpys() -> None:
    values = np.random.default_rng(1).exponential(1.0, 57)
    figures = summary(values)
    for name, percent in (("p50", 50), ("p95", 95), ("p99", 99)):
        assert figures[name] == pytest.approx(np.percentile(values, percent), abs=1e-5)
    assert figures["mean"] == pytest.approx(values.mean(), abs=1e-5)
    assert (figures["min"], figures["max"], figures["count"]) == (
        pytest.approx(min(values), abs=1e-5),
        round(max(values), 5),
        57,
    )


def test_percentiles_of_four_values() -> None:
    figures = summary(iter([4.0, 1.0, 3.0, 2.0]))
    assert figures == {
        "mean": 2.5,
        "p50": 2.5,
        "p95": 3.85,
        "p99": 3.97,
        "min": 1.0,
        "max": 4.0,
        "count": 4,
    }


def test_summary_without_values_is_none() -> None:
    assert summary([]) == {
        "mean": None,
        "p50": None,
        "p95": None,
        "p99": None,
        "min": None,
        "max": None,
        "count": 0,
    }


def test_request_of_two_photos_counts_as_two_halves() -> None:
    row = profile_row("fast", [], [Round(4.0, (result_of(3.0, photos=2), result_of(1.0)))])
    assert (row["round_totals"]["mean"], row["round_totals"]["count"]) == (4.0, 1)
    assert (row["per_request"]["mean"], row["per_request"]["count"]) == (2.0, 2)
    assert (row["per_image"]["mean"], row["per_image"]["max"], row["per_image"]["count"]) == (
        pytest.approx(4 / 3, abs=1e-5),
        1.5,
        3,
    )
    assert row["photos_per_second"] == 0.75


def test_failed_requests_are_in_no_time() -> None:
    rounds = [
        Round(2.0, (result_of(1.0), result_of(9.0, status="lost", error="gone"))),
        Round(2.0, (result_of(1.0), result_of(1.0))),
    ]
    row = profile_row(
        "fast", [Round(1.0, (result_of(5.0, status="failed", error="no", retries_409=2),))], rounds
    )
    assert [failure["error"] for failure in row["failures"]] == ["no", "gone"]
    assert row["per_request"] == summary([1.0] * 3)
    assert row["round_totals"]["count"] == 1, "the round with a lost request does not count"
    assert (row["photos_per_second"], row["requests"], row["retries_409"]) == (0.75, 5, 2)


def test_stages_are_means_per_photo() -> None:
    step = {"task": "upscale", "stages_ms": {"net": 30.0}}
    first = {**REPORT, "stages_ms": {"decode": 10.0}, "steps": [step]}
    second = {**REPORT, "stages_ms": {"decode": 20.0}}
    result = PredictionResult(
        ("a", "b"), "succeeded", wall_s=0.1, predict_time_s=0.08, reports=(first, second)
    )
    assert mean_stages_ms([result]) == {
        "decode": 15.0,
        "upscale: net": 15.0,
        "server": 10.0,
        "client": 10.0,
    }
    assert mean_stages_ms([]) == {}


def test_table_without_times_shows_the_failure() -> None:
    text = table(
        [profile_row("fast", [], [Round(1.0, (result_of(1.0, status="lost", error="gone"),))])]
    )
    assert "lost: 0.jpg: gone" in text
    assert "no device" in text
