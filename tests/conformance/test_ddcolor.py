"""DDColor against the official code: the network's colours, and the whole pipeline's photo."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from recipe import GOLDENS, rebuild

from restore.imaging.photo import Photo
from restore.models.catalog import Catalog
from restore.models.loader import Model, load_net
from restore.options import ColorizeOptions
from restore.pipelines.colorize import (
    lightness_of,
    network_side_px,
    predict_ab,
    run_colorize,
    shrink_to_square,
)
from restore.pipelines.context import StepContext
from restore.pipelines.official import OfficialRules
from restore.report import Report
from restore.runtime.device import runtime_for
from restore.runtime.tensors import to_batch

# Of the largest value. Threads and instruction sets sum in other orders.
TOLERANCE = 2e-5
VARIANTS = {
    "DDColor_tiny": ("paper_tiny", 1),
    "DDColor_large": ("modelscope", 2),
}  # and the stride of the stored colours
FACTOR_OF_256 = 17


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Beside other work on the same cores, threads that wait for each other took forty times as long as one alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def loaded(name: str, folder: Path) -> Model:
    checkpoint = rebuild(name)
    # Official files carry the classifier of the encoder's training, which nothing uses.
    checkpoint["params"] |= {
        f"encoder.arch.head_cls.{part}": torch.zeros(2) for part in ("weight", "bias")
    }
    path = folder / f"{name}.pth"
    torch.save(checkpoint, path)
    row = Catalog.load().find("colorize", VARIANTS[name][0])
    net = load_net(path, row)
    path.unlink()  # 870 MB, which pytest would keep for three runs; the mapping stays
    return Model(row, VARIANTS[name][0], net)


@pytest.fixture(scope="module", params=VARIANTS)
def golden(request, tmp_path_factory) -> tuple[str, Model]:
    return request.param, loaded(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Model:
    return loaded("DDColor_tiny", tmp_path_factory.mktemp("hooks"))


def photo_of(name: str) -> np.ndarray:
    with Image.open(GOLDENS / name / "input.png") as image:
        return np.array(image.convert("RGB"))


def context(model: Model, **rest) -> StepContext:
    return StepContext(
        {"colorize": model},
        runtime_for("baseline", torch.device("cpu")),
        Report("a.png", "colorize"),
        **rest,
    )


def test_it_computes_what_the_official_code_does(golden):
    name, model = golden
    pixels, stride = photo_of(name), VARIANTS[name][1]
    with torch.inference_mode():
        colours = predict_ab(lightness_of(shrink_to_square(pixels, 256)), model, context(model))[
            0, :, ::stride, ::stride
        ].numpy()
    expected = np.load(GOLDENS / name / "output_ab_256.npy")
    assert colours.shape == expected.shape
    assert np.abs(colours - expected).max() <= TOLERANCE * np.abs(expected).max()

    assert network_side_px(FACTOR_OF_256, model.row.input_px) == 256
    official = run_colorize(
        Photo("a.png", pixels),
        ColorizeOptions(render_factor=FACTOR_OF_256),
        context(model, rules=OfficialRules()),
    )
    expected = np.load(GOLDENS / name / "pipeline_output_rgb_u8_256.npy")
    assert official.pixels.shape == expected.shape
    assert np.abs(official.pixels.astype(int) - expected).max() <= 1


def test_calls_do_not_see_each_other(tiny):
    """The encoder hands its features over in hooks on the module, which outlive a call unless they are emptied."""
    hooks = tiny.net.encoder.hooks
    assert len(hooks) == 4
    pixels = [photo_of("DDColor_tiny"), 255 - photo_of("DDColor_tiny")]
    luminances = [lightness_of(shrink_to_square(image, 64)) for image in pixels]
    with torch.inference_mode():
        first, second, again = (predict_ab(luminances[i], tiny, context(tiny)) for i in (0, 1, 0))
        assert all(hook.feature is None for hook in hooks)
        assert torch.equal(first, again)
        assert not torch.allclose(first, second, atol=1e-2)
        grey = [
            torch.cat([to_batch([luminance / 100], torch.device("cpu"))] * 3, dim=1)
            for luminance in luminances
        ]
        together = tiny.net(torch.cat(grey))
        for alone, of_two in zip(grey, together, strict=True):
            torch.testing.assert_close(
                tiny.net(alone)[0], of_two, rtol=0, atol=2e-5 * float(together.abs().max())
            )
