"""Tiled networks: photo formats, seams, and tile sizes when memory is short."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from restore import Restorer
from restore.imaging.photo import Photo
from restore.models.catalog import Catalog
from restore.models.loader import Model
from restore.pipelines.context import StepContext
from restore.pipelines.tiles import run_network
from restore.report import Report
from restore.runtime import tiling
from restore.runtime.device import Runtime, runtime_for
from restore.runtime.memory import USABLE_MEMORY_FRACTION

PhotoFile = Callable[..., Path]
ROW, OTHER_ROW = Catalog.load().find("restore", "lite"), Catalog.load().find("upscale", "lite")


@pytest.mark.parametrize("task", ["upscale", "restore"])
def test_grey_stays_grey(lite: Restorer, photo_file: PhotoFile, task: str) -> None:
    assert lite.run(task, [photo_file("grey.png", mode="L")], scale=2).photos[0].is_grey


@pytest.mark.parametrize("task", ["upscale", "restore"])
def test_alpha_is_kept(lite: Restorer, photo_file: PhotoFile, task: str) -> None:
    path = photo_file("clear.png", mode="RGBA")
    image = Image.open(path)
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(path)
    photo = lite.run(task, [path], scale=2).photos[0]
    assert photo.alpha is not None
    assert photo.alpha.shape == photo.pixels.shape[:2]
    assert photo.alpha[0].mean() < 20
    assert photo.alpha[-1].mean() > 230


@pytest.mark.parametrize("task", ["upscale", "restore"])
def test_16_bits_are_kept(lite: Restorer, task: str) -> None:
    ramp = np.linspace(0, 65535, 64 * 48 * 3).reshape(48, 64, 3).astype(np.uint16)
    result = lite.run(task, [Photo("deep", ramp)], scale=2).photos[0]
    assert result.pixels.dtype == np.uint16
    assert len(np.unique(result.pixels)) > 1000


@pytest.mark.parametrize("task", ["upscale", "restore"])
def test_tiles_of_256_equal_the_whole_photo_within_one_level(lite: Restorer, task: str) -> None:
    rng = np.random.default_rng(2)
    coarse = Image.fromarray(rng.integers(0, 256, (40, 48, 3)).astype(np.uint8))
    pixels = np.asarray(coarse.resize((384, 320), Image.Resampling.BICUBIC)).astype(float)
    noisy = np.clip(pixels + rng.normal(0, 12, pixels.shape), 0, 255).astype(np.uint8)
    whole, tiled = (lite.run(task, [Photo("p", noisy)], tile_size=size) for size in (0, 256))
    assert whole.reports[0].tiles[0]["count"] == 1
    assert tiled.reports[0].tiles[0]["count"] == 4
    difference = tiled.photos[0].pixels.astype(int) - whole.photos[0].pixels.astype(int)
    assert np.abs(difference).max() <= 1


def test_tile_is_halved_with_a_warning_if_memory_runs_out(
    lite: Restorer, photo_file: PhotoFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = tiling._forward

    def fail_for_large_tiles(net: Any, tiles: Any, *args: Any) -> list[torch.Tensor]:
        if tiles.shape[2] > 100:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(net, tiles, *args)

    monkeypatch.setattr(tiling, "_forward", fail_for_large_tiles)
    results = lite.run("upscale", [photo_file(height=150, width=150)], scale=1)
    report = results.reports[0]
    assert any("memory ran out" in warning for warning in report.warnings)
    assert 64 <= int(str(report.tiles[0]["height"])) <= 75


def test_photo_that_does_not_fit_is_tiled_with_a_warning(
    lite: Restorer, photo_file: PhotoFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restore.pipelines.tiles.free_memory_bytes", lambda device: 10_000_000)
    report = lite.run("restore", [photo_file(height=160, width=160)]).reports[0]
    assert any("would not fit into 0.0 GB" in warning for warning in report.warnings)
    assert report.tiles[0]["height"] == 80


def test_tiles_in_batches_give_the_same_result_and_are_reported(
    lite: Restorer, photo_file: PhotoFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = photo_file(height=100, width=100)
    options: dict[str, Any] = {"tile_size": 64, "runtime_profile": "fast"}
    single = lite.run("restore", [path], **options)
    monkeypatch.setattr(Runtime, "batches_tiles", True)
    batched = lite.run("restore", [path], **options)
    assert batched.reports[0].tiles == single.reports[0].tiles
    assert single.reports[0].tiles[0]["count"] == 9
    effect = "up to 8 tiles went through the network at once"
    assert effect in batched.reports[0].profile_effects
    assert effect not in single.reports[0].profile_effects
    difference = batched.photos[0].pixels.astype(int) - single.photos[0].pixels
    assert np.abs(difference).max() <= 1


def test_batch_of_tiles_fits_into_free_memory(
    lite: Restorer, photo_file: PhotoFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    bytes_per_px = ROW.working_bytes_per_px
    assert bytes_per_px
    for_two_tiles = int(2.5 * 64 * 64 * bytes_per_px / USABLE_MEMORY_FRACTION)
    monkeypatch.setattr("restore.pipelines.tiles.free_memory_bytes", lambda device: for_two_tiles)
    monkeypatch.setattr(Runtime, "batches_tiles", True)
    path = photo_file(height=100, width=100)
    report = lite.run("restore", [path], tile_size=64, runtime_profile="fast").reports[0]
    assert "up to 2 tiles went through the network at once" in report.profile_effects


@pytest.mark.parametrize("compiled", ["restore", "upscale"])
def test_tiles_have_the_compiled_size_of_their_own_network(compiled: str) -> None:
    """Else they are as short as the photo allows."""
    net = nn.Identity()
    models = {"restore": Model(ROW, "lite", net), "upscale": Model(OTHER_ROW, "lite", net)}
    shapes = frozenset({(1, 3, 64, 64)})
    models[compiled] = dataclasses.replace(models[compiled], compiled_shapes=shapes)
    cpu = runtime_for("baseline", torch.device("cpu"))
    context = StepContext(models, cpu, Report("a", "restore"))
    pixels = np.random.default_rng(0).integers(0, 255, (70, 70, 3), np.uint8)
    np.testing.assert_array_equal(run_network(pixels, net, ROW, 64, context), pixels)
    [tiles] = context.report.tiles
    assert (tiles["width"] == 64) == (compiled == "restore")
