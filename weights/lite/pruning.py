"""Begins a network where a deeper one of its kind already is: each layer is fitted to what the deeper one has reached there.

The layers of a Compact network follow each other without shortcuts, so that a shallower one cannot take some of them over. Layer by
layer, its convolution is the linear least-squares fit, from the features that the shallower network itself has reached, to what stands
before the activation of the deeper one's layer at the same share of the depth (as channels are pruned in He et al., ICCV 2017, section 3).
A minute of that is worth more than hours of descent from a random start.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EXAMPLES = 64  # patches that the layers are fitted on
RIDGE = 1e-4  # of the mean square of a feature: directions in which the examples hardly differ are not to be trusted


def pruned(net: nn.Module, deeper: nn.Module, examples: Tensor) -> nn.Module:
    """A Compact network with the layers of a deeper one of the same width, fitted on `examples` (Nx3xHxW in [0, 1])."""
    own, other = (list(getattr(each, "body")) for each in (net, deeper))  # noqa: B009 - spandrel gives modules, not this class
    last, other_last = len(own) // 2, len(other) // 2  # places of the last convolutions, which no activation follows
    with torch.inference_mode():
        reached = wanted = examples
        place = 0
        for index, convolution in enumerate(own[::2]):
            until = other_last if index == last else round(index * (other_last - 1) / (last - 1))
            while place <= until:
                before = other[2 * place](wanted)
                wanted = other[2 * place + 1](before) if place < other_last else before
                place += 1
            fit(convolution, reached, before)
            reached = convolution(reached)
            if index < last:
                own[2 * index + 1].load_state_dict(other[2 * until + 1].state_dict())
                reached = own[2 * index + 1](reached)
    return net


def fit(convolution: nn.Conv2d, features: Tensor, wanted: Tensor) -> None:
    """Gives a 3x3 convolution the filters and bias by which `features` (NxCxHxW) come nearest to `wanted` (NxOxHxW)."""
    size = 9 * features.shape[1] + 1
    products = torch.zeros(size, size, dtype=torch.float64, device=features.device)
    answers = torch.zeros(size, wanted.shape[1], dtype=torch.float64, device=features.device)
    for photo, target in zip(features, wanted, strict=True):
        around = F.unfold(photo[None], 3, padding=1)[0]
        known = torch.cat([around, around.new_ones(1, around.shape[1])])
        products += (known @ known.T).double()
        answers += (known @ target.flatten(1).T).double()
    products += RIDGE * products.diagonal().mean() * torch.eye(size, dtype=torch.float64, device=features.device)
    filters = torch.linalg.solve(products, answers)
    convolution.weight.copy_(filters[:-1].T.reshape(convolution.weight.shape))
    assert convolution.bias is not None
    convolution.bias.copy_(filters[-1])
