"""Requests whose photos stay on the device, compared with the same requests on the host.

The device is the CPU: the same code runs on CUDA.
"""

import copy
from typing import Any

import cv2
import numpy as np
import pytest
from facefakes import ASTRONAUT

from restore import Restorer
from restore.imaging.photo import Photo
from restore.results import Results
from restore.runtime.transfers import recorded_transfers

MIN_SHARE = 0.999
"""Of samples that differ by at most one level of 255."""

PIXELS = cv2.resize(np.ascontiguousarray(ASTRONAUT[40:200, 40:200]), (96, 80))


def photo_of(kind: str, pixels: np.ndarray = PIXELS) -> Photo:
    """Return a photo: words of `kind` are grey, deep (16 bits) and alpha."""
    if "grey" in kind:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    if "deep" in kind:
        noise = np.random.default_rng(0).integers(0, 257, pixels.shape)
        pixels = (pixels.astype(np.int64) * 256 + noise).clip(0, 65535).astype(np.uint16)
    alpha = None
    if "alpha" in kind:
        alpha = np.zeros(pixels.shape[:2], np.float32)
        cv2.circle(alpha, (40, 40), 30, 1.0, -1)
        full = np.iinfo(pixels.dtype).max
        alpha = (cv2.GaussianBlur(alpha, (0, 0), 2) * full).astype(pixels.dtype)
    return Photo(f"{kind}.png", pixels, alpha)


@pytest.fixture(scope="module")
def on_device(lite: Restorer) -> Restorer:
    """Return a Restorer whose photos stay on the device, with the networks of `lite`."""
    restorer = copy.copy(lite)
    restorer.pixel_devices = frozenset({"cpu"})
    return restorer


def assert_nearly_equal(result: np.ndarray, expected: np.ndarray) -> None:
    assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
    level = np.iinfo(result.dtype).max / 255
    near = np.abs(result.astype(np.int64) - expected) <= level
    assert near.mean() >= MIN_SHARE, f"{1 - near.mean():.5f} of the samples differ"


def assert_equal_results(results: Results, expected: Results) -> None:
    for photo, wanted in zip(results.photos, expected.photos, strict=True):
        assert_nearly_equal(photo.pixels, wanted.pixels)
        assert (photo.alpha is None) == (wanted.alpha is None)
        if photo.alpha is not None and wanted.alpha is not None:
            assert_nearly_equal(photo.alpha, wanted.alpha)
    for report, other in zip(results.reports, expected.reports, strict=True):
        assert report.warnings == other.warnings
        assert report.status == other.status
        assert report.weights == other.weights
        assert [len(step.tiles) for step in report.steps] == [len(s.tiles) for s in other.steps]


def both(lite: Restorer, on_device: Restorer, task: str, *args: Any, **inputs: Any) -> Any:
    inputs.setdefault("runtime_profile", "fast")
    expected = lite.run(task, *args, **inputs)
    with recorded_transfers() as transfers:
        results = on_device.run(task, *args, **inputs)
    assert_equal_results(results, expected)
    return results, transfers


@pytest.mark.parametrize("kind", ["", "grey", "deep", "alpha", "deep grey alpha"])
@pytest.mark.parametrize(
    ("task", "options"),
    [("upscale", {"scale": 3, "strength": 0.9}), ("restore", {}), ("upscale", {"scale": 2})],
)
def test_device_path_equals_the_host_path(
    lite: Restorer, on_device: Restorer, task: str, options: dict[str, Any], kind: str
) -> None:
    photo = photo_of(kind)
    _, transfers = both(lite, on_device, task, [photo], **options)
    samples = photo.pixels.nbytes + (0 if photo.alpha is None else photo.alpha.nbytes)
    assert [size for size in transfers.uploads if size >= photo.pixels.nbytes] == [samples]
    assert len([size for size in transfers.downloads if size >= photo.pixels.nbytes]) == 1


def test_baseline_stays_on_the_host(on_device: Restorer) -> None:
    with recorded_transfers() as transfers:
        on_device.run("restore", [photo_of("")], runtime_profile="baseline")
    assert transfers.uploads == transfers.downloads == []


def test_photo_that_does_not_fit_stays_on_the_host(
    on_device: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restore.pipelines.step_runs.free_memory_bytes", lambda device: 1_000_000)
    with recorded_transfers() as transfers:
        on_device.run("restore", [photo_of("")], runtime_profile="fast")
    assert transfers.uploads == []
