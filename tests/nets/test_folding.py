"""Networks with less work in them, against themselves as they were."""

import copy

import pytest
import torch
from facexlib.parsing.parsenet import ParseNet
from torch import nn

from restore.nets.folding import (
    PaddedLayer,
    SwishResidual,
    fold_norms,
    fuse_padded_layers,
    fuse_swish_blocks,
)


def settled(net):
    """A network whose norms have seen something, in eval mode."""
    torch.manual_seed(4)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    return net.eval().requires_grad_(requires_grad=False)


def fold(net: nn.Module) -> nn.Module:
    return fuse_swish_blocks(fuse_padded_layers(fold_norms(net)))


def kinds(net):
    return {type(module) for module in net.modules()}


class Named(nn.Module):
    """As a ResNet names its own."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)

    def forward(self, x):
        return self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))


class Residual(nn.Module):
    """A block of VQGAN's kind."""

    def __init__(self, inner, outer, shortcut):
        super().__init__()
        self.in_channels, self.out_channels = inner, outer
        self.norm1, self.conv1 = nn.GroupNorm(4, inner), nn.Conv2d(inner, outer, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(4, outer), nn.Conv2d(outer, outer, 3, padding=1)
        if shortcut:
            setattr(self, shortcut, nn.Conv2d(inner, outer, 1))
        self.names = shortcut

    def forward(self, x, temb=None):
        inner = self.norm1(x)
        inner = self.conv1(inner * torch.sigmoid(inner))
        inner = self.norm2(inner)
        inner = self.conv2(inner * torch.sigmoid(inner))
        return (getattr(self, self.names)(x) if self.names else x) + inner


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
        Named(),
        ParseNet(64, 64, 32, 16, 19, relu_type="LeakyReLU", ch_range=[16, 32]),
    ],
    ids=["sequence", "named", "parsenet"],
)
def test_batch_norms_go_into_the_filters(net):
    net = settled(net)
    photo = torch.randn(2, 3, 64, 64)
    expected, faster = net(photo), fold(copy.deepcopy(net))
    assert nn.BatchNorm2d not in kinds(faster)
    for result, reference in zip(faster(photo), expected, strict=True):
        torch.testing.assert_close(
            result, reference, atol=2e-5 * float(reference.abs().max()), rtol=0
        )


def test_parsenets_layers_pad_inside_of_their_convolutions():
    faster = fold(settled(ParseNet(64, 64, 32, 16, 19, relu_type="LeakyReLU", ch_range=[16, 32])))
    assert PaddedLayer in kinds(faster)
    assert not kinds(faster) & {nn.ReflectionPad2d}


@pytest.mark.parametrize(
    ("inner", "outer", "shortcut"), [(8, 8, ""), (8, 12, "conv_out"), (12, 8, "nin_shortcut")]
)
def test_a_residual_block_keeps_its_answer_and_its_input(inner, outer, shortcut):
    net = settled(nn.Sequential(Residual(inner, outer, shortcut)))
    features = torch.randn(1, inner, 10, 11)
    seen = features.clone()
    expected, faster = net(features), fold(copy.deepcopy(net))
    assert isinstance(faster[0], SwishResidual)
    torch.testing.assert_close(faster(features), expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(features, seen), "nothing is computed in the place of what was given"
    with pytest.raises(ValueError, match="diffusion"):
        faster[0](features, torch.zeros(1))


def test_what_still_learns_is_left_alone():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)).train()
    assert nn.BatchNorm2d in kinds(fold(net))
