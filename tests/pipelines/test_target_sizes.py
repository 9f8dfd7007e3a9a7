"""target_px, target_mp, max_megapixels and record_steps in whole requests."""

import io
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photofiles import levels_apart
from PIL import Image

from restore.errors import Code, RestoreError
from restore.imaging.limits import Limits
from restore.imaging.photo import Photo, open_photo
from restore.imaging.reduce import reduce_photo
from restore.options import Request
from restore.pipelines import request_photos
from restore.pipelines.propose import ProposedStep, add_further_steps
from restore.restorer import Restorer

PhotoFile = Callable[..., Path]


@pytest.mark.parametrize(
    ("options", "size", "network"),
    [
        ({"target_px": 96}, (96, 72), "lite_upscale_x2.safetensors"),
        ({"target_px": 192}, (192, 144), "lite_upscale_real_x4.safetensors"),
        ({"target_mp": 0.0048}, (80, 60), "lite_upscale_x2.safetensors"),
        ({"target_px": 64}, (64, 48), "lite_upscale_x2.safetensors"),
    ],
)
def test_result_has_the_requested_size(
    lite: Restorer,
    photo_file: PhotoFile,
    options: dict[str, Any],
    size: tuple[int, int],
    network: str,
) -> None:
    results = lite.run("upscale", [photo_file(width=64, height=48)], **options)
    assert (results.photos[0].width, results.photos[0].height) == size
    assert [facts["file"] for facts in results.reports[0].weights] == [network]
    assert (
        results.reports[0].warnings
        == lite.run("upscale", [photo_file(width=64, height=48)], scale=2).reports[0].warnings
    )


def test_target_below_the_photo_reduces_it_without_the_network(
    lite: Restorer, photo_file: PhotoFile
) -> None:
    path = photo_file(width=64, height=48)
    results = lite.run("upscale", [path], target_px=32)
    assert (results.photos[0].width, results.photos[0].height) == (32, 24)
    assert results.reports[0].weights == []
    assert any("reduced from 64x48 to 32x24" in text for text in results.reports[0].warnings)
    assert results.reports[0].tiles == []


def test_reduction_of_fine_patterns_is_no_damage(lite: Restorer) -> None:
    # Means of light are 60 levels lighter than means of values.
    stripes = np.tile(np.array([0, 255], np.uint8), (96, 64))
    results = lite.run("upscale", [Photo("a", stripes)], target_px=64)
    assert results.reports[0].status == "done"
    assert levels_apart(results.photos[0].pixels, np.full((48, 64), 188)) <= 1


def test_target_beyond_the_network_is_a_warning(lite: Restorer, photo_file: PhotoFile) -> None:
    path = photo_file(width=64, height=48)
    results = lite.run("upscale", [path], target_px=320)
    assert results.photos[0].width == 320
    assert any("enlarges 4 times" in text for text in results.reports[0].warnings)


def test_impossible_target_is_refused_before_any_work(
    lite: Restorer, photo_file: PhotoFile
) -> None:
    square = photo_file(width=64, height=64)
    with pytest.raises(RestoreError, match=r"result has 144\.0 megapixels") as caught:
        lite.run("upscale", [square], target_px=12_000)
    assert caught.value.code is Code.OUTPUT_TOO_LARGE
    strip = photo_file(width=640, height=16)
    with pytest.raises(RestoreError, match="each side must have at least 8") as caught:
        lite.run("upscale", [strip], target_px=64)
    assert caught.value.code is Code.OPTION_INVALID


def test_photos_of_a_request_get_their_own_factors(lite: Restorer, photo_file: PhotoFile) -> None:
    paths = [photo_file("a.png", width=64, height=48), photo_file("b.png", width=48, height=96)]
    for task in ("upscale", "enhance"):
        results = lite.run(task, paths, target_px=72)
        sizes = [(photo.width, photo.height) for photo in results.photos]
        assert sizes == [(72, 54), (36, 72)]


def test_target_is_reached_on_the_device_too(
    lite: Restorer, photo_file: PhotoFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = photo_file(width=64, height=48, mode="RGBA")
    on_host = lite.run("upscale", [path], target_px=32).photos[0]
    monkeypatch.setattr(lite, "pixel_devices", frozenset({"cpu"}))
    for target_px in (32, 96):
        results = lite.run("upscale", [path, path], target_px=target_px, runtime_profile="fast")
        assert [photo.width for photo in results.photos] == [target_px, target_px]
        assert "pixels stayed on the device" in results.reports[0].profile_effects
        if target_px == on_host.width:
            np.testing.assert_array_equal(results.photos[0].pixels, on_host.pixels)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({}, []),
        ({"scale": 2}, []),
        ({"target_px": 900}, ["upscale"]),
        ({"target_mp": 2, "steps": "auto,enhance"}, ["enhance"]),
    ],
)
def test_proposed_steps_lead_to_the_requested_size(
    inputs: dict[str, object], expected: list[str]
) -> None:
    steps = add_further_steps([], Request.from_inputs("pipeline", inputs))
    assert [each.step for each in steps] == expected
    proposed = [ProposedStep("upscale", {"scale": 2}, "it is small")]
    request = Request.from_inputs("pipeline", inputs | {"steps": "auto"})
    assert list(add_further_steps(proposed, request)) == proposed


