"""Ways to run a network of fixed shapes on CUDA: recorded as a CUDA graph, after a compiler or without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

WARM_CALLS = 3  # before the recording: libraries choose their algorithms, compilers compile


class Graphed:
    """A network recorded for one set of shapes: inputs are copied to fixed places, and answers appear in fixed places.

    An answer is overwritten by the next call: who keeps it copies it.

    Args:
        net: called with positional tensors.
        inputs: of the shapes to record, on a CUDA device.
        pool: of another graph's memory, where the two never hold answers at once.
    """

    def __init__(self, net: Callable[..., Any], inputs: Sequence[Tensor], pool: Any = None) -> None:  # noqa: ANN401 - torch's handle
        self.net = net  # the graph reads the weights where they are: they must not be freed
        self.inputs = [each.clone() for each in inputs]
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_CALLS):
                net(*self.inputs)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, pool=pool):
            self.answer = net(*self.inputs)

    def __call__(self, *inputs: Tensor) -> Any:  # noqa: ANN401 - what the network gives
        for place, given in zip(self.inputs, inputs, strict=True):
            if place.shape != given.shape:
                raise ValueError(f"recorded for {tuple(place.shape)}, not for {tuple(given.shape)}")
            place.copy_(given)
        self.graph.replay()
        return self.answer


def channels_last(net: nn.Module) -> nn.Module:
    """The network with its filters channels last, in place: features follow them."""
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]  # torch's stubs want a dtype too


def compiled(net: nn.Module, *, autotune: bool = False) -> Callable[..., Any]:
    """The network as one program for fixed shapes, by inductor; autotuned, products and convolutions are tried in several ways.

    On a CPU the program is traced, and not compiled: enough to find what no compiler would take.
    """
    on_cuda = any(parameter.is_cuda for parameter in net.parameters())
    if not on_cuda:
        return torch.compile(net, dynamic=False, fullgraph=True, backend="aot_eager")
    mode = "max-autotune-no-cudagraphs" if autotune else None
    return torch.compile(net, dynamic=False, fullgraph=True, mode=mode)
