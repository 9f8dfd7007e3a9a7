"""SSIMULACRA2, FLIP and GMSD: known values, order, and what happens without their packages."""

import importlib.util
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from evaluatefiles import astronaut_photo, needs_packages, noisy

from benchmarks import perceptual
from benchmarks.perceptual import (
    PACKAGES,
    SSIMULACRA2_BLUR,
    flip_of,
    gmsd_of,
    missing_packages,
    ssimulacra2_of,
)
from benchmarks.quality import figures_of
from training.metrics import JUDGED_SMALL, judge, judge_methods

SIDE_PX = 256


@pytest.fixture
def photo() -> np.ndarray:
    return astronaut_photo(SIDE_PX)


def test_blur_is_that_of_libjxl() -> None:
    """Solve the equations of Charalampidis (2016) for sigma 1.5, as libjxl does."""
    sigma, radius = 1.5, round(3.2795 * 1.5 + 0.2546)
    omega = np.array([1, 3, 5]) * np.pi / (2 * radius)
    p = np.array([1, -1, 1]) / np.tan(omega / 2)
    r = np.array([1, -1, 1]) * p**2 / np.sin(omega)
    rho = np.exp(-((sigma * omega) ** 2) / 2) / radius
    cross = p * np.roll(r, -1) - r * np.roll(p, -1)  # of the pairs 13, 35 and 51
    zeta = np.array([cross[1] / cross[0], cross[2] / cross[0], 1.0])
    right = [1.0, radius**2 - sigma**2, float(zeta @ rho)]
    beta = np.linalg.solve(np.array([p, r, zeta]), right)
    n = np.arange(-radius + 1, radius)
    assert np.allclose(SSIMULACRA2_BLUR, beta @ np.cos(omega[:, None] * n), atol=1e-12)


@needs_packages
def test_known_values(photo: np.ndarray) -> None:
    """SSIMULACRA2: the package's own loop, with its blur replaced by scipy's correlate1d."""
    blurred = cv2.GaussianBlur(photo, (0, 0), 1.0).astype(np.uint8)
    assert ssimulacra2_of(photo, blurred) == pytest.approx(59.614, abs=0.001)
    black, white = np.zeros_like(photo), np.full_like(photo, 255)
    assert flip_of(black, white) == pytest.approx(0.967, abs=0.001)


@needs_packages
@pytest.mark.parametrize(
    ("measure", "best"), [(ssimulacra2_of, 100.0), (flip_of, 0.0), (gmsd_of, 0.0)]
)
def test_equal_photos_are_best_and_more_damage_is_worse(
    measure: Callable[[np.ndarray, np.ndarray], float], best: float, photo: np.ndarray
) -> None:
    values = [measure(photo, noisy(photo, sigma)) for sigma in (2, 10, 30)]
    assert measure(photo, photo) == best
    distances = [abs(best - value) for value in values]
    assert distances == sorted(distances)
    assert distances[0] > 0.001


@needs_packages
def test_flip_sees_colours_that_gmsd_ignores(photo: np.ndarray) -> None:
    grey = np.stack([cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)] * 3, axis=2).astype(np.uint8)
    assert gmsd_of(photo, grey) < 0.01
    assert flip_of(photo, grey) > 0.1


@needs_packages
def test_photos_with_less_than_six_sizes_have_no_ssimulacra2(photo: np.ndarray) -> None:
    assert ssimulacra2_of(photo[:225, :225], photo[1:226, :225]) is not None
    assert ssimulacra2_of(photo[:224], photo[:224]) is None


@needs_packages
def test_rows_of_an_evaluation_are_means_of_each_method(photo: np.ndarray) -> None:
    originals = [photo, photo[::-1].copy()]
    outputs = {
        "light": [noisy(original, 5) for original in originals],
        "heavy": [noisy(original, 20) for original in originals],
    }
    rows = judge_methods("kodak", outputs, originals, JUDGED_SMALL)
    assert list(rows) == ["kodak_light", "kodak_heavy"]
    light, heavy = rows.values()
    assert light.keys() == {*JUDGED_SMALL, "photos"}
    assert light["photos"] == 2
    assert light["ssimulacra2"] > heavy["ssimulacra2"] + 10
    values = [flip_of(*pair) for pair in zip(originals, outputs["light"], strict=True)]
    assert light["flip"] == pytest.approx(np.mean(values), abs=1e-4)


def test_missing_packages_are_named_and_their_figures_left_out(
    photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec

    def find(name: str) -> object:
        return None if name in PACKAGES.values() else found(name)

    monkeypatch.setattr(perceptual.importlib.util, "find_spec", find)
    figures = figures_of(photo[:96, :96], photo[:96, :96])
    assert (figures.ssimulacra2, figures.flip, figures.gmsd) == (None, None, 0.0)
    assert list(missing_packages()) == list(PACKAGES)
    with pytest.raises(SystemExit, match=r"SSIMULACRA2 is not measured: .*requirements-metrics"):
        judge([(photo, photo)])
