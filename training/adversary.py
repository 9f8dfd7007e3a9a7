"""A network that tells answers from photos, and the gradient by which another learns to be mistaken for one.

After Goodfellow et al. (NeurIPS 2014) and Real-ESRGAN (Wang et al., ICCVW 2021, section 3.3): a U-Net that judges each pixel by what lies
around it, its convolutions under spectral normalisation (Miyato et al., ICLR 2018). It is never part of a finished file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

CHANNELS = 3  # of an answer, the first, that are a picture
WIDTHS = (48, 64, 96)  # channels at 1/2, 1/4 and 1/8 of the size
SLOPE = 0.2
WINDOW_PX = 9  # whose means, taken twice, the adversary has no say in
LEARNING_RATE = 2e-4
HEARD_AFTER = 500  # steps of the critic, until which its say grows: one that has learnt nothing yet only does harm
BETAS = (0.5, 0.99)  # of its Adam


def _conv(inner: int, outer: int, side: int = 3, stride: int = 1) -> nn.Module:
    return spectral_norm(nn.Conv2d(inner, outer, side, stride, padding=1))


class Critic(nn.Module):
    """Nx3xHxW RGB in [0, 1], sides multiples of 8 -> Nx1xHxW logits: above 0 where it takes the picture for a photo."""

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = WIDTHS
        self.head = _conv(12, fine)
        self.first, self.second = _conv(fine, middle, 4, 2), _conv(middle, coarse, 4, 2)
        self.bottom = _conv(coarse, coarse)
        self.third, self.fourth = _conv(coarse, middle), _conv(middle, fine)
        self.last, self.tail = _conv(fine, fine), nn.Conv2d(fine, 4, 3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        finest = F.leaky_relu(self.head(F.pixel_unshuffle(2.0 * pictures - 1.0, 2)), SLOPE)
        finer = F.leaky_relu(self.first(finest), SLOPE)
        x = F.leaky_relu(self.second(finer), SLOPE)
        x = F.leaky_relu(self.bottom(x), SLOPE)
        x = F.leaky_relu(self.third(_twice(x)), SLOPE) + finer
        x = F.leaky_relu(self.fourth(_twice(x)), SLOPE) + finest
        return F.pixel_shuffle(self.tail(F.leaky_relu(self.last(x), SLOPE)), 2)


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def smoothed(gradient: Tensor) -> Tensor:
    """Means of windows around each pixel, taken twice: without cells, whose borders would show in what is learnt."""
    for _ in range(2):
        gradient = F.avg_pool2d(
            gradient, WINDOW_PX, stride=1, padding=WINDOW_PX // 2, count_include_pad=False
        )
    return gradient


class Adversary:
    """A critic that learns beside a network, step for step.

    Args:
        weight: of its gradient over that of the network's own loss, at each step: 1 is as much.
        device: where both are.
        mixed: whether its convolutions are computed in bfloat16.
    """

    def __init__(self, weight: float, device: torch.device, *, mixed: bool) -> None:
        self.weight, self.device, self.mixed, self.steps = weight, device, mixed, 0
        self.critic = Critic().to(device)
        self.optimiser = torch.optim.Adam(self.critic.parameters(), lr=LEARNING_RATE, betas=BETAS)

    def state_dict(self) -> dict[str, Any]:
        return {
            "critic": self.critic.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "steps": self.steps,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.critic.load_state_dict(state["critic"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps = state["steps"]

    def judged(self, pictures: Tensor) -> Tensor:
        """The critic's logits."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            logits: Tensor = self.critic(pictures)
        return logits.float()

    def steered(self, output: Tensor, loss: Tensor, say: float = 1.0) -> Tensor:
        """The gradient of the answer: its own loss's, and what would make the critic take the picture in it for a photo, in proportion.

        `say` is the share of its weight that it has.
        """
        self.critic.requires_grad_(requires_grad=False)
        own = torch.autograd.grad(loss, output, retain_graph=True)[0].clone()
        of_picture = own[:, :CHANNELS]
        seen = output[:, :CHANNELS].detach().requires_grad_()
        (towards,) = torch.autograd.grad(F.softplus(-self.judged(seen)).mean(), seen)
        self.critic.requires_grad_(requires_grad=True)
        towards = towards - smoothed(towards)  # colours are the loss's affair
        weight = say * self.weight * min(1.0, self.steps / HEARD_AFTER)
        of_picture.add_(weight * of_picture.norm() / towards.norm().clamp_min(1e-12) * towards)
        return own

    def learn(self, output: Tensor, photos: Tensor) -> Tensor:
        """One step of the critic; returns the loss before it, on the device: 1.39 where it cannot tell the two, 0 where it always can."""
        loss = (
            F.softplus(-self.judged(photos)).mean()
            + F.softplus(self.judged(output[:, :CHANNELS].detach())).mean()
        )
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.optimiser.step()
        self.steps += 1
        return loss.detach()
