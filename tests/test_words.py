"""Tests of numbers in words."""

import pytest

from restore.words import counted


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 photos"), (1, "1 photo"), (2, "2 photos"), (1000, "1000 photos")]
)
def test_only_one_is_singular(number: int, words: str) -> None:
    assert counted(number, "photo") == words
