"""Validation of the inputs of a job at its submission.

The rules are those of the schema of the Cog server and of `restore.options`, so that a worker does
not refuse later what was accepted here. The content of the photos is checked by the worker.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from restore.errors import Code, RestoreError
from restore.options import DEFAULT_TASK, MAX_PHOTOS, PHOTO_INPUTS, Request
from restore.options.aliases import resolve_aliases
from restore.options.base import value_error
from restore.options.counts import check_mask_count, check_photo_count
from restore.service.records import StoredFile
from restore.serving.inputs import CogInput, Kind, cog_inputs

MAX_TEXT_CHARACTERS = 2**20
"""Limit of the text of one option: polygons as JSON are the longest."""
MAX_KEPT_CHARACTERS = 100

_KIND_NAMES: Mapping[Kind, str] = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
}
_OPTIONS = {option.name: option for option in cog_inputs() if option.kind in _KIND_NAMES}

PhotoValue = str | StoredFile
"""A photo of a request: a data URI, a URL, or a file that is stored already."""


@dataclass(frozen=True)
class Inputs:
    """Validated inputs.

    Attributes:
        options: the task and the options that were given, by their names in the Cog schema.
        photos: the values of the inputs for photos and masks that were given, by name; a list for
            an input that takes several.
    """

    options: Mapping[str, Any]
    photos: Mapping[str, PhotoValue | list[PhotoValue]]


def check_inputs(given: Mapping[str, object]) -> Inputs:
    """Validate the inputs of a request.

    Args:
        given: inputs by name; None means "not given".

    Raises:
        RestoreError: OPTION_UNKNOWN, OPTION_INVALID, PHOTO_COUNT, PHOTO_MISSING or MASK.
    """
    present = {name: value for name, value in given.items() if value is not None}
    names = {photo_input.name for photo_input in PHOTO_INPUTS}
    photos = {
        photo_input.name: _photo_value(photo_input.name, present[photo_input.name])
        for photo_input in PHOTO_INPUTS
        if photo_input.name in present
    }
    options = {name: value for name, value in present.items() if name not in names}
    task = options.pop("task", DEFAULT_TASK)
    if not isinstance(task, str):
        raise _wrong_kind(_OPTIONS["task"], task)
    if all(map(_is_short, options.values())):
        # The type belongs to the key: 1, 1.0 and true are equal.
        typed = tuple((name, type(value), value) for name, value in options.items())
        checked, request = _check_again(task, typed)
    else:
        checked, request = _check_options(task, options)
    _check_counts(photos, request)
    return Inputs({"task": task, **checked}, photos)


def _is_short(value: object) -> bool:
    """Return whether a value may be kept in the cache of options that were checked."""
    if isinstance(value, str):
        return len(value) <= MAX_KEPT_CHARACTERS
    return isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= 64)


@lru_cache(maxsize=256)
def _check_again(
    task: str, options: tuple[tuple[str, type, object], ...]
) -> tuple[Mapping[str, object], Request]:
    """Check options that were probably checked before: clients send the same ones many times."""
    return _check_options(task, {name: value for name, _, value in options})


def _check_options(
    task: str, options: Mapping[str, object]
) -> tuple[Mapping[str, object], Request]:
    """Return the options in their JSON types, and the request that they make.

    Raises:
        RestoreError: OPTION_UNKNOWN, OPTION_INVALID.
    """
    request = Request.from_inputs(task, options)
    resolved, _ = resolve_aliases(task, options)
    return {name: _json_value(_OPTIONS[name], each) for name, each in resolved.items()}, request


def _json_value(option: CogInput, value: object) -> object:
    """Return the value of an option in its JSON type.

    `restore.options` also takes texts for numbers and the like; the schema of the Cog server does
    not. A whole number may be written as 4.0.

    Raises:
        RestoreError: OPTION_INVALID.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if option.kind == "int" and isinstance(value, float) and value.is_integer():
        return int(value)
    if option.kind == "str" and isinstance(value, str):
        return _text(option, value)
    fits = {"bool": isinstance(value, bool), "int": isinstance(value, int), "float": is_number}
    if fits.get(option.kind, False):
        return value
    raise _wrong_kind(option, value)


def _text(option: CogInput, text: str) -> str:
    if len(text) > MAX_TEXT_CHARACTERS or "\0" in text:
        raise RestoreError(
            Code.OPTION_INVALID,
            f"{option.name} has {len(text)} characters, or a NUL character among them",
            f"Send at most {MAX_TEXT_CHARACTERS} printable characters.",
        )
    return text


def _photo_value(name: str, value: object) -> PhotoValue | list[PhotoValue]:
    """Check the type of an input for photos.

    Raises:
        RestoreError: PHOTO_MISSING, PHOTO_COUNT.
    """
    several = next(each.several for each in PHOTO_INPUTS if each.name == name)
    if not several:
        return _single(name, value)
    if not isinstance(value, list | tuple):
        reason = f"{name} is {reprlib.repr(value)}, not a list"
        raise RestoreError(Code.PHOTO_MISSING, reason, f'Send {name} as ["...", "..."].')
    if not 1 <= len(value) <= MAX_PHOTOS:
        reason = f"{name} has {len(value)} values"
        raise RestoreError(Code.PHOTO_COUNT, reason, f"Send 1 to {MAX_PHOTOS}.")
    return [_single(f"{name}[{index}]", each) for index, each in enumerate(value)]


def _single(label: str, value: object) -> PhotoValue:
    if isinstance(value, str | StoredFile):
        return value
    raise RestoreError(
        Code.PHOTO_MISSING,
        f"it is {reprlib.repr(value)}, not a text",
        "Send a data URI, an http(s) URL, or the URL of a file from POST /v1/files.",
        photo=label,
    )


def _check_counts(photos: Mapping[str, PhotoValue | list[PhotoValue]], request: Request) -> None:
    """Check the numbers of photos and masks, as a worker does.

    Raises:
        RestoreError: PHOTO_COUNT, MASK.
    """
    count = _count(photos, "image")
    check_photo_count(count)
    if request.uses_masks:
        check_mask_count(_count(photos, "mask"), count)


def _count(photos: Mapping[str, PhotoValue | list[PhotoValue]], name: str) -> int:
    several = photos.get(f"{name}s", [])
    return (name in photos) + (len(several) if isinstance(several, list) else 1)


def _wrong_kind(option: CogInput, value: object) -> RestoreError:
    return value_error(option.name, value, _KIND_NAMES[option.kind])
