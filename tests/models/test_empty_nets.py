"""Networks are built without memory where their constructors permit it."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from restore.models.empty_nets import without_storage

TRAINED = {"weight": torch.arange(12.0).reshape(3, 4), "bias": torch.ones(3)}


class Sequences(nn.Linear):
    """Reads values of a sequence, as DDColor's encoder does."""

    def __init__(self) -> None:
        super().__init__(4, 3)
        self.rates = [rate.item() for rate in torch.linspace(0, 0.3, 4)]


class Copied(nn.Linear):
    """Copies a random tensor to the CPU, as the constructor of RetinaFace does."""

    def __init__(self) -> None:
        super().__init__(4, 3)
        self.copy = self.weight.detach().to("cpu")


@pytest.mark.parametrize(
    ("kind", "builds"), [(partial(nn.Linear, 4, 3), 1), (Sequences, 1), (Copied, 2)]
)
def test_network_is_built_once_if_its_constructor_needs_no_weights(
    kind: Callable[[], nn.Module], builds: int
) -> None:
    attempts = []

    def build() -> nn.Module:
        attempts.append(kind)
        net = kind()
        net.load_state_dict(TRAINED, assign=True)
        return net

    net = without_storage(build)
    assert len(attempts) == builds
    assert all(torch.equal(net.state_dict()[name], value) for name, value in TRAINED.items())
    if isinstance(net, Sequences):
        assert net.rates == pytest.approx([0, 0.1, 0.2, 0.3])


def test_network_is_built_with_memory_if_a_tensor_is_not_assigned() -> None:
    net = without_storage(partial(nn.Linear, 4, 3))
    assert not any(tensor.is_meta for tensor in net.parameters())
