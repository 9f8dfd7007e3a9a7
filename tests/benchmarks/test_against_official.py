"""against_official: both sides give the same photo, and other results are an error."""

import json
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import against_official
from benchmarks.against_official import main, measured, plot
from benchmarks.official_cases import Case, model_of, photo_of, requests_of

SMALL = Case(
    "small", "upscale", "general_x4v3", ("realesr_general_x4v3", "realesr_general_x4v3"), 0.004, 1.4
)


@pytest.mark.slow
def test_both_sides_give_the_same_photo() -> None:
    row = measured(SMALL, repeats=1, threads=1)
    assert row["equal"]
    assert row["most_levels_apart"] <= 1
    assert row["times_faster"] == pytest.approx(row["official_s"] / row["ours_s"], rel=0.5)
    assert isinstance(row["ours_stages_ms"], dict)
    assert set(row["ours_stages_ms"]) == {"net", "resize"}
    json.dumps(row)


def test_requests_report_stages_of_our_side_only(tmp_path: Path) -> None:
    with torch.inference_mode():
        requests = requests_of(SMALL, model_of(SMALL, tmp_path))
        assert requests["official"]().shape == requests["ours"]().shape
    assert requests["official"].stages_ms == {}
    assert requests["ours"].stages_ms.keys() == {"net", "resize"}


def test_different_result_is_an_error_and_not_recorded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {
        "request": "small",
        "official_s": 2.0,
        "ours_s": 1.0,
        "times_faster": 2.0,
        "wanted": 1.5,
        "most_levels_apart": 9,
    }
    monkeypatch.setattr(against_official, "CASES", (SMALL,))
    monkeypatch.setattr(
        against_official, "measured", lambda *_: row | {"equal": False, "ours_stages_ms": {}}
    )
    monkeypatch.setattr(
        against_official, "record", lambda *row: pytest.fail("an unequal row was recorded")
    )
    assert main(["--repeats", "0", "--record", "--threads", "1"]) == 1
    assert "the result differs from the official one: small" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("levels", "share", "equal"), [(1, 1.0, True), (2, 0.0005, True), (2, 0.01, False)]
)
def test_equal_allows_one_level_and_few_outliers(
    monkeypatch: pytest.MonkeyPatch, levels: int, share: float, equal: bool
) -> None:
    ours = np.full(100_000, 100, np.uint8)
    ours[: round(share * ours.size)] += levels
    results = {"ours": ours, "official": np.full_like(ours, 100)}
    monkeypatch.setattr(
        against_official,
        "process_of",
        lambda case, side, threads: nullcontext(FakeProcess(results[side])),
    )
    assert measured(SMALL, 0, 1)["equal"] is equal


class FakeProcess:
    """A connection to a process that returns a given result."""

    def __init__(self, result: np.ndarray) -> None:
        self.result = result

    def send(self, message: object) -> None:
        assert message is True

    def recv(self) -> tuple[float, dict[str, float], np.ndarray]:
        return 1.0, {"net": 1000.0}, self.result


def test_plot(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"request": "a", "official_s": 2.0, "ours_s": 1.0, "times_faster": 2.0, "wanted": 1.5}
    ]
    plot(rows, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 5000


def test_photo_has_the_size_of_the_case() -> None:
    photo = photo_of(1.0)
    assert photo.shape[0] * photo.shape[1] == pytest.approx(1e6, rel=0.01)
