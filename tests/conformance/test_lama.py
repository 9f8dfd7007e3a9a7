"""LaMa against the official code: the network's output, and the result of the pipeline."""

import numpy as np
import pytest
import torch
from checkpoints import (
    GOLDENS,
    one_thread,  # noqa: F401
    relative_error,
    write_lama_program,
)
from PIL import Image

from restore.imaging.photo import Photo
from restore.models.catalog import Catalog
from restore.models.loader import Model, load_net
from restore.optimize.compiler import Compiler
from restore.optimize.winograd import WinogradConv2d
from restore.options import InpaintOptions
from restore.pipelines.context import StepContext
from restore.pipelines.inpaint import pad_symmetric, predict_fill, run_inpaint
from restore.pipelines.official import OfficialRules
from restore.pipelines.rules import PixelRules
from restore.report import Report
from restore.runtime.device import runtime_for

# Relative to the largest value. The order of sums depends on threads and instruction sets.
TOLERANCE = 2e-5
OPTIMIZED_TOLERANCE = 1e-4
GOLDEN = GOLDENS / "LaMa"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("lama") / "big-lama.pt"
    write_lama_program(path)
    row = Catalog.load().find("inpaint", "big")
    net = load_net(path, row)
    path.unlink()  # 200 MB, which pytest would keep
    assert not net.training
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
    assert not any(parameter.requires_grad for parameter in net.parameters())
    return Model(row, "big", net)


def read(name: str) -> np.ndarray:
    with Image.open(GOLDEN / name) as image:
        return np.array(image)


def context_of(
    model: Model, mask: np.ndarray | None = None, rules: PixelRules | None = None
) -> StepContext:
    return StepContext(
        {"inpaint": model},
        runtime_for("baseline", CPU),
        Report("a.png", "inpaint"),
        mask=mask,
        rules=rules or PixelRules(),
    )


def fill(model: Model) -> np.ndarray:
    """Return the network's output for the golden's input."""
    image = read("input.png").astype(np.float32) / 255
    mask = (read("mask.png") > 127).astype(np.float32)[..., None]
    with torch.inference_mode():
        return predict_fill(
            pad_symmetric(image, 8), pad_symmetric(mask, 8), model, context_of(model)
        )[0].numpy()


def test_network_matches_the_official_output(model: Model) -> None:
    assert relative_error(fill(model), np.load(GOLDEN / "output.npy")) <= TOLERANCE


def test_optimized_copy_consists_of_modules_and_matches(model: Model) -> None:
    optimized, _ = Compiler(CPU, {"RESTORE_COMPILE_BACKEND": "none"}).optimize(model)
    assert not isinstance(optimized.net, torch.jit.ScriptModule)
    assert sum(isinstance(module, WinogradConv2d) for module in optimized.net.modules()) > 50
    assert relative_error(fill(optimized), np.load(GOLDEN / "output.npy")) <= OPTIMIZED_TOLERANCE


def test_pipeline_fills_as_officially_and_changes_nothing_else(model: Model) -> None:
    pixels, mask = read("input.png"), read("mask.png") > 127
    expected = np.clip(np.load(GOLDEN / "output.npy").transpose(1, 2, 0) * 255, 0, 255)
    official, product = (
        run_inpaint(Photo("a.png", pixels), InpaintOptions(), context_of(model, mask, rules)).pixels
        for rules in (OfficialRules(), PixelRules())
    )
    for result, levels in ((official, np.floor(expected)), (product, np.rint(expected))):
        assert np.abs(result[mask].astype(int) - levels[mask]).max() <= 1
        np.testing.assert_array_equal(result[~mask], pixels[~mask])
    assert (product[mask] != pixels[mask]).mean() > 0.9
    assert (official != product).any()


@pytest.mark.parametrize("size", [(8, 40), (9, 17), (57, 91)])
def test_any_size_is_accepted(model: Model, size: tuple[int, int]) -> None:
    """With 8 pixels, the coarsest level has one pixel, for which the official code fails."""
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    mask = np.zeros(size, np.bool_)
    mask[3:6, 5:11] = True
    result = run_inpaint(Photo("a.png", pixels), InpaintOptions(), context_of(model, mask)).pixels
    np.testing.assert_array_equal(result[~mask], pixels[~mask])
    assert (result[mask] != pixels[mask]).any()
