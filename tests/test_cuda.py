"""On a CUDA device embedded networks answer as they do on a CPU."""

import copy

import pytest
import torch

from benchmarks.floors import full_precision, tensors_in
from benchmarks.networks import networks, ready
from restore.models.catalog import Catalog
from restore.nets.lite.grain import hash_noise

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
MOST_APART = 1e-4  # of the largest value: the sums are taken in another order


@pytest.mark.parametrize("name", [row.id for row in Catalog.load().rows if row.embedded])
def test_an_embedded_network_answers_the_same(name):
    full_precision()
    it = ready(networks([name])[0])
    with torch.inference_mode():
        here = list(tensors_in(it.module(*it.inputs)))
        there = list(
            tensors_in(copy.deepcopy(it.module).cuda()(*(tensor.cuda() for tensor in it.inputs)))
        )
    for one, other in zip(here, there, strict=True):
        torch.testing.assert_close(
            other.cpu(), one, rtol=0.0, atol=MOST_APART * float(one.abs().max())
        )


def test_grain_is_drawn_from_the_very_same_noise():
    photo = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    assert torch.equal(hash_noise(photo.cuda()).cpu(), hash_noise(photo))
