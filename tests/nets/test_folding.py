"""Tests of folded networks: they compute the same with fewer layers."""

import copy
from typing import Any

import pytest
import torch
from facexlib.parsing.parsenet import ParseNet
from torch import Tensor, nn

from restore.nets.folding import (
    PaddedLayer,
    SwishResidual,
    fold_norms,
    fuse_padded_layers,
    fuse_swish_blocks,
)


def with_random_norms(net: nn.Module) -> nn.Module:
    """Set the batch norms to random statistics; eval mode, no gradients."""
    torch.manual_seed(4)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    return net.eval().requires_grad_(requires_grad=False)


def types_in(net: nn.Module) -> set[type]:
    return {type(module) for module in net.modules()}


def small_parsenet() -> nn.Module:
    net: nn.Module = ParseNet(64, 64, 32, 16, 19, relu_type="LeakyReLU", ch_range=[16, 32])
    return net


class ResNetNames(nn.Module):
    """Names its layers as a ResNet does."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Any:
        return self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))


class VqganBlock(nn.Module):
    """A residual block of a VQGAN network, with a shortcut convolution of some name or none."""

    def __init__(self, in_channels: int, out_channels: int, shortcut: str) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.norm1 = nn.GroupNorm(4, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(4, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        if shortcut:
            setattr(self, shortcut, nn.Conv2d(in_channels, out_channels, 1))
        self.shortcut_name = shortcut

    def forward(self, x: Tensor, temb: Tensor | None = None) -> Any:
        inner = self.norm1(x)
        inner = self.conv1(inner * torch.sigmoid(inner))
        inner = self.norm2(inner)
        inner = self.conv2(inner * torch.sigmoid(inner))
        return (getattr(self, self.shortcut_name)(x) if self.shortcut_name else x) + inner


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 4, 1, bias=False),
            nn.BatchNorm2d(4),
        ),
        ResNetNames(),
        small_parsenet(),
    ],
    ids=["sequential", "resnet names", "parsenet"],
)
def test_batch_norms_are_folded_into_convolutions(net: nn.Module) -> None:
    net = with_random_norms(net)
    photo = torch.randn(2, 3, 64, 64)
    expected, folded = net(photo), fuse_padded_layers(fold_norms(copy.deepcopy(net)))
    assert nn.BatchNorm2d not in types_in(folded)
    for output, reference in zip(folded(photo), expected, strict=True):
        atol = 2e-5 * float(reference.abs().max())
        torch.testing.assert_close(output, reference, atol=atol, rtol=0)


def test_padding_of_parsenet_is_fused_into_convolutions() -> None:
    fused = fuse_padded_layers(with_random_norms(small_parsenet()))
    assert PaddedLayer in types_in(fused)
    assert nn.ReflectionPad2d not in types_in(fused)


@pytest.mark.parametrize(
    ("in_channels", "out_channels", "shortcut"),
    [(8, 8, ""), (8, 12, "conv_out"), (12, 8, "nin_shortcut")],
)
def test_fused_residual_block_computes_the_same_and_keeps_its_input(
    in_channels: int, out_channels: int, shortcut: str
) -> None:
    net = with_random_norms(nn.Sequential(VqganBlock(in_channels, out_channels, shortcut)))
    features = torch.randn(1, in_channels, 10, 11)
    before, expected = features.clone(), net(features)
    fused: Any = fuse_swish_blocks(copy.deepcopy(net))
    assert isinstance(fused[0], SwishResidual)
    torch.testing.assert_close(fused(features), expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(features, before), "the input is not changed in place"
    with pytest.raises(ValueError, match="diffusion"):
        fused[0](features, torch.zeros(1))


def test_batch_norms_in_training_mode_are_not_folded() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)).train()
    assert nn.BatchNorm2d in types_in(fold_norms(net))
