"""colorize: the photo keeps its luminance, size, depth and alpha, whatever colours a network made up for it gives."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor, nn

from restore.errors import Code, RestoreError
from restore.imaging.photo import Photo
from restore.models.catalog import Catalog
from restore.models.loader import Model
from restore.nets.lite.colorize import LiteColorize
from restore.options import ColorizeOptions
from restore.pipelines import colorize as module
from restore.pipelines.colorize import network_side_px, run_colorize
from restore.pipelines.context import StepContext
from restore.pipelines.official import OfficialRules
from restore.pipelines.sizes import check_same_size
from restore.report import Report
from restore.runtime.device import runtime_for

ROW = Catalog.load().find("colorize", "modelscope")
LITE_ROW = ROW.model_copy(
    update={"architecture": "LiteColorize", "input_px": 256, "channels_in": 1}
)
GREY = data.camera()[100:280, 150:310]


class Paint(nn.Module):
    """Answers with two values of ab nearly everywhere, or with a checkerboard of `side` fields of them and their opposite.

    In a corner they are a trace more: an answer that is the same everywhere is none.
    """

    def __init__(self, a: float, b: float, board: int = 0) -> None:
        super().__init__()
        self.ab, self.board = torch.tensor([a, b], dtype=torch.float32)[None, :, None, None], board
        self.seen: list[Tensor] = []
        self.hook = SimpleNamespace(feature=None)
        self.encoder = SimpleNamespace(hooks=[self.hook])

    def forward(self, image: Tensor) -> Tensor:
        self.seen.append(image)
        self.hook.feature = image
        height, width = image.shape[2:]
        painted = self.ab.expand(len(image), 2, height, width).clone()
        painted[..., 0, 0] += 1e-4
        if not self.board:
            return painted
        y, x = (
            torch.arange(height)[:, None] * self.board // height,
            torch.arange(width) * self.board // width,
        )
        return painted * (1 - 2 * ((x + y) % 2))


def context_of(net: nn.Module, row=ROW, **rest) -> StepContext:
    return StepContext(
        {"colorize": Model(row, "modelscope", net)},
        runtime_for("baseline", torch.device("cpu")),
        Report("a", "colorize"),
        **rest,
    )


def coloured(
    pixels: np.ndarray, net: nn.Module, alpha: np.ndarray | None = None, **options
) -> np.ndarray:
    return run_colorize(
        Photo("a", pixels, alpha), ColorizeOptions(**options), context_of(net)
    ).pixels


def lab(pixels: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(pixels.astype(np.float32) / np.iinfo(pixels.dtype).max, cv2.COLOR_RGB2LAB)


def test_the_side_at_which_a_network_sees_is_its_own_at_35_and_has_bounds():
    sides = [network_side_px(factor, 512) for factor in range(1, 101)]
    assert (sides[34], sides[0], sides[99]) == (512, 256, 1472)
    assert all(side % 32 == 0 for side in sides)
    assert sides == sorted(sides)
    assert (network_side_px(35, 256), network_side_px(1, 256), network_side_px(100, 256)) == (
        256,
        128,
        736,
    )


@pytest.mark.parametrize(("factor", "side"), [(35, 512), (17, 256), (50, 736)])
def test_the_network_sees_a_grey_square_of_that_side(factor, side):
    net = Paint(0, 0)
    coloured(GREY, net, render_factor=factor)
    [seen] = net.seen
    assert seen.shape == (1, 3, side, side)
    assert seen.dtype == torch.float32
    torch.testing.assert_close(seen[:, 0], seen[:, 2], rtol=0, atol=1e-3)
    reduced = cv2.resize(
        GREY.astype(np.float32) / 255, (side, side), interpolation=cv2.INTER_LINEAR
    )
    np.testing.assert_allclose(seen[0, 1].numpy(), reduced, atol=2e-3)


def test_no_feature_is_held_after_a_call_or_a_failure():
    net = Paint(10, 10)
    coloured(GREY, net)
    assert net.hook.feature is None
    broken = Paint(float("nan"), 0)
    with pytest.raises(RestoreError, match="NaN or infinity") as caught:
        coloured(GREY, broken)
    assert caught.value.code is Code.BAD_NUMBERS
    assert broken.hook.feature is None


def test_the_lite_network_sees_lightness_and_answers_in_shares():
    lite, official = Paint(0.2, -0.1), Paint(22, -11)
    photo = Photo("a", GREY)
    ours = run_colorize(photo, ColorizeOptions(), context_of(lite, LITE_ROW)).pixels
    np.testing.assert_array_equal(ours, coloured(GREY, official))
    [seen] = lite.seen
    assert seen.shape == (1, 1, 256, 256)
    assert 0 <= float(seen.min()) < 0.1
    assert 0.7 < float(seen.max()) <= 1


def test_the_lite_network_colours_a_mirrored_photo_alike_and_guesses_once_while_it_trains():
    torch.manual_seed(1)
    net = LiteColorize()
    torch.nn.init.normal_(net.tail.weight, std=0.05)
    photo = torch.rand(1, 1, 64, 96)
    with torch.no_grad():
        assert not torch.equal(net(photo), net(photo))  # what it forgets differs from step to step
        net.eval()
        torch.testing.assert_close(net(photo.flip(-1)).flip(-1), net(photo), rtol=0, atol=1e-6)
        assert float((net(photo) - net.guessed(photo)).abs().max()) > 1e-4
        assert net(torch.rand(2, 1, 5, 3)).shape == (2, 2, 5, 3)


@pytest.mark.parametrize("scale", [1, 257])
def test_a_grey_photo_gets_colours_and_keeps_its_luminance(scale):
    pixels = np.clip(GREY, 50, 200).astype(np.uint8 if scale == 1 else np.uint16) * scale
    result = coloured(pixels, Paint(9, -14))
    assert result.shape == (*GREY.shape, 3)
    assert result.dtype == pixels.dtype
    light, a, b = np.moveaxis(lab(result), -1, 0)
    assert np.abs(light - lab(np.repeat(pixels[..., None], 3, axis=2))[..., 0]).max() < 1
    assert np.abs(a - 9).max() < 2
    assert np.abs(b + 14).max() < 2


def test_sixteen_bits_are_kept():
    levels = np.arange(0, 65536, 16, dtype=np.uint16)
    ramp = np.tile(levels, (8, 1))
    uncoloured = coloured(ramp, Paint(0, 0))
    assert np.abs(uncoloured.astype(int) - ramp[..., None]).max() <= 3
    tinted = coloured(ramp, Paint(9, -14))[0, 500:3500]
    assert all(len(np.unique(tinted[:, channel])) > 2900 for channel in range(3))
    coarse = coloured((ramp // 257).astype(np.uint8), Paint(9, -14))[0, 500:3500]
    assert np.abs(tinted / 257.0 - coarse).max() <= 2


def test_alpha_and_profile_are_kept_and_the_photo_is_not_written_to():
    alpha = np.tile(np.arange(160, dtype=np.uint8), (180, 1))
    before = GREY.copy()
    photo = run_colorize(
        Photo("a", GREY, alpha, icc=b"profile"),
        ColorizeOptions(strength=0.4),
        context_of(Paint(9, -14)),
    )
    np.testing.assert_array_equal(photo.alpha, alpha)
    assert photo.icc == b"profile"
    np.testing.assert_array_equal(GREY, before)


def test_strength_blends_with_the_photo():
    full, none, half = (
        coloured(GREY, Paint(30, 40), strength=s).astype(float) for s in (1, 0, 0.5)
    )
    np.testing.assert_array_equal(none, np.repeat(GREY[..., None], 3, axis=2))
    assert np.abs(half - (full + none) / 2).max() <= 1
    assert np.abs(full - none).mean() > 10


def test_a_photo_in_colour_is_a_warning_and_loses_its_colours():
    pixels = data.astronaut()[:128, 100:260]
    context = context_of(Paint(0, 0))
    result = run_colorize(Photo("a", pixels), ColorizeOptions(), context).pixels
    assert any("had colours" in warning for warning in context.report.warnings)
    assert np.ptp(result.astype(int), axis=2).max() <= 1
    assert np.abs(lab(result)[..., 0] - lab(pixels)[..., 0]).max() < 1
    quiet = context_of(Paint(0, 0))
    run_colorize(Photo("a", GREY), ColorizeOptions(), quiet)
    assert quiet.report.warnings == []


@pytest.mark.parametrize("scale", [1, 257])
def test_colours_beyond_rgb_are_clipped(scale):
    light = np.full((64, 64), 235 * scale, np.uint8 if scale == 1 else np.uint16)
    red = coloured(light, Paint(60, 0))
    assert (red[..., 0] == 255 * scale).all()
    assert (red[..., 1] < 235 * scale).all()
    pixels = GREY.astype(light.dtype) * np.array(scale, light.dtype)
    assert np.isin(coloured(pixels, Paint(-4000, 9000)), (0, 255 * scale)).mean() > 0.5


def test_colours_are_brought_to_the_photo_smoothly_and_only_by_the_official_code_in_blocks():
    flat, board = np.full((1100, 1100), 128, np.uint8), 8
    smooth = coloured(flat, Paint(20, 20, board)).astype(int)
    blocks = run_colorize(
        Photo("a", flat), ColorizeOptions(), context_of(Paint(20, 20, board), rules=OfficialRules())
    ).pixels.astype(int)
    assert len(np.unique(blocks[..., 0])) == 2
    assert len(np.unique(smooth[..., 0])) > 2


def test_bands_do_not_show(monkeypatch):
    whole = coloured(GREY, Paint(20, -20, 8))
    monkeypatch.setattr(module, "BAND_ROWS", 7)
    np.testing.assert_array_equal(coloured(GREY, Paint(20, -20, 8)), whole)


def test_a_result_that_the_format_cannot_hold_is_refused():
    with pytest.raises(RestoreError) as caught:
        check_same_size(
            Photo("a.png", np.zeros((8, 17000), np.uint8)),
            ColorizeOptions(),
            "webp",
            context_of(Paint(0, 0)),
        )
    assert caught.value.code is Code.OUTPUT_TOO_LARGE
