"""LaMa's checkpoint, a TorchScript program: loading it, and refusing other files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from inpaintfakes import ROW, mask_of, random_pixels, run_on
from torch import Tensor, nn

from restore.errors import Code, RestoreError
from restore.models.adapters import adapter_of_kind
from restore.models.adapters.base import InpaintAdapter
from restore.models.catalog import Catalog
from restore.models.loader import load_net


@pytest.mark.parametrize("content", ["text", "state dict", "nothing"])
def test_file_that_is_not_a_program_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "big-lama.pt"
    if content == "state dict":
        torch.save({"generator.model.1.ffc.convl2l.weight": torch.zeros(3)}, path)
    else:
        path.write_bytes(b"rubbish" * 100 if content == "text" else b"")
    with pytest.raises(RestoreError, match=r"big-lama\.pt") as caught:
        load_net(path, ROW)
    assert caught.value.code is Code.WEIGHTS_UNSUPPORTED


class TinyProgram(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        return torch.sigmoid(self.conv(torch.cat([image * (1 - mask), mask], 1)))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_program_is_loaded_in_float32_and_is_deterministic(tmp_path: Path) -> None:
    example = torch.rand(1, 3, 8, 8).half(), torch.rand(1, 1, 8, 8).half()
    program = torch.jit.trace(TinyProgram().half(), example)
    program.train()
    torch.jit.save(program, tmp_path / "big-lama.pt")
    net = load_net(tmp_path / "big-lama.pt", ROW)
    assert not net.training
    assert {(p.dtype, p.requires_grad) for p in net.parameters()} == {(torch.float32, False)}
    mask = mask_of(20, 30, (5, 6, 7, 8))
    results = [run_on(random_pixels(20, 30, 3), net, mask) for _ in range(3)]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_every_inpainting_row_has_an_adapter() -> None:
    for row in Catalog.load().for_task("inpaint"):
        adapter_of_kind(row.architecture, InpaintAdapter)
        assert row.size_multiple >= 1
