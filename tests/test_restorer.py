"""Restorer: sources, order, settings, preloading and errors."""

import asyncio
import copy
import gc
import inspect
import pickle
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from restore import RestoreError, Restorer, open_photo
from restore.errors import Code
from restore.imaging.early_encoding import EarlyEncoder
from restore.imaging.photo import Photo
from restore.imaging.sources import Source
from restore.models import cache
from restore.models.loader import Model
from restore.options.arguments import SETTINGS

PhotoFile = Callable[..., Path]


def test_photos_are_returned_in_order_with_their_names(
    lite: Restorer, photo_file: PhotoFile
) -> None:
    names = ["b.png", "a.png", "c.png"]
    paths = [photo_file(name, height=40 + 8 * n, width=40) for n, name in enumerate(names)]
    results = lite.run("upscale", paths, scale=1)
    assert [photo.name for photo in results.photos] == names
    assert [report.photo for report in results.reports] == names
    assert [photo.height for photo in results.photos] == [40, 48, 56]


def test_one_photo_needs_no_list(lite: Restorer, photo_file: PhotoFile) -> None:
    path = photo_file()
    for source in (path, str(path), open_photo(path)):
        assert [photo.name for photo in lite.run("upscale", source, scale=1).photos] == ["a.png"]


def test_photos_in_memory_are_restored_like_their_file(
    lite: Restorer, photo_file: PhotoFile
) -> None:
    path = photo_file()
    expected = lite.run("upscale", path, scale=2).photos[0].pixels
    with path.open("rb") as file, Image.open(path) as image:
        sources: list[Source] = [path.read_bytes(), file, np.asarray(image), image]
        results = lite.run("upscale", sources, scale=2)
    assert [photo.name for photo in results.photos] == ["photo 1", "a.png", "photo 3", "a.png"]
    assert [report.photo for report in results.reports] == [each.name for each in results.photos]
    for photo in results.photos:
        np.testing.assert_array_equal(photo.pixels, expected)


def test_mask_may_be_an_array(lite: Restorer, photo_file: PhotoFile) -> None:
    path = photo_file()
    hole = np.zeros((48, 60), bool)
    hole[10:20, 10:20] = True
    results = lite.run("inpaint", path, masks=hole)
    changed = (results.photos[0].pixels != open_photo(path).pixels).any(axis=2)
    assert changed[hole].any()
    assert not changed[~hole].any()
    assert "the mask 'mask' was read" in results.reports[0].notes[0]


def test_requests_of_several_threads_run_one_after_the_other(photo_file: PhotoFile) -> None:
    running = 0
    most = 0

    def progress(what: str, done: int, total: int) -> None:
        nonlocal running, most
        if what != "photos":
            return
        running += 1 if done == 0 else -1
        most = max(most, running)
        time.sleep(0.02)

    restorer = Restorer(weights="lite", device="cpu", progress=progress)
    path = photo_file()
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(restorer.run, "upscale", path, scale=1) for _ in range(6)]
        results = [each.result().photos[0].pixels for each in waiting]
    assert most == 1
    for pixels in results:
        np.testing.assert_array_equal(pixels, results[0])


def test_progress_can_end_a_request(photo_file: PhotoFile) -> None:
    class Cancelled(Exception):  # noqa: N818 - no error
        pass

    def progress(what: str, done: int, total: int) -> None:
        if is_cancelled:
            raise Cancelled

    restorer, is_cancelled = Restorer(weights="lite", device="cpu", progress=progress), True
    with pytest.raises(Cancelled):
        restorer.run("upscale", photo_file(), scale=1)
    is_cancelled = False
    assert restorer.run("upscale", photo_file(), scale=1).photos[0].width == 60


@pytest.mark.parametrize(("count", "message"), [(0, "0 photos"), (5, "5 photos")])
def test_no_photos_and_five_photos_are_refused(
    lite: Restorer, photo_file: PhotoFile, count: int, message: str
) -> None:
    with pytest.raises(RestoreError, match=message) as caught:
        lite.run("upscale", [photo_file()] * count)
    assert caught.value.code is Code.PHOTO_COUNT


def test_unreadable_photo_fails_the_request_and_is_named(
    lite: Restorer, photo_file: PhotoFile, tmp_path: Path
) -> None:
    (tmp_path / "bad.jpg").write_text("not a photo")
    with pytest.raises(RestoreError, match=r"photo 'bad\.jpg'"):
        lite.run("upscale", [photo_file(), tmp_path / "bad.jpg"])


