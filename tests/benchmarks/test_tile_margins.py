"""Tests of the benchmarks of upscaling networks: margins of tiles, and weights of low precision."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.tile_margins import differences, margin_facts, middle
from benchmarks.upscale_values import compare, with_random_bits


def enlarging_net(radius_px: int) -> nn.Module:
    """A network with scale 4 that averages columns up to a distance, and pads with zeros."""
    side = 2 * radius_px + 1
    net = nn.Conv2d(3, 3, (1, side), padding=(0, radius_px), groups=3, bias=False)
    nn.init.constant_(net.weight, 1 / side)
    return nn.Sequential(net, nn.Upsample(scale_factor=4, mode="nearest")).eval()


def test_difference_ends_at_the_distance_that_the_network_sees() -> None:
    pixels = np.full((8, 60, 3), 200, np.uint8)
    found = differences(enlarging_net(5), pixels, 40, 4)
    assert found.shape == (40, 4 * 32 * 3)
    assert (found[:5] > 0).all()
    assert not found[5:].any()


def test_margin_is_the_first_distance_from_which_the_quantile_stays_small() -> None:
    by_distance = np.zeros((100, 1000), np.uint8)
    by_distance[:30, :50] = 9
    by_distance[30:60, 0] = 200  # 1 of 1000 samples
    facts = margin_facts(by_distance)
    assert facts["margin_px"] == 64
    by_distance[30:60] = 2
    facts = margin_facts(by_distance)
    assert facts["margin_px"] == 32
    assert facts["from_24_px"] == {
        "max_levels": 9,
        "quantile_levels": 9.0,
        "over_2_per_million": pytest.approx(1e6 * 6 * 50 / 16000),
    }


def test_middle_of_a_photo() -> None:
    pixels = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    assert np.array_equal(middle(pixels, 4, 2), pixels[2:4, 2:6])
    with pytest.raises(SystemExit, match="8x6 pixels is too small"):
        middle(pixels, 9, 2)


def test_random_bits_are_those_that_truncation_removes() -> None:
    net = nn.Conv2d(3, 8, 3)
    with torch.no_grad():
        net.weight.copy_(net.weight.half().float())
    [changed] = (each for each in with_random_bits(net).parameters() if each.ndim == 4)
    assert not torch.equal(changed, net.weight)
    kept = changed.detach().numpy()
    rounded = kept.astype(np.float16)
    toward_zero = np.where(
        np.abs(rounded.astype(np.float32)) > np.abs(kept),
        np.nextafter(rounded, np.float16(0)),
        rounded,
    )
    np.testing.assert_array_equal(toward_zero, net.weight.detach().numpy().astype(np.float16))


def test_comparison_counts_levels() -> None:
    reference = torch.zeros(1, 3, 10, 10)
    output = reference.clone()
    output[0, 0, 0, 0] = 3 / 255
    facts = compare([output], [reference])
    assert (facts["max_levels"], facts["over_1_level_percent"]) == (3, 0.3333)
    assert facts["psnr_db"] == pytest.approx(10 * np.log10(300 / (3 / 255) ** 2), abs=0.1)
