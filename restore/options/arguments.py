"""Checks of what Python callers pass beside the options: paths, names and tasks to preload."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from restore.options.base import value_error
from restore.options.names import STEPS, Step
from restore.options.suggest import did_you_mean

SETTINGS = ("weights", "weights_dir", "device", "preload", "progress")
"""The arguments of `Restorer`."""

_ALL, _NONE = "all", "none"


def is_given(argument: object) -> bool:
    """Return whether an argument has a value; None and an empty text mean "not given"."""
    return argument is not None and not (isinstance(argument, str) and not argument)


def path_of(name: str, value: object) -> Path:
    """Return an argument as a path.

    Args:
        name: the argument, for the message.
        value: its value, of any type.

    Raises:
        RestoreError: OPTION_INVALID for anything but a text or a path of text.
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str):
        raise value_error(name, value, "a path: a text or a pathlib.Path")
    return Path(text)


def check_text(name: str, value: object) -> None:
    """Refuse an argument that is no text.

    Raises:
        RestoreError: OPTION_INVALID.
    """
    if not isinstance(value, str):
        raise value_error(name, value, "a text")


def parse_preload(value: object, setting: str = "preload") -> tuple[Step, ...]:
    """Return the tasks whose networks are loaded at once, in the order of `STEPS`.

    Args:
        value: `all`, `none`, or names of tasks, as a list or separated by commas.
        setting: the argument or the environment variable that has this value.

    Raises:
        RestoreError: OPTION_INVALID.
    """
    names = _names_in(value)
    if names in ([], [_NONE]):
        return ()
    if names == [_ALL]:
        return STEPS
    if names is None or not set(names) <= set(STEPS):
        unknown = [name for name in names or () if name not in STEPS]
        suggestion = "".join(did_you_mean(name, STEPS) for name in unknown[: len(STEPS)])
        allowed = f"{_ALL}, {_NONE}, or some of {', '.join(STEPS)}"
        raise value_error(setting, value, allowed, suggestion)
    return tuple(task for task in STEPS if task in names)


def _names_in(value: object) -> list[str] | None:
    """Return the names in a text or a collection; None if there is something else in it."""
    if isinstance(value, str):
        value = value.split(",")
    if isinstance(value, bytes | bytearray) or not isinstance(value, Iterable):
        return None
    names = list(value)
    if not all(isinstance(name, str) for name in names):
        return None
    return [name.strip() for name in names if name.strip()]
