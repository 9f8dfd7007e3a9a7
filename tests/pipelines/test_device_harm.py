"""The harm check on a device, compared with that on the host."""

import numpy as np
import pytest
import torch

from restore.imaging.device_photo import download_photo, upload_photo
from restore.imaging.photo import Photo
from restore.pipelines.context import StepContext
from restore.pipelines.device_harm import check_harm_on_device, measure_harm_on_device
from restore.pipelines.harm import Expected, Harm, measure_harm
from restore.pipelines.harm_check import check_harm
from restore.report import Report
from restore.runtime.device import runtime_for

CPU = torch.device("cpu")


def photo_of(dtype: type, *, grey: bool, has_alpha: bool) -> Photo:
    """Return a photo with its upper third hidden if it has alpha."""
    y, x = np.mgrid[:96, :128]
    rgb = np.stack([40 + x, 40 + y, 60 + (x + y) // 2], axis=-1)
    largest = np.iinfo(dtype).max
    pixels: np.ndarray = ((rgb[..., 0] if grey else rgb) * (largest // 255)).astype(dtype)
    alpha: np.ndarray = np.full((96, 128), largest, dtype)
    alpha[:32] = 0
    return Photo("a", pixels, alpha if has_alpha else None)


@pytest.mark.parametrize("expected", [Expected.DETAIL, Expected.COLOUR])
@pytest.mark.parametrize("has_alpha", [False, True])
@pytest.mark.parametrize("has_hole", [False, True])
@pytest.mark.parametrize(("dtype", "grey"), [(np.uint8, False), (np.uint16, True)])
def test_figures_are_those_of_the_host(
    dtype: type, grey: bool, has_hole: bool, has_alpha: bool, expected: Expected
) -> None:
    photo = photo_of(dtype, grey=grey, has_alpha=has_alpha)
    pixels, level = photo.pixels.copy(), np.iinfo(dtype).max // 255
    pixels[:32] //= 2  # hidden
    pixels[32:64, :64] += dtype(60 * level)  # in the hole
    pixels[64:, 64:] += dtype(20 * level)
    after = photo.with_pixels(pixels, photo.alpha)
    hole = np.zeros((96, 128), np.bool_)
    hole[32:64, :64] = True
    first, second = (upload_photo(each, CPU) for each in (photo, after))
    on_device = measure_harm_on_device(
        first, second, expected, torch.from_numpy(hole)[None, None] if has_hole else None
    )
    host = measure_harm(photo, after, expected, hole if has_hole else None)
    assert host != Harm()
    # OpenCV's tables for CIE lightness are up to 0.2 of 100 off.
    assert on_device.facts() == pytest.approx(host.facts(), abs=0.25, rel=0.02)
    assert on_device.changed_share == pytest.approx(host.changed_share, abs=0.01)


@pytest.mark.parametrize("is_proposed", [False, True])
def test_harm_around_a_changed_area_is_treated_as_on_the_host(*, is_proposed: bool) -> None:
    photo = photo_of(np.uint8, grey=False, has_alpha=False)
    pixels = photo.pixels + np.uint8(12)
    face: np.ndarray = np.zeros((96, 128), np.bool_)
    face[32:80, 32:96] = True
    pixels[face] += 60  # on purpose
    after = photo.with_pixels(pixels)
    on_host, on_device = (
        StepContext({}, runtime_for("fast", CPU), Report("a", "face_restore")) for _ in range(2)
    )
    on_host.changed_areas.append(face)
    expected = check_harm(
        photo, after, Expected.DETAIL, on_host, is_proposed=is_proposed, corrects=True
    )
    on_device.changed_on_device.append(torch.from_numpy(face)[None, None])
    result = check_harm_on_device(
        upload_photo(photo, CPU),
        upload_photo(after, CPU),
        Expected.DETAIL,
        on_device,
        is_proposed=is_proposed,
        corrects=True,
    )
    assert on_host.report.status == "reduced"
    assert on_device.report.status == "reduced"
    assert on_device.report.harm == on_host.report.harm
    assert on_device.report.warnings == on_host.report.warnings
    np.testing.assert_array_equal(download_photo(result).pixels, expected.pixels)
    np.testing.assert_array_equal(expected.pixels[48:64, 48:80], after.pixels[48:64, 48:80])
