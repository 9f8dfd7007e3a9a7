"""The task restore: denoising and deblurring."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from facefakes import ASTRONAUT

from benchmarks.quality import psnr_db
from restore import Restorer, open_photo
from restore.imaging.photo import Photo
from training.motion_blur import apply_blur, random_motion_kernel

PhotoFile = Callable[..., Path]


def test_denoising_removes_noise(lite: Restorer, photo_file: PhotoFile) -> None:
    clean = open_photo(photo_file(height=96, width=96)).pixels
    noise = np.random.default_rng(1).normal(0, 25, clean.shape)
    noisy = np.clip(clean + noise, 0, 255).astype(np.uint8)
    result = lite.run("restore", [Photo("noisy", noisy)]).photos[0].pixels
    assert result.shape == clean.shape
    assert psnr_db(result, clean) > psnr_db(noisy, clean) + 4


def test_lite_deblurring_removes_motion_blur(lite: Restorer) -> None:
    kernel = random_motion_kernel(np.random.default_rng(3), 13)
    pixels = np.clip(np.rint(apply_blur(ASTRONAUT, kernel)), 0, 255).astype(np.uint8)
    photo = Photo("blurred", pixels)
    results = lite.run("restore", [photo], restore_variant="deblur")
    report = results.reports[0]
    assert report.variant == "lite_deblur"
    assert any("instead of deblur" in warning for warning in report.warnings)
    inner = (slice(12, -12),) * 2
    restored = results.photos[0].pixels
    assert (
        psnr_db(restored[inner], ASTRONAUT[inner]) > psnr_db(pixels[inner], ASTRONAUT[inner]) + 2.5
    )
    assert lite.run("restore", [photo], restore_variant="lite_deblur").reports[0].warnings == []


def test_photo_without_motion_blur_is_returned_unchanged_with_a_warning(lite: Restorer) -> None:
    results = lite.run("restore", [Photo("sharp", ASTRONAUT)], restore_variant="lite_deblur")
    np.testing.assert_array_equal(results.photos[0].pixels, ASTRONAUT)
    adapter = lite.cache.get("restore", "lite_deblur")[0].adapter
    assert results.reports[0].warnings == [adapter.unchanged_warning]


def test_fences_are_not_taken_for_shake(lite: Restorer) -> None:
    y, x = np.mgrid[:160, :240]
    fence = np.where(((x + y) % 11 < 2) | ((x - y) % 11 < 2), 60, 190).astype(np.uint8)
    results = lite.run("restore", [Photo("fence", fence)], restore_variant="lite_deblur")
    np.testing.assert_array_equal(results.photos[0].pixels, fence)
    adapter = lite.cache.get("restore", "lite_deblur")[0].adapter
    assert results.reports[0].warnings == [adapter.unchanged_warning]


def test_strength_0_returns_the_original(lite: Restorer, photo_file: PhotoFile) -> None:
    path = photo_file()
    result = lite.run("restore", [path], strength=0).photos[0].pixels
    np.testing.assert_array_equal(result, open_photo(path).pixels)


def test_one_pixel_patterns_keep_their_brightness(lite: Restorer) -> None:
    y, x = np.mgrid[:64, :80]
    for pattern in ((x + y) % 2 * 255, x % 2 * 255, (x + y) % 2 * 60):
        pixels = pattern.astype(np.uint8)
        result = lite.run("restore", [Photo("pattern", pixels)], harm_check=False).photos[0].pixels
        assert abs(result.mean() - pixels.mean()) < 4


def test_white_stays_white(lite: Restorer) -> None:
    for task in ("restore", "upscale"):
        result = lite.run(task, [Photo("white", np.full((64, 72, 3), 255, np.uint8))])
        assert (result.photos[0].pixels == 255).all()
