"""Teach an encoder to compute from a photo without colour what it computes from one in colour.

Networks for recognition were trained on photos in colour, and recognise less in grey ones. Here, a
copy of the encoder with its first weights sees the photo in colour, and the trained encoder learns
to compute the same features from the lightness alone (feature distillation, Romero et al., FitNets,
2015, with another input for the teacher).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TAUGHT_FEATURES = slice(1, None)  # the finest features hold edges, which need no teacher
MIN_VARIANCE = 1e-4


@dataclasses.dataclass(frozen=True)
class FeatureTeacher:
    """The encoder that is taught, and its teacher.

    Attributes:
        encoder: part of the trained network: an image to a list of features, fine to coarse.
        teacher: the same network with its first weights; it is not trained.
        photo_of: target of a batch to the photos in colour, Nx3xHxW in [0, 1].
        weight: of this loss beside that of the recipe.
    """

    encoder: nn.Module
    teacher: nn.Module
    photo_of: Callable[[Tensor], Tensor]
    weight: float = 1.0

    def run(self, net: nn.Module, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Run the trained network, and compare the features of both encoders.

        Args:
            net: the trained network, which calls `encoder` once.
            source: its input.
            target: its target.

        Returns:
            The output of the network, and the weighted loss of the features.
        """
        learnt = list[Tensor]()
        handle = self.encoder.register_forward_hook(
            lambda _module, _inputs, features: learnt.extend(features)
        )
        try:
            output: Tensor = net(source)
        finally:
            handle.remove()
        with torch.no_grad():
            taught = self.teacher(self.photo_of(target))
        return output, self.weight * feature_loss(learnt[TAUGHT_FEATURES], taught[TAUGHT_FEATURES])


def feature_loss(learnt: Sequence[Tensor], taught: Sequence[Tensor]) -> Tensor:
    """Return the mean over scales of the squared error relative to the variance of what is taught.

    0 is equal, 1 as good as a constant.
    """
    losses = [
        F.mse_loss(one.float(), other.float()) / other.float().var().clamp_min(MIN_VARIANCE)
        for one, other in zip(learnt, taught, strict=True)
    ]
    return torch.stack(losses).mean()
