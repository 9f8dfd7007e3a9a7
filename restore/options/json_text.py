"""Options whose value is JSON text; Python and JSON requests may give the lists themselves."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    FiniteFloat,
    TypeAdapter,
    ValidationError,
)

MAX_FACE_POINTS = 1000

_POINTS = TypeAdapter(
    Annotated[list[tuple[FiniteFloat, FiniteFloat]], Field(max_length=MAX_FACE_POINTS)]
)


def parse_face_points(text: str) -> tuple[tuple[float, float], ...]:
    """Parse the value of `face_points`: `[[x, y], ...]`, or an empty text for no point.

    Raises:
        ValueError: it is something else than up to MAX_FACE_POINTS pairs of finite numbers.
    """
    # Strict: pydantic would read true and "1" as numbers.
    return tuple(_POINTS.validate_json(text, strict=True)) if text.strip() else ()


def _check_face_points(text: str) -> str:
    try:
        parse_face_points(text)
    except ValidationError as error:
        # As it is, it would be shown as an error of the part of the value that is wrong.
        raise ValueError("not a list of points") from error
    return text


def _list_to_json(value: object) -> object:
    """Convert a list or an array (from JSON or Python) to the JSON text of the command line.

    Raises:
        ValueError: it contains something else than numbers and lists, or is nested too deeply.
    """
    if not isinstance(value, list | tuple) and not hasattr(value, "tolist"):
        return value
    try:
        return json.dumps(value, default=_to_list)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _to_list(value: object) -> object:
    """Convert an array or a number of NumPy or torch, which json does not know.

    Raises:
        ValueError: the value is of another type.
    """
    if not hasattr(value, "tolist"):
        raise ValueError(f"{type(value).__name__} is not a number or a list")
    return value.tolist()


JsonText = Annotated[str, BeforeValidator(_list_to_json)]
FacePointsText = Annotated[str, BeforeValidator(_list_to_json), AfterValidator(_check_face_points)]
