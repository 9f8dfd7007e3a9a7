"""The Triton kernels against torch: on a GPU where there is one, else in Triton's interpreter, in a process of its own."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

triton = pytest.importorskip("triton")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu"
here = pytest.mark.skipif(DEVICE == "cpu" and not INTERPRETED, reason="runs in the interpreter's process")
WAY = (32, 4, 2)


@pytest.mark.slow
@pytest.mark.skipif(INTERPRETED or DEVICE == "cuda", reason="is that process")
def test_all_of_this_file_in_the_interpreter():
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def drawn(*shape, dtype=torch.float16):
    return torch.randn(*shape).to(DEVICE, dtype)


@here
@pytest.mark.parametrize(("inner", "total", "finished", "reads"), [(32, 96, 32, True), (64, 192, 32, False), (64, 128, 32, True)])
def test_a_convolution_finishes_some_outputs_and_keeps_the_sums_of_others(inner, total, finished, reads):
    from restore.optimize.kernels import spread_conv, taps_first  # noqa: PLC0415 - Triton is told how to run when it is imported

    torch.manual_seed(0)
    wide, weight, bias = drawn(2, 6, 40, 64), drawn(total, inner, 3, 3) / (9 * inner) ** 0.5, drawn(total)
    x, sums = wide[..., :inner], drawn(2, 6, 40, total + 8)
    before = sums.clone()
    out = torch.full((2, 6, 40, 64), float("nan"), dtype=torch.float16, device=DEVICE)
    places = out[..., 8 : 8 + finished]
    spread_conv(x, taps_first(weight), places, bias=bias, sums=sums, sums_from=3, reads=reads, slope=0.2, way=WAY)
    expected = F.conv2d(x.permute(0, 3, 1, 2).float(), weight.float(), bias.float(), padding=1).permute(0, 2, 3, 1)
    expected = expected + before[..., 3 : 3 + total].float() if reads else expected
    torch.testing.assert_close(places.float(), F.leaky_relu(expected[..., :finished], 0.2), rtol=1e-3, atol=3e-3)
    torch.testing.assert_close(sums[..., 3 + finished : 3 + total].float(), expected[..., finished:], rtol=1e-3, atol=3e-3)
    assert torch.equal(sums[..., : 3 + finished], before[..., : 3 + finished])
    assert torch.equal(sums[..., 3 + total :], before[..., 3 + total :])
    assert torch.isnan(out[..., :8]).all()
    assert torch.isnan(out[..., 8 + finished :]).all()


@here
def test_a_convolution_of_an_enlarged_input_beside_shortcuts():
    from restore.optimize.kernels import spread_conv, taps_first  # noqa: PLC0415 - as above

    torch.manual_seed(1)
    x, weight, bias, skip, base = drawn(2, 3, 20, 64), drawn(64, 64, 3, 3) / 24, drawn(64), drawn(2, 6, 40, 64), drawn(2, 6, 40, 64)
    out = torch.full((2, 6, 40, 64), float("nan"), dtype=torch.float16, device=DEVICE)
    spread_conv(x, taps_first(weight), out, bias=bias, skip=skip, base=base, scale=0.2, enlarges=True, way=WAY)
    large = F.interpolate(x.permute(0, 3, 1, 2).float(), scale_factor=2.0)
    expected = F.conv2d(large, weight.float(), bias.float(), padding=1).permute(0, 2, 3, 1) + skip.float()
    torch.testing.assert_close(out.float(), expected * 0.2 + base.float(), rtol=1e-3, atol=3e-3)


@here
def test_the_gate_behind_a_depthwise_convolution_and_its_mean():
    from restore.optimize.kernels import depthwise_gate, plain_depthwise_gate  # noqa: PLC0415 - as above

    torch.manual_seed(2)
    x, weight, bias = drawn(2, 5, 37, 128), drawn(3, 3, 128), drawn(128)
    found, mean = depthwise_gate(x, weight, bias)
    expected, expected_mean = plain_depthwise_gate(x.float(), weight.float(), bias.float())
    torch.testing.assert_close(found.float(), expected, rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(mean, expected_mean, rtol=1e-3, atol=1e-3)


@here
@pytest.mark.parametrize("adds", [True, False])
def test_a_sum_and_its_norm(adds):
    from restore.optimize.kernels import add_norm, plain_add_norm  # noqa: PLC0415 - as above

    torch.manual_seed(3)
    x, added, weight, bias = drawn(2, 5, 37, 64), drawn(2, 5, 37, 64), drawn(64, dtype=torch.float32), drawn(64, dtype=torch.float32)
    total, normed = add_norm(x, added if adds else None, weight, bias, 1e-6)
    expected = plain_add_norm(x.float(), added.float() if adds else None, weight, bias, 1e-6)
    torch.testing.assert_close(total.float(), expected[0], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(normed.float(), expected[1], rtol=2e-3, atol=2e-3)


@here
def test_the_gate_alone():
    from restore.optimize.kernels import gate  # noqa: PLC0415 - as above

    x = drawn(2, 5, 37, 64)
    torch.testing.assert_close(gate(x).float(), x[..., :32].float() * x[..., 32:].float(), rtol=1e-3, atol=1e-3)


@here
def test_rrdb_on_kernels_answers_as_the_library(monkeypatch):
    from spandrel.architectures.ESRGAN import ESRGAN  # noqa: PLC0415 - as above

    from restore.optimize import kernels  # noqa: PLC0415 - as above
    from restore.optimize.precision import with_kernels  # noqa: PLC0415 - as above

    monkeypatch.setattr(kernels, "WAYS", ((16, 4, 2),))
    monkeypatch.setattr(kernels, "TRIED", {})
    torch.manual_seed(4)
    net = ESRGAN(num_blocks=1, scale=4, in_nc=12, shuffle_factor=2).eval().requires_grad_(requires_grad=False).to(DEVICE)
    photo = torch.rand(1, 3, 7, 10, device=DEVICE)
    with torch.inference_mode():
        expected, found = net(photo), with_kernels(copy.deepcopy(net), "ESRGAN", torch.float16)(photo)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.0, atol=2e-3 * float(expected.max() - expected.min()))