def test_large_photo_is_reduced_with_its_mask(lite: Restorer, photo_file: PhotoFile) -> None:
    path = photo_file("a.png", width=256, height=192)
    points = [[[64, 48], [192, 48], [192, 144], [64, 144]]]
    results = lite.run("inpaint", [path], points=points, max_megapixels=0.012288)
    photo, report = results.photos[0], results.reports[0]
    assert (photo.width, photo.height) == (128, 96)
    assert report.input["reduced_to"] == [128, 96]
    reduced = reduce_photo(open_photo(path), (128, 96)).pixels
    rows, columns = np.nonzero((photo.pixels != reduced).any(axis=2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (24, 72, 32, 96)
    assert any("reduced from 256x192 to 128x96" in text for text in report.warnings)
    plain = lite.run("restore", [path], max_megapixels=1)
    assert plain.photos[0].width == 256
    assert "reduced_to" not in plain.reports[0].input


def test_photo_over_the_limit_is_accepted_if_it_is_reduced(
    lite: Restorer, photo_file: PhotoFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(max_pixels_in=20_000, max_pixels_reduced=50_000)
    monkeypatch.setattr(request_photos, "LIMITS", limits)
    path = photo_file(width=256, height=192)
    with pytest.raises(RestoreError, match="set max_megapixels") as caught:
        lite.run("upscale", [path], scale=1)
    assert caught.value.code is Code.PHOTO_TOO_MANY_PIXELS
    results = lite.run("upscale", [path], max_megapixels=0.02, scale=1)
    assert results.photos[0].height * results.photos[0].width <= 20_000
    with pytest.raises(RestoreError, match=r"the limit is 0\.05"):
        lite.run("upscale", [photo_file(width=256, height=200)], max_megapixels=0.02)


def test_points_of_faces_are_those_of_the_whole_photo(
    lite: Restorer, photo_file: PhotoFile
) -> None:
    path = photo_file(width=256, height=192)
    run: dict[str, Any] = {"face_points": [[255, 191]], "max_megapixels": 0.012288}
    assert lite.run("face_restore", [path], **run).photos[0].width == 128
    with pytest.raises(RestoreError, match="outside"):
        lite.run("face_restore", [path], **run | {"face_points": [[300, 10]]})


def test_steps_are_recorded_on_request(lite: Restorer, photo_file: PhotoFile) -> None:
    path = photo_file(width=256, height=192)
    plain = lite.run("upscale", [path], scale=2)
    assert plain.photos[0].metadata.history == ()
    results = lite.run(
        "pipeline",
        [path],
        steps="restore,upscale",
        scale=2,
        max_megapixels=0.012288,
        record_steps=True,
    )
    events = [tuple(event) for event in results.photos[0].metadata.history]
    assert [action for action, _ in events] == ["resized", "edited", "edited"]
    assert "from 256x192 to 128x96" in events[0][1]
    assert events[1][1].startswith("restore with lite; ")
    digest = next(facts["sha256"] for facts in results.reports[0].steps[1].weights)
    assert f"lite_upscale_x2.safetensors (sha256 {str(digest)[:16]})" in events[2][1]


def test_recorded_steps_are_in_the_file(
    lite: Restorer, photo_file: PhotoFile, tmp_path: Path
) -> None:
    path = photo_file(width=64, height=48)
    results = lite.run("upscale", [path], target_px=96, record_steps=True)
    [written] = results.save(tmp_path / "out", with_reports=True)
    xmp = Image.open(io.BytesIO(written.read_bytes())).info["xmp"].decode()
    assert "<stEvt:parameters>upscale with lite; " in xmp
    report = json.loads(written.with_suffix(".json").read_text())
    assert report["output"]["width"] == 96


@pytest.mark.parametrize(("options", "at_once"), [({}, 4), ({"max_megapixels": 1}, 1)])
def test_photos_of_any_size_are_decoded_one_after_the_other(
    lite: Restorer,
    photo_file: PhotoFile,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    at_once: int,
) -> None:
    running, most = [0], [0]
    read_source = request_photos.read_source

    def count_and_read(*arguments: Any) -> Photo:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.1)
        with lock:
            running[0] -= 1
        return read_source(*arguments)

    lock = threading.Lock()
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.setattr(request_photos, "read_source", count_and_read)
    lite.run("restore", [photo_file(height=16, width=16)] * 4, strength=0, **options)
    assert most[0] == at_once
