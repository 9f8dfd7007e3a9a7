"""Adversarial training: a discriminator, and the gradient that it adds to the loss.

After Goodfellow et al. (NeurIPS 2014) and Real-ESRGAN (Wang et al., ICCVW 2021, section 3.3): a
U-Net with spectral normalisation (Miyato et al., ICLR 2018) that classifies each pixel. It is not
part of the finished weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

PICTURE_CHANNELS = 3  # the first channels of the output, which the discriminator sees
CHANNELS = (48, 64, 96)  # at 1/2, 1/4 and 1/8 of the size
NEGATIVE_SLOPE = 0.2
SMOOTHING_WINDOW_PX = 9
LEARNING_RATE = 2e-4
BETAS = (0.5, 0.99)  # of Adam
# Steps over which the adversarial weight grows from 0: an untrained discriminator does harm.
WARM_UP_STEPS = 500
DISCRIMINATOR_KEY = "critic"  # in checkpoints


def _conv(in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    return spectral_norm(nn.Conv2d(in_channels, out_channels, kernel, stride, padding=1))


class Discriminator(nn.Module):
    """Classify pixels as photo (logit above 0) or network output.

    Input Nx3xHxW RGB in [0, 1] with sides that are multiples of 8; output Nx1xHxW logits.
    """

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = CHANNELS
        self.head = _conv(12, fine)
        self.first, self.second = _conv(fine, middle, 4, 2), _conv(middle, coarse, 4, 2)
        self.bottom = _conv(coarse, coarse)
        self.third, self.fourth = _conv(coarse, middle), _conv(middle, fine)
        self.last, self.tail = _conv(fine, fine), nn.Conv2d(fine, 4, 3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        finest = _activate(self.head(F.pixel_unshuffle(2.0 * pictures - 1.0, 2)))
        finer = _activate(self.first(finest))
        x = _activate(self.second(finer))
        x = _activate(self.bottom(x))
        x = _activate(self.third(_upsample(x))) + finer
        x = _activate(self.fourth(_upsample(x))) + finest
        return F.pixel_shuffle(self.tail(_activate(self.last(x))), 2)


def _activate(x: Tensor) -> Tensor:
    return F.leaky_relu(x, NEGATIVE_SLOPE)


def _upsample(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def smooth_gradient(gradient: Tensor) -> Tensor:
    """Apply a box filter twice; overlapping windows avoid a visible grid."""
    for _ in range(2):
        gradient = F.avg_pool2d(
            gradient,
            SMOOTHING_WINDOW_PX,
            stride=1,
            padding=SMOOTHING_WINDOW_PX // 2,
            count_include_pad=False,
        )
    return gradient


class Adversary:
    """A discriminator that is trained together with a network, one step each.

    Args:
        weight: norm of the adversarial gradient relative to the gradient of the loss.
        device: device of both networks.
        mixed: whether convolutions are computed in bfloat16.
    """

    def __init__(self, weight: float, device: torch.device, *, mixed: bool) -> None:
        self.weight, self.device, self.mixed, self.steps = weight, device, mixed, 0
        self.discriminator = Discriminator().to(device)
        self.optimiser = torch.optim.Adam(
            self.discriminator.parameters(), lr=LEARNING_RATE, betas=BETAS
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {
            DISCRIMINATOR_KEY: self.discriminator.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "steps": self.steps,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the state of a checkpoint."""
        self.discriminator.load_state_dict(state[DISCRIMINATOR_KEY])
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps = state["steps"]

    def classify(self, pictures: Tensor) -> Tensor:
        """Return the logits of the discriminator."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            logits: Tensor = self.discriminator(pictures)
        return logits.float()

    def combined_gradient(self, output: Tensor, loss: Tensor, weight_factor: float = 1.0) -> Tensor:
        """Return the gradient of the loss plus the scaled adversarial gradient.

        The smooth part of the adversarial gradient is removed, so that it cannot change mean
        colours.

        Args:
            output: output of the network; the adversarial gradient affects the first channels.
            loss: loss of this output.
            weight_factor: share of the adversarial weight that is used.
        """
        self.discriminator.requires_grad_(requires_grad=False)
        gradient = torch.autograd.grad(loss, output, retain_graph=True)[0].clone()
        picture_gradient = gradient[:, :PICTURE_CHANNELS]
        picture = output[:, :PICTURE_CHANNELS].detach().requires_grad_()
        adversarial_loss = F.softplus(-self.classify(picture)).mean()
        (adversarial,) = torch.autograd.grad(adversarial_loss, picture)
        self.discriminator.requires_grad_(requires_grad=True)
        adversarial = adversarial - smooth_gradient(adversarial)
        weight = weight_factor * self.weight * min(1.0, self.steps / WARM_UP_STEPS)
        scale = weight * picture_gradient.norm() / adversarial.norm().clamp_min(1e-12)
        picture_gradient.add_(scale * adversarial)
        return gradient

    def train_step(self, output: Tensor, photos: Tensor) -> Tensor:
        """Train the discriminator for one step.

        Returns:
            The loss before the step, on the device: 1.39 for a random guess, 0 for a perfect one.
        """
        loss = (
            F.softplus(-self.classify(photos)).mean()
            + F.softplus(self.classify(output[:, :PICTURE_CHANNELS].detach())).mean()
        )
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.optimiser.step()
        self.steps += 1
        return loss.detach()