def test_repeated_requests_are_equal_also_after_a_failed_one(
    lite: Restorer, photo_file: PhotoFile
) -> None:
    path = photo_file()
    first = lite.run("upscale", [path], scale=2).photos[0].pixels
    with pytest.raises(RestoreError):
        lite.run("upscale", [path, path.with_name("missing.png")], scale=2)
    np.testing.assert_array_equal(lite.run("upscale", [path], scale=2).photos[0].pixels, first)


def test_too_large_result_is_refused_before_any_work(
    lite: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "load_model", None)
    photo = Photo("big.png", np.zeros((4000, 5000), np.uint8))
    message = r"8 times 5000x4000 is 40000x32000.*at most 2\.23"
    with pytest.raises(RestoreError, match=message) as caught:
        lite.run("upscale", [photo], scale=8)
    assert caught.value.code is Code.OUTPUT_TOO_LARGE
    assert caught.value.photo == "big.png"


@pytest.mark.parametrize("task", ["upscale", "restore"])
def test_result_that_the_format_cannot_hold_is_refused_before_any_work(
    lite: Restorer, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    monkeypatch.setattr("restore.pipelines.tiles.run_tiled", None)
    wide = Photo("wide.png", np.zeros((8, 17_000), np.uint8))
    with pytest.raises(RestoreError, match="a side of webp has at most 16383"):
        lite.run(task, [wide], scale=1, output_format="webp")


def test_replaced_variant_gives_a_warning(lite: Restorer, photo_file: PhotoFile) -> None:
    path = photo_file()

    def warnings(**options: Any) -> list[str]:
        return lite.run("upscale", [path], scale=1, **options).reports[0].warnings

    assert any("instead of x2plus" in text for text in warnings(upscale_variant="x2plus"))
    assert warnings() == []
    assert warnings(upscale_variant="lite") == []


def test_preloading_reads_each_network_once(
    monkeypatch: pytest.MonkeyPatch, photo_file: PhotoFile
) -> None:
    loaded = []
    load_model = cache.load_model

    def count_and_load(*args: Any) -> Model:
        loaded.append(args)
        return load_model(*args)

    monkeypatch.setattr(cache, "load_model", count_and_load)
    restorer = Restorer(weights="lite", device="cpu", preload="all")
    assert len(loaded) == 10
    restorer.run("upscale", [photo_file()], scale=1)
    restorer.run("restore", [photo_file()])
    restorer.run("enhance", [photo_file()], scale=1)
    assert len(loaded) == 10


@pytest.mark.parametrize("preload", ["restore", ["restore"], ("restore",)])
def test_preloading_a_task_loads_its_variants_only(preload: str | Sequence[str]) -> None:
    restorer = Restorer(weights="lite", device="cpu", preload=preload)
    assert restorer.cache.loaded == {("restore", "lite"), ("restore", "lite_deblur")}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": "best"}, "weights is 'best'.*official, lite, auto"),
        ({"weights": 3}, "weights is 3"),
        ({"weights": []}, r"weights is \[\]"),
        ({"weights": np.array([1, 2])}, "weights is array"),
        ({"weights": "offical"}, "Did you mean official"),
        ({"weights_dir": 3}, "weights_dir is 3.*pathlib.Path"),
        ({"weights_dir": b"weights"}, "weights_dir is b'weights'"),
        ({"preload": "upscale,sharpen"}, "preload is 'upscale,sharpen'"),
        ({"preload": None}, "preload is None"),
        ({"device": "toaster"}, "toaster"),
        ({"device": 3}, "device is 3.*cuda:N"),
        ({"device": np.array([1, 2])}, "device is array"),
        ({"progress": 3}, "progress is 3.*function"),
        ({"progress": asyncio.sleep}, "progress is <function sleep"),
    ],
)
def test_unknown_settings_are_refused_by_name(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RestoreError, match=message):
        Restorer(**settings)


def test_wrong_weights_policy_of_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESTORE_WEIGHTS", "best")
    with pytest.raises(RestoreError, match="RESTORE_WEIGHTS is 'best'"):
        Restorer()
    assert Restorer(weights="lite", device="cpu").policy == "lite"


