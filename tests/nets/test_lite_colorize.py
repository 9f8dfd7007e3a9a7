"""The lite colorizer: self-ensemble, dropout during training, odd sizes, and its colour bins."""

import pytest
import torch
import torch.nn.functional as F

from restore.nets.lite.colorize import LiteColorize
from restore.nets.lite.colorize_bins import BINS, compress, encode, least_expected_difference
from restore.nets.lite.colorize_encoder import CHANNELS, SamePadConv


@pytest.fixture(scope="module")
def net() -> LiteColorize:
    torch.manual_seed(1)
    net = LiteColorize()
    torch.nn.init.normal_(net.decoder.tail.weight, std=1.0)
    return net.requires_grad_(requires_grad=False)


def test_training_returns_logits_with_dropout(net: LiteColorize) -> None:
    lightness = torch.rand(1, 1, 64, 96)
    net.train()
    first, second = net(lightness), net(lightness)
    assert first.shape == (1, len(BINS), 16, 24)
    assert not torch.equal(first, second)


def test_self_ensemble_is_symmetric(net: LiteColorize) -> None:
    lightness = torch.rand(1, 1, 64, 96)
    flipped = net.eval()(lightness.flip(-1)).flip(-1)
    assert float(flipped.std()) > 1e-3
    torch.testing.assert_close(flipped, net(lightness), rtol=0, atol=1e-4)


def test_odd_sizes_are_accepted(net: LiteColorize) -> None:
    assert net.eval()(torch.rand(2, 1, 5, 3)).shape == (2, 2, 5, 3)


def test_encoder_returns_four_scales(net: LiteColorize) -> None:
    features = net.encoder(torch.rand(1, 1, 64, 96))
    shapes = [tuple(feature.shape[1:]) for feature in features]
    assert shapes == [
        (channels, 64 // stride, 96 // stride)
        for channels, stride in zip(CHANNELS, (4, 8, 16, 32), strict=True)
    ]


@pytest.mark.parametrize(("kernel_px", "start"), [(3, 0), (5, 1)])
def test_strided_convolutions_pad_more_at_the_end(kernel_px: int, start: int) -> None:
    conv = SamePadConv(1, 1, kernel_px, stride=2).requires_grad_(requires_grad=False)
    image = torch.rand(1, 1, 8, 8)
    padded = F.pad(image, (start, start + 1, start, start + 1))
    expected = F.conv2d(padded, conv.weight, conv.bias, stride=2)
    torch.testing.assert_close(conv(image), expected)


def test_encoded_colours_are_decoded_within_a_third_of_a_step() -> None:
    ab = torch.tensor([[0.0, 0.0], [3.0, -4.0], [60.0, 40.0], [-25.0, 50.0]]).T[None, ..., None]
    indices, shares = encode(ab)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(1, 4, 1))
    probabilities = torch.zeros(1, len(BINS), 4, 1).scatter_add_(1, indices, shares)
    decoded = least_expected_difference(probabilities.log(), torch.tensor(BINS), 0.7)
    third_of_a_step = 2.0
    torch.testing.assert_close(compress(decoded), compress(ab), rtol=0, atol=third_of_a_step)


def test_colours_outside_of_the_grid_keep_their_hue() -> None:
    indices, shares = encode(torch.tensor([0.0, 1000.0])[None, :, None, None])
    nearest = BINS[int(indices[0, int(shares[0, :, 0, 0].argmax()), 0, 0])]
    assert abs(nearest[0]) <= 6.0
    assert nearest[1] > 30.0


def test_unlikely_colours_do_not_draw_the_choice_to_grey() -> None:
    probabilities = torch.tensor([0.7, 0.3])[None, :, None, None]
    colours = torch.tensor([[20.0, 0.0], [-20.0, 0.0]])
    mean = float((probabilities[0, :, 0, 0] * colours[:, 0]).sum())
    soft, hard = (
        compress(least_expected_difference(probabilities.log(), colours, softness))[0, 0].item()
        for softness in (20.0, 0.5)
    )
    assert mean == pytest.approx(8.0)
    assert 0.0 < soft < mean
    assert hard == pytest.approx(20.0, abs=0.01)


def test_colour_between_two_likely_ones_is_chosen_over_either() -> None:
    probabilities = torch.tensor([0.4, 0.2, 0.4])[None, :, None, None]
    colours = torch.tensor([[0.0, 12.0], [0.0, 6.0], [0.0, 0.0]])
    chosen = compress(least_expected_difference(probabilities.log(), colours, 0.1))
    torch.testing.assert_close(chosen[0, :, 0, 0], torch.tensor([0.0, 6.0]), rtol=0, atol=0.01)
