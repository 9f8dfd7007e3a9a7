"""DDColor against the official code: the predicted colours, and the result of the pipeline."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from checkpoints import (
    GOLDENS,
    load_official_file,
    one_thread,  # noqa: F401
    read_rgb,
    rebuild,
    relative_error,
)

from restore.imaging.photo import Photo
from restore.models.catalog import Catalog
from restore.models.loader import Model
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
from restore.pipelines.rules import PixelRules
from restore.report import Report
from restore.runtime.device import runtime_for
from restore.runtime.tensors import to_batch

# Relative to the largest value. The order of sums depends on threads and instruction sets.
TOLERANCE = 2e-5
VARIANTS = {"DDColor_tiny": "paper_tiny", "DDColor_large": "modelscope"}
STORED_STRIDE = {"DDColor_tiny": 1, "DDColor_large": 2}
FACTOR_FOR_256_PX = 17
CPU = torch.device("cpu")


def load(name: str, folder: Path) -> Model:
    checkpoint = rebuild(name)
    # Official files contain the classifier from the training of the encoder, which is not used.
    checkpoint["params"] |= {
        f"encoder.arch.head_cls.{part}": torch.zeros(2) for part in ("weight", "bias")
    }
    row = Catalog.load().find("colorize", VARIANTS[name])
    net = load_official_file(checkpoint, folder / f"{name}.pth", row)
    return Model(row, VARIANTS[name], net)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load("DDColor_tiny", tmp_path_factory.mktemp("tiny"))


@pytest.fixture(params=VARIANTS)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Model]:
    name: str = request.param
    if name == "DDColor_tiny":
        return name, request.getfixturevalue("tiny")
    return name, load(name, tmp_path)


def context_of(model: Model, rules: PixelRules | None = None) -> StepContext:
    return StepContext(
        {"colorize": model},
        runtime_for("baseline", CPU),
        Report("a.png", "colorize"),
        rules=rules or PixelRules(),
    )


def test_network_and_pipeline_match_the_official_code(golden: tuple[str, Model]) -> None:
    name, model = golden
    pixels, stride = read_rgb(GOLDENS / name / "input.png"), STORED_STRIDE[name]
    with torch.inference_mode():
        lightness = lightness_of(shrink_to_square(pixels, 256))
        ab = predict_ab(lightness, model, context_of(model))[0, :, ::stride, ::stride]
    expected = np.load(GOLDENS / name / "output_ab_256.npy")
    assert relative_error(ab.numpy(), expected) <= TOLERANCE

    assert network_side_px(FACTOR_FOR_256_PX, model.row.input_px or 0) == 256
    result = run_colorize(
        Photo("a.png", pixels),
        ColorizeOptions(render_factor=FACTOR_FOR_256_PX),
        context_of(model, OfficialRules()),
    ).pixels
    expected = np.load(GOLDENS / name / "pipeline_output_rgb_u8_256.npy")
    assert result.shape == expected.shape
    assert np.abs(result.astype(int) - expected).max() <= 1


def test_calls_are_independent(tiny: Model) -> None:
    """The encoder passes features in module hooks, which outlive a call unless they are emptied."""
    hooks = cast(Any, tiny.net).encoder.hooks
    assert len(hooks) == 4
    pixels = read_rgb(GOLDENS / "DDColor_tiny" / "input.png")
    inputs = [lightness_of(shrink_to_square(image, 64)) for image in (pixels, 255 - pixels)]
    with torch.inference_mode():
        first, second, again = (
            predict_ab(inputs[index], tiny, context_of(tiny)) for index in (0, 1, 0)
        )
        assert all(hook.feature is None for hook in hooks)
        assert torch.equal(first, again)
        assert not torch.allclose(first, second, atol=1e-2)
        grey = [torch.cat([to_batch([lightness / 100], CPU)] * 3, dim=1) for lightness in inputs]
        batch = tiny.net(torch.cat(grey))
        for single, from_batch in zip(grey, batch, strict=True):
            torch.testing.assert_close(
                tiny.net(single)[0], from_batch, rtol=0, atol=2e-5 * float(batch.abs().max())
            )
