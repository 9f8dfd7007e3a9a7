"""Start a network from the weights of another network."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn


def copy_weights(net: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Load weights of the same architecture."""
    net.load_state_dict(state)
    return net


def widen_weights(net: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Load weights of a network with fewer channels; the output stays the same at first.

    New channels keep their random initialisation, but no existing channel reads from them
    (Net2Net: Chen, Goodfellow and Shlens, ICLR 2016).
    """
    transposed = {
        f"{name}.weight"
        for name, module in net.named_modules()
        if isinstance(module, nn.ConvTranspose2d)
    }
    wide_state = net.state_dict()
    for key, value in wide_state.items():
        # Views with output channels first; biases have output channels only.
        wide, narrow = (
            weights.transpose(0, 1) if key in transposed else weights
            for weights in (value, state[key])
        )
        part = tuple(slice(length) for length in narrow.shape)
        if narrow.dim() > 1:
            wide[part[0], narrow.shape[1] :] = 0.0
        wide[part] = narrow
    net.load_state_dict(wide_state)
    return net
