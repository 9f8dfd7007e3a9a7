"""The benchmark of profiles and modes."""

import math

import numpy as np
import pytest
from facejobs import ASTRONAUT

from benchmarks import modes
from benchmarks.modes import mixed, psnr_db, quality, resized
from restore.imaging.photo import Photo

PHOTO = Photo("a", ASTRONAUT)


def test_psnr():
    assert psnr_db(np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8)) == 0.0
    assert psnr_db(np.zeros((4, 4), np.uint8), np.full((4, 4), 16, np.uint8)) == pytest.approx(
        24.05, abs=0.01
    )
    assert psnr_db(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)) == math.inf


def test_every_profile_and_mode_is_compared_with_the_safe_baseline(lite, monkeypatch):
    monkeypatch.setattr(modes, "TASKS", {"restore": {}})
    rows = quality(lite, [resized(PHOTO, 96)])
    assert [(row["profile"], row["mode"]) for row in rows] == [
        (p, m) for m in ("safe", "optimized") for p in modes.WANTED_DB
    ]
    assert all(row["met"] for row in rows)
    assert rows[0]["worst_psnr_db"] == "equal"
    monkeypatch.setattr(modes, "psnr_db", lambda first, second: 44.0)
    assert [row["met"] for row in quality(lite, [resized(PHOTO, 64)])] == [False, False, True] * 2


def test_mixed_requests_are_counted_and_the_same_for_a_seed(lite, monkeypatch):
    monkeypatch.setattr(modes, "TASKS", {"restore": {}, "inpaint": {"points": modes.TRIANGLE}})
    first, second = (mixed(lite, [PHOTO], 4, seed) for seed in (3, 3))
    assert first | {"seconds": 0} == second | {"seconds": 0}
    assert (first["requests"], first["recompiles"], first["compiled_since"]) == (4, 0, 0)
