"""The benchmark of whole requests: its two ways are what they say, and unequal results are no speed."""

import json
import sys

import numpy as np
import pytest

from benchmarks import against_official, official
from benchmarks.against_official import Case, measured, plot

SMALL = Case("small", "upscale", "general_x4v3", ("realesr_general_x4v3", "realesr_general_x4v3"), 0.004, 1.4)


def test_both_ways_give_the_same_photo_and_a_row_says_how_long_each_took():
    row = measured(SMALL, repeats=1)
    assert row["equal"]
    assert row["most_levels_apart"] <= 1
    assert row["times_faster"] == pytest.approx(row["official_s"] / row["ours_s"], rel=0.5)
    assert set(row["ours_stages_ms"]) == {"net", "resize"}
    json.dumps(row)


def test_a_result_that_differs_is_an_error_and_no_row(monkeypatch, tmp_path):
    monkeypatch.setattr(against_official, "CASES", (SMALL,))
    monkeypatch.setattr(official, "upscaled", lambda photo, *rest: np.repeat(np.repeat(photo, 4, 0), 4, 1))
    monkeypatch.setattr(against_official, "record", lambda *row: pytest.fail("an unequal row was recorded"))
    monkeypatch.setattr(sys, "argv", ["against_official", "--repeats", "0", "--record", "--threads", "1"])
    with pytest.raises(SystemExit, match="not the same result: small"):
        against_official.main()


def test_a_plot_shows_every_request(tmp_path):
    rows = [{"request": "a", "official_s": 2.0, "ours_s": 1.0, "times_faster": 2.0, "wanted": 1.5}]
    plot(rows, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 5000


def test_the_photo_has_the_size_that_the_row_names():
    photo = against_official.photo_of(1.0)
    assert photo.shape[0] * photo.shape[1] == pytest.approx(1e6, rel=0.01)
