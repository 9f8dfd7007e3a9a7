"""Adversarial training: the discriminator learns, and its gradient keeps mean colours."""

import pytest
import torch

from training.adversary import WARM_UP_STEPS, Adversary, smooth_gradient

SIZE = (4, 3, 32, 32)
CPU = torch.device("cpu")


def textured(seed: int) -> torch.Tensor:
    return 0.5 + 0.2 * torch.randn(SIZE, generator=torch.Generator().manual_seed(seed))


def squared_error(output: torch.Tensor) -> torch.Tensor:
    return (output - 0.25).square().mean()


@pytest.fixture
def adversary() -> Adversary:
    torch.manual_seed(0)
    adversary = Adversary(weight=2.0, device=CPU, mixed=False)
    adversary.steps = WARM_UP_STEPS
    return adversary


def test_discriminator_learns_to_tell_smooth_from_textured(adversary: Adversary) -> None:
    smooth = torch.full(SIZE, 0.5)
    losses = [adversary.train_step(smooth, textured(step)) for step in range(60)]
    assert losses[-1] < 0.5 * losses[0]
    with torch.no_grad():
        photo_logit = float(adversary.classify(textured(99)).mean())
        smooth_logit = float(adversary.classify(smooth).mean())
    assert photo_logit > 0.0 > smooth_logit


class TestGradient:
    def adversarial_part(self, adversary: Adversary, weight_factor: float) -> torch.Tensor:
        output = torch.full(SIZE, 0.5, requires_grad=True)
        (gradient,) = torch.autograd.grad(squared_error(output), output)
        combined = adversary.combined_gradient(output, squared_error(output), weight_factor)
        return (combined - gradient) / gradient.norm()

    def test_is_proportional_to_the_weight(self, adversary: Adversary) -> None:
        full, half = (self.adversarial_part(adversary, factor) for factor in (1.0, 0.5))
        assert float(full.norm()) == pytest.approx(2.0, rel=1e-3)
        assert float(half.norm()) == pytest.approx(1.0, rel=1e-3)
        # Not equal: each call runs a power iteration of the spectral norms.
        assert float((full * half).sum()) > 0.95 * float(full.norm() * half.norm())

    def test_has_no_smooth_part(self, adversary: Adversary) -> None:
        part = self.adversarial_part(adversary, 1.0)
        assert float(smooth_gradient(part).norm()) < 0.2 * float(part.norm())
        assert abs(float(part.mean())) < 1e-2 * float(part.abs().mean())

    def test_leaves_the_discriminator_unchanged_and_trainable(self, adversary: Adversary) -> None:
        before = [parameter.clone() for parameter in adversary.discriminator.parameters()]
        self.adversarial_part(adversary, 1.0)
        after = list(adversary.discriminator.parameters())
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        assert all(parameter.requires_grad and parameter.grad is None for parameter in after)


def test_gradient_moves_the_output_towards_photos(adversary: Adversary) -> None:
    for step in range(60):
        adversary.train_step(torch.full(SIZE, 0.5), textured(step))
    noise = torch.randn(SIZE, generator=torch.Generator().manual_seed(5))
    output = torch.full(SIZE, 0.5) + 0.01 * noise
    moved = output.clone().requires_grad_()
    for _ in range(20):
        gradient = adversary.combined_gradient(moved, 1e-3 * moved.sum())
        moved = (moved - 0.05 * gradient / gradient.abs().max()).detach().requires_grad_()
    with torch.no_grad():
        moved_logit, output_logit = (
            float(adversary.classify(image).mean()) for image in (moved, output)
        )
    assert moved_logit > output_logit


def test_untrained_discriminator_has_no_weight() -> None:
    torch.manual_seed(0)
    adversary = Adversary(weight=2.0, device=CPU, mixed=False)
    output = torch.full(SIZE, 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(squared_error(output), output)
    torch.testing.assert_close(adversary.combined_gradient(output, squared_error(output)), gradient)
    adversary.train_step(output, textured(0))
    combined = adversary.combined_gradient(output, squared_error(output))
    assert not torch.equal(combined, gradient)
