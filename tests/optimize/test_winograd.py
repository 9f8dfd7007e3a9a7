"""Tests of Winograd convolutions: compared with torch's convolutions."""

import copy
import os
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from restore.optimize import winograd_kernels
from restore.optimize.winograd import (
    WinogradConv2d,
    is_supported,
    unavailable_reason,
    use_winograd,
)


def new_conv(in_channels: int = 16, out_channels: int = 24, **options: Any) -> nn.Conv2d:
    torch.manual_seed(3)
    conv = nn.Conv2d(in_channels, out_channels, 3, **{"padding": 1, **options})
    return conv.requires_grad_(requires_grad=False)


def assert_close(result: Tensor, expected: Tensor, tolerance: float = 2e-5) -> None:
    """Compare with a tolerance relative to the largest expected value."""
    atol = tolerance * float(expected.abs().max())
    torch.testing.assert_close(result, expected, atol=atol, rtol=0)


@pytest.fixture(params=["kernels", "torch"])
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Force one implementation, whatever the number of channels and pixels."""
    min_weights = 1 if request.param == "torch" else 1 << 30
    monkeypatch.setattr("restore.optimize.winograd.MIN_WEIGHTS_FOR_TORCH", min_weights)
    monkeypatch.setattr("restore.optimize.winograd.MIN_PRODUCTS", 0)
    monkeypatch.setattr("restore.optimize.winograd.MIN_PRODUCTS_FEW_CHANNELS", 0)


@pytest.mark.usefixtures("implementation")
@given(
    height=st.integers(3, 40),
    width=st.integers(3, 40),
    count=st.integers(1, 3),
    channels_last=st.booleans(),
    bias=st.booleans(),
    padding=st.sampled_from(
        [{"padding_mode": "zeros"}, {"padding_mode": "reflect"}, {"padding": 0}]
    ),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_output_equals_direct_convolution_for_every_size(
    height: int, width: int, count: int, channels_last: bool, bias: bool, padding: dict[str, Any]
) -> None:
    conv = new_conv(bias=bias, **padding)
    features = torch.randn(count, 16, height, width)
    if channels_last:
        features = features.contiguous(memory_format=torch.channels_last)
    expected, result = conv(features), WinogradConv2d(conv)(features)
    assert result.shape == expected.shape
    assert_close(result, expected)


@pytest.mark.parametrize("band_bytes", [1, 1 << 17, 1 << 30])
def test_band_size_does_not_change_the_output(
    monkeypatch: pytest.MonkeyPatch, band_bytes: int
) -> None:
    conv, features = new_conv(4, 6), torch.randn(1, 4, 150, 133)
    monkeypatch.setattr("restore.optimize.winograd.MIN_BAND_BYTES", band_bytes)
    monkeypatch.setattr("restore.optimize.winograd.MIN_WEIGHTS_FOR_TORCH", 1)
    assert_close(WinogradConv2d(conv)(features), conv(features))


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 2},
        {"padding": 2},
        {"dilation": 2, "padding": 2},
        {"groups": 2},
        {"padding_mode": "circular"},
        {"dtype": torch.float64},
    ],
    ids=str,
)
def test_only_plain_convolutions_with_many_channels_are_supported(
    options: dict[str, Any],
) -> None:
    assert is_supported(new_conv(32, 256))
    assert is_supported(new_conv(256, 32))
    assert not is_supported(new_conv(31, 256))
    assert not is_supported(new_conv(1024, 3))
    assert not is_supported(new_conv(256, 256, **options))
    assert not is_supported(nn.Conv2d(256, 256, 1))
    assert not is_supported(nn.Linear(256, 256))
    assert not is_supported(nn.utils.spectral_norm(new_conv(256, 256)))


def test_replaced_network_computes_the_same_and_keeps_shared_modules() -> None:
    shared = new_conv(192, 192)
    net = nn.Sequential(
        new_conv(3, 192), nn.Sequential(shared, nn.ReLU(), shared), shared, new_conv(192, 3)
    ).eval()
    features = torch.randn(1, 3, 20, 24)
    expected = net(features)
    replaced: Any = use_winograd(copy.deepcopy(net))
    convs = (replaced[0], replaced[1][0], replaced[2], replaced[3])
    types = [type(module) for module in convs]
    assert types == [nn.Conv2d, WinogradConv2d, WinogradConv2d, nn.Conv2d]
    assert replaced[1][0] is replaced[1][2] is replaced[2]
    assert_close(replaced(features), expected, 5e-5)
    assert type(net[2]) is nn.Conv2d


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("block_bytes", [1, 1 << 20])
@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_threads_and_blocks_cover_the_whole_image(
    monkeypatch: pytest.MonkeyPatch, threads: int, block_bytes: int, mode: str
) -> None:
    monkeypatch.setattr("restore.optimize.winograd_kernels.BLOCK_BYTES", block_bytes)
    conv, features = new_conv(8, 5, padding_mode=mode), torch.randn(1, 8, 70, 233)
    image = features[0].permute(1, 2, 0).contiguous().numpy()
    result = np.full((70, 233, 5), np.nan, np.float32)
    assert conv.bias is not None
    filters, bias = WinogradConv2d(conv).filters.numpy(), conv.bias.numpy()
    winograd_kernels.convolve_image(
        image, filters, bias, result, 1, reflects=mode == "reflect", threads=threads
    )
    assert_close(torch.from_numpy(result), conv(features)[0].permute(1, 2, 0))


@pytest.mark.usefixtures("implementation")
def test_nan_is_propagated() -> None:
    features = torch.randn(1, 16, 9, 9)
    features[0, 3, 4, 4] = torch.nan
    conv = new_conv()
    assert WinogradConv2d(conv)(features).isnan()[conv(features).isnan()].all()


def test_small_feature_maps_use_the_direct_convolution() -> None:
    conv = new_conv(32, 32)
    winograd = WinogradConv2d(conv)
    small, large = torch.randn(1, 32, 64, 64), torch.randn(3, 32, 100, 100)
    assert torch.equal(winograd(small), conv(small))
    assert not torch.equal(winograd(large), conv(large)), "Winograd rounds in another order"
    assert_close(winograd(large), conv(large))


def test_forked_process_has_its_own_thread_pool() -> None:
    pool = winograd_kernels.thread_pool(os.getpid(), 2)
    assert pool is winograd_kernels.thread_pool(os.getpid(), 2)
    assert pool is not winograd_kernels.thread_pool(os.getpid() + 1, 2)


def test_unavailable_reason_describes_why_kernels_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unavailable_reason.cache_clear()
    monkeypatch.setattr(winograd_kernels, "warm_up", lambda: False)
    assert "wrong results" in unavailable_reason()
    unavailable_reason.cache_clear()

    def fail() -> None:
        raise RuntimeError("no LLVM\nand more")

    monkeypatch.setattr(winograd_kernels, "warm_up", fail)
    assert unavailable_reason() == "RuntimeError: no LLVM"
    monkeypatch.undo()
    unavailable_reason.cache_clear()
    assert unavailable_reason() == ""
