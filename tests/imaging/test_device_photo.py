"""Photos on a device."""

import numpy as np
import pytest
import torch

from restore.imaging.device_photo import DevicePhoto, download_photo, upload_photo
from restore.imaging.photo import Photo
from restore.runtime.transfers import recorded_transfers

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)


def photo_of(shape: tuple[int, ...], dtype: type, *, alpha: bool = False) -> Photo:
    full = np.iinfo(dtype).max
    pixels = RNG.integers(0, full, shape, dtype, endpoint=True)
    values = RNG.integers(0, full, shape[:2], dtype, endpoint=True) if alpha else None
    return Photo("a.png", pixels, values, exif=b"kept")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(5, 7, 3), (5, 7)])
@pytest.mark.parametrize("alpha", [False, True])
def test_changed_photo_is_downloaded_as_one_copy(
    shape: tuple[int, ...], dtype: type, alpha: bool
) -> None:
    photo = photo_of(shape, dtype, alpha=alpha)
    device = upload_photo(photo, CPU)
    assert (device.width, device.height, device.is_grey) == (7, 5, len(shape) == 2)
    changed = device.with_levels(
        device.levels.clone(), device.alpha if not alpha else _copy(device)
    )
    with recorded_transfers() as transfers:
        returned = download_photo(changed)
    assert len(transfers.downloads) == 1
    alpha_bytes = 0 if photo.alpha is None else photo.alpha.nbytes
    assert sum(transfers.downloads) == photo.pixels.nbytes + alpha_bytes
    np.testing.assert_array_equal(returned.pixels, photo.pixels)
    assert returned.exif == b"kept"
    if photo.alpha is not None:
        np.testing.assert_array_equal(returned.alpha, photo.alpha)


def _copy(device: DevicePhoto) -> torch.Tensor:
    assert device.alpha is not None
    return device.alpha.clone()


def test_unchanged_samples_are_not_downloaded() -> None:
    photo = photo_of((5, 7, 3), np.uint8, alpha=True)
    device = upload_photo(photo, CPU)
    with recorded_transfers() as transfers:
        assert download_photo(device) is photo
        same_alpha = download_photo(device.with_levels(device.levels + 1, device.alpha))
        same_pixels = download_photo(device.with_levels(device.levels, _copy(device)))
        no_alpha = download_photo(device.with_levels(device.levels, None))
    assert same_alpha.alpha is photo.alpha
    assert same_pixels.pixels is photo.pixels
    assert no_alpha.pixels is photo.pixels
    assert no_alpha.alpha is None
    assert transfers.downloads == [105, 35]


def test_pixels_of_the_host_are_known_until_they_change() -> None:
    device = upload_photo(photo_of((5, 7, 3), np.uint8), CPU)
    assert device.host_pixels is device.source.pixels
    assert device.with_levels(device.levels.clone(), None).host_pixels is None


def test_unit_range_does_not_depend_on_the_depth() -> None:
    deep = upload_photo(Photo("a", np.array([[0, 65535, 257]], np.uint16)), CPU)
    plain = upload_photo(Photo("a", np.array([[0, 255, 1]], np.uint8)), CPU)
    assert torch.equal(deep.unit(), plain.unit())
    assert deep.rgb_unit().shape == (1, 3, 1, 3)
