"""Compilation and CUDA graphs of networks of fixed shapes."""

import warnings

import pytest
import torch
from torch import nn

from restore.optimize.cuda_graphs import CudaGraph, compile_network, to_channels_last


def test_network_is_traced_on_a_cpu() -> None:
    net = to_channels_last(nn.Conv2d(3, 4, 3).requires_grad_(requires_grad=False))
    x = torch.rand(1, 3, 8, 8)
    torch.compiler.reset()
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.testing.assert_close(compile_network(net)(x), net(x))
    weight = next(net.parameters())
    assert weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_graph_replays_with_new_inputs_and_refuses_other_shapes() -> None:
    net = nn.Conv2d(3, 4, 3).cuda().requires_grad_(requires_grad=False)
    inputs = [torch.rand(1, 3, 8, 8, device="cuda") for _ in range(2)]
    with torch.inference_mode():
        graph = CudaGraph(net, inputs[:1])
        for x in inputs:
            torch.testing.assert_close(graph(x), net(x))
        with pytest.raises(ValueError, match="captured for inputs of shape"):
            graph(torch.rand(1, 3, 9, 9, device="cuda"))
