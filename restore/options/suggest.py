"""How errors show names that do not exist: shortened, with the nearest allowed name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MAX_SHOWN_CHARACTERS = 60
"""Limit of a name or value that an error message repeats."""


def nearest_name(text: str, names: Iterable[str]) -> str | None:
    """Return the most similar name, or None if none is similar; case and dashes do not matter."""
    by_form = {_form(name): name for name in names}
    matches = difflib.get_close_matches(_form(text), by_form, n=1)
    return by_form[matches[0]] if matches else None


def did_you_mean(text: object, names: Iterable[str]) -> str:
    """Return "Did you mean NAME? " for the most similar name, or an empty string."""
    name = nearest_name(text, names) if isinstance(text, str) else None
    return f"Did you mean {name}? " if name else ""


def _form(text: str) -> str:
    return text.strip().lower().replace("-", "_")
