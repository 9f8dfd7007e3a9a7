"""Tests of rewritten copies: the memory layout for each device."""

import torch
from torch import nn

from restore.models.adapters import adapter_for
from restore.optimize.rewrite import rewritten_copy

ADAPTER = adapter_for("NAFNet")


def test_weights_stay_contiguous_on_a_gpu() -> None:
    net = rewritten_copy(nn.Conv2d(3, 8, 3), ADAPTER, torch.device("cuda"))
    weight = net.get_parameter("weight")
    assert weight.is_contiguous()
    assert not weight.requires_grad


def test_weights_are_channels_last_on_a_cpu() -> None:
    net = rewritten_copy(nn.Conv2d(3, 8, 3), ADAPTER, torch.device("cpu"))
    assert net.get_parameter("weight").is_contiguous(memory_format=torch.channels_last)
