"""LiteDeblur: selection of the kernel, deconvolution in two domains, threads, small photos."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from blurredphotos import (
    CLEAN,
    INNER,
    KERNEL,
    blur_clean_photo,
    cosine_similarity,
    true_kernel,
)

from benchmarks.quality import psnr_db
from restore.nets.lite.deblur import (
    DECONVOLUTION_GAMMAS,
    ESTIMATION_GAMMAS,
    NOISE_RATIOS,
    DeblurUNet,
    LiteDeblur,
    estimate_kernels,
    stack_candidates,
)
from restore.nets.lite.kernel_estimation import estimate_blur_kernel
from training.motion_blur import IDENTITY_KERNEL, apply_blur
from training.tensors import to_tensor


def remove_blur_with(net: LiteDeblur, photo: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """The output of the U-Net for one kernel in both domains."""
    return DeblurUNet.forward(net, stack_candidates(photo, [kernel, kernel])[None])[0]


@pytest.mark.parametrize("size", [(1, 1), (5, 40), (64, 70)], ids=str)
@pytest.mark.parametrize("is_flat", [False, True])
def test_small_and_flat_photos_give_finite_output(size: tuple[int, int], is_flat: bool) -> None:
    photo = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    photo = torch.zeros_like(photo) if is_flat else photo
    with torch.inference_mode():
        output = LiteDeblur().eval()(photo)
    assert output.shape == photo.shape
    assert bool(output.isfinite().all())
    assert float((output.mean() - photo.mean()).abs()) < 0.02


@pytest.mark.parametrize("domain", [0, 1])
def test_blur_is_removed_best_in_the_domain_it_was_applied_in(domain: int) -> None:
    photo = to_tensor(apply_blur(CLEAN, KERNEL, DECONVOLUTION_GAMMAS[domain]))[0]
    candidates = stack_candidates(photo, [true_kernel(), true_kernel()])
    count = 1 + len(DECONVOLUTION_GAMMAS) * len(NOISE_RATIOS)
    first, *versions = candidates.unflatten(0, (count, 3))
    assert torch.equal(first, photo)
    values_db = [psnr_db(255.0 * to_array(version)[INNER], CLEAN[INNER]) for version in versions]
    best_db = np.reshape(values_db, (len(DECONVOLUTION_GAMMAS), len(NOISE_RATIOS))).max(axis=1)
    assert best_db[domain] > best_db[1 - domain] + 1.0


def to_array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.permute(1, 2, 0).numpy()


def test_estimation_uses_one_thread_per_kernel_and_restores_the_thread_count() -> None:
    photo, before = to_tensor(blur_clean_photo())[0], torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        kernels = estimate_kernels(photo)
        with ThreadPoolExecutor(1) as new_thread:
            assert new_thread.submit(torch.get_num_threads).result() == 3
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    for kernel, gamma in zip(kernels, ESTIMATION_GAMMAS, strict=True):
        assert cosine_similarity(kernel, estimate_blur_kernel(photo**gamma)) > 0.999


def test_estimation_is_deterministic() -> None:
    photo = to_tensor(blur_clean_photo())[0]
    with torch.inference_mode():
        first, second = estimate_kernels(photo), estimate_kernels(photo)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_photo_without_estimated_blur_is_returned_unchanged() -> None:
    net, photo = LiteDeblur().eval(), to_tensor(CLEAN)[0]
    identity, motion = torch.from_numpy(IDENTITY_KERNEL), torch.from_numpy(KERNEL)
    with torch.inference_mode():
        assert net.remove_blur(photo, [identity, identity]) is photo
        for kernels in ([identity, motion], [motion, identity]):
            expected = remove_blur_with(net, photo, motion)
            assert torch.equal(net.remove_blur(photo, kernels), expected)


@pytest.mark.parametrize("selected", [0, 1])
def test_kernel_of_the_domain_closer_to_the_output_is_used(selected: int) -> None:
    net, photo = LiteDeblur().eval(), to_tensor(CLEAN)[0]
    kernels = [torch.from_numpy(KERNEL), torch.from_numpy(KERNEL.T.copy())]
    with torch.inference_mode():
        assert net.tail.bias is not None
        net.tail.bias[12:] = (-9.0, 9.0)[selected]
        assert net.select_kernel(photo, kernels) is kernels[selected]
        output = net.remove_blur(photo, kernels)
        assert torch.equal(output, remove_blur_with(net, photo, kernels[selected]))
        assert not torch.equal(output, remove_blur_with(net, photo, kernels[1 - selected]))