def test_device_of_torch_and_no_progress_are_accepted(photo_file: PhotoFile) -> None:
    restorer = Restorer(weights="lite", device=torch.device("cpu"), progress=None)
    assert restorer.run("upscale", photo_file(), scale=1).reports[0].device == "cpu"


@pytest.mark.parametrize("photos", [None, [], [np.zeros((9, 9), np.uint8)] * 5])
def test_number_of_photos_is_refused_in_words_of_python(lite: Restorer, photos: Any) -> None:
    with pytest.raises(RestoreError) as caught:
        lite.run("upscale", photos)
    assert caught.value.code is Code.PHOTO_COUNT
    assert caught.value.remedy == "Pass one photo, or a list of up to 4 photos."


def test_results_are_refused_with_the_remedy(lite: Restorer, photo_file: PhotoFile) -> None:
    results: Any = lite.run("upscale", photo_file(), scale=1)
    with pytest.raises(RestoreError, match=r"type Results\. Pass results\.photos"):
        lite.run("colorize", results)


def test_unknown_variant_in_the_environment_fails_setup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_UPSCALE", "x99")
    with pytest.raises(RestoreError, match="MODEL_UPSCALE is 'x99'"):
        Restorer(weights="lite", preload="upscale")


def test_photo_is_encoded_while_the_next_one_is_processed(
    lite: Restorer, photo_file: PhotoFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    restorer = copy.copy(lite)
    restorer.pixel_devices = frozenset({"cpu"})
    restorer.progress = lambda what, done, total: events.append(f"{what} {done}")
    monkeypatch.setattr(
        EarlyEncoder, "start", lambda self, index, photo: events.append(f"encode {index}")
    )
    paths = [photo_file(name) for name in ("a.png", "b.png")]
    for encodes_early in (False, True):
        restorer.encodes_early = encodes_early
        events.clear()
        restorer.run("upscale", paths, scale=1)
        assert ("encode 0" in events) is encodes_early
    assert events.index("encode 0") < events.index("photos 1") < events.index("encode 1")


def test_early_files_are_written(lite: Restorer, photo_file: PhotoFile, tmp_path: Path) -> None:
    restorer = copy.copy(lite)
    restorer.encodes_early = True
    paths = [photo_file(name) for name in ("a.png", "b.png")]
    assert set(restorer.run("upscale", paths, scale=1).encoded) == set()  # on a CPU
    restorer.pixel_devices = frozenset({"cpu"})
    results = restorer.run("upscale", paths, scale=1)
    assert set(results.encoded) == {0, 1}
    assert set(restorer.run("upscale", paths[:1], scale=1).encoded) == set()
    written = results.save(tmp_path / "early")
    expected = lite.run("upscale", paths, scale=1).save(tmp_path / "later")
    assert [each.read_bytes() for each in written] == [each.read_bytes() for each in expected]


@pytest.mark.parametrize("task", [None, "upscal", "pipeline", ["upscale"]])
def test_preloading_another_task_is_refused(lite: Restorer, task: Any) -> None:
    with pytest.raises(RestoreError, match=r"task is .*Use one of face_restore") as caught:
        lite.preload(task)
    assert caught.value.code is Code.OPTION_INVALID


def test_setting_as_an_option_is_refused_with_its_place(lite: Restorer) -> None:
    assert set(SETTINGS) == inspect.signature(Restorer).parameters.keys()
    for name in SETTINGS:
        options: Any = {name: "lite"}
        with pytest.raises(RestoreError, match=f"{name} is an argument of Restorer") as caught:
            lite.run("upscale", "a.jpg", **options)
        assert caught.value.code is Code.OPTION_UNKNOWN


def test_restorer_cannot_be_pickled_but_copied(lite: Restorer) -> None:
    for attempt in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="make one in each process"):
            attempt(lite)
    assert copy.copy(lite).cache is lite.cache


def test_nothing_of_a_restorer_remains_after_its_requests(photo_file: PhotoFile) -> None:
    restorer = Restorer(weights="lite", device="cpu")
    results = restorer.run("upscale", photo_file(), scale=1)
    parts = (restorer, restorer.catalog, restorer.cache, restorer.store)
    references = [weakref.ref(part) for part in parts]
    del restorer, parts
    gc.collect()
    assert [reference() for reference in references] == [None] * 4
    assert results.networks
