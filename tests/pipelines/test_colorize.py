"""The task colorize, with fake networks."""

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor, nn

from restore.errors import Code, RestoreError
from restore.imaging.photo import Photo
from restore.models.catalog import Catalog, Checkpoint
from restore.models.loader import Model
from restore.options import ColorizeOptions
from restore.pipelines import colorize
from restore.pipelines.colorize import network_side_px, run_colorize
from restore.pipelines.context import StepContext
from restore.pipelines.official import OfficialRules
from restore.pipelines.rules import PixelRules
from restore.report import Report
from restore.runtime.device import runtime_for

ROW = Catalog.load().find("colorize", "modelscope")
LITE_ROW = ROW.model_copy(
    update={"architecture": "LiteColorize", "input_px": 256, "channels_in": 1}
)
GREY = data.camera()[100:280, 150:310]


class ConstantAb(nn.Module):
    """Predicts one ab value, or a checkerboard of the value and its opposite.

    The first pixel differs slightly, because a constant output is refused. Like DDColor, it has an
    encoder with hooks that hold features.
    """

    def __init__(self, a: float, b: float, fields: int = 0) -> None:
        super().__init__()
        self.ab = torch.tensor([a, b], dtype=torch.float32)[None, :, None, None]
        self.fields = fields
        self.inputs: list[Tensor] = []
        self.hook = SimpleNamespace(feature=None)
        self.encoder: Any = SimpleNamespace(hooks=[self.hook])

    def forward(self, image: Tensor) -> Tensor:
        self.inputs.append(image)
        self.hook.feature = image
        height, width = image.shape[2:]
        output = self.ab.expand(len(image), 2, height, width).clone()
        output[..., 0, 0] += 1e-4
        if not self.fields:
            return output
        rows = torch.arange(height)[:, None] * self.fields // height
        columns = torch.arange(width) * self.fields // width
        return output * (1 - 2 * ((rows + columns) % 2))


def context_of(
    net: nn.Module, row: Checkpoint = ROW, rules: PixelRules | None = None
) -> StepContext:
    return StepContext(
        {"colorize": Model(row, "modelscope", net)},
        runtime_for("baseline", torch.device("cpu")),
        Report("a", "colorize"),
        rules=rules or PixelRules(),
    )


def run(pixels: np.ndarray, net: nn.Module, **options: Any) -> np.ndarray:
    return run_colorize(Photo("a", pixels), ColorizeOptions(**options), context_of(net)).pixels


