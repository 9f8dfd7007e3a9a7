"""Write restore/options/inputs.py, the types of the inputs of Python callers, from restore.options.

python tools/inputs_types.py
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from restore.options import PIPELINE_TASK, OptionInfo, describe_options, names
from restore.options.base import number_in_words

MODULE = Path(__file__).resolve().parents[1] / "restore" / "options" / "inputs.py"
WIDTH = 100
INDENT = " " * 4
LISTS = {"points": "Polygons", "face_points": "Points", "faces": "Faces", "steps": "Steps"}
"""Types of the options whose text Python callers may give as a list."""

HEADER = '''\
"""The types of the options of `Restorer.run`, for editors and type checkers.

Generated from restore/options by `python tools/inputs_types.py`; do not edit it.
"""

from __future__ import annotations

from typing import TypedDict

from restore.options.list_types import {lists}
from restore.options.names import (
{choices}
)


class Inputs(TypedDict, total=False):
    """The options of `Restorer.run`, by name; None means "not set".

    Each task uses its own options: docs/inputs.md and `restore upscale --help` list them.
    """
'''


def source() -> str:
    """Return the source of the module, formatted as ruff formats it."""
    options = describe_options(PIPELINE_TASK)
    choices = sorted({type_of(each) for each in options if each.choices})
    header = HEADER.format(
        lists=", ".join(sorted(LISTS.values())),
        choices="\n".join(f"{INDENT}{name}," for name in choices),
    )
    return header + "".join(f"\n{text}" for text in map(entry, options))


def entry(option: OptionInfo) -> str:
    """Return the lines of an option: its type, and its description as the docstring."""
    lines = [f"{INDENT}{option.name}: {type_of(option)} | None", *docstring(option)]
    return "\n".join(lines) + "\n"


def type_of(option: OptionInfo) -> str:
    """Return the name of the type of an option's values."""
    if option.choices:
        known = {getattr(alias, "__args__", None): name for name, alias in vars(names).items()}
        return known[option.choices]
    return LISTS.get(option.name, option.type.__name__)


def docstring(option: OptionInfo) -> Iterator[str]:
    """Yield the lines of the docstring of an option."""
    text = option.description
    if option.minimum is not None:
        number = number_in_words(option.type, option.minimum, option.maximum)
        text += f" {number[:1].upper()}{number[1:]}."
    if option.default is not None:
        text += f" Default: {option.default!r}."
    quotes = '"""'
    if len(f"{INDENT}{quotes}{text}{quotes}") <= WIDTH:
        yield f"{INDENT}{quotes}{text}{quotes}"
        return
    first, *others = textwrap.wrap(
        f"{quotes}{text}", WIDTH, initial_indent=INDENT, subsequent_indent=INDENT
    )
    yield first
    yield from others
    yield f"{INDENT}{quotes}"


if __name__ == "__main__":
    MODULE.write_text(source())
