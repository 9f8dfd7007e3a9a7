"""LaMa against the official code: from a TorchScript file of the official signature to the filled photo."""

import numpy as np
import pytest
import torch
from PIL import Image
from recipe import GOLDENS, write_lama_program

from restore.imaging.photo import Photo
from restore.models.catalog import Catalog
from restore.models.loader import Model, load_net
from restore.optimize.compiler import Compiler
from restore.optimize.winograd import WinogradConv2d
from restore.options import InpaintOptions
from restore.pipelines.context import StepContext
from restore.pipelines.inpaint import pad_symmetric, predict_fill, run_inpaint
from restore.pipelines.official import OfficialRules
from restore.report import Report
from restore.runtime.device import runtime_for

# Of the largest value. Threads and instruction sets sum in other orders.
TOLERANCE = 2e-5
GOLDEN = GOLDENS / "LaMa"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Beside other work on the same cores, threads that wait for each other took forty times as long as one alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Model:
    path = tmp_path_factory.mktemp("lama") / "big-lama.pt"
    write_lama_program(path)
    row = Catalog.load().find("inpaint", "big")
    net = load_net(path, row)
    path.unlink()  # 200 MB, which pytest would keep for three runs
    assert not net.training
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
    assert not any(parameter.requires_grad for parameter in net.parameters())
    return Model(row, "big", net)


def opened(name: str) -> np.ndarray:
    with Image.open(GOLDEN / name) as image:
        return np.array(image)


def context(model: Model, **rest) -> StepContext:
    return StepContext(
        {"inpaint": model},
        runtime_for("baseline", torch.device("cpu")),
        Report("a.png", "inpaint"),
        **rest,
    )


def test_the_network_computes_what_the_official_one_does(model):
    image, mask = (
        opened("input.png").astype(np.float32) / 255,
        (opened("mask.png") > 127).astype(np.float32),
    )
    with torch.inference_mode():
        output = predict_fill(
            pad_symmetric(image, 8), pad_symmetric(mask[..., None], 8), model, context(model)
        )[0].numpy()
    golden = np.load(GOLDEN / "output.npy")
    assert output.shape == golden.shape
    assert np.abs(output - golden).max() <= TOLERANCE * np.abs(golden).max()


def test_the_optimized_copy_is_modules_with_the_same_answer(model):
    """Its convolutions mirror their borders, which Winograd's way does too."""
    optimized, _ = Compiler(torch.device("cpu"), {"RESTORE_COMPILE_BACKEND": "none"}).optimize(
        model
    )
    assert not isinstance(optimized.net, torch.jit.ScriptModule)
    assert sum(isinstance(module, WinogradConv2d) for module in optimized.net.modules()) > 50
    image, mask = (
        opened("input.png").astype(np.float32) / 255,
        (opened("mask.png") > 127).astype(np.float32),
    )
    with torch.inference_mode():
        output = predict_fill(
            pad_symmetric(image, 8),
            pad_symmetric(mask[..., None], 8),
            optimized,
            context(optimized),
        )[0].numpy()
    golden = np.load(GOLDEN / "output.npy")
    assert np.abs(output - golden).max() <= 1e-4 * np.abs(golden).max()


def test_a_photo_is_filled_as_by_the_official_code_and_untouched_elsewhere(model):
    pixels, mask = opened("input.png"), opened("mask.png") > 127
    expected = np.clip(np.load(GOLDEN / "output.npy").transpose(1, 2, 0) * 255, 0, 255)
    official = run_inpaint(
        Photo("a.png", pixels), InpaintOptions(), context(model, mask=mask, rules=OfficialRules())
    ).pixels
    ours = run_inpaint(Photo("a.png", pixels), InpaintOptions(), context(model, mask=mask)).pixels
    for result, levels in ((official, np.floor(expected)), (ours, np.rint(expected))):
        assert np.abs(result[mask].astype(int) - levels[mask]).max() <= 1
        np.testing.assert_array_equal(result[~mask], pixels[~mask])
    assert (ours[mask] != pixels[mask]).mean() > 0.9
    assert (official != ours).any()


@pytest.mark.parametrize("size", [(8, 40), (9, 17), (57, 91)])
def test_any_size_is_taken(model, size):
    """Eight pixels are one at the coarsest level, where the official code has nothing to mirror."""
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    mask = np.zeros(size, np.bool_)
    mask[3:6, 5:11] = True
    result = run_inpaint(Photo("a.png", pixels), InpaintOptions(), context(model, mask=mask)).pixels
    np.testing.assert_array_equal(result[~mask], pixels[~mask])
    assert (result[mask] != pixels[mask]).any()
