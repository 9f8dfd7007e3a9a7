"""Build networks without memory for weights that are loaded from a file at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_RANDOM_FILLS: tuple[Callable[..., Any], ...] = (
    Tensor.normal_,
    Tensor.uniform_,
    nn.init.normal_,
    nn.init.uniform_,
)


def without_storage(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network whose tensors are all assigned, if possible without allocating memory first.

    Args:
        build: builds the network and assigns its tensors; may be called twice.
    """
    try:
        with torch.device("meta"), _WithoutValues():
            net = build()
        if not any(tensor.is_meta for tensor in (*net.parameters(), *net.buffers())):
            return net
    except (NotImplementedError, RuntimeError):
        pass  # a constructor that computes with its tensors does not run on the meta device
    return build()


class _WithoutValues(TorchFunctionMode):
    """Skip random values for tensors without storage, and store those of `torch.linspace`.

    Torch computes random values with its compiler (torch._dynamo), whose import takes seconds.
    Constructors read sequences, such as the rates of dropped paths in DDColor's encoder.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - the result of any function of torch
        given = dict(kwargs or {})
        if func is torch.linspace:
            given["device"] = "cpu"
        if func in _RANDOM_FILLS:
            tensor: Tensor = args[0] if args else given["tensor"]
            if tensor.is_meta:
                return tensor
        return func(*args, **given)
