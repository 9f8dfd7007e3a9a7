"""Local means of photos through networks."""

import cv2
import numpy as np
import pytest

from restore.imaging.low_frequencies import TOLERANCE_LEVELS, keep_low_frequencies, measure_cells

SMOOTH = cv2.resize(
    np.random.default_rng(3).integers(40, 216, (6, 7, 3)).astype(np.uint8),
    (112, 96),
    interpolation=cv2.INTER_CUBIC,
)
Y, X = np.mgrid[:96, :112]


@pytest.mark.parametrize("factor", [1, 257])
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_lost_brightness_is_given_back(factor: int, scale: int) -> None:
    dtype = np.dtype(np.uint8 if factor == 1 else np.uint16)
    original = (SMOOTH.astype(np.uint16) * np.uint16(factor)).astype(dtype)
    enlarged = cv2.resize(original, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    dark = (enlarged * 0.5).astype(dtype)
    fixed = keep_low_frequencies(dark, original)
    assert fixed.dtype == dtype
    difference = fixed.astype(float).mean((0, 1)) - original.mean((0, 1), dtype=float)
    assert np.abs(difference).max() <= (TOLERANCE_LEVELS + 0.5) * factor
    before, after = (np.abs(array - enlarged.astype(float)).mean() for array in (dark, fixed))
    assert after < 0.3 * before


def test_cast_is_removed_and_detail_is_kept() -> None:
    noise = np.random.default_rng(1).normal(0, 6, SMOOTH.shape[:2])[..., None]
    result = np.clip(SMOOTH + noise + np.array([0, -14, 9]), 0, 255).astype(np.uint8)
    fixed = keep_low_frequencies(result, SMOOTH)
    cast = fixed.mean((0, 1)) - SMOOTH.mean((0, 1))
    assert np.abs(cast).max() <= TOLERANCE_LEVELS + 0.5
    assert (fixed - SMOOTH.astype(float)).std() == pytest.approx(6, abs=1)


def test_result_within_the_tolerance_is_returned_itself() -> None:
    rng = np.random.default_rng(2)
    result = np.clip(SMOOTH + 2.0 + rng.normal(0, 8, SMOOTH.shape), 0, 255).astype(np.uint8)
    assert keep_low_frequencies(result, SMOOTH) is result
    assert keep_low_frequencies(result[:8, :9], SMOOTH[:8, :9]).shape == (8, 9, 3)


@pytest.mark.parametrize("level", [0, 255])
def test_clipped_noise_may_be_removed_but_patterns_are_not_noise(level: int) -> None:
    clean = np.full((96, 112), level, np.uint8)
    noise = np.random.default_rng(4).normal(0, 40, clean.shape)
    noisy = np.clip(clean + noise, 0, 255).astype(np.uint8)
    assert abs(noisy.mean() - level) > 12
    assert keep_low_frequencies(clean, noisy) is clean
    for contrast in (60, 255):
        pattern = np.abs(level - (X + Y) % 2 * contrast).astype(np.uint8)
        fixed = keep_low_frequencies(clean, pattern)
        assert abs(fixed.mean() - pattern.mean()) <= TOLERANCE_LEVELS + 0.5


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize(("furthest", "is_noise"), [(250, True), (255, False)])
def test_noise_is_clipped_at_one_end_only(level: int, furthest: int, is_noise: bool) -> None:
    distances = np.random.default_rng(5).choice([0, 60, furthest], (96, 112), p=[0.5, 0.45, 0.05])
    deviations = measure_cells(np.abs(level - distances).astype(np.uint8)).ends[level == 255]
    assert ((deviations > 0).mean() > 0.9) == is_noise
    assert is_noise or not deviations.any()


@pytest.mark.parametrize("level", [0, 255])
def test_thin_strokes_on_black_or_white_are_not_clipped_noise(level: int) -> None:
    strokes = np.zeros((96, 112), np.uint8)
    for x in range(8, 112, 25):
        cv2.line(strokes, (x, 0), (x - 5, 95), 255, 1, cv2.LINE_AA)
    pixels = cv2.GaussianBlur(strokes, (0, 0), 0.6)
    pixels = pixels if level == 0 else 255 - pixels
    dimmed = cv2.addWeighted(pixels, 0.5, pixels, 0, 0.5 * level)
    fixed = keep_low_frequencies(dimmed, pixels)
    kept = (fixed.mean() - level) / (pixels.mean() - level)
    assert 0.7 < kept < 1.0


def test_correction_has_no_seams() -> None:
    result = np.full((640, 48), 90, np.uint8)
    original = np.full((640, 48), 120, np.uint8)
    original[:320] = 100
    fixed = keep_low_frequencies(result, original).astype(int)
    assert np.abs(np.diff(fixed, axis=0)).max() <= 2
