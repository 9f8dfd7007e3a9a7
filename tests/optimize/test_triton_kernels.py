"""Triton kernels against torch: on a GPU, or in Triton's interpreter in another process."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

triton = pytest.importorskip("triton")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu"
needs_kernels = pytest.mark.skipif(
    DEVICE == "cpu" and not INTERPRETED, reason="needs a GPU or Triton's interpreter"
)
# The kernel modules are imported in the tests: Triton reads TRITON_INTERPRET at their import.


@pytest.mark.slow  # Triton's interpreter takes about 30 s
@pytest.mark.skipif(INTERPRETED or DEVICE == "cuda", reason="the kernels run in this process")
def test_kernels_in_the_interpreter() -> None:
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


def random(*shape: int, dtype: torch.dtype = torch.float16) -> Tensor:
    return torch.randn(*shape).to(DEVICE, dtype)


def unset(*shape: int) -> Tensor:
    return torch.full(shape, float("nan"), dtype=torch.float16, device=DEVICE)


@needs_kernels
@pytest.mark.parametrize(
    ("channels", "total", "finished", "add_sums"),
    [(32, 96, 32, True), (64, 192, 32, False), (64, 128, 32, True)],
)
def test_convolution_stores_finished_outputs_and_partial_sums(
    channels: int, total: int, finished: int, add_sums: bool
) -> None:
    from restore.optimize import triton_conv  # noqa: PLC0415

    torch.manual_seed(0)
    weight, bias = random(total, channels, 3, 3) / (9 * channels) ** 0.5, random(total)
    x, sums = random(2, 6, 40, 64)[..., :channels], random(2, 6, 40, total + 8)
    sums_before = sums.clone()
    buffer = unset(2, 6, 40, 64)
    out = buffer[..., 8 : 8 + finished]
    triton_conv.partial_sum_conv(
        x,
        triton_conv.flatten_filters(weight),
        out,
        bias=bias,
        sums=sums,
        sums_offset=3,
        add_sums=add_sums,
        leaky_slope=0.2,
        config=triton_conv.KernelConfig(32, 4, 2),
    )
    expected = F.conv2d(x.permute(0, 3, 1, 2).float(), weight.float(), bias.float(), padding=1)
    expected = expected.permute(0, 2, 3, 1)
    if add_sums:
        expected = expected + sums_before[..., 3 : 3 + total].float()
    activated = F.leaky_relu(expected[..., :finished], 0.2)
    torch.testing.assert_close(out.float(), activated, rtol=1e-3, atol=3e-3)
    partial_sums = sums[..., 3 + finished : 3 + total].float()
    torch.testing.assert_close(partial_sums, expected[..., finished:], rtol=1e-3, atol=3e-3)
    assert torch.equal(sums[..., : 3 + finished], sums_before[..., : 3 + finished])
    assert torch.equal(sums[..., 3 + total :], sums_before[..., 3 + total :])
    assert torch.isnan(buffer[..., :8]).all()
    assert torch.isnan(buffer[..., 8 + finished :]).all()


@needs_kernels
def test_convolution_of_an_upsampled_input_with_skip_and_base() -> None:
    from restore.optimize import triton_conv  # noqa: PLC0415

    torch.manual_seed(1)
    x, weight, bias = random(2, 3, 20, 64), random(64, 64, 3, 3) / 24, random(64)
    skip, base, out = random(2, 6, 40, 64), random(2, 6, 40, 64), unset(2, 6, 40, 64)
    triton_conv.partial_sum_conv(
        x,
        triton_conv.flatten_filters(weight),
        out,
        bias=bias,
        skip=skip,
        base=base,
        scale=0.2,
        upsample=True,
        config=triton_conv.KernelConfig(32, 4, 2),
    )
    large = F.interpolate(x.permute(0, 3, 1, 2).float(), scale_factor=2.0)
    expected = F.conv2d(large, weight.float(), bias.float(), padding=1).permute(0, 2, 3, 1)
    expected = (expected + skip.float()) * 0.2 + base.float()
    torch.testing.assert_close(out.float(), expected, rtol=1e-3, atol=3e-3)


@needs_kernels
def test_depthwise_convolution_with_gate_equals_torch() -> None:
    from restore.optimize import triton_gates  # noqa: PLC0415
    from restore.optimize.pixel_ops import torch_depthwise_gate  # noqa: PLC0415

    torch.manual_seed(2)
    x, weight, bias = random(2, 5, 37, 128), random(3, 3, 128), random(128)
    output, mean = triton_gates.depthwise_gate(x, weight, bias)
    expected, expected_mean = torch_depthwise_gate(x.float(), weight.float(), bias.float())
    torch.testing.assert_close(output.float(), expected, rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(mean, expected_mean, rtol=1e-3, atol=1e-3)


@needs_kernels
@pytest.mark.parametrize("has_added", [True, False])
def test_sum_with_layer_norm_equals_torch(has_added: bool) -> None:
    from restore.optimize import triton_gates  # noqa: PLC0415
    from restore.optimize.pixel_ops import torch_add_norm  # noqa: PLC0415

    torch.manual_seed(3)
    x = random(2, 5, 37, 64)
    added = random(2, 5, 37, 64) if has_added else None
    weight, bias = random(64, dtype=torch.float32), random(64, dtype=torch.float32)
    total, normed = triton_gates.add_norm(x, added, weight, bias, 1e-6)
    added = None if added is None else added.float()
    expected = torch_add_norm(x.float(), added, weight, bias, 1e-6)
    torch.testing.assert_close(total.float(), expected[0], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(normed.float(), expected[1], rtol=2e-3, atol=2e-3)


@needs_kernels
def test_gate_equals_torch() -> None:
    from restore.optimize import triton_gates  # noqa: PLC0415
    from restore.optimize.pixel_ops import torch_gate  # noqa: PLC0415

    x = random(2, 5, 37, 64)
    output = triton_gates.gate(x).float()
    torch.testing.assert_close(output, torch_gate(x.float()), rtol=1e-3, atol=1e-3)


@needs_kernels
def test_esrgan_on_kernels_equals_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    from spandrel.architectures.ESRGAN import ESRGAN  # noqa: PLC0415

    from restore.optimize import triton_conv  # noqa: PLC0415
    from restore.optimize.triton_copies import triton_copy  # noqa: PLC0415

    monkeypatch.setattr(triton_conv, "CONFIGS", (triton_conv.KernelConfig(16, 4, 2),))
    monkeypatch.setattr(triton_conv, "BEST_CONFIGS", {})
    torch.manual_seed(4)
    net = ESRGAN(num_blocks=1, scale=4, in_nc=12, shuffle_factor=2).eval()
    net.requires_grad_(requires_grad=False).to(DEVICE)
    photo = torch.rand(1, 3, 7, 10, device=DEVICE)
    with torch.inference_mode():
        expected = net(photo)
        output = triton_copy(copy.deepcopy(net), "ESRGAN", torch.float16)(photo)
    assert output.dtype == torch.float32
    tolerance = 2e-3 * float(expected.max() - expected.min())
    torch.testing.assert_close(output, expected, rtol=0.0, atol=tolerance)
