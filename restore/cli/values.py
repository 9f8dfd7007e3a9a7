"""Numbers, choices and paths of options that only the command line has.

Typer would refuse a bad value without naming it, and take an empty path for the current folder.
Here it is read and refused as by `restore.options`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer

from restore.errors import Code, RestoreError
from restore.options.base import choices_in_words, number_in_words, value_error
from restore.options.suggest import did_you_mean

NumberType = type[int] | type[float]
PATH_REMEDY = "Give a path, or leave the option out; . is the current folder."


def number_option(
    flag: str,
    text: str,
    kind: NumberType = int,
    *,
    minimum: float,
    maximum: float | None = None,
    **details: Any,  # noqa: ANN401 - those of Typer
) -> Any:  # noqa: ANN401 - what Typer returns
    """Return the option of a number.

    Args:
        flag: its name, with dashes.
        text: its help.
        kind: int, or float for finite numbers.
        minimum, maximum: the allowed range.
        details: further arguments of typer.Option.
    """

    def read(value: str) -> float:
        number: float
        try:
            number = kind(value)
        except ValueError:
            number = math.nan
        is_allowed = minimum <= number < math.inf and (maximum is None or number <= maximum)
        if not is_allowed:
            raise value_error(flag, value, number_in_words(kind, minimum, maximum))
        return number

    shown = number_metavar(kind, minimum, maximum)
    return typer.Option(flag, help=text, parser=read, metavar=shown, **details)


def choice_option(
    flag: str,
    text: str,
    choices: Sequence[str],
    **details: Any,  # noqa: ANN401 - those of Typer
) -> Any:  # noqa: ANN401 - what Typer returns
    """Return the option of a choice.

    Args:
        flag: its name, with dashes.
        text: its help.
        choices: the allowed values.
        details: further arguments of typer.Option.
    """

    def read(value: str) -> str:
        if value not in choices:
            suggestion = did_you_mean(value, choices)
            raise value_error(flag, value, choices_in_words(choices), suggestion)
        return value

    return typer.Option(
        flag,
        help=text,
        parser=read,
        metavar=choice_metavar(choices),
        autocompletion=completion_of(choices),
        **details,
    )


def path_option(
    *flags: str,
    text: str,
    **details: Any,  # noqa: ANN401 - those of Typer
) -> Any:  # noqa: ANN401 - what Typer returns
    """Return the option of a path, which may not be empty, as an unset variable of a shell is.

    Args:
        flags: its names, with dashes, the longest last.
        text: its help.
        details: further arguments of typer.Option.
    """

    def read(value: str | Path) -> Path:
        require_text(flags[-1], str(value), PATH_REMEDY)
        return Path(value)

    return typer.Option(*flags, help=text, parser=read, metavar="PATH", **details)


def require_text(flag: str, value: str, remedy: str) -> str:
    """Return the value of an option, unless it is empty.

    Raises:
        RestoreError: OPTION_INVALID.
    """
    if not value.strip():
        raise RestoreError(Code.OPTION_INVALID, f"{flag} is empty", remedy)
    return value


def number_metavar(kind: type, minimum: float | None, maximum: float | None) -> str:
    """Return what the help shows as the values of a number, such as `NUMBER 1..8`."""
    name = "INTEGER" if kind is int else "NUMBER"
    if minimum is None:
        return name
    return f"{name} {minimum:g}..{'' if maximum is None else f'{maximum:g}'}"


def choice_metavar(choices: Sequence[str]) -> str:
    """Return what the help shows as the values of a choice."""
    return f"[{'|'.join(choices)}]"


def completion_of(choices: Sequence[str]) -> Callable[[str], list[str]]:
    """Return the function with which the shell completes a choice."""

    def complete(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return complete
