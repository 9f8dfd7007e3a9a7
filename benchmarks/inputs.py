"""Inputs of a request: typed by the schema of predict.py, photos encoded as data URIs."""

from __future__ import annotations

import base64
import difflib
import json
import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.arguments import split_pair
from restore.errors import Code, RestoreError
from restore.serving.schema import openapi_schema

Json = dict[str, Any]

RESERVED_INPUTS = (
    "task",
    "image",
    "images",
    "runtime_profile",
    "stability_mode",
    "compile_backend",
)
"""Inputs that a benchmark sets from options of its own, so that `--set` must not name them."""


def require_known(inputs: Mapping[str, object]) -> None:
    """Check that predict.py has each input. Cog's server drops unknown inputs silently.

    Raises:
        RestoreError: OPTION_UNKNOWN.
    """
    known = _known_inputs()
    for name in inputs:
        if name not in known:
            raise RestoreError(
                Code.OPTION_UNKNOWN, f"predict.py has no input '{name}'", _suggestion(name, known)
            )


def read_inputs(pairs: Sequence[str]) -> Json:
    """Convert NAME=VALUE texts to inputs with the types of predict.py; `name=@FILE` sends a file.

    Raises:
        RestoreError: OPTION_INVALID, OPTION_UNKNOWN or PHOTO_MISSING.
    """
    known = _known_inputs()
    inputs: Json = {}
    for pair in pairs:
        name, text = split_pair(pair)
        if name in RESERVED_INPUTS:
            raise RestoreError(
                Code.OPTION_INVALID,
                f"--set names '{name}', which has an option of its own",
                "Use that option. --help lists all options.",
            )
        require_known({name: text})
        inputs[name] = _typed(name, text, known[name])
    return inputs


def data_uri(photo: Path) -> str:
    """Encode a file as a data URI.

    Raises:
        RestoreError: PHOTO_MISSING.
    """
    kind = mimetypes.guess_type(photo.name)[0] or "application/octet-stream"
    try:
        data = photo.read_bytes()
    except OSError as error:
        raise RestoreError(
            Code.PHOTO_MISSING,
            f"'{photo}' cannot be read ({error.strerror})",
            "Check the path.",
            photo=photo.name,
        ) from error
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _known_inputs() -> Json:
    properties: Json = openapi_schema()["components"]["schemas"]["Input"]["properties"]
    return properties


def _suggestion(name: str, known: Iterable[str]) -> str:
    similar = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean '{similar[0]}'?" if similar else "See docs/inputs.md for all inputs."


def _typed(name: str, text: str, schema: Json) -> object:
    if schema.get("format") == "uri":
        return data_uri(Path(text.removeprefix("@")))
    kind = schema.get("type", "string")  # enums are referenced without a type; all are strings
    if isinstance(kind, list):  # an optional input
        [kind] = [each for each in kind if each != "null"]
    if kind == "string":
        return text
    types = {"integer": (int,), "number": (int, float), "boolean": (bool,)}.get(kind, ())
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if type(value) not in types:
        raise RestoreError(
            Code.OPTION_INVALID,
            f"{name} is '{text}'",
            f"Write a value of type {kind}, such as --set scale=2.",
        )
    return value
