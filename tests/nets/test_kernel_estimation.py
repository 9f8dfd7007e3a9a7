"""Blind estimation of blur kernels."""

import numpy as np
import pytest
import torch
from blurredphotos import (
    CLEAN,
    INNER,
    blur_clean_photo,
    cosine_similarity,
    true_kernel,
)

from benchmarks.quality import psnr_db
from restore.nets.lite import kernel_estimation
from restore.nets.lite.blur_kernel import identity_kernel, kernel_entropy
from restore.nets.lite.deconvolution import wiener_deconvolve
from restore.nets.lite.kernel_estimation import (
    KERNEL_PX,
    MIN_EVIDENCE,
    SEARCH_SETTINGS,
    PyramidLevel,
    SearchSettings,
    estimate_blur_kernel,
)
from training.tensors import to_pixels, to_tensor


def test_kernel_is_estimated_and_the_blur_removed() -> None:
    blurred = blur_clean_photo()
    tensor = to_tensor(blurred)[0]
    kernel = estimate_blur_kernel(tensor)
    assert cosine_similarity(kernel, true_kernel()) > 0.7
    restored = to_pixels(wiener_deconvolve(tensor, kernel, [1e-2])[0])
    before_db, after_db = (psnr_db(image[INNER], CLEAN[INNER]) for image in (blurred, restored))
    assert after_db > before_db + 2.5


def test_faded_photo_gives_the_same_kernel() -> None:
    tensor = to_tensor(blur_clean_photo())[0]
    kernel, faded_kernel = (estimate_blur_kernel(x) for x in (tensor, 0.25 * tensor + 0.3))
    assert cosine_similarity(kernel, faded_kernel) > 0.98


def test_settings_with_the_lowest_entropy_are_selected(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = to_tensor(blur_clean_photo())[0]
    failing = SearchSettings(4e-3, 1.1, 1e9)
    kernels = []
    for settings in ((failing,), (failing, SEARCH_SETTINGS[0]), (SEARCH_SETTINGS[0],)):
        monkeypatch.setattr(kernel_estimation, "SEARCH_SETTINGS", settings)
        kernels.append(estimate_blur_kernel(tensor))
    failed, selected, alone = kernels
    assert torch.equal(selected, alone)
    assert cosine_similarity(failed, alone) < 0.9


def test_evidence_is_highest_for_the_true_kernel() -> None:
    kernel = true_kernel()
    sharp, blurred = (
        PyramidLevel(to_tensor(photo)[0].mean(dim=0), KERNEL_PX)
        for photo in (CLEAN, blur_clean_photo())
    )
    assert blurred.evidence(kernel) > MIN_EVIDENCE
    assert blurred.evidence(kernel) > blurred.evidence(kernel.T)
    assert sharp.evidence(kernel) < 0.0 == sharp.evidence(identity_kernel(KERNEL_PX, kernel))


def test_kernel_with_too_little_evidence_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PyramidLevel, "evidence", lambda level, kernel: MIN_EVIDENCE - 0.01)
    kernel = estimate_blur_kernel(to_tensor(blur_clean_photo())[0])
    assert torch.equal(kernel, identity_kernel(KERNEL_PX, kernel))


def test_entropy_of_equal_values_is_the_logarithm_of_their_number() -> None:
    even = torch.zeros(5, 5)
    even[1:4, 1:4] = 1 / 9
    assert kernel_entropy(even) == pytest.approx(np.log(9))
    assert kernel_entropy(identity_kernel(5, even)) == 0.0
