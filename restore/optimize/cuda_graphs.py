"""Runs networks of fixed input shapes on CUDA: as CUDA graphs, with or without torch.compile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from restore.optimize.fixed_shapes import clone_output, concatenate_outputs, split_sizes

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


class GraphedForward:
    """A forward that replays the CUDA graph of known input shapes, else calls the original forward.

    Batches of other sizes are split into batches of known sizes.

    Args:
        original: the forward that was recorded.
        graphs: the graphs by the shapes of their inputs; for each shape, batch size 1 must be among
            them.
    """

    def __init__(
        self,
        original: Callable[..., Any],
        graphs: Mapping[tuple[tuple[int, ...], ...], Callable[..., Any]],
    ) -> None:
        self.original, self.graphs = original, dict(graphs)
        self.batch_sizes: dict[tuple[int, ...], list[int]] = {}
        for (batch, *rest), *_ in self.graphs:
            self.batch_sizes.setdefault(tuple(rest), []).append(batch)

    @staticmethod
    def key(inputs: Sequence[Tensor]) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of inputs."""
        return tuple(tuple(each.shape) for each in inputs)

    @property
    def shapes(self) -> frozenset[tuple[int, ...]]:
        """The shapes of the first input for which there are graphs."""
        return frozenset(shapes[0] for shapes in self.graphs)

    def __call__(self, *inputs: Tensor) -> Any:  # noqa: ANN401 - the network's output
        """Run the network; the output is a copy, because a graph overwrites its own."""
        batch = inputs[0]
        sizes = self.batch_sizes.get(tuple(batch.shape[1:]))
        if not sizes or not len(batch):
            return self.original(*inputs)
        outputs, start = [], 0
        for size in split_sizes(len(batch), sizes):
            # Numbers, such as the fidelity, are the same for the whole batch.
            part = [each[start : start + size] if each.dim() else each for each in inputs]
            graph = self.graphs.get(self.key(part))
            if graph is None:
                return self.original(*inputs)
            outputs.append(clone_output(graph(*part)))
            start += size
        return outputs[0] if len(outputs) == 1 else concatenate_outputs(outputs)


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
