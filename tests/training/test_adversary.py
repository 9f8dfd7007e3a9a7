"""The adversary of a training: it learns to tell answers from photos, and pulls an answer towards the photos without moving its colours."""

import pytest
import torch

from training.adversary import HEARD_AFTER, Adversary, smoothed

SIZE = (4, 3, 32, 32)


def textured(seed: int) -> torch.Tensor:
    return 0.5 + 0.2 * torch.randn(SIZE, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def adversary() -> Adversary:
    torch.manual_seed(0)
    adversary = Adversary(weight=2.0, device=torch.device("cpu"), mixed=False)
    adversary.steps = HEARD_AFTER
    return adversary


def test_it_learns_to_tell_what_is_smooth_from_what_is_not(adversary):
    smooth = torch.full(SIZE, 0.5)
    losses = [adversary.learn(smooth, textured(step)) for step in range(60)]
    assert losses[-1] < 0.5 * losses[0]
    with torch.no_grad():
        assert (
            float(adversary.judged(textured(99)).mean())
            > 0.0
            > float(adversary.judged(smooth).mean())
        )


def test_its_gradient_is_in_proportion_and_leaves_what_is_smooth_to_the_loss(adversary):
    output = torch.full(SIZE, 0.5, requires_grad=True)
    loss = (output - 0.25).square().mean()
    (own,) = torch.autograd.grad(loss, output)
    before = [parameter.clone() for parameter in adversary.critic.parameters()]
    pull = adversary.steered(output, (output - 0.25).square().mean()) - own
    torch.testing.assert_close(
        adversary.steered(output, (output - 0.25).square().mean(), 0.5) - own, 0.5 * pull
    )
    assert float(pull.norm()) <= 2.0 * float(own.norm()) * (1.0 + 1e-5)
    assert float(pull.norm()) > 0.1 * float(own.norm())
    assert float(smoothed(pull).norm()) < 0.2 * float(pull.norm())
    assert abs(float(pull.mean())) < 1e-2 * float(pull.abs().mean())
    # To be judged is not to be learnt from: the critic stays as it is, and can still learn.
    assert all(
        torch.equal(one, other)
        for one, other in zip(before, adversary.critic.parameters(), strict=True)
    )
    assert all(
        parameter.requires_grad and parameter.grad is None
        for parameter in adversary.critic.parameters()
    )


def test_what_it_pulls_towards_is_taken_for_a_photo(adversary):
    for step in range(60):
        adversary.learn(torch.full(SIZE, 0.5), textured(step))
    output = torch.full(SIZE, 0.5) + 0.01 * torch.randn(
        SIZE, generator=torch.Generator().manual_seed(5)
    )
    moved = output.clone().requires_grad_()
    for _ in range(20):
        towards = adversary.steered(moved, 1e-3 * moved.sum())
        moved = (moved - 0.05 * towards / towards.abs().max()).detach().requires_grad_()
    with torch.no_grad():
        assert float(adversary.judged(moved).mean()) > float(adversary.judged(output).mean())


def test_one_that_has_learnt_nothing_yet_is_not_heard():
    fresh = Adversary(weight=2.0, device=torch.device("cpu"), mixed=False)
    output = torch.full(SIZE, 0.5, requires_grad=True)
    (own,) = torch.autograd.grad((output - 0.25).square().mean(), output)
    torch.testing.assert_close(fresh.steered(output, (output - 0.25).square().mean()), own)
    fresh.learn(output, textured(0))
    assert not torch.equal(fresh.steered(output, (output - 0.25).square().mean()), own)
