"""Areas of one colour through networks."""

from typing import Any

import numpy as np
import pytest

from restore.imaging import flat_areas
from restore.imaging.flat_areas import CLIPPED_RADIUS_PX, FLAT_RADIUS_PX, keep_flat_areas


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_flat_areas_keep_their_colour(dtype: Any, scale: int, share: float) -> None:
    full = np.iinfo(dtype).max
    original = np.full((600, 40, 3), round(share * full), dtype)
    original[300, 20] = full // 2
    result = np.full((600 * scale, 40 * scale, 3), round(share * full * 0.99) + 2, dtype)
    kept = keep_flat_areas(result, original)
    radius = FLAT_RADIUS_PX if share == 0.3 else CLIPPED_RADIUS_PX
    far = np.ones((600, 40), np.bool_)
    far[300 - radius - 1 : 300 + radius + 2, 20 - radius - 1 : 20 + radius + 2] = False
    near = np.zeros((600, 40), np.bool_)
    near[300 - radius + 1 : 300 + radius, 20 - radius + 1 : 20 + radius] = True
    far, near = (area.repeat(scale, 0).repeat(scale, 1) for area in (far, near))
    assert (kept[far] == original[0, 0]).all()
    assert (kept[near] == result[0, 0]).all()
    grey = keep_flat_areas(result[..., 0], original[..., 0])
    np.testing.assert_array_equal(grey, kept[..., 0])


def test_bands_have_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    original = np.full((96, 40, 3), 90, np.uint8)
    original[::24, ::7] = 20
    result = original + np.uint8(3)
    expected = keep_flat_areas(result, original)
    assert (expected == original).any(axis=2).any()
    assert (expected == result).any(axis=2).any()
    for rows in (7, 16, 30):
        monkeypatch.setattr(flat_areas, "BAND_ROWS", rows)
        np.testing.assert_array_equal(keep_flat_areas(result, original), expected)


def test_photo_without_flat_areas_is_returned_itself() -> None:
    rng = np.random.default_rng(0)
    original = rng.integers(0, 256, (40, 48, 3), np.uint8)
    original[:, ::2] = original[:, 1::2]
    result = rng.integers(0, 256, (80, 96, 3), np.uint8)
    assert keep_flat_areas(result, original) is result
    white = np.full((20, 20, 3), 255, np.uint8)
    assert keep_flat_areas(white, white.copy()) is white
