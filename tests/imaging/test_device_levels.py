"""Local means and flat areas are kept on a device as on the host."""

import cv2
import numpy as np
import pytest
import torch

from restore.imaging import device_levels
from restore.imaging.device_photo import download_photo, upload_photo
from restore.imaging.flat_areas import keep_flat_areas
from restore.imaging.low_frequencies import keep_low_frequencies, measure_cells
from restore.imaging.photo import Photo

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)


def scene(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Return smooth shapes with noise, a black and a white area, and a flat coloured one."""
    noise = RNG.normal(0, 40, shape)
    levels = np.clip(cv2.GaussianBlur(RNG.normal(128, 400, shape), (0, 0), 9) + noise, 0, 255)
    levels[:40, :50], levels[60:100, :50], levels[60:100, 60:110] = 0, 255, 77
    return (levels / 255 * np.iinfo(dtype).max).round().astype(dtype)


def damaged(pixels: np.ndarray, scale: int) -> np.ndarray:
    """Return an enlarged photo that is darker at the left and lighter at the right."""
    size = (pixels.shape[1] * scale, pixels.shape[0] * scale)
    large = cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC).astype(np.float64)
    shift = np.linspace(-20, 20, size[0]).reshape((1, -1) + (1,) * (pixels.ndim - 2))
    full = np.iinfo(pixels.dtype).max
    return np.clip(large + shift * full / 255, 0, full).astype(pixels.dtype)


def on_device(function: object, result: np.ndarray, original: np.ndarray) -> np.ndarray:
    first, second = (upload_photo(Photo("a", each), CPU) for each in (result, original))
    levels = function(first.levels, second.levels)  # type: ignore[operator]
    return download_photo(first.with_levels(levels, None)).pixels


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("shape", "scale"), [((131, 150, 3), 1), ((131, 150), 2)])
def test_corrections_equal_those_of_the_host(
    shape: tuple[int, ...], scale: int, dtype: type
) -> None:
    original = scene(shape, dtype)
    result = damaged(original, scale)
    expected = keep_low_frequencies(result, original)
    assert not np.array_equal(expected, result)
    corrected = on_device(device_levels.keep_low_frequencies, result, original)
    assert np.abs(corrected.astype(int) - expected).max() <= 1
    expected = keep_flat_areas(result, original)
    assert not np.array_equal(expected, result)
    flat = on_device(device_levels.keep_flat_areas, result, original)
    np.testing.assert_array_equal(flat, expected)


def test_cells_equal_those_of_the_host() -> None:
    original = scene((131, 150, 3), np.uint8)
    expected = measure_cells(original)
    cells = device_levels.measure_cells(upload_photo(Photo("a", original), CPU).levels)
    np.testing.assert_allclose(cells.means, expected.means, atol=1e-3)
    for found, wanted in zip(cells.ends, expected.ends, strict=True):
        np.testing.assert_allclose(found, wanted, atol=0.05)


def test_small_differences_are_not_corrected() -> None:
    original = scene((64, 64, 3), np.uint8)
    levels = upload_photo(Photo("a", original), CPU).levels
    result = levels.clone()
    assert device_levels.keep_low_frequencies(result, levels) is result
