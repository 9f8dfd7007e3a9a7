"""Adapters call their copies below float32 as they call the networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from spandrel.architectures.GFPGAN.__arch.gfpganv1_clean_arch import GFPGANv1Clean
from torch import Tensor, nn

from benchmarks.networks import by_recipe, networks
from restore.models.adapters import adapter_for
from restore.models.adapters.base import ColorizeAdapter, FaceAdapter
from restore.models.adapters.codeformer import CODEFORMER
from restore.models.adapters.gfpgan import GFPGAN
from restore.models.adapters.old_photo import VAE
from restore.nets.low_precision.codeformer import LowPrecisionCodeFormer
from restore.optimize.lowering import lowered_copy, psnr_db

MIN_DB = 38.0


def library_net(name: str) -> tuple[nn.Module, Any]:
    row = networks([name])[0].row
    return by_recipe(row), row


def test_detector_copy_keeps_the_methods_of_its_library() -> None:
    net, row = library_net("retinaface-mobile0.25@64")
    copied: Any = lowered_copy(net, row, "float16")
    photo = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    expected: Any = net
    with torch.inference_mode():
        wanted = np.asarray(expected.detect_faces(photo, 0.0, 1.0))
        found = np.asarray(copied.detect_faces(photo, 0.0, 1.0))
    assert found.shape[1:] == wanted.shape[1:] == (15,)
    assert len(found) > 0
    np.testing.assert_allclose(np.sort(found[:, 4]), np.sort(wanted[:, 4]), atol=0.02)


def test_halves_of_the_old_photo_network_are_called_alone() -> None:
    net, row = library_net("oldphoto-vae-a-quality@64")
    copied = lowered_copy(net, row, "float16")
    photos = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.inference_mode():
        expected = VAE.encode(net, photos)
        features = VAE.encode(copied, photos)
        decoded = VAE.decode(copied, expected)
        assert psnr_db(decoded, VAE.decode(net, expected)) >= MIN_DB
    assert (features.dtype, decoded.dtype) == (torch.float32, torch.float32)
    assert psnr_db(features, expected) >= MIN_DB


def test_faces_of_gfpgan() -> None:
    torch.manual_seed(0)
    net = GFPGANv1Clean(out_size=32, narrow=0.25).eval().requires_grad_(requires_grad=False)
    faces = torch.rand(2, 3, 32, 32) * 2 - 1
    with torch.inference_mode():
        expected = GFPGAN.restore_faces(net, faces, 0.5)
        output = GFPGAN.restore_faces(GFPGAN.low_precision_copy(net, torch.bfloat16), faces, 0.5)
    assert psnr_db(output, expected) >= MIN_DB


def test_colours_of_ddcolor() -> None:
    net, row = library_net("ddcolor-paper-tiny")
    adapter: Any = adapter_for(row.architecture)
    assert isinstance(adapter, ColorizeAdapter)
    inputs = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        expected = adapter.predict_ab(net, inputs)
        output = adapter.predict_ab(lowered_copy(net, row, "bfloat16"), inputs)
    assert psnr_db(output, expected) >= MIN_DB


@pytest.mark.parametrize("fidelity", [0.0, 0.7])
def test_fidelity_of_codeformer_is_a_tensor(fidelity: float) -> None:
    given: list[Tensor] = []

    class Recorder(LowPrecisionCodeFormer):
        def __init__(self) -> None:
            nn.Module.__init__(self)

        def forward(
            self, faces: Tensor, weight: Tensor | float = 0.5, codes: Tensor | None = None
        ) -> tuple[Tensor, Tensor]:
            assert isinstance(weight, Tensor)
            given.append(weight)
            return faces, faces

    adapter: FaceAdapter = CODEFORMER
    adapter.restore_faces(Recorder(), torch.zeros(1, 3, 8, 8), fidelity)
    [weight] = given
    assert weight.shape == ()
    assert float(weight) == pytest.approx(fidelity)
