"""Refusing inputs that do not exist. Cog's server drops them without a word."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any

from restore.options.aliases import ALIASES
from restore.options.suggest import nearest_name
from restore.serving.inputs import cog_inputs
from restore.serving.refusals import UNKNOWN_INPUT
from restore.serving.request_body import MAX_SHOWN_CHARACTERS, Refusal

_OLDER = {alias.name: alias.option for alias in ALIASES}


def check_names(prediction: Mapping[str, Any]) -> None:
    """Check the names of the inputs of a prediction.

    Args:
        prediction: a parsed body. Its input may be anything.

    Raises:
        Refusal: 422.
    """
    inputs = prediction.get("input")
    if not isinstance(inputs, dict):
        return  # Cog refuses it
    known = _names()
    for name in inputs:
        if name not in known:
            message = f"there is no input named {name[:MAX_SHOWN_CHARACTERS]!a}{_hint(name)}"
            detail = {"loc": ["body", "input"], "msg": message, "type": UNKNOWN_INPUT}
            raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, {"detail": [detail]})


def _hint(name: str) -> str:
    if option := _OLDER.get(name):
        return f", which is an older name of {option}"
    similar = nearest_name(name[:MAX_SHOWN_CHARACTERS], _names())
    return f"; the nearest name is {similar}" if similar else ""


@cache
def _names() -> frozenset[str]:
    return frozenset(each.name for each in cog_inputs())