def to_lab(pixels: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(pixels.astype(np.float32) / np.iinfo(pixels.dtype).max, cv2.COLOR_RGB2LAB)


def test_network_side_is_the_training_size_at_35_and_limited() -> None:
    sides = [network_side_px(factor, 512) for factor in range(1, 101)]
    assert (sides[34], sides[0], sides[99]) == (512, 256, 1472)
    assert all(side % 32 == 0 for side in sides)
    assert sides == sorted(sides)
    assert [network_side_px(factor, 256) for factor in (35, 1, 100)] == [256, 128, 736]


@pytest.mark.parametrize(("factor", "side"), [(35, 512), (17, 256), (50, 736)])
def test_official_network_gets_a_grey_square(factor: int, side: int) -> None:
    net = ConstantAb(0, 0)
    run(GREY, net, render_factor=factor)
    [image] = net.inputs
    assert image.shape == (1, 3, side, side)
    assert image.dtype == torch.float32
    torch.testing.assert_close(image[:, 0], image[:, 2], rtol=0, atol=1e-3)
    scaled = GREY.astype(np.float32) / 255
    expected = cv2.resize(scaled, (side, side), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(image[0, 1].numpy(), expected, atol=2e-3)


def test_hooks_hold_no_feature_after_a_call_or_an_error() -> None:
    net = ConstantAb(10, 10)
    run(GREY, net)
    assert net.hook.feature is None
    net = ConstantAb(float("nan"), 0)
    with pytest.raises(RestoreError, match="NaN or infinity") as caught:
        run(GREY, net)
    assert caught.value.code is Code.BAD_NUMBERS
    assert net.hook.feature is None


def test_lite_network_gets_lightness_and_returns_scaled_ab() -> None:
    lite, official = ConstantAb(0.2, -0.1), ConstantAb(22, -11)
    result = run_colorize(Photo("a", GREY), ColorizeOptions(), context_of(lite, LITE_ROW)).pixels
    np.testing.assert_array_equal(result, run(GREY, official))
    [lightness] = lite.inputs
    assert lightness.shape == (1, 1, 256, 256)
    assert 0 <= float(lightness.min()) < 0.1
    assert 0.7 < float(lightness.max()) <= 1


@pytest.mark.parametrize("scale", [1, 257])
def test_grey_photo_gets_the_colours_and_keeps_its_lightness(scale: int) -> None:
    pixels = np.clip(GREY, 50, 200).astype(np.uint8 if scale == 1 else np.uint16) * scale
    result = run(pixels, ConstantAb(9, -14))
    assert result.shape == (*GREY.shape, 3)
    assert result.dtype == pixels.dtype
    lightness, a, b = np.moveaxis(to_lab(result), -1, 0)
    expected = to_lab(np.repeat(pixels[..., None], 3, axis=2))[..., 0]
    assert np.abs(lightness - expected).max() < 1
    assert np.abs(a - 9).max() < 2
    assert np.abs(b + 14).max() < 2


def test_16_bits_are_kept() -> None:
    levels = np.arange(0, 65536, 16, dtype=np.uint16)
    ramp = np.tile(levels, (8, 1))
    colourless = run(ramp, ConstantAb(0, 0))
    assert np.abs(colourless.astype(int) - ramp[..., None]).max() <= 3
    deep = run(ramp, ConstantAb(9, -14))[0, 500:3500]
    assert all(len(np.unique(deep[:, channel])) > 2900 for channel in range(3))
    shallow = run((ramp // 257).astype(np.uint8), ConstantAb(9, -14))[0, 500:3500]
    assert np.abs(deep / 257.0 - shallow).max() <= 2


def test_alpha_and_profile_are_kept_and_the_input_is_unchanged() -> None:
    alpha = np.tile(np.arange(160, dtype=np.uint8), (180, 1))
    before = GREY.copy()
    photo = run_colorize(
        Photo("a", GREY, alpha, icc=b"profile"),
        ColorizeOptions(strength=0.4),
        context_of(ConstantAb(9, -14)),
    )
    np.testing.assert_array_equal(photo.alpha, alpha)
    assert photo.icc == b"profile"
    np.testing.assert_array_equal(GREY, before)


def test_strength_blends_with_the_original() -> None:
    full, none, half = (
        run(GREY, ConstantAb(30, 40), strength=strength).astype(float) for strength in (1, 0, 0.5)
    )
    np.testing.assert_array_equal(none, GREY)
    none = np.repeat(GREY[..., None], 3, axis=2).astype(float)
    assert np.abs(half - (full + none) / 2).max() <= 1
    assert np.abs(full - none).mean() > 10


def test_colours_of_a_photo_in_colour_are_replaced_with_a_warning() -> None:
    pixels = data.astronaut()[:128, 100:260]
    context = context_of(ConstantAb(0, 0))
    result = run_colorize(Photo("a", pixels), ColorizeOptions(), context).pixels
    assert any("was in colour" in warning for warning in context.report.warnings)
    assert np.ptp(result.astype(int), axis=2).max() <= 1
    assert np.abs(to_lab(result)[..., 0] - to_lab(pixels)[..., 0]).max() < 1


def test_strength_0_returns_the_photo_without_network_and_warnings() -> None:
    photo = Photo("a", data.astronaut()[:128, 100:260])
    net = ConstantAb(30, 40)
    context = context_of(net)
    assert run_colorize(photo, ColorizeOptions(strength=0, render_factor=3), context) is photo
    assert net.inputs == []
    assert context.report.warnings == []


def test_grey_photo_gives_no_warning() -> None:
    context = context_of(ConstantAb(0, 0))
    run_colorize(Photo("a", GREY), ColorizeOptions(), context)
    assert context.report.warnings == []


@pytest.mark.parametrize("scale", [1, 257])
def test_colours_outside_of_rgb_are_clipped(scale: int) -> None:
    light = np.full((64, 64), 100 * scale, np.uint8 if scale == 1 else np.uint16)
    light[8:56, 8:56] = 235 * scale  # at the edge it would be paper
    red = run(light, ConstantAb(60, 0))[8:56, 8:56]
    assert (red[..., 0] == 255 * scale).all()
    assert (red[..., 1] < 235 * scale).all()
    pixels = GREY.astype(light.dtype) * np.array(scale, light.dtype)
    assert np.isin(run(pixels, ConstantAb(-4000, 9000)), (0, 255 * scale)).mean() > 0.5


@pytest.mark.parametrize("saturation", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("scale", [1, 257])
def test_saturation_multiplies_the_chroma(scale: int, saturation: float) -> None:
    pixels = np.clip(GREY, 60, 190).astype(np.uint8 if scale == 1 else np.uint16) * scale
    result = run(pixels, ConstantAb(9, -14), saturation=saturation)
    lightness, a, b = np.moveaxis(to_lab(result), -1, 0)
    expected = to_lab(np.repeat(pixels[..., None], 3, axis=2))[..., 0]
    assert np.abs(lightness - expected).max() < 1
    assert np.abs(a - 9 * saturation).max() < 2
    assert np.abs(b + 14 * saturation).max() < 2
    assert (np.ptp(result.astype(int), axis=2).max() == 0) == (saturation == 0)


def test_saturation_of_0_makes_a_photo_in_colour_grey() -> None:
    result = run(data.astronaut()[:128, 100:260], ConstantAb(30, 40), saturation=0)
    assert np.ptp(result.astype(int), axis=2).max() == 0


def test_saturation_of_1_changes_nothing_not_even_clipped_colours() -> None:
    expected = run(GREY, ConstantAb(70, 40))
    np.testing.assert_array_equal(run(GREY, ConstantAb(70, 40), saturation=1), expected)
    assert (run(GREY, ConstantAb(70, 40), saturation=1.01) != expected).any()


def test_high_saturation_keeps_lightness_and_hue_where_clipping_would_not() -> None:
    pixels = np.clip(GREY, 60, 190)
    expected = to_lab(np.repeat(pixels[..., None], 3, axis=2))[..., 0]

    def differences(**options: Any) -> tuple[float, float]:
        lightness, a, b = np.moveaxis(to_lab(run(pixels, ConstantAb(60, 60), **options)), -1, 0)
        hue = np.degrees(np.arctan2(b, a))
        return float(np.abs(lightness - expected).max()), float(np.abs(hue - 45).max())

    lightness, hue = differences(saturation=1.5)
    assert lightness < 1
    assert hue < 2
    clipped_lightness, clipped_hue = differences()
    assert clipped_lightness > 5
    assert clipped_hue > 5


def test_colours_are_enlarged_smoothly_and_officially_in_blocks() -> None:
    pixels = np.full((1100, 1100), 128, np.uint8)
    smooth = run(pixels, ConstantAb(20, 20, fields=8))
    context = context_of(ConstantAb(20, 20, fields=8), rules=OfficialRules())
    blocks = run_colorize(Photo("a", pixels), ColorizeOptions(), context).pixels
    assert len(np.unique(blocks[..., 0])) == 2
    assert len(np.unique(smooth[..., 0])) > 2


def test_size_of_bands_does_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run(GREY, ConstantAb(20, -20, fields=8))
    monkeypatch.setattr(colorize, "BAND_ROWS", 7)
    np.testing.assert_array_equal(run(GREY, ConstantAb(20, -20, fields=8)), expected)
