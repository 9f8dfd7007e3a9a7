"""modes: comparison with the safe baseline, and counted compilations."""

import pytest
from facefakes import ASTRONAUT

from benchmarks import modes
from benchmarks.modes import MIN_PSNR_DB, compare_modes, count_compilations, resized
from restore import Restorer
from restore.imaging.photo import Photo
from restore.options import STEPS

PHOTO = Photo("a", ASTRONAUT)


def test_every_profile_and_mode_is_compared_with_the_safe_baseline(
    lite: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modes, "TASKS", {"restore": {}})
    rows = compare_modes(lite, [resized(PHOTO, 96)], 1)
    assert [(row["profile"], row["mode"]) for row in rows] == [
        (p, m) for m in ("safe", "optimized") for p in MIN_PSNR_DB
    ]
    assert all(row["met"] for row in rows)
    assert rows[0]["worst_psnr_db"] == "equal"
    monkeypatch.setattr(modes, "psnr_db", lambda first, second: 44.0)
    assert [row["met"] for row in compare_modes(lite, [resized(PHOTO, 64)], 1)] == [
        False,
        False,
        True,
    ] * 2


def test_every_task_but_inspect_is_compared() -> None:
    assert set(modes.TASKS) == {*STEPS, "enhance", "pipeline"}


def test_mixed_requests_depend_on_the_seed_only(
    lite: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modes, "TASKS", {"restore": {}, "inpaint": {"points": modes.TRIANGLE}})
    monkeypatch.setattr(modes, "MAX_LONG_SIDE_PX", 2 * modes.MIN_LONG_SIDE_PX)
    first, second = (count_compilations(lite, [PHOTO], 4, seed) for seed in (3, 3))
    assert first | {"seconds": 0} == second | {"seconds": 0}
    assert (first["requests"], first["recompiles"], first["compiled_since"]) == (4, 0, 0)
