"""The benchmark of whole requests: its two ways are what they say, and unequal results are no speed."""

import json
import sys
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from benchmarks import against_official
from benchmarks.against_official import Case, measured, plot

SMALL = Case(
    "small", "upscale", "general_x4v3", ("realesr_general_x4v3", "realesr_general_x4v3"), 0.004, 1.4
)


def test_both_ways_give_the_same_photo_and_a_row_says_how_long_each_took():
    row = measured(SMALL, repeats=1, threads=1)
    assert row["equal"]
    assert row["most_levels_apart"] <= 1
    assert row["times_faster"] == pytest.approx(row["official_s"] / row["ours_s"], rel=0.5)
    assert set(row["ours_stages_ms"]) == {"net", "resize"}
    json.dumps(row)


def test_theirs_and_ours_are_two_ways(tmp_path):
    model = against_official.model_of(SMALL, tmp_path)
    with torch.inference_mode():
        ways = against_official.ways_of(SMALL, model)
        assert ways["official"]().shape == ways["ours"]().shape
    assert ways["ours"].stages_ms.keys() == {"net", "resize"}


def test_a_result_that_differs_is_an_error_and_no_row(monkeypatch):
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
    monkeypatch.setattr(
        sys, "argv", ["against_official", "--repeats", "0", "--record", "--threads", "1"]
    )
    with pytest.raises(SystemExit, match="not the same result: small"):
        against_official.main()


@pytest.mark.parametrize(
    ("levels", "share", "equal"), [(1, 1.0, True), (2, 0.0005, True), (2, 0.01, False)]
)
def test_equal_is_a_grey_level_but_for_a_few_samples(monkeypatch, levels, share, equal):
    ours = np.full(100_000, 100, np.uint8)
    ours[: round(share * ours.size)] += levels
    monkeypatch.setattr(
        against_official,
        "process_of",
        lambda case, way, threads: nullcontext(Answering({"ours": ours}.get(way, ours * 0 + 100))),
    )
    assert measured(SMALL, 0, 1)["equal"] is equal


class Answering:
    """A process that has its result already."""

    def __init__(self, result):
        self.result = result

    def send(self, message):
        assert message is True

    def recv(self):
        return 1.0, {"net": 1000.0}, self.result


def test_a_plot_shows_every_request(tmp_path):
    rows = [{"request": "a", "official_s": 2.0, "ours_s": 1.0, "times_faster": 2.0, "wanted": 1.5}]
    plot(rows, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 5000


def test_the_photo_has_the_size_that_the_row_names():
    photo = against_official.photo_of(1.0)
    assert photo.shape[0] * photo.shape[1] == pytest.approx(1e6, rel=0.01)
