"""Film grain: white noise from the photo, frequency bands, filters."""

import pytest
import torch
import torch.nn.functional as F
from noisyphotos import noisy_photo
from torchvision.transforms.functional import gaussian_blur as torchvision_blur

from restore.nets.lite.grain import (
    BAND_SHARES,
    SCALE,
    build_grain_filters,
    gaussian_blur,
    hash_noise,
    split_bands,
)


def test_noise_is_white_and_of_unit_variance() -> None:
    noise = hash_noise(noisy_photo(96, 128))
    assert noise.shape == (1, 16, 96, 128)
    assert abs(float(noise.mean())) < 0.01
    assert abs(float(noise.std()) - 1.0) < 0.01
    plane = F.pixel_shuffle(noise, SCALE)[0, 0]
    for rows, columns in ((0, 1), (1, 0), (1, 1), (0, 4), (4, 0), (3, 2)):
        shifted = plane.roll((rows, columns), (0, 1))
        # Six standard deviations of the correlation of independent samples.
        assert abs(float((plane * shifted).mean())) < 0.015


def test_noise_of_a_tile_equals_that_part_of_the_noise_of_the_photo() -> None:
    photo = noisy_photo(64, 64)
    tile_noise = hash_noise(photo[..., 8:48, 4:60])[..., 2:-2, 2:-2]
    torch.testing.assert_close(tile_noise, hash_noise(photo)[..., 10:46, 6:58], rtol=0, atol=0)


def test_noise_of_8_and_16_bit_versions_of_a_photo_is_equal() -> None:
    levels = (noisy_photo(32, 32) * 255).round()
    noise_8, noise_16 = hash_noise(levels / 255), hash_noise(levels * 257 / 65535)
    torch.testing.assert_close(noise_8, noise_16, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("horizontal", "vertical"), [(0, 0), (1, 0), (0, 1), (1, 1), (1, -1)], ids=str
)
def test_drawings_have_no_noise(horizontal: int, vertical: int) -> None:
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    gradient = (3 * (horizontal * x + vertical * y)) % 256 / 255
    assert not hash_noise(gradient.expand(1, 3, 48, 48))[..., 4:-4, 4:-4].any()


def test_each_band_has_its_share_of_the_variance() -> None:
    noise = F.pad(hash_noise(noisy_photo(128, 128)), (3,) * 4, mode="replicate")
    filtered = F.pixel_shuffle(F.conv2d(noise, build_grain_filters()), SCALE)
    shares = torch.tensor(BAND_SHARES)
    torch.testing.assert_close(filtered.std(dim=(0, 2, 3)), shares, rtol=0.03, atol=0)


def test_filters_equal_band_splitting_at_the_resolution_of_the_noise() -> None:
    noise = F.pad(hash_noise(noisy_photo(128, 128)), (3,) * 4, mode="replicate")
    filtered = F.pixel_shuffle(F.conv2d(noise, build_grain_filters()), SCALE)[..., 12:-12, 12:-12]
    expected = split_bands(F.pixel_shuffle(noise, SCALE))[..., 24:-24, 24:-24]
    for band in range(len(BAND_SHARES)):
        pair = torch.stack([expected[0, band].flatten(), filtered[0, band].flatten()])
        assert float(torch.corrcoef(pair)[0, 1]) > 0.9999


@pytest.mark.parametrize(("size_px", "sigma_px"), [(3, 0.4), (7, 0.8), (19, 3.2)])
def test_gaussian_blur_equals_torchvision(size_px: int, sigma_px: float) -> None:
    image = torch.rand(1, 2, 24, 31, generator=torch.Generator().manual_seed(1))
    expected = torchvision_blur(image, [size_px, size_px], [sigma_px, sigma_px])
    torch.testing.assert_close(gaussian_blur(image, size_px, sigma_px), expected)
