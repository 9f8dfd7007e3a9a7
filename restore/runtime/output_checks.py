"""Validation of network outputs: NaN, infinity and constant outputs are errors, not pictures.

Every network output of every task passes through `checked_output`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from restore.errors import Code, RestoreError

MAX_RANGE_FOR_CONSTANT_OUTPUT = 1 / 16
"""The range of input values, in [0, 1], up to which a constant output is valid.

White paper with slight noise may become plain white.
"""


def checked_output(output: Tensor, network_input: Tensor, network: str) -> Tensor:
    """Return the output if it is finite, and not constant for an input that varies.

    Args:
        output: the network output, of any shape.
        network_input: the input that it was computed from.
        network: the network's name, for the error message.

    Raises:
        RestoreError: BAD_NUMBERS, with the network's name.
    """
    # aminmax propagates NaN and costs no more than a sum.
    low, high = extremes(output)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise _invalid(network, "NaN or infinity")
    if low == high and output.numel() > 1:
        input_low, input_high = extremes(network_input)
        if input_high - input_low > MAX_RANGE_FOR_CONSTANT_OUTPUT:
            raise _invalid(network, f"the value {low:g} for every pixel of a varied photo")
    return output


def extremes(values: Tensor) -> tuple[float, float]:
    """Return minimum and maximum, NaN if there is any; (0, 0) for an empty tensor."""
    if not values.numel():
        return 0.0, 0.0
    low, high = torch.stack(torch.aminmax(values)).tolist()  # one device synchronisation, not two
    return low, high


def _invalid(network: str, found: str) -> RestoreError:
    return RestoreError(
        Code.BAD_NUMBERS,
        f"the network '{network}' returned {found}",
        "Verify the weights with `restore weights verify`.",
    )
