"""The task colors: with fake networks for its rules, and with the lite network for its purpose."""

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from photofiles import chunk, png_file
from skimage import data
from torch import Tensor, nn

from benchmarks.quality import psnr_db
from restore import Photo, Restorer
from restore.faces.colour import classify_tone
from restore.imaging.colour_tables import identity_table
from restore.imaging.photo import decode
from restore.models.catalog import Catalog
from restore.models.loader import Model
from restore.options import ColorsOptions
from restore.pipelines.colors import darkening, run_colors, weight_of
from restore.pipelines.context import StepContext
from restore.report import Report
from restore.runtime.device import runtime_for
from training.fading import fade

ROW = Catalog.load().find("colors", "lite")
PHOTO = data.astronaut()[:160, 120:330]
DARK_RED = np.array((1.0, 0.8, 0.7), np.float32)
FADED = (80 + 0.55 * PHOTO * DARK_RED).astype(np.uint8)
ORIGINALS = [
    np.ascontiguousarray(image[::3, ::3])
    for image in (data.astronaut(), data.coffee(), data.chelsea(), data.rocket())
]
DISPLAY_P3 = chunk(b"cICP", bytes([12, 13, 0, 1]))


class FixedTable(nn.Module):
    """Predicts one table for every photo, and remembers the thumbnails."""

    def __init__(self, table: np.ndarray) -> None:
        super().__init__()
        self.table = torch.from_numpy(table).permute(3, 0, 1, 2)[None]
        self.thumbnails: list[Tensor] = []

    def forward(self, thumbnail: Tensor) -> Tensor:
        self.thumbnails.append(thumbnail)
        return self.table


def darker() -> FixedTable:
    """A network that makes every photo darker and redder."""
    return FixedTable(identity_table(33) * np.array((0.8, 0.6, 0.5), np.float32))


def run(photo: Photo, net: nn.Module, **options: Any) -> tuple[Photo, Report]:
    context = StepContext(
        {"colors": Model(ROW, "lite", net)},
        runtime_for("baseline", torch.device("cpu")),
        Report("a", "colors"),
    )
    return run_colors(photo, ColorsOptions(**options), context), context.report


