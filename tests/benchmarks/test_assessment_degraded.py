"""Degradations for the assessment, and the shares of photos for which they lead to a step."""

import numpy as np
import pytest
from facefakes import ASTRONAUT

from benchmarks.assessment import proposed_columns
from benchmarks.assessment_damages import (
    Damage,
    cracks,
    hairs,
    shake_along_curve,
    shake_along_line,
    tear,
    unchanged,
)
from benchmarks.assessment_degraded import (
    CLEAN,
    Case,
    degraded,
    detail_cases,
    measure_noisiness,
    measure_sharpness,
    print_shares,
)
from restore.imaging.photo import Photo

CASES = {case.name: case for case in detail_cases() if case.name != "none"}
PIXELS = {"a": ASTRONAUT, "b": ASTRONAUT[::-1].copy()}


def test_clean_measurements_lead_to_no_step() -> None:
    assert proposed_columns(CLEAN) == set()
    for measure in (measure_noisiness, measure_sharpness):
        assert proposed_columns(measure(Photo("a", np.full((64, 64, 3), 90, np.uint8)))) == set()


def test_damage_depends_on_the_name_of_the_photo_only() -> None:
    case = CASES["white noise of 8 levels"]
    first, second = degraded(PIXELS, case)
    [alone] = degraded({"b": PIXELS["b"]}, case)
    assert np.array_equal(second.pixels, alone.pixels)
    assert not np.array_equal(first.pixels, second.pixels[::-1])


def test_strong_noise_leads_to_its_step() -> None:
    [photo] = degraded({"a": ASTRONAUT}, CASES["white noise of 12 levels"])
    assert proposed_columns(measure_noisiness(photo)) == {"denoise"}


def test_strong_shake_leads_to_its_step() -> None:
    squares = np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((32, 32)))
    sharp = np.repeat((60 + 120 * squares)[..., None], 3, axis=2).astype(np.uint8)
    [photo] = degraded({"a": sharp}, CASES["shake along a line of 13 px"])
    assert proposed_columns(measure_sharpness(Photo("a", sharp))) == set()
    assert proposed_columns(measure_sharpness(photo)) == {"deblur"}


@pytest.mark.parametrize("damage", [tear(1), tear(3), hairs, cracks])
def test_scratches_are_light_and_thin(damage: Damage) -> None:
    grey = np.full((160, 120, 3), 90, np.uint8)
    [photo] = degraded({"a": grey}, Case("scratch", "scratches", damage))
    changed = (photo.pixels != grey).any(axis=-1)
    assert 0.002 < changed.mean() < 0.25
    assert (photo.pixels[changed] > 90).all()


@pytest.mark.parametrize("damage", [shake_along_line(9), shake_along_curve(11), unchanged])
def test_shake_keeps_the_mean(damage: Damage) -> None:
    [photo] = degraded({"a": ASTRONAUT}, Case("shake", "deblur", damage))
    assert photo.pixels.mean() == pytest.approx(ASTRONAUT.mean(), abs=1.0)


def test_shares_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"step": "denoise", "degradation": "noise", "photos": 4, "proposed_percent": 75}
    print_shares([row])
    assert "| denoise | noise | 4 | 75 % |" in capsys.readouterr().out
