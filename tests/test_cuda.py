"""On a CUDA device: networks give the same results as on a CPU; copies below float32 and graphs."""

import copy
from typing import cast

import numpy as np
import pytest
import torch
from facefakes import ASTRONAUT

from benchmarks.floors import full_precision, tensors_in
from benchmarks.networks import by_recipe, networks, ready
from benchmarks.quality import psnr_db
from restore import Inputs, Restorer
from restore.imaging.photo import Photo
from restore.models.catalog import Catalog
from restore.models.precision import MIN_PSNR_DB
from restore.nets.lite.grain import hash_noise
from restore.optimize.cuda_graphs import to_channels_last
from restore.optimize.lowering import (
    fixed_examples,
    lowered_copy,
    pooled_capture,
    record_programs,
)
from restore.optimize.lowering import psnr_db as lowering_psnr_db
from restore.options import RuntimeProfile, StabilityMode

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

TOLERANCE = 1e-4
"""Relative to the largest value: sums are computed in another order."""


@pytest.mark.parametrize("name", [row.id for row in Catalog.load().rows if row.embedded])
def test_embedded_network_gives_the_same_output(name: str) -> None:
    full_precision()
    network = ready(networks([name])[0])
    with torch.inference_mode():
        cpu_outputs = list(tensors_in(network.module(*network.inputs)))
        module = copy.deepcopy(network.module).cuda()
        cuda_outputs = list(tensors_in(module(*(tensor.cuda() for tensor in network.inputs))))
    for expected, output in zip(cpu_outputs, cuda_outputs, strict=True):
        atol = TOLERANCE * float(expected.abs().max())
        torch.testing.assert_close(output.cpu(), expected, rtol=0.0, atol=atol)


def test_noise_of_the_grain_is_identical() -> None:
    photo = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    assert torch.equal(hash_noise(photo.cuda()).cpu(), hash_noise(photo))


PHOTO = Photo("me.png", np.ascontiguousarray(ASTRONAUT[:256, 64:320]))


@pytest.fixture(scope="module")
def cuda() -> Restorer:
    return Restorer(weights="lite", device="cuda")


@pytest.mark.parametrize("mode", ["safe", "optimized"])
@pytest.mark.parametrize("task", ["face_restore", "upscale", "restore", "colorize"])
def test_request_below_float32_has_the_quality_of_its_profile(
    cuda: Restorer, task: str, mode: StabilityMode
) -> None:
    for profile, limit_db in MIN_PSNR_DB.items():
        expected = cuda.run(task, PHOTO, stability_mode=mode).photos[0].pixels
        options = cast(Inputs, {"runtime_profile": profile, "stability_mode": mode})
        if task == "face_restore" and profile == "max_speed":
            continue  # faces are pasted with another mask
        result = cuda.run(task, PHOTO, **options)
        assert psnr_db(result.photos[0].pixels, expected) >= limit_db
        assert result.reports[0].precision == "float16"
        assert result.reports[0].warnings == []


@pytest.mark.parametrize("profile", ["fast", "max_speed"])
@pytest.mark.parametrize("task", ["face_restore", "enhance", "upscale", "restore", "colorize"])
def test_pixels_on_the_device_equal_those_on_the_host(
    cuda: Restorer, task: str, profile: RuntimeProfile
) -> None:
    on_host = copy.copy(cuda)
    on_host.pixel_devices = frozenset()
    result = cuda.run(task, PHOTO, runtime_profile=profile)
    expected = on_host.run(task, PHOTO, runtime_profile=profile)
    assert "pixels stayed on the device" in result.reports[0].profile_effects
    difference = np.abs(result.photos[0].pixels.astype(int) - expected.photos[0].pixels)
    assert (difference <= 1).mean() >= 0.999


def test_no_graph_is_recorded_and_nothing_compiled_after_the_first_request(cuda: Restorer) -> None:
    options: Inputs = {"runtime_profile": "fast", "stability_mode": "optimized"}
    cuda.run("face_restore", PHOTO, **options)
    copies = {key: dict(plans) for key, plans in cuda.cache._copies.items()}
    for _ in range(3):
        assert cuda.run("face_restore", PHOTO, **options).reports[0].recompiles == 0
    assert {key: dict(plans) for key, plans in cuda.cache._copies.items()} == copies


@pytest.mark.parametrize("name", ["gfpgan-1.4@512x4", "codeformer@512"])
def test_recorded_copy_equals_the_copy(name: str) -> None:
    [network] = networks([name])
    row, device = network.row, torch.device("cuda")
    net = by_recipe(row).to(device)
    copied = to_channels_last(lowered_copy(net, row, row.precision_for("fast", "cuda")))
    [*inputs] = fixed_examples(row, device)[0]
    with torch.inference_mode():
        expected = next(tensors_in(copied(*inputs))).clone()
        record_programs(copied, fixed_examples(row, device), capture=pooled_capture())
        output = next(tensors_in(copied(*inputs)))
    assert lowering_psnr_db(output, expected) >= MIN_PSNR_DB["max_speed"]
    assert not torch.backends.cuda.matmul.allow_tf32
