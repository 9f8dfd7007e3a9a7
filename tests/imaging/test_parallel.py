"""Calls in several threads."""

import threading

import pytest

from restore.imaging import parallel
from restore.imaging.parallel import map_in_threads


@pytest.mark.parametrize("together", [False, True])
def test_results_are_in_the_order_of_the_items(together: bool) -> None:
    assert map_in_threads(str, [3, 1, 2, 9], together=together) == ["3", "1", "2", "9"]


def test_items_are_processed_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel.os, "cpu_count", lambda: 2)
    both_are_running = threading.Barrier(2, timeout=20)
    assert len(map_in_threads(lambda _: both_are_running.wait(), [0, 1])) == 2


def test_single_items_need_no_thread() -> None:
    assert map_in_threads(lambda _: threading.current_thread(), [0]) == [threading.current_thread()]


def test_error_of_the_first_failing_item_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel.os, "cpu_count", lambda: 4)
    second_failed = threading.Event()

    def fail(item: int) -> None:
        if item == 1:
            assert second_failed.wait(20)
        second_failed.set()
        raise ValueError(str(item))

    with pytest.raises(ValueError, match="1"):
        map_in_threads(fail, [1, 2])
