"""Texts with the names of options as the flags of the command line."""

from __future__ import annotations

import re

from restore.options.request import GROUPS

_NAMES = frozenset[str]().union(*(group.names() for group in GROUPS))
_LONG = "|".join(sorted((name for name in _NAMES if "_" in name), key=len, reverse=True))
_WORDS = "|".join(sorted(name for name in _NAMES if "_" not in name))
_LONG_NAME = re.compile(rf"(?<![\w'\"./-])({_LONG})(?![\w'\"/-]|\.\w)")
# These names are ordinary words, so they are only replaced where they are the subject.
_WORD_AS_SUBJECT = re.compile(rf"(^|: )({_WORDS})(?= (?:is|was|has)\b)")
_SWITCHED_OFF = re.compile(rf"\bset ({_LONG}) to false\b")
_PART_OF_POINTS = re.compile(r"(polygon \d+ of )points\b")
_PHRASES = (
    ("masks and points are", "--mask and --points are"),
    ("Send masks (", "Send --mask ("),
    ("or points (", "or --points ("),
    ("Give points as", "Give --points as"),
    ("in a mask, or a polygon as points", "in a --mask, or a polygon as --points"),
    ("scale and --target-", "--scale and --target-"),
    ("of scale, --target-", "of --scale, --target-"),
    ("steps=auto,colorize", "--steps auto,colorize"),
    ("faces=largest or faces=center", "--faces largest or --faces center"),
)


def with_flags(text: str) -> str:
    """Write the names of options as flags: `tile_size` becomes `--tile-size`."""
    text = _SWITCHED_OFF.sub(lambda found: "use --no-" + _flag(found[1])[2:], text)
    text = _LONG_NAME.sub(lambda found: _flag(found[1]), text)
    text = _WORD_AS_SUBJECT.sub(lambda found: found[1] + _flag(found[2]), text)
    text = _PART_OF_POINTS.sub(r"\1--points", text)
    for phrase, replacement in _PHRASES:
        text = text.replace(phrase, replacement)
    return text


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
