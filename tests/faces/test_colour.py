"""Grey, toned and colour told apart; faces given back their photo's colour."""

import cv2
import numpy as np
import pytest
from conftest import SHARED
from hypothesis import given
from hypothesis import strategies as st

from restore.faces.colour import (
    TONED_MAX_RESIDUAL,
    is_grey,
    keep_colour,
    match_grey,
    tone,
    toning_residual,
)


def luminance(height: int = 300, width: int = 400) -> np.ndarray:
    """A picture-like luminance, 0 to 1: fine and coarse structure, all levels."""
    rng = np.random.default_rng(3)
    coarse, fine = (
        cv2.GaussianBlur(rng.standard_normal((height, width)), (0, 0), sigma) * sigma
        for sigma in (25, 2)
    )
    picture = coarse + 0.4 * fine
    return (picture - picture.min()) / np.ptp(picture)


def toned(levels: np.ndarray, gamma: tuple[float, float, float]) -> np.ndarray:
    """HxW in 0 to 1 -> uint8 RGB, each channel with a curve of its own."""
    return np.rint(255 * levels[..., None] ** np.array(gamma)).astype(np.uint8)


SEPIA, CYANOTYPE = (0.75, 1.0, 1.5), (1.6, 1.1, 0.8)


def worn(pixels: np.ndarray, sigma: float, quality: int) -> np.ndarray:
    """With noise in each channel, and through JPEG."""
    noisy = np.clip(
        pixels + np.random.default_rng(1).normal(0, sigma, pixels.shape), 0, 255
    ).astype(np.uint8)
    return np.ascontiguousarray(
        cv2.imdecode(
            cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR
        )
    )


def official_is_gray(pixels: np.ndarray) -> bool:
    red, green, blue = (pixels[..., channel].astype(np.int16) for channel in range(3))
    return ((red - green).var() + (green - blue).var() + (blue - red).var()) / 3 <= 10


@given(seed=st.integers(0, 2**32 - 1), spread=st.floats(1.5, 3.5))
def test_grey_is_what_the_official_rule_calls_grey(seed, spread):
    rng = np.random.default_rng(seed)
    pixels = np.clip(
        rng.integers(20, 230, (300, 20, 1)) + rng.normal(0, spread, (300, 20, 3)) + 7, 0, 255
    ).astype(np.uint8)
    assert is_grey(pixels) == official_is_gray(pixels)
    assert is_grey(pixels.astype(np.uint16) * 257) == official_is_gray(pixels)


def test_one_channel_equal_channels_and_a_constant_tint_are_grey():
    grey = np.rint(255 * luminance()).astype(np.uint8)
    assert tone(grey) == "grey"
    assert tone(np.dstack([grey] * 3)) == "grey"
    assert (
        tone(
            np.clip(np.dstack([grey] * 3).astype(int) // 2 + (60, 40, 10), 0, 255).astype(np.uint8)
        )
        == "grey"
    )


@pytest.mark.parametrize("curve", [SEPIA, CYANOTYPE], ids=["sepia", "cyanotype"])
@pytest.mark.parametrize(("sigma", "quality"), [(0, 95), (6, 75), (12, 30), (20, 75)])
def test_a_toned_photo_is_toned_whatever_it_went_through(curve, sigma, quality):
    pixels = worn(toned(luminance(), curve), sigma, quality)
    assert tone(pixels) == "toned"
    assert tone(pixels.astype(np.uint16) * 257) == "toned"


def test_a_photo_with_things_of_two_colours_has_colour():
    pixels = toned(luminance(), SEPIA)
    pixels[:, :200] = toned(luminance(), CYANOTYPE)[:, :200]
    assert tone(pixels) == "colour"


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (3, 2)])
def test_any_size_has_a_tone(size):
    pixels = np.random.default_rng(2).integers(0, 256, (*size, 3)).astype(np.uint8)
    assert tone(pixels) in ("grey", "toned", "colour")


@pytest.mark.shared
def test_real_photos_lie_well_on_their_side():
    test_photos = SHARED / "photos" / "test"
    for name in ("1860girls", "1867musicianconstantinople", "1870girl"):
        pixels = cv2.imread(str(test_photos / "historic" / f"{name}.jpg"), cv2.IMREAD_COLOR_RGB)
        assert tone(pixels) == "toned", name
        assert toning_residual(pixels) < 0.9 * TONED_MAX_RESIDUAL
    for path in sorted((test_photos / "kodak").glob("*.png")):
        assert (
            toning_residual(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)) > 1.5 * TONED_MAX_RESIDUAL
        ), path.name
    assert (
        tone(cv2.imread(str(test_photos / "historic" / "1888slum.jpg"), cv2.IMREAD_COLOR_RGB))
        == "grey"
    )


def crops() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    return rng.integers(0, 256, (512, 512, 3)).astype(np.uint8), toned(luminance(512, 512), SEPIA)


def test_a_grey_face_takes_mean_and_spread_of_what_it_replaces():
    restored, before = crops()
    matched = match_grey(restored, before, clip=False)
    np.testing.assert_allclose(matched.mean(axis=(0, 1)), before.mean(axis=(0, 1)), atol=1e-6)
    np.testing.assert_allclose(matched.std(axis=(0, 1)), before.std(axis=(0, 1)), rtol=1e-4)
    normal = (matched - matched.mean(axis=(0, 1))) / matched.std(axis=(0, 1))
    np.testing.assert_allclose(
        normal[..., 0], normal[..., 2], atol=1e-6
    )  # one picture in all channels
    weighted = restored @ np.array([0.299, 0.587, 0.114])
    assert np.corrcoef(normal[..., 0].ravel(), weighted.ravel())[0, 1] > 0.9999


def test_a_grey_face_leaves_the_range_only_where_asked():
    restored, _ = crops()
    contrast = np.where(np.arange(512) < 256, 0, 255)[None, :, None] * np.ones((512, 1, 3))
    free, kept = match_grey(restored, contrast, clip=False), match_grey(restored, contrast)
    assert free.max() > 255
    assert free.min() < 0
    np.testing.assert_array_equal(kept, np.clip(free, 0, 255))


def test_a_flat_face_divides_by_no_zero():
    flat = np.full((512, 512, 3), 80, np.uint8)
    assert np.isfinite(match_grey(flat, crops()[0])).all()


def test_a_face_keeps_its_photo_s_chrominance_and_takes_the_new_luminance():
    restored, before = crops()
    muted = 64 + restored // 2  # far enough from the range's ends that nothing is clipped
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


def test_keeping_the_colour_of_an_unchanged_face_changes_nothing():
    _, before = crops()
    np.testing.assert_allclose(keep_colour(before, before), before, atol=1e-3)
