"""Calls in several threads."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from restore import open_photo
from restore.imaging import parallel
from restore.imaging.parallel import map_in_threads


@pytest.mark.parametrize("together", [False, True])
def test_results_are_in_the_order_of_the_items(together: bool) -> None:
    assert map_in_threads(str, [3, 1, 2, 9], together=together) == ["3", "1", "2", "9"]


def test_items_are_processed_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel.os, "cpu_count", lambda: 4)
    both_are_running = threading.Barrier(2, timeout=20)
    assert len(map_in_threads(lambda _: both_are_running.wait(), [0, 1])) == 2


def test_two_cores_are_left_to_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel.os, "cpu_count", lambda: 2)
    threads = map_in_threads(lambda _: threading.current_thread(), [0, 1, 2])
    assert set(threads) == {threading.current_thread()}


def test_photos_that_are_decoded_together_are_those_decoded_alone(
    photo_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel.os, "cpu_count", lambda: 8)
    paths = [photo_file(f"{n}.png", height=40 + n, width=50) for n in range(4)]
    together = map_in_threads(open_photo, paths)
    for photo, path in zip(together, paths, strict=True):
        np.testing.assert_array_equal(photo.pixels, open_photo(path).pixels)


def test_single_items_need_no_thread() -> None:
    assert map_in_threads(lambda _: threading.current_thread(), [0]) == [threading.current_thread()]


def test_error_of_the_first_failing_item_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel.os, "cpu_count", lambda: 8)
    second_failed = threading.Event()

    def fail(item: int) -> None:
        if item == 1:
            assert second_failed.wait(20)
        second_failed.set()
        raise ValueError(str(item))

    with pytest.raises(ValueError, match="1"):
        map_in_threads(fail, [1, 2])
