"""Colours under transparent pixels, and resampling weighted by alpha."""

from typing import Any

import cv2
import numpy as np
import pytest

from restore.imaging.alpha import extend_colours, is_unreliable, resize_weighted


def over(pixels: np.ndarray, alpha: np.ndarray, background: float) -> np.ndarray:
    """Return a photo over a background, in levels of 255."""
    full = np.iinfo(alpha.dtype).max
    opacity = alpha[..., None] / full
    return pixels * (255 / full) * opacity + background * (1 - opacity)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_hidden_pixels_get_the_visible_colours_near_them(dtype: Any) -> None:
    full = np.iinfo(dtype).max
    pixels, alpha = np.zeros((70, 91, 3), dtype), np.zeros((70, 91), dtype)
    pixels[20:40, 10:30], pixels[20:40, 60:80] = (full, 0, full // 2), (0, full, full // 2)
    alpha[20:40, 10:30] = alpha[20:40, 60:80] = full
    extended = extend_colours(pixels, alpha)
    np.testing.assert_array_equal(extended[alpha > 0], pixels[alpha > 0])
    assert (extended[19:41, 9, 0] > 0.8 * full).all()
    assert (extended[19:41, 81, 1] > 0.8 * full).all()
    assert np.abs(extended[..., 2].astype(float) - full // 2).max() <= 1
    grey = extend_colours(pixels[..., 0].copy(), alpha)
    np.testing.assert_array_equal(grey, extended[..., 0])


def test_nothing_changes_without_hidden_or_without_visible_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)
    for level in (0, 200, 255):
        assert extend_colours(pixels, np.full((9, 11), level, np.uint8)) is pixels


def test_visible_colours_are_used_if_all_of_them_are_excluded() -> None:
    pixels, alpha = np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), np.uint8)
    pixels[:8], alpha[:8] = (200, 100, 50), 255
    extended = extend_colours(pixels, alpha, excluded=alpha > 0)
    assert np.abs(extended.astype(int) - (200, 100, 50)).max() <= 1


def test_hardly_visible_colours_are_mixed_with_their_surroundings() -> None:
    pixels = np.full((64, 64, 3), 200, np.uint8)
    alpha = np.full((64, 64), 255, np.uint8)
    pixels[:, 32], alpha[:, 32] = 0, 2  # a rounding error of an editor
    pixels[:, 48:], alpha[:, 48:] = (255, 0, 0), 20  # a glow
    extended = extend_colours(pixels, alpha)
    assert extended[:, 32].min() > 150
    assert np.abs(extended[:, 58:].astype(int) - (255, 0, 0)).max() < 40
    assert is_unreliable(alpha)[:, 32].all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("interpolation", [cv2.INTER_LANCZOS4, cv2.INTER_LINEAR, cv2.INTER_AREA])
def test_resized_photo_looks_like_the_resized_picture(dtype: Any, interpolation: int) -> None:
    rng = np.random.default_rng(6)
    full = np.iinfo(dtype).max
    smooth = cv2.resize(rng.random((6, 6, 4)), (60, 60), interpolation=cv2.INTER_LINEAR)
    pixels = np.rint(smooth[..., :3] * full).astype(dtype)
    alpha = np.rint(np.clip(3 * smooth[..., 3] - 1, 0, 1) * full).astype(dtype)
    pixels[alpha == 0] = full
    size = (31, 29) if interpolation == cv2.INTER_AREA else (140, 130)
    result = resize_weighted(pixels, alpha, size, interpolation)
    for background in (0.0, 255.0):
        picture = cv2.resize(over(pixels, alpha, background), size, interpolation=interpolation)
        difference = np.abs(over(*result, background) - np.clip(picture, 0, 255))
        assert difference.max() < 6
        assert difference.mean() < 0.5


def test_opaque_photo_is_resized_as_usual() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 22, 3), np.uint8)
    alpha = np.full((20, 22), 255, np.uint8)
    result, result_alpha = resize_weighted(pixels, alpha, (40, 41), cv2.INTER_LANCZOS4)
    np.testing.assert_array_equal(result, cv2.resize(pixels, (40, 41), interpolation=4))
    assert (result_alpha == 255).all()


def test_faint_colours_count_as_much_as_they_are_visible() -> None:
    pixels, alpha = np.full((32, 32, 3), 200, np.uint8), np.full((32, 32), 255, np.uint8)
    pixels[:, 16], alpha[:, 16] = 0, 16  # half of the opacity at which a colour is its own
    extended = extend_colours(pixels, alpha)
    assert np.abs(extended[:, 16].astype(int) - 100).max() <= 20


def test_bands_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (53, 31, 3), np.uint8)
    alpha = cv2.resize(rng.integers(0, 256, (6, 4), np.uint8), (31, 53))
    alpha[alpha < 100] = 0
    whole = extend_colours(pixels, alpha)
    resized = resize_weighted(pixels, alpha, (40, 71), cv2.INTER_LINEAR)
    monkeypatch.setattr("restore.imaging.alpha.BAND_ROWS", 8)
    np.testing.assert_array_equal(extend_colours(pixels, alpha), whole)
    again = resize_weighted(pixels, alpha, (40, 71), cv2.INTER_LINEAR)
    for one, other in zip(resized, again, strict=True):
        np.testing.assert_array_equal(one, other)