@pytest.mark.parametrize("depth", [8, 16])
def test_every_pixel_gets_the_colour_of_the_table(depth: int) -> None:
    pixels = PHOTO if depth == 8 else PHOTO.astype(np.uint16) * np.uint16(257)
    alpha = np.full(PHOTO.shape[:2], np.iinfo(pixels.dtype).max // 2, pixels.dtype)
    result, report = run(Photo("a", pixels, alpha), darker())
    assert result.pixels.dtype == pixels.dtype
    np.testing.assert_allclose(result.pixels, pixels * np.array((0.8, 0.6, 0.5)), atol=0.6)
    assert result.alpha is alpha
    assert report.fading["is_faded"] is False
    assert report.fading["change"] > 10  # type: ignore[operator]


def test_network_sees_a_reduced_square_of_the_photo() -> None:
    net = darker()
    run(Photo("a", PHOTO), net)
    [thumbnail] = net.thumbnails
    assert thumbnail.shape == (1, 3, ROW.input_px, ROW.input_px)
    expected = cv2.resize(PHOTO, (64, 64), interpolation=cv2.INTER_AREA) / np.float32(255)
    np.testing.assert_allclose(thumbnail[0].permute(1, 2, 0).numpy(), expected, atol=1e-6)


def test_network_sees_the_values_of_srgb_in_every_colour_space() -> None:
    values = np.array((150, 120, 100))
    net = darker()
    run(decode(png_file(np.tile(values.astype(np.uint8), (64, 64, 1)), DISPLAY_P3), "a"), net)
    # From Display P3 to sRGB in linear light, both with the curve of sRGB.
    light = ((values / 255 + 0.055) / 1.055) ** 2.4
    light = (
        light @ np.array(((1.2249, -0.2247, 0), (-0.042, 1.0419, 0), (-0.0196, -0.0786, 1.0979))).T
    )
    expected = 1.055 * light ** (1 / 2.4) - 0.055
    np.testing.assert_allclose(net.thumbnails[0][0, :, 8, 8], expected, atol=0.003)


def test_strength_blends_with_the_photo() -> None:
    photo = Photo("a", PHOTO)
    full, half = (run(photo, darker(), strength=strength)[0].pixels for strength in (1.0, 0.5))
    np.testing.assert_allclose(half, (full.astype(float) + PHOTO) / 2, atol=1)
    assert run(photo, darker(), strength=0)[0] is photo


def test_photo_that_needs_hardly_any_change_is_returned_as_it_is() -> None:
    photo = Photo("a", PHOTO)
    result, report = run(photo, FixedTable(identity_table(33) * 0.99))
    assert result is photo
    assert report.notes == ["the colours of this photo need no correction, so it was not changed"]


def test_small_change_is_applied_in_part() -> None:
    assert [weight_of(change, is_faded=True) for change in (0, 1, 2, 3)] == [0, 0, 0.5, 1]
    assert [weight_of(change, is_faded=False) for change in (0, 9, 11, 13)] == [0, 0, 0.5, 1]
    result, report = run(Photo("a", PHOTO), FixedTable(identity_table(33) * 0.85))
    weight = weight_of(report.fading["change"], is_faded=False)  # type: ignore[arg-type]
    assert 0 < weight < 1
    np.testing.assert_allclose(result.pixels, PHOTO * (1 - 0.15 * weight), atol=0.6)


def test_grey_photo_stays_grey() -> None:
    grey = cv2.cvtColor(PHOTO, cv2.COLOR_RGB2GRAY)
    net = darker()
    result, report = run(Photo("a", grey), net)
    factor = 0.299 * 0.8 + 0.587 * 0.6 + 0.114 * 0.5
    np.testing.assert_allclose(result.pixels, grey * factor, atol=0.6)
    assert report.notes == ["this photo is grey: only its contrast was restored"]
    [thumbnail] = net.thumbnails
    assert torch.equal(thumbnail[:, 0], thumbnail[:, 2])


def test_photo_of_a_single_colour_is_returned_as_it_is() -> None:
    photo = Photo("a", np.full((20, 200, 3), (120, 110, 90), np.uint8))
    result, report = run(photo, darker())
    assert result is photo
    assert report.notes == ["this photo has no contrast, so its colours were not changed"]


def test_toned_photo_keeps_its_tone() -> None:
    grey = cv2.cvtColor(PHOTO, cv2.COLOR_RGB2GRAY)[..., None]
    sepia = np.rint(grey * (1.0, 0.85, 0.6)).astype(np.uint8)
    result, report = run(Photo("a", sepia), darker())
    factor = 0.299 * 0.8 + 0.587 * 0.6 + 0.114 * 0.5
    np.testing.assert_allclose(result.pixels, sepia * factor, atol=0.6)
    assert report.notes == ["this photo is toned: only its contrast was restored"]


def test_photo_whose_colours_come_back_is_not_toned() -> None:
    """A scene with weak colours looks toned after fading, but not after the correction."""
    grey = cv2.cvtColor(PHOTO, cv2.COLOR_RGB2GRAY)[..., None]
    weak = np.rint(grey + 0.2 * (PHOTO.astype(np.float32) - grey)).astype(np.uint8)
    assert classify_tone(weak) == "toned"
    table = identity_table(33)
    luminance = table @ np.array((0.299, 0.587, 0.114), np.float32)
    vivid = luminance[..., None] + 4 * (table - luminance[..., None])
    for net, toned in ((darker(), True), (FixedTable(vivid), False)):
        _, report = run(Photo("a", weak), net)
        assert ("this photo is toned: only its contrast was restored" in report.notes) is toned


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_vivid_colours_of_other_spaces_are_not_clipped(
    monkeypatch: pytest.MonkeyPatch, dtype: type
) -> None:
    monkeypatch.setattr("restore.pipelines.colors.CHANGE_RANGE", (0.0, 1.0))
    pixels = PHOTO.astype(dtype) * dtype(1 if dtype is np.uint8 else 257)
    pixels[:40, :40] = np.array((255, 10, 10), dtype) * dtype(1 if dtype is np.uint8 else 257)
    photo = decode(png_file(pixels, DISPLAY_P3), "a")
    result, _ = run(photo, FixedTable(identity_table(33) * 0.7 + 0.15))
    full = np.iinfo(dtype).max
    change = result.pixels[:40, :40].mean(axis=(0, 1)) - photo.pixels[:40, :40].mean(axis=(0, 1))
    np.testing.assert_allclose(change / full, (-0.136, 0.127, 0.092), atol=0.01)
    assert result.icc == photo.icc


class TestLiteNetwork:
    def test_faded_photos_gain_four_decibels(self, lite: Restorer) -> None:
        """No photo of scikit-image was trained on."""
        gains_db = []
        for seed, original in enumerate(ORIGINALS * 4):
            faded = fade(original, np.random.default_rng(seed))
            result = lite.run("colors", [Photo("a", faded)]).photos[0]
            gains_db.append(psnr_db(result.pixels, original) - psnr_db(faded, original))
        assert np.mean(gains_db) > 4
        assert min(gains_db) > -2

    def test_report_has_fading_harm_and_weights(self, lite: Restorer) -> None:
        [report] = lite.run("colors", [Photo("a", FADED)]).reports
        assert report.status == "done"
        assert report.fading["is_faded"] is True
        assert report.harm["structure"] > 0.95  # type: ignore[operator]
        assert report.weights[0]["file"] == "lite_colors.safetensors"

    def test_good_photo_hardly_changes(self, lite: Restorer) -> None:
        result = lite.run("colors", [Photo("a", PHOTO)]).photos[0]
        assert np.abs(result.pixels.astype(int) - PHOTO).mean() < 3

    def test_grey_photo_in_three_channels_stays_grey(self, lite: Restorer) -> None:
        grey = cv2.cvtColor(FADED, cv2.COLOR_RGB2GRAY)
        result = lite.run("colors", [Photo("a", np.dstack([grey] * 3))]).photos[0].pixels
        assert (result[..., 0] != grey).any()
        assert (result == result[..., :1]).all()


def test_darkening_is_that_of_the_darkest_percent() -> None:
    thumbnail = np.full((64, 64, 3), 0.9, np.float32)
    thumbnail[:1] = 0.5  # 1.6 % of the pixels
    light_only, dark_only = identity_table(33), identity_table(33)
    light_only[light_only.mean(axis=-1) > 0.7] *= 0.9
    dark_only[dark_only.mean(axis=-1) < 0.7] = 0.0
    assert darkening(thumbnail, identity_table(33)) == pytest.approx(0.0, abs=0.1)
    assert darkening(thumbnail, light_only) == pytest.approx(0.0, abs=0.1)
    assert darkening(thumbnail, dark_only) == pytest.approx(53.4, abs=0.5)  # L of 0.5 in sRGB
