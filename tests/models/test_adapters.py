"""Tests of the adapters: every row has one; networks can be built, called and rewritten."""

import subprocess
import sys

import pytest
import torch
from places import PROJECT
from torch import Tensor, nn
from weightrows import manifest_row

from restore.models.adapters import ADAPTERS, adapter_for, adapter_of_kind
from restore.models.adapters.base import (
    ColorizeAdapter,
    ColorTableAdapter,
    FaceAdapter,
    InpaintAdapter,
    UnknownSizesError,
    UpscaleAdapter,
)
from restore.models.adapters.ddcolor import DDCOLOR
from restore.models.adapters.lama import LAMA
from restore.models.adapters.lite_upscale import LITE_UPSCALE, new_lite_upscale
from restore.models.catalog import Catalog, Checkpoint
from restore.optimize.rewrite import rewritten_copy

ROWS = Catalog.load().rows
KINDS = {
    "face_restore": FaceAdapter,
    "inpaint": InpaintAdapter,
    "colorize": ColorizeAdapter,
    "colors": ColorTableAdapter,
    "upscale": UpscaleAdapter,
}
FROM_FILE_ONLY = {"lama-big", "lite-upscale-x4", "lite-upscale-x2", "lite-denoise"}
"""Rows whose network cannot be built without the checkpoint."""
SMALL = (
    "lite-upscale-real-x4",
    "lite-deblur",
    "lite-faces",
    "lite-colorize",
    "lite-colors",
    "lite-scratches",
    "lite-inpaint",
    "realesr-animevideov3",
    "retinaface-mobile0.25",
    "centerface",
    "oldphoto-vae-a-quality",
)
"""Rows with networks that are built and called in seconds."""
SIDE_PX = 64


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    torch.manual_seed(3)


def test_every_adapter_is_used_by_a_row() -> None:
    assert ADAPTERS.keys() == {row.architecture for row in ROWS}


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.task in KINDS and row.role == "net"], ids=lambda row: row.id
)
def test_adapters_have_the_kind_that_their_task_needs(row: Checkpoint) -> None:
    assert isinstance(adapter_for(row.architecture), KINDS[row.task])


def test_unknown_architecture_is_rejected_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'Unknown'.*CodeFormer"):
        adapter_for("Unknown")


def test_adapter_of_another_kind_is_rejected() -> None:
    with pytest.raises(ValueError, match="'ESRGAN' is not a network for inpainting"):
        adapter_of_kind("ESRGAN", InpaintAdapter)


@pytest.mark.parametrize("row_id", sorted(FROM_FILE_ONLY))
def test_networks_with_sizes_from_the_file_cannot_be_built_without_it(row_id: str) -> None:
    row = manifest_row(row_id)
    with pytest.raises(UnknownSizesError, match=row_id):
        adapter_for(row.architecture).create(row)


@pytest.mark.parametrize("row_id", SMALL)
def test_network_is_built_called_and_rewritten(row_id: str) -> None:
    row = manifest_row(row_id)
    adapter = adapter_for(row.architecture)
    net = adapter.finish(adapter.create(row)).eval()
    side_px = row.input_px or SIDE_PX
    generator = torch.Generator().manual_seed(5)
    inputs = adapter.example_inputs(row, side_px, 1, generator)
    rewritten = rewritten_copy(net, adapter, torch.device("cpu"))
    with torch.inference_mode():
        outputs, expected = (tensors(adapter.run(one, *inputs)) for one in (rewritten, net))
    for output, other in zip(outputs, expected, strict=True):
        assert output.isfinite().all()
        torch.testing.assert_close(output, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))


def tensors(output: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (output,) if isinstance(output, Tensor) else output


@pytest.mark.parametrize("row_id", SMALL)
def test_network_is_built_from_its_state_dict(row_id: str) -> None:
    row = manifest_row(row_id)
    adapter = adapter_for(row.architecture)
    state = adapter.create(row).state_dict()
    loaded = adapter.from_state(dict(state)).state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(value, state[key]) for key, value in loaded.items())


class TestUpscale:
    def test_network_without_grain(self) -> None:
        net = new_lite_upscale()
        assert LITE_UPSCALE.without_grain(net) is net.picture
        compact = adapter_of_kind("Compact", UpscaleAdapter)
        assert compact.without_grain(net.picture) is net.picture


class TestColorize:
    def test_features_in_hooks_are_released_even_after_an_error(self) -> None:
        class Hook:
            feature: object = "large tensor"

        class Fails(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.encoder = nn.Module()
                self.encoder.hooks = [Hook(), Hook()]  # type: ignore[assignment]

            def forward(self, inputs: Tensor) -> Tensor:
                raise RuntimeError("out of memory")

        net = Fails()
        with pytest.raises(RuntimeError, match="out of memory"):
            DDCOLOR.predict_ab(net, torch.zeros(1, 3, 8, 8))
        assert [hook.feature for hook in net.encoder.hooks] == [None, None]  # type: ignore[union-attr]


class TestLama:
    def test_program_that_is_not_lama_is_copied(self, caplog: pytest.LogCaptureFixture) -> None:
        net = nn.Sequential(nn.Conv2d(4, 3, 1)).eval()
        with pytest.warns(DeprecationWarning, match="torch.jit.script"):
            program = torch.jit.script(net)
        copied = LAMA.rewrite(program)
        assert copied is not program
        assert isinstance(copied, torch.jit.ScriptModule)


def test_optional_libraries_are_only_imported_for_rows_that_need_them() -> None:
    code = (
        "import sys, restore.models.loader; "
        "sys.exit(any(n.split('.')[0] in ('facexlib', 'spandrel_extra_arches') "
        "for n in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0
