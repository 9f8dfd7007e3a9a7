"""The recipes of the upscalers: patches, sharpened targets, texture and its loss."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from blurredphotos import CLEAN
from noisyphotos import noisy_photo

from benchmarks.quality import psnr_db
from restore.nets.lite.grain import split_bands
from training.recipe_upscale import (
    TEXTURE_STRIDE_PX,
    draw_degraded_patch,
    draw_reduced_patch,
    measure_texture,
    picture_and_grain_loss,
    reduce_photo,
    sharpen,
)


@pytest.mark.parametrize("scale", [2, 4])
def test_reduced_patch_is_its_target_reduced(scale: int) -> None:
    for seed in range(6):  # some of them are resized first
        low, high = draw_reduced_patch((CLEAN, CLEAN), 32, np.random.default_rng(seed), scale)
        assert (low.shape, high.shape) == ((32, 32, 3), (32 * scale, 32 * scale, 3))
        inner = (slice(4, -4),) * 2  # pixels outside the patch affect its border
        np.testing.assert_array_equal(low[inner], reduce_photo(high, scale)[0][inner])


@pytest.mark.parametrize("scale", [2, 4])
def test_reduced_patch_depends_on_the_seed_only(scale: int) -> None:
    first, second = (
        draw_reduced_patch((CLEAN, CLEAN), 32, np.random.default_rng(1), scale)[0] for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_degraded_patch_is_aligned_with_its_target() -> None:
    differences_db = []
    for seed in range(6):
        low, high = draw_degraded_patch((CLEAN, CLEAN), 40, np.random.default_rng(seed))
        assert (low.shape, high.shape) == ((40, 40, 3), (160, 160, 3))
        reduced, _ = reduce_photo(high, 4)
        differences_db.append(psnr_db(low, reduced) - psnr_db(low, np.roll(reduced, 3, axis=1)))
    assert np.median(differences_db) > 1.0


def test_sharpening_increases_the_contrast_of_details() -> None:
    original, unchanged, sharpened = (
        np.abs(np.diff(photo.astype(np.float32), axis=1)).mean()
        for photo in (CLEAN, sharpen(CLEAN, 0.0), sharpen(CLEAN, 1.0))
    )
    assert original == unchanged < 0.8 * sharpened


class TestTexture:
    noise = torch.randn(1, 1, 160, 160, generator=torch.Generator().manual_seed(5))

    def photo(self) -> torch.Tensor:
        return (0.5 + 0.04 * self.noise).expand(-1, 3, -1, -1).clone()

    def test_deviation_of_each_band_is_measured(self) -> None:
        measured = measure_texture(self.photo()).mean(dim=(2, 3))
        expected = 0.04 * split_bands(self.noise).std(dim=(2, 3))
        torch.testing.assert_close(measured, expected, rtol=0.1, atol=0)

    def test_edges_do_not_count(self) -> None:
        photo, with_edge = self.photo(), self.photo()
        with_edge[..., 80:] += 0.3
        measured, root_mean_square = (
            [measure(image) for image in (photo, with_edge)]
            for measure in (
                lambda image: measure_texture(image).mean(dim=(2, 3)),
                lambda image: split_bands(image[:, :1]).square().mean(dim=(2, 3)).sqrt(),
            )
        )
        assert float((measured[1] / measured[0]).max()) < 1.5
        assert float((root_mean_square[1] / root_mean_square[0]).max()) > 2.0


def test_loss_is_lowest_for_the_lost_texture() -> None:
    photo = noisy_photo(64, 64, seed=6)
    smooth = F.avg_pool2d(F.pad(photo, (3,) * 4, mode="replicate"), 7, 1)
    lost_variance = measure_texture(photo).square() - measure_texture(smooth).square()
    lost = lost_variance.clamp_min(0).sqrt()
    strength = lost.repeat_interleave(TEXTURE_STRIDE_PX, 2).repeat_interleave(TEXTURE_STRIDE_PX, 3)
    losses = [
        float(picture_and_grain_loss(torch.cat([smooth, share * strength], 1), photo, photo, 0.5))
        for share in (0.0, 0.5, 1.0, 2.0)
    ]
    assert losses[2] == min(losses)
    assert losses[0] > losses[1]
