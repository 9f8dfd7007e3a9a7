"""What lite networks are trained against: wear and shakes are drawn by their seed alone, are what they say, and shakes can be undone."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from facejobs import ASTRONAUT

from restore.nets.lite import kernel_estimation as camera_shake
from restore.nets.lite.kernel_estimation import KERNEL_PX, WAYS, Way, entropy, point, shake_of, unshaken
from restore.nets.lite.deblur import (
    GAMMAS,
    NOISES,
    SEARCHED,
    LiteDeblur,
    Mending,
    candidates,
    shakes_of,
)
from training import recipe_deblur as shake
from training.recipe_deblur import STILL, draw_shaken, shake_kernel, shaken
from training.metrics import as_tensor, colour_shift, psnr
from training.recipe_upscale import draw_reduced, draw_worn, reduced, sharpened
from training.degradations import FIRST, blur_kernel, lightly_worn, sinc_kernel, worn

CLEAN = ASTRONAUT  # 256 px
KERNEL = shake_kernel(np.random.default_rng(3), 13)


def blurred(kernel: np.ndarray) -> np.ndarray:
    """The photo under the kernel, with noise of one level."""
    noisy = shaken(CLEAN, kernel) + np.random.default_rng(1).standard_normal(CLEAN.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def with_one(net: LiteDeblur, kernel: torch.Tensor, photo: torch.Tensor) -> torch.Tensor:
    """What the network makes of a photo that is deblurred with one kernel."""
    return Mending.forward(net, candidates(photo, [kernel, kernel])[None])[0]


def likeness(first: torch.Tensor, second: torch.Tensor) -> float:
    return float((first * second).sum() / first.norm() / second.norm())


@pytest.mark.parametrize("wear", [worn, lightly_worn])
def test_a_worn_photo_is_drawn_by_its_seed_alone_and_keeps_its_colour(wear):
    first, second, other = (
        wear(CLEAN, (64, 48), np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
    assert first.shape == (48, 64, 3)
    shifts = [
        colour_shift(CLEAN, wear(CLEAN, (64, 64), np.random.default_rng(seed))) for seed in range(8)
    ]
    assert np.median(shifts) < 4.0


def test_second_order_wear_is_worse_than_light_wear():
    small = np.asarray(
        torch.nn.functional.avg_pool2d(as_tensor(CLEAN), 4)[0].permute(1, 2, 0) * 255.0
    )
    rngs = [np.random.default_rng(seed) for seed in range(8)]
    heavy, light = (
        np.mean([psnr(wear(CLEAN, (64, 64), rng), small) for rng in rngs])
        for wear in (worn, lightly_worn)
    )
    assert heavy < light - 1.0


@pytest.mark.parametrize("scale", [2, 4])
def test_a_patch_to_enlarge_is_its_target_reduced(scale):
    for seed in range(6):  # some of them resized first
        low, high = draw_reduced((CLEAN, CLEAN), 32, np.random.default_rng(seed), scale=scale)
        again, _ = draw_reduced((CLEAN, CLEAN), 32, np.random.default_rng(seed), scale=scale)
        np.testing.assert_array_equal(low, again)
        assert (low.shape, high.shape) == ((32, 32, 3), (32 * scale, 32 * scale, 3))
        inner = (slice(4, -4),) * 2  # what is beyond the patch is not known here
        np.testing.assert_array_equal(low[inner], reduced(high, scale)[0][inner])


def test_a_worn_patch_lies_where_its_target_does_and_that_is_sharper():
    distances = []
    for seed in range(6):
        low, high = draw_worn((CLEAN, CLEAN), 40, np.random.default_rng(seed))
        assert (low.shape, high.shape) == ((40, 40, 3), (160, 160, 3))
        small = reduced(high, 4)[0]
        moved = np.roll(small, 3, axis=1)
        distances.append(psnr(low, small) - psnr(low, moved))
    assert np.median(distances) > 1.0
    steps = [
        np.abs(np.diff(photo.astype(np.float32), axis=1)).mean()
        for photo in (CLEAN, sharpened(CLEAN, 0.0), sharpened(CLEAN, 1.0))
    ]
    assert steps[0] == steps[1] < 0.8 * steps[2]


def test_blur_kernels_sum_to_one():
    kernels = [blur_kernel(FIRST.sigma, np.random.default_rng(seed)) for seed in range(40)]
    np.testing.assert_allclose([kernel.sum() for kernel in kernels], 1.0, atol=1e-4)
    assert {kernel.shape[0] for kernel in kernels} <= set(range(7, 22, 2))
    assert sinc_kernel(1.5, 21).min() < 0.0  # it rings


@pytest.mark.parametrize("side", [3, 9, 21])
def test_a_shake_fits_its_size_and_leaves_the_photo_where_it_is(side):
    kernels = [shake_kernel(np.random.default_rng(seed), side) for seed in range(20)]
    for kernel in kernels:
        rows, columns = np.nonzero(kernel)
        assert max(np.ptp(rows), np.ptp(columns)) < side + 1
        assert kernel.sum() == pytest.approx(1.0, abs=1e-5)
        places = np.arange(KERNEL_PX) - KERNEL_PX // 2
        assert abs((kernel.sum(axis=0) * places).sum()) < 0.75
        assert abs((kernel.sum(axis=1) * places).sum()) < 0.75


def test_a_shake_is_found_and_undone():
    seen = as_tensor(blurred(KERNEL))[0]
    found = shake_of(seen)
    true = torch.from_numpy(KERNEL[::-1, ::-1].copy())  # OpenCV's filter is a correlation
    assert likeness(found, true) > 0.7
    restored = unshaken(seen, found, [1e-2])[0].clamp(0, 1).permute(1, 2, 0).numpy() * 255.0
    inner = (slice(12, -12),) * 2
    assert psnr(restored[inner], CLEAN[inner]) > psnr(blurred(KERNEL)[inner], CLEAN[inner]) + 2.5


def test_a_faded_photo_tells_the_same_shake():
    seen = as_tensor(blurred(KERNEL))[0]
    assert likeness(shake_of(seen), shake_of(0.25 * seen + 0.3)) > 0.98


def test_of_several_ways_the_most_concentrated_kernel_goes_on(monkeypatch):
    seen = as_tensor(blurred(KERNEL))[0]
    kernels = {}
    cloud = Way(4e-3, 1.1, 1e9)
    for ways in ((cloud,), (cloud, WAYS[0]), (WAYS[0],)):
        monkeypatch.setattr(camera_shake, "WAYS", ways)
        kernels[ways] = shake_of(seen)
    lost, chosen, alone = kernels.values()
    assert torch.equal(chosen, alone)
    assert likeness(lost, alone) < 0.9


def test_a_kernel_has_to_explain_the_photo(monkeypatch):
    true = torch.from_numpy(KERNEL[::-1, ::-1].copy())
    sharp, seen = (
        camera_shake.Scale(as_tensor(photo)[0].mean(dim=0), KERNEL_PX)
        for photo in (CLEAN, blurred(KERNEL))
    )
    assert seen.evidence(true) > camera_shake.LEAST_EVIDENCE
    assert seen.evidence(true) > seen.evidence(true.T)
    assert sharp.evidence(true) < 0.0 == sharp.evidence(point(KERNEL_PX, true))
    monkeypatch.setattr(
        camera_shake.Scale, "evidence", lambda scale, kernel: camera_shake.LEAST_EVIDENCE - 0.01
    )
    found = shake_of(as_tensor(blurred(KERNEL))[0])
    assert torch.equal(found, point(KERNEL_PX, found))


def test_entropy_counts_the_places_of_a_kernel():
    even = torch.zeros(5, 5)
    even[1:4, 1:4] = 1 / 9
    assert entropy(even) == pytest.approx(np.log(9))
    assert entropy(point(5, even)) == 0.0


@pytest.mark.parametrize("size", [(1, 1), (5, 40), (64, 70)])
def test_no_photo_is_too_small_or_too_flat(size):
    noise = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    net = LiteDeblur().eval()
    with torch.inference_mode():
        for photo in (noise, torch.zeros(1, 3, *size)):
            result = net(photo)
            assert result.shape == photo.shape
            assert bool(result.isfinite().all())
            assert float((result.mean() - photo.mean()).abs()) < 0.02


@pytest.mark.parametrize("right", [0, 1])
def test_a_shake_is_undone_best_among_the_samples_that_added_up(right):
    seen = as_tensor(shaken(CLEAN, KERNEL, GAMMAS[right]))[0]
    true = torch.from_numpy(KERNEL[::-1, ::-1].copy())
    photo, *deblurred = candidates(seen, [true, true]).unflatten(
        0, (1 + len(GAMMAS) * len(NOISES), 3)
    )
    assert torch.equal(photo, seen)
    inner = (slice(12, -12),) * 2
    found = [
        psnr((255.0 * version.permute(1, 2, 0).numpy())[inner], CLEAN[inner])
        for version in deblurred
    ]
    best = np.reshape(found, (len(GAMMAS), len(NOISES))).max(axis=1)
    assert best[right] > best[1 - right] + 1.0


def test_light_adds_up_brighter_than_samples_do():
    edge = np.zeros((40, 40, 3), np.uint8)
    edge[:, 20:] = 200
    samples, light = (shaken(edge, KERNEL, gamma) for gamma in GAMMAS)
    assert (light >= samples - 1e-3).all()
    assert light.mean() > samples.mean() + 1.0
    np.testing.assert_allclose(light[:, [0, -1]], edge[:, [0, -1]], atol=1e-3)


def test_each_search_has_one_thread_and_those_to_come_have_as_many_as_before():
    seen, before = as_tensor(blurred(KERNEL))[0], torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        kernels = shakes_of(seen)
        with ThreadPoolExecutor(1) as new:
            assert new.submit(torch.get_num_threads).result() == torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    for kernel, power in zip(kernels, SEARCHED, strict=True):
        assert likeness(kernel, shake_of(seen**power)) > 0.999
    with torch.inference_mode():
        assert all(
            torch.equal(kernel, again)
            for kernel, again in zip(kernels, shakes_of(seen), strict=True)
        )


def test_only_a_photo_in_which_no_shake_is_found_is_left_as_it_is():
    net, photo = LiteDeblur().eval(), as_tensor(CLEAN)[0]
    still, moved = torch.from_numpy(STILL), torch.from_numpy(KERNEL)
    with torch.inference_mode():
        assert net.without([still, still], photo) is photo
        for kernels in ([still, moved], [moved, still]):
            assert torch.equal(net.without(kernels, photo), with_one(net, moved, photo))


@pytest.mark.parametrize("leans_to", [0, 1])
def test_the_kernel_that_the_network_leans_to_is_undone(leans_to):
    net, photo = LiteDeblur().eval(), as_tensor(CLEAN)[0]
    kernels = [torch.from_numpy(KERNEL), torch.from_numpy(KERNEL.T.copy())]
    with torch.inference_mode():
        net.tail.bias[12:] = (-9.0, 9.0)[leans_to]
        assert net.believed(kernels, photo) is kernels[leans_to]
        result = net.without(kernels, photo)
        assert torch.equal(result, with_one(net, kernels[leans_to], photo))
        assert not torch.equal(result, with_one(net, kernels[1 - leans_to], photo))


def test_a_drawn_patch_holds_the_photo_deblurred_with_what_was_found_in_it(monkeypatch):
    monkeypatch.setattr(
        shake, "shakes_of", lambda photo: [torch.from_numpy(STILL)] * 2
    )  # looking for them takes seconds
    source, target = draw_shaken((CLEAN, CLEAN), 144, np.random.default_rng(2))
    assert (source.shape, source.dtype, target.shape, target.dtype) == (
        (144, 144, 15),
        np.float32,
        (144, 144, 3),
        np.uint8,
    )
    again, _ = draw_shaken((CLEAN, CLEAN), 144, np.random.default_rng(2))
    np.testing.assert_array_equal(source, again)
    assert np.abs(source[..., :3] - target / 255.0).mean() < 0.1


def test_a_camera_at_rest_blurs_nothing():
    np.testing.assert_allclose(shaken(CLEAN, STILL), CLEAN, atol=1e-3)
