"""Embedded networks on a CUDA device give the same results as on a CPU."""

import copy

import pytest
import torch

from benchmarks.floors import full_precision, tensors_in
from benchmarks.networks import networks, ready
from restore.models.catalog import Catalog
from restore.nets.lite.grain import hash_noise

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

TOLERANCE = 1e-4
"""Relative to the largest value: sums are computed in another order."""


@pytest.mark.parametrize("name", [row.id for row in Catalog.load().rows if row.embedded])
def test_embedded_network_gives_the_same_output(name: str) -> None:
    full_precision()
    network = ready(networks([name])[0])
    with torch.inference_mode():
        cpu_outputs = list(tensors_in(network.module(*network.inputs)))
        module = copy.deepcopy(network.module).cuda()
        cuda_outputs = list(tensors_in(module(*(tensor.cuda() for tensor in network.inputs))))
    for expected, output in zip(cpu_outputs, cuda_outputs, strict=True):
        atol = TOLERANCE * float(expected.abs().max())
        torch.testing.assert_close(output.cpu(), expected, rtol=0.0, atol=atol)


def test_noise_of_the_grain_is_identical() -> None:
    photo = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    assert torch.equal(hash_noise(photo.cuda()).cpu(), hash_noise(photo))
