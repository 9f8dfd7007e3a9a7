"""Warnings of a thread."""

import threading
import warnings

import pytest

from restore.imaging.pillow_warnings import collected_warnings


def test_warnings_are_collected_and_not_raised() -> None:
    with collected_warnings() as outer:
        warnings.warn("first", stacklevel=1)
        with collected_warnings() as inner:
            warnings.warn("second", stacklevel=1)
        warnings.warn("first", stacklevel=1)  # a repetition is a warning, too
    assert (outer, inner) == (["first", "first"], ["second"])


def test_each_thread_collects_its_own_warnings() -> None:
    is_first_inside, is_second_done = threading.Event(), threading.Event()
    collected: dict[str, list[str]] = {}

    def first() -> None:
        with collected_warnings() as texts:
            is_first_inside.set()
            assert is_second_done.wait(20)
            warnings.warn("of the first", stacklevel=1)
        collected["first"] = texts

    def second() -> None:
        assert is_first_inside.wait(20)
        with collected_warnings() as texts:
            warnings.warn("of the second", stacklevel=1)
        collected["second"] = texts
        is_second_done.set()

    filters = list(warnings.filters)
    threads = [threading.Thread(target=target) for target in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert collected == {"first": ["of the first"], "second": ["of the second"]}
    assert list(warnings.filters) == filters


def test_settings_return_after_an_error() -> None:
    with pytest.raises(KeyError), collected_warnings():
        raise KeyError
    with pytest.raises(UserWarning, match="now"):
        warnings.warn("now", stacklevel=1)
