"""Numbers of things in words, for messages."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return such as '1 photo' or '2 photos'; the plural of the noun must be made with an 's'."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
