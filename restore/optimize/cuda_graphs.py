"""Runs networks of fixed input shapes on CUDA: as CUDA graphs, with or without torch.compile.

Not used by requests yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

WARM_UP_CALLS = 3
"""Calls before the capture, in which libraries choose algorithms and compilers compile."""


class CudaGraph:
    """A network captured as a CUDA graph for one set of input shapes.

    The next call overwrites the output: copy it to keep it.

    Args:
        net: called with positional tensors.
        inputs: tensors of the shapes to capture, on a CUDA device.
        pool: memory pool of another graph whose outputs are not needed at the same time.
    """

    def __init__(
        self,
        net: Callable[..., Any],
        inputs: Sequence[Tensor],
        pool: Any = None,  # noqa: ANN401 - torch's handle
    ) -> None:
        # The graph reads the weights at their addresses: a reference keeps them allocated.
        self._net = net
        self._inputs = [each.clone() for each in inputs]
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_CALLS):
                net(*self._inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, pool=pool):
            self._output = net(*self._inputs)

    def __call__(self, *inputs: Tensor) -> Any:  # noqa: ANN401 - the network's output
        """Copy the inputs and replay the graph.

        Raises:
            ValueError: an input has another shape than the captured one.
        """
        for captured, given in zip(self._inputs, inputs, strict=True):
            if captured.shape != given.shape:
                raise ValueError(
                    f"the graph was captured for inputs of shape {tuple(captured.shape)}, "
                    f"not {tuple(given.shape)}"
                )
            captured.copy_(given)
        self._graph.replay()
        return self._output


def to_channels_last(net: nn.Module) -> nn.Module:
    """Convert the weights to the channels-last memory layout, in place; return `net`."""
    # The type stubs of torch also require a dtype.
    return cast(nn.Module, net.to(memory_format=torch.channels_last))  # type: ignore[call-overload]


def compile_network(net: nn.Module) -> Callable[..., Any]:
    """Compile a network as one program for fixed shapes.

    On CUDA, inductor compiles it. On a CPU it is only traced, which takes less time and still finds
    code that cannot be compiled.
    """
    on_cuda = any(parameter.is_cuda for parameter in net.parameters())
    backend = "inductor" if on_cuda else "aot_eager"
    return torch.compile(net, dynamic=False, fullgraph=True, backend=backend)
