"""The windows in which long photos are coloured."""

import itertools
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from restore.imaging.device_photo import download_photo, upload_photo
from restore.imaging.photo import Photo
from restore.models.adapters.lite_colorize import LITE_COLORIZE
from restore.options import ColorizeOptions
from restore.pipelines.colorize import run_colorize
from restore.pipelines.colorize_windows import (
    MAX_WINDOWS,
    WINDOW_ASPECT,
    join_windows,
    split_into_windows,
)
from restore.pipelines.context import StepContext
from restore.pipelines.device_colorize import colorize_on_device
from restore.pipelines.rules import PixelRules
from restore.report import Report
from restore.runtime.device import runtime_for


@pytest.mark.parametrize("size", [(200, 100), (100, 200), (100, 100), (1, 1), (2, 1)])
def test_photo_with_similar_sides_is_one_window(size: tuple[int, int]) -> None:
    width, height = size
    assert split_into_windows(width, height, 2.0) == [(slice(height), slice(width))]
    assert split_into_windows(50 * width, height, float("inf")) == [
        (slice(height), slice(50 * width))
    ]


@pytest.mark.parametrize(
    "size", [(201, 100), (3000, 200), (300, 100), (5, 1), (3, 1), (9999, 1), (5000, 7)]
)
def test_windows_cover_a_long_photo_and_overlap_by_half(size: tuple[int, int]) -> None:
    width, height = size
    windows = split_into_windows(width, height, 2.0)
    assert 2 <= len(windows) <= MAX_WINDOWS
    assert {(rows.start or 0, rows.stop) for rows, _ in windows} == {(0, height)}
    columns = [part for _, part in windows]
    assert (columns[0].start, columns[-1].stop) == (0, width)
    for before, after in itertools.pairwise(columns):
        middle = (before.start + before.stop) / 2
        assert before.start < after.start < before.stop
        assert abs(after.start - middle) <= 1
    longest = max(part.stop - part.start for part in columns)
    if len(windows) < MAX_WINDOWS and height > 10:
        assert longest <= WINDOW_ASPECT * height + 1
    turned = split_into_windows(height, width, 2.0)
    assert turned == [(part, rows) for rows, part in windows]


def test_predictions_change_evenly_from_window_to_window() -> None:
    predictions = [torch.full((1, 2, 8, 8), value) for value in (1.0, 3.0, 2.0)]
    joined = join_windows(predictions, is_wide=True)
    assert joined.shape == (1, 2, 8, 16)
    row = joined[0, 0, 0]
    assert row[:4].eq(1).all()
    assert row[12:].eq(2).all()
    torch.testing.assert_close(row[4:8], torch.tensor([1.25, 1.75, 2.25, 2.75]))
    torch.testing.assert_close(row[8:12], torch.tensor([2.875, 2.625, 2.375, 2.125]))
    tall = join_windows([each.mT for each in predictions], is_wide=False)
    torch.testing.assert_close(tall, joined.mT)
    assert join_windows(predictions[:1], is_wide=True) is predictions[0]


class MeanToColour(nn.Module):
    """Predicts the mean lightness of what it sees as a and b, and notes its input."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs: list[Tensor] = []

    def forward(self, lightness: Tensor) -> Tensor:
        self.inputs.append(lightness)
        ramp = torch.linspace(0, 1e-4, lightness.shape[-1])  # a constant output is refused
        return (lightness.mean() * 0.2 + ramp).expand(1, 2, *lightness.shape[-2:])


def context_of(net: nn.Module) -> StepContext:
    row = SimpleNamespace(input_px=256, file="lite_colorize.safetensors")
    model = SimpleNamespace(row=row, net=net, adapter_of_kind=lambda _: LITE_COLORIZE)
    return StepContext(
        {"colorize": cast(Any, model)},
        runtime_for("baseline", torch.device("cpu")),
        Report("a", "colorize"),
        rules=PixelRules(),
    )


def colour(pixels: np.ndarray, net: nn.Module) -> np.ndarray:
    return run_colorize(Photo("a", pixels), ColorizeOptions(), context_of(net)).pixels


@pytest.mark.parametrize("is_wide", [True, False])
def test_each_end_of_a_panorama_gets_the_colours_of_its_own_window(is_wide: bool) -> None:
    pixels = np.full((40, 600), 60, np.uint8)
    pixels[:, 300:] = 180
    net = MeanToColour()
    result = colour(pixels if is_wide else np.ascontiguousarray(pixels.T), net)
    assert len(net.inputs) == 19
    assert all(each.shape == (1, 1, 256, 256) for each in net.inputs)
    result = result if is_wide else result.transpose(1, 0, 2)
    chroma = np.ptp(result.astype(int), axis=2).mean(axis=0)
    assert chroma[:200].max() < 0.6 * chroma[400:].min()
    # No step where a window begins or ends: apart from the step in the photo itself.
    steps = np.abs(np.diff(chroma))
    assert np.delete(steps, 299).max() <= 2


def test_lite_network_gets_the_mean_of_the_pixels_of_a_large_photo() -> None:
    net = MeanToColour()
    fine = np.zeros((1024, 1024), np.uint8)
    fine[::4, ::4] = 255  # a bilinear reduction by 4 sees none of these pixels
    colour(fine, net)
    lightness = net.inputs[0]
    assert float(lightness.std()) < 1e-3
    assert float(lightness.mean()) == pytest.approx(0.0466, abs=1e-3)  # L of a grey of 255 / 16


@pytest.mark.parametrize("size", [(64, 900), (700, 900)])
def test_device_path_gives_the_same_colours(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, size).astype(np.uint8)
    photo = Photo("a", cv2.GaussianBlur(noise, (0, 0), 4.0))
    net, device_net = MeanToColour(), MeanToColour()
    expected = run_colorize(photo, ColorizeOptions(), context_of(net)).pixels
    uploaded = upload_photo(photo, torch.device("cpu"))
    result = colorize_on_device(uploaded, ColorizeOptions(), context_of(device_net))
    assert len(net.inputs) == len(device_net.inputs) == (18 if size[0] == 64 else 1)
    difference = np.abs(download_photo(result).pixels.astype(int) - expected)
    assert difference.max() <= 1
