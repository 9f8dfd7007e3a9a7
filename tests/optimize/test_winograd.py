"""Winograd's convolution against torch's own."""

import copy
import os

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from restore.optimize import winograd_kernels
from restore.optimize.winograd import WinogradConv2d, failure, is_suited, with_winograd


def conv(inner: int = 16, outer: int = 24, **options) -> nn.Conv2d:
    torch.manual_seed(3)
    return nn.Conv2d(inner, outer, 3, **{"padding": 1, **options}).requires_grad_(
        requires_grad=False
    )


@pytest.fixture(params=["few", "many"])
def way(request, monkeypatch):
    """The kernels' way, or torch's, whatever the number of channels."""
    monkeypatch.setattr(
        "restore.optimize.winograd.MANY_FILTERS", 1 if request.param == "many" else 1 << 30
    )
    monkeypatch.setattr("restore.optimize.winograd.LEAST_PRODUCTS", 0)
    monkeypatch.setattr("restore.optimize.winograd.LEAST_PRODUCTS_OF_FEW", 0)


@pytest.mark.usefixtures("way")
@given(
    height=st.integers(3, 40),
    width=st.integers(3, 40),
    count=st.integers(1, 3),
    last=st.booleans(),
    biased=st.booleans(),
    border=st.sampled_from(
        [{"padding_mode": "zeros"}, {"padding_mode": "reflect"}, {"padding": 0}]
    ),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_it_is_the_same_convolution_at_every_size(height, width, count, last, biased, border):
    plain = conv(bias=biased, **border)
    features = torch.randn(count, 16, height, width)
    if last:
        features = features.contiguous(memory_format=torch.channels_last)
    expected, result = plain(features), WinogradConv2d(plain)(features)
    assert result.shape == expected.shape
    torch.testing.assert_close(result, expected, atol=2e-5 * float(expected.abs().max()), rtol=0)


@pytest.mark.parametrize("band_bytes", [1, 1 << 17, 1 << 30])
def test_bands_do_not_matter(monkeypatch, band_bytes):
    plain, features = conv(4, 6), torch.randn(1, 4, 150, 133)
    monkeypatch.setattr("restore.optimize.winograd.LEAST_BAND_BYTES", band_bytes)
    monkeypatch.setattr("restore.optimize.winograd.MANY_FILTERS", 1)
    expected = plain(features)
    torch.testing.assert_close(
        WinogradConv2d(plain)(features), expected, atol=2e-5 * float(expected.abs().max()), rtol=0
    )


@pytest.mark.parametrize(
    "other",
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
def test_only_plain_convolutions_of_many_channels_are_suited(other):
    assert is_suited(conv(32, 256))
    assert is_suited(conv(256, 32))
    assert not is_suited(conv(31, 256))
    assert not is_suited(conv(1024, 3))
    assert not is_suited(conv(256, 256, **other))
    assert not is_suited(nn.Conv2d(256, 256, 1))
    assert not is_suited(nn.Linear(256, 256))
    assert not is_suited(nn.utils.spectral_norm(conv(256, 256)))


def test_a_network_keeps_its_answer_and_what_its_modules_share():
    shared = conv(192, 192)
    net = nn.Sequential(
        conv(3, 192), nn.Sequential(shared, nn.ReLU(), shared), shared, conv(192, 3)
    ).eval()
    features = torch.randn(1, 3, 20, 24)
    expected = net(features)
    faster = with_winograd(copy.deepcopy(net))
    assert [type(module) for module in (faster[0], faster[1][0], faster[2], faster[3])] == [
        nn.Conv2d,
        WinogradConv2d,
        WinogradConv2d,
        nn.Conv2d,
    ]
    assert faster[1][0] is faster[1][2] is faster[2]
    torch.testing.assert_close(
        faster(features), expected, atol=5e-5 * float(expected.abs().max()), rtol=0
    )
    assert type(net[2]) is nn.Conv2d


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("block_bytes", [1, 1 << 20])
@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_threads_and_blocks_share_a_photo_without_a_gap(monkeypatch, threads, block_bytes, mode):
    monkeypatch.setattr("restore.optimize.winograd_kernels.BLOCK_BYTES", block_bytes)
    plain, features = conv(8, 5, padding_mode=mode), torch.randn(1, 8, 70, 233)
    way = WinogradConv2d(plain)
    photo = features[0].permute(1, 2, 0).contiguous().numpy()
    result = np.full((70, 233, 5), np.nan, np.float32)
    filters, bias = way.filters.numpy(), plain.bias.numpy()
    winograd_kernels.convolve_photo(
        photo, filters, bias, result, 1, mirrored=mode == "reflect", threads=threads
    )
    expected = plain(features)[0].permute(1, 2, 0)
    torch.testing.assert_close(
        torch.from_numpy(result), expected, atol=2e-5 * float(expected.abs().max()), rtol=0
    )


@pytest.mark.usefixtures("way")
def test_no_number_is_hidden():
    features = torch.randn(1, 16, 9, 9)
    features[0, 3, 4, 4] = torch.nan
    plain = conv()
    assert WinogradConv2d(plain)(features).isnan()[plain(features).isnan()].all()


def test_small_maps_go_the_direct_way():
    plain = conv(32, 32)
    way = WinogradConv2d(plain)
    small, large = torch.randn(1, 32, 64, 64), torch.randn(3, 32, 100, 100)
    assert torch.equal(way(small), plain(small))
    assert not torch.equal(way(large), plain(large)), "the other way rounds in another order"
    torch.testing.assert_close(
        way(large), plain(large), atol=2e-5 * float(plain(large).abs().max()), rtol=0
    )


def test_a_forked_process_has_threads_of_its_own():
    here = winograd_kernels.workers(os.getpid(), 2)
    assert here is winograd_kernels.workers(os.getpid(), 2)
    assert here is not winograd_kernels.workers(os.getpid() + 1, 2)


def test_why_there_are_no_kernels_is_said(monkeypatch):
    failure.cache_clear()
    monkeypatch.setattr(winograd_kernels, "prepared", lambda: False)
    assert "something else" in failure()
    failure.cache_clear()

    def broken():
        raise RuntimeError("no LLVM\nand more")

    monkeypatch.setattr(winograd_kernels, "prepared", broken)
    assert failure() == "RuntimeError: no LLVM"
    monkeypatch.undo()
    failure.cache_clear()
    assert failure() == ""
