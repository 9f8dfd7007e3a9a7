"""Winograd's convolution against torch's own."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from restore.nets.winograd import WinogradConv2d, is_suited, with_winograd


def conv(inner: int = 16, outer: int = 24, **options) -> nn.Conv2d:
    torch.manual_seed(3)
    return nn.Conv2d(inner, outer, 3, **{"padding": 1, **options}).requires_grad_(requires_grad=False)


@given(
    height=st.integers(3, 40),
    width=st.integers(3, 40),
    count=st.integers(1, 3),
    last=st.booleans(),
    biased=st.booleans(),
    border=st.sampled_from([{"padding_mode": "zeros"}, {"padding_mode": "reflect"}, {"padding": 0}]),
)
@settings(max_examples=40, deadline=None)
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
    monkeypatch.setattr("restore.nets.winograd.LEAST_BAND_BYTES", band_bytes)
    expected = plain(features)
    torch.testing.assert_close(WinogradConv2d(plain)(features), expected, atol=2e-5 * float(expected.abs().max()), rtol=0)


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
    assert is_suited(conv(128, 256))
    assert is_suited(conv(256, 128))
    assert not is_suited(conv(128, 128))
    assert not is_suited(conv(1024, 64))
    assert not is_suited(conv(256, 256, **other))
    assert not is_suited(nn.Conv2d(256, 256, 1))
    assert not is_suited(nn.Linear(256, 256))
    assert not is_suited(nn.utils.spectral_norm(conv(256, 256)))


def test_a_network_keeps_its_answer_and_what_its_modules_share():
    shared = conv(192, 192)
    net = nn.Sequential(conv(3, 192), nn.Sequential(shared, nn.ReLU(), shared), shared, conv(192, 3)).eval()
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
    torch.testing.assert_close(faster(features), expected, atol=5e-5 * float(expected.abs().max()), rtol=0)
    assert type(net[2]) is nn.Conv2d
