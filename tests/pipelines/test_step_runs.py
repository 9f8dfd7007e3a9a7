"""Requests whose photos stay on the device, compared with the same requests on the host.

The device is the CPU: the same code runs on CUDA.
"""

import copy
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from facefakes import ASTRONAUT

from restore import Restorer
from restore.imaging.device_photo import DevicePhoto, download_photo, upload_photo
from restore.imaging.photo import Photo
from restore.results import Results
from restore.runtime.transfers import recorded_transfers

MIN_SHARE = 0.999
"""Of samples that differ by at most one level of 255."""

PIXELS = cv2.resize(np.ascontiguousarray(ASTRONAUT[40:200, 40:200]), (72, 60))


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
        center = (pixels.shape[1] // 2, pixels.shape[0] // 2)
        cv2.circle(alpha, center, int(0.45 * pixels.shape[0]), 1.0, -1)
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


@dataclass
class Copies:
    """How many photos were copied to the device and back."""

    uploads: int = 0
    downloads: int = 0


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Copies:
    counted = Copies()

    def upload(*args: Any) -> DevicePhoto:
        counted.uploads += 1
        return upload_photo(*args)

    def download(photo: DevicePhoto) -> Photo:
        counted.downloads += photo.host_pixels is None
        return download_photo(photo)

    monkeypatch.setattr("restore.pipelines.step_runs.upload_photo", upload)
    monkeypatch.setattr("restore.pipelines.step_runs.download_photo", download)
    return counted


def compare(lite: Restorer, on_device: Restorer, task: str, *args: Any, **inputs: Any) -> Results:
    """Run a request on both paths, and return the results of the device path."""
    inputs.setdefault("runtime_profile", "fast")
    expected = lite.run(task, *args, **inputs)
    results = on_device.run(task, *args, **inputs)
    assert_equal_results(results, expected)
    return results


@pytest.mark.parametrize(
    ("task", "options", "kind"),
    [
        ("upscale", {"scale": 3, "strength": 0.9}, ""),
        ("upscale", {"scale": 3}, "deep alpha"),
        ("upscale", {"scale": 2}, "grey alpha"),
        ("restore", {}, ""),
        ("restore", {"strength": 0.5}, "deep grey"),
        ("colorize", {"render_factor": 18, "saturation": 1.8}, ""),
        ("colorize", {"render_factor": 18, "saturation": 1.8}, "deep"),
        ("colorize", {"render_factor": 18, "saturation": 1.8}, "alpha"),
        ("colorize", {"render_factor": 18, "saturation": 1.8}, "deep alpha"),
        ("colorize", {"render_factor": 18, "strength": 0.8}, "deep grey"),
    ],
)
def test_device_path_equals_the_host_path(
    lite: Restorer,
    on_device: Restorer,
    copies: Copies,
    task: str,
    options: dict[str, Any],
    kind: str,
) -> None:
    compare(lite, on_device, task, [photo_of(kind)], **options)
    assert (copies.uploads, copies.downloads) == (1, 1)


FACE_PIXELS = np.ascontiguousarray(ASTRONAUT[:230, 10:250])


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("", {}),
        ("grey deep", {"strength": 0.8}),
        ("alpha", {"face_upscale": 1.2, "runtime_profile": "max_speed"}),
    ],
)
def test_faces_equal_those_of_the_host_path(
    lite: Restorer, on_device: Restorer, copies: Copies, kind: str, options: dict[str, Any]
) -> None:
    photo = photo_of(kind, FACE_PIXELS)
    results = compare(lite, on_device, "face_restore", [photo], **options)
    assert results.reports[0].face_restoration_applied
    assert not np.array_equal(results.photos[0].pixels, photo.pixels)
    assert (copies.uploads, copies.downloads) == (1, 1)


def test_photos_stay_on_the_device_between_steps(
    lite: Restorer, on_device: Restorer, copies: Copies
) -> None:
    photos = [photo_of(""), photo_of("grey alpha")]
    compare(lite, on_device, "pipeline", photos, steps="restore,upscale", scale=2)
    assert (copies.uploads, copies.downloads) == (2, 2)


def test_step_of_the_host_gets_the_photo_and_returns_it(
    lite: Restorer, on_device: Restorer, copies: Copies
) -> None:
    steps = {"steps": "restore,inpaint,upscale", "points": "[[9,9],[30,9],[9,30]]", "scale": 2}
    results = compare(lite, on_device, "pipeline", [photo_of("")], **steps)
    assert (copies.uploads, copies.downloads) == (2, 2)
    assert results.reports[0].profile_effects == [
        "restore: pixels stayed on the device",
        "inpaint: pixels were processed on the host: it only runs there",
        "upscale: pixels stayed on the device",
    ]


def test_harmful_result_is_reduced_as_on_the_host(
    lite: Restorer, on_device: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks that darken the photo; without the correction of means, they do harm."""
    monkeypatch.setattr("restore.pipelines.rules.keep_low_frequencies", lambda result, _: result)
    monkeypatch.setattr("restore.pipelines.device_restore.keep_levels", lambda result, _: result)
    monkeypatch.setattr("restore.pipelines.rules.keep_flat_areas", lambda result, _: result)
    for module in ("restore", "device_restore"):
        monkeypatch.setattr(
            f"restore.pipelines.{module}.as_function", lambda model: lambda tiles: tiles * 0.85
        )
    results = compare(lite, on_device, "restore", [photo_of("")])
    assert results.reports[0].status == "reduced"
    assert float(str(results.reports[0].harm["cell_shift"])) > 12


def test_baseline_stays_on_the_host(on_device: Restorer) -> None:
    with recorded_transfers() as transfers:
        results = on_device.run("restore", [photo_of("")], runtime_profile="baseline")
    assert transfers.uploads == transfers.downloads == []
    assert results.reports[0].profile_effects == []


def test_photo_that_does_not_fit_stays_on_the_host(
    on_device: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restore.pipelines.step_runs.free_memory_bytes", lambda device: 1_000_000)
    with recorded_transfers() as transfers:
        results = on_device.run("restore", [photo_of("")], runtime_profile="fast")
    assert transfers.uploads == []
    assert results.reports[0].profile_effects == [
        "pixels were processed on the host: its photos may not fit on the device"
    ]


def test_request_is_repeated_on_the_host_if_memory_runs_out(
    lite: Restorer, on_device: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("restore.pipelines.device_restore.keep_levels", fail)
    results = on_device.run("restore", [photo_of("")], runtime_profile="fast")
    expected = lite.run("restore", [photo_of("")], runtime_profile="fast")
    np.testing.assert_array_equal(results.photos[0].pixels, expected.photos[0].pixels)
    assert results.reports[0].warnings == [
        "memory ran out while restoring it with the photos on the device: the request was repeated"
        " with the photos on the host"
    ]
