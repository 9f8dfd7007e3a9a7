"""Classification as grey, toned or colour, and the colour of restored faces."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import SHARED

from restore.faces.colour import (
    MAX_TONED_RESIDUAL,
    classify_tone,
    is_grey,
    keep_colour,
    match_grey,
    toning_residual,
    visible_tone,
)


def luminance(height: int = 300, width: int = 400) -> np.ndarray:
    """Return a random luminance, 0 to 1, with fine and coarse structure and all levels."""
    rng = np.random.default_rng(3)
    coarse, fine = (
        cv2.GaussianBlur(rng.standard_normal((height, width)), (0, 0), sigma) * sigma
        for sigma in (25, 2)
    )
    picture = coarse + 0.4 * fine
    return (picture - picture.min()) / np.ptp(picture)


def toned(levels: np.ndarray, gamma: tuple[float, float, float]) -> np.ndarray:
    """Tone an HxW luminance in 0 to 1: uint8 RGB with one tone curve per channel."""
    return np.rint(255 * levels[..., None] ** np.array(gamma)).astype(np.uint8)


SEPIA, CYANOTYPE = (0.75, 1.0, 1.5), (1.6, 1.1, 0.8)


def degrade(pixels: np.ndarray, sigma: float, quality: int) -> np.ndarray:
    """Add noise to each channel, and compress as JPEG."""
    noisy = np.clip(
        pixels + np.random.default_rng(1).normal(0, sigma, pixels.shape), 0, 255
    ).astype(np.uint8)
    data = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.ascontiguousarray(decoded)


def official_is_gray(pixels: np.ndarray) -> bool:
    red, green, blue = (pixels[..., channel].astype(np.int16) for channel in range(3))
    variances = ((red - green).var(), (green - blue).var(), (blue - red).var())
    return bool(sum(variances) / 3 <= 10)


def read_photo(path: Path) -> np.ndarray:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    assert pixels is not None
    return pixels


@given(seed=st.integers(0, 2**32 - 1), spread=st.floats(1.5, 3.5))
def test_is_grey_equals_the_official_rule(seed: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    pixels = np.clip(
        rng.integers(20, 230, (300, 20, 1)) + rng.normal(0, spread, (300, 20, 3)) + 7, 0, 255
    ).astype(np.uint8)
    assert is_grey(pixels) == official_is_gray(pixels)
    assert is_grey(pixels.astype(np.uint16) * 257) == official_is_gray(pixels)


def test_one_channel_equal_channels_and_a_constant_tint_are_grey() -> None:
    grey = np.rint(255 * luminance()).astype(np.uint8)
    assert classify_tone(grey) == "grey"
    assert classify_tone(np.dstack([grey] * 3)) == "grey"
    tinted = np.dstack([grey] * 3).astype(int) // 2 + (60, 40, 10)
    assert classify_tone(tinted.clip(0, 255).astype(np.uint8)) == "grey"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("rgb", [(40, 80, 200), (200, 180, 140), (10, 20, 60)])
def test_picture_of_one_colour_and_constant_tint_do_not_look_grey(
    rgb: tuple[int, int, int], dtype: type
) -> None:
    scale = np.iinfo(dtype).max // 255
    plain = np.full((40, 60, 3), rgb, dtype) * dtype(scale)
    assert (classify_tone(plain), visible_tone(plain)) == ("grey", "toned")
    waves = (np.rint(30 * luminance(40, 60))[..., None] + rgb).astype(dtype) * dtype(scale)
    assert (classify_tone(waves), visible_tone(waves)) == ("grey", "toned")


def test_grey_photos_with_a_faint_tint_look_grey_and_others_have_their_tone() -> None:
    grey = np.rint(220 * luminance()).astype(np.uint8)
    assert visible_tone(grey) == "grey"
    assert visible_tone(np.dstack([grey, grey, grey + 5])) == "grey"
    assert visible_tone(np.full((9, 9, 3), 200, np.uint8)) == "grey"
    assert visible_tone(toned(luminance(), SEPIA)) == "toned"
    two_tones = toned(luminance(), SEPIA)
    two_tones[:, :200] = toned(luminance(), CYANOTYPE)[:, :200]
    assert visible_tone(two_tones) == "colour"


@pytest.mark.shared
def test_real_grey_photos_look_grey() -> None:
    historic = SHARED / "photos" / "test" / "historic"
    for name in ("buffalo_bank_1908", "detroit_1915", "migrant_mother_1936", "1888slum"):
        assert visible_tone(read_photo(historic / f"{name}.jpg")) == "grey", name


@pytest.mark.parametrize("curve", [SEPIA, CYANOTYPE], ids=["sepia", "cyanotype"])
@pytest.mark.parametrize(("sigma", "quality"), [(0, 95), (6, 75), (12, 30), (20, 75)])
def test_degraded_toned_photo_is_toned(
    curve: tuple[float, float, float], sigma: float, quality: int
) -> None:
    pixels = degrade(toned(luminance(), curve), sigma, quality)
    assert classify_tone(pixels) == "toned"
    assert classify_tone(pixels.astype(np.uint16) * 257) == "toned"


def test_photo_with_two_tones_is_colour() -> None:
    pixels = toned(luminance(), SEPIA)
    pixels[:, :200] = toned(luminance(), CYANOTYPE)[:, :200]
    assert classify_tone(pixels) == "colour"


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (3, 2)])
def test_any_size_is_classified(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (*size, 3)).astype(np.uint8)
    assert classify_tone(pixels) in ("grey", "toned", "colour")


@pytest.mark.shared
def test_real_photos_are_classified_with_a_margin() -> None:
    test_photos = SHARED / "photos" / "test"
    for name in ("1860girls", "1867musicianconstantinople", "1870girl"):
        pixels = read_photo(test_photos / "historic" / f"{name}.jpg")
        assert classify_tone(pixels) == "toned", name
        assert toning_residual(pixels) < 0.9 * MAX_TONED_RESIDUAL
    for path in sorted((test_photos / "kodak").glob("*.png")):
        assert toning_residual(read_photo(path)) > 1.5 * MAX_TONED_RESIDUAL, path.name
    assert classify_tone(read_photo(test_photos / "historic" / "1888slum.jpg")) == "grey"


def restored_and_crop() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    return rng.integers(0, 256, (512, 512, 3)).astype(np.uint8), toned(luminance(512, 512), SEPIA)


def test_match_grey_gives_mean_and_deviation_of_the_crop() -> None:
    restored, before = restored_and_crop()
    matched = match_grey(restored, before, clip=False)
    np.testing.assert_allclose(matched.mean(axis=(0, 1)), before.mean(axis=(0, 1)), atol=1e-6)
    np.testing.assert_allclose(matched.std(axis=(0, 1)), before.std(axis=(0, 1)), rtol=1e-4)
    normal = (matched - matched.mean(axis=(0, 1))) / matched.std(axis=(0, 1))
    np.testing.assert_allclose(normal[..., 0], normal[..., 2], atol=1e-6)  # equal channels
    weighted = restored @ np.array([0.299, 0.587, 0.114])
    assert np.corrcoef(normal[..., 0].ravel(), weighted.ravel())[0, 1] > 0.9999


def test_match_grey_clips_unless_disabled() -> None:
    restored, _ = restored_and_crop()
    contrast = np.where(np.arange(512) < 256, 0, 255)[None, :, None] * np.ones((512, 1, 3))
    free = match_grey(restored, contrast, clip=False)
    clipped = match_grey(restored, contrast)
    assert free.max() > 255
    assert free.min() < 0
    np.testing.assert_array_equal(clipped, np.clip(free, 0, 255))


def test_match_grey_of_a_flat_face_is_finite() -> None:
    flat = np.full((512, 512, 3), 80, np.uint8)
    assert np.isfinite(match_grey(flat, restored_and_crop()[0])).all()


def test_keep_colour_combines_luminance_and_chrominance() -> None:
    restored, before = restored_and_crop()
    muted = 64 + restored // 2  # so that nothing is clipped
    gentle = 96 + before // 4
    mixed = keep_colour(muted, gentle)
    assert mixed.dtype == np.float32
    for weights, source in (
        ((0.299, 0.587, 0.114), muted),
        ((-0.168736, -0.331264, 0.5), gentle),
        ((0.5, -0.418688, -0.081312), gentle),
    ):
        np.testing.assert_allclose(mixed @ np.array(weights), source @ np.array(weights), atol=0.01)
    extreme = keep_colour(restored, before)
    assert extreme.min() >= 0
    assert extreme.max() <= 255


def test_keep_colour_of_an_unchanged_face_changes_nothing() -> None:
    _, before = restored_and_crop()
    np.testing.assert_allclose(keep_colour(before, before), before, atol=1e-3)
