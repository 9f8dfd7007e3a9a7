"""Motion blur kernels, and the patches of the deblurring recipe."""

import numpy as np
import pytest
import torch
from blurredphotos import CLEAN, KERNEL

from restore.nets.lite.deblur import DECONVOLUTION_GAMMAS
from restore.nets.lite.kernel_estimation import KERNEL_PX
from training import recipe_deblur
from training.motion_blur import IDENTITY_KERNEL, apply_blur, random_motion_kernel
from training.recipe_deblur import draw_blurred_patch


@pytest.mark.parametrize("side_px", [3, 9, 21])
def test_motion_kernel_has_its_size_and_is_centred(side_px: int) -> None:
    offsets = np.arange(KERNEL_PX) - KERNEL_PX // 2
    for seed in range(20):
        kernel = random_motion_kernel(np.random.default_rng(seed), side_px)
        rows, columns = np.nonzero(kernel)
        assert max(np.ptp(rows), np.ptp(columns)) < side_px + 1
        assert kernel.sum() == pytest.approx(1.0, abs=1e-5)
        assert abs((kernel.sum(axis=0) * offsets).sum()) < 0.75
        assert abs((kernel.sum(axis=1) * offsets).sum()) < 0.75


def test_identity_kernel_changes_nothing() -> None:
    np.testing.assert_allclose(apply_blur(CLEAN, IDENTITY_KERNEL), CLEAN, atol=1e-3)


def test_blur_of_linear_light_is_brighter_than_blur_of_samples() -> None:
    edge = np.zeros((40, 40, 3), np.uint8)
    edge[:, 20:] = 200
    samples, light = (apply_blur(edge, KERNEL, gamma) for gamma in DECONVOLUTION_GAMMAS)
    assert (light >= samples - 1e-3).all()
    assert light.mean() > samples.mean() + 1.0
    np.testing.assert_allclose(light[:, [0, -1]], edge[:, [0, -1]], atol=1e-3)


@pytest.fixture
def identity_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the estimation of blur kernels, which takes seconds."""
    kernels = [torch.from_numpy(IDENTITY_KERNEL)] * 2
    monkeypatch.setattr(recipe_deblur, "estimate_kernels", lambda photo: kernels)
    monkeypatch.setattr(recipe_deblur, "_blurs", {})


@pytest.mark.usefixtures("identity_kernels")
def test_blurred_patch_holds_the_photo_and_its_deconvolved_versions() -> None:
    source, target = draw_blurred_patch((CLEAN, CLEAN), 144, np.random.default_rng(2))
    assert (source.shape, source.dtype) == ((144, 144, 15), np.float32)
    assert (target.shape, target.dtype) == ((144, 144, 3), np.uint8)
    assert np.abs(source[..., :3] - target / 255.0).mean() < 0.1


@pytest.mark.usefixtures("identity_kernels")
def test_blurred_patch_depends_on_the_seed_only() -> None:
    first, second = (
        draw_blurred_patch((CLEAN, CLEAN), 144, np.random.default_rng(2))[0] for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
