"""What a network answered: numbers that may be worked with, or a failure of the network that nobody takes for a picture.

Every network's answer passes here, whatever the task: a new network needs one call.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from restore.errors import Code, RestoreError

NOTABLE = 1 / 16
"""Of the range 0 to 1, that an input must span for a constant answer to be wrong: white paper with a trace of noise may become white."""


def sound(answer: Tensor, seen: Tensor, network: str) -> Tensor:
    """The answer as it came, if all of it is finite and it is not one value everywhere to an input that is not.

    Both are told by the extremes, which take no longer to find than a sum; NaN and infinity are always among them.

    Args:
        answer: what the network gave, of any shape.
        seen: what it was asked with.
        network: its name, for the error.

    Raises:
        RestoreError: BAD_NUMBERS, naming the network.
    """
    low, high = extremes(answer)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise _bad(network, "NaN or infinity")
    if low == high and answer.numel() > 1:
        darkest, lightest = extremes(seen)
        if lightest - darkest > NOTABLE:
            raise _bad(network, f"{low:g} everywhere, to a photo that is not the same everywhere")
    return answer


def extremes(values: Tensor) -> tuple[float, float]:
    """Least and greatest value, NaN where there is any; (0, 0) of nothing."""
    if not values.numel():
        return 0.0, 0.0
    low, high = torch.stack(torch.aminmax(values)).tolist()  # one wait for the device, not two
    return low, high


def _bad(network: str, given: str) -> RestoreError:
    reason = f"the network '{network}' answered with {given}"
    return RestoreError(
        Code.BAD_NUMBERS, reason, "Verify the weights with `python -m restore weights verify`."
    )
