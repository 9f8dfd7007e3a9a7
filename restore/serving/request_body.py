"""Checking and rewriting the body of a request before Cog's server reads it.

Cog uses the id of a prediction as the name of a folder and does not check it: `../../x` and `/x`
leave Cog's folder, and an id that cannot be a folder's name leaks the server's only slot. The body
is parsed here and written anew, so that Cog reads exactly what has been checked.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import from_json, to_json

from restore.options import PHOTO_INPUTS

ID_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,128}")
MAX_SHOWN_CHARACTERS = 40
MAX_VALUES = 1_000_000
"""Limit of the values in a body: 100 MiB of empty lists would take gigabytes as objects."""

JSON_TEXT_INPUTS = ("points", "face_points", "faces")
"""Inputs whose type is text that holds JSON. Their value may also be the JSON itself."""
LIST_TEXT_INPUTS = ("steps",)
"""Inputs whose type is text with commas. Their value may also be a list of texts."""
FILE_INPUTS = tuple(photo_input.name for photo_input in PHOTO_INPUTS)

_SCHEME = re.compile(r"\s*(https?://|data:)", re.IGNORECASE)


class Refusal(Exception):  # noqa: N818 - it is a response, not an error of the program
    """The response to a request that does not reach Cog's server.

    Attributes:
        status: HTTP status.
        content: JSON body, or text.
        close: close the connection, because the rest of the request is not read.
    """

    def __init__(self, status: int, content: dict[str, Any] | str, *, close: bool = False) -> None:
        super().__init__(status, content)
        self.status, self.content, self.close = status, content, close


def check_id(value: object, *location: str) -> str:
    """Return a prediction's id if it is harmless as the name of a folder.

    Args:
        location: where the id is in the request, for the response.

    Raises:
        Refusal: 422.
    """
    if isinstance(value, str) and ID_PATTERN.fullmatch(value):
        return value
    message = (
        f"{str(value)[:MAX_SHOWN_CHARACTERS]!a} is not a valid id: use 1 to 128 letters (A to Z),"
        " digits, hyphens and underscores"
    )
    detail = {"loc": list(location), "msg": message, "type": "value_error"}
    raise Refusal(422, {"detail": [detail]})


def parse_body(body: bytes) -> dict[str, Any]:
    """Parse the body of a prediction, check its id and bring its inputs into Cog's form.

    An input that is null is left out, so that it has its default value. An input that is text with
    JSON in it may be the JSON itself: a list or a whole number.

    Raises:
        Refusal: 400 for invalid JSON, 422 for other values and ids.
    """
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MAX_VALUES:
        raise Refusal(422, f"The JSON body has more than {MAX_VALUES} values")
    try:
        request = from_json(body, allow_inf_nan=False, cache_strings="none")
    except ValueError as error:
        raise Refusal(400, f"Failed to parse the request body as JSON: {error}") from error
    if not isinstance(request, dict):
        raise Refusal(422, 'The JSON body is not an object such as {"input": {}}')
    if request.get("id") is not None:
        check_id(request["id"], "body", "id")
    if isinstance(request.get("input"), dict):
        request["input"] = in_cog_form(request["input"])
    return request


def write_body(request: dict[str, Any]) -> bytes:
    """Write a parsed body as JSON."""
    # A number that is too large for a float becomes `Infinity`, which Cog refuses.
    return to_json(request, inf_nan_mode="constants")


def in_cog_form(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs of a request as Cog's server reads them; see `parse_body`."""
    given = {name: value for name, value in inputs.items() if value is not None}
    for name in JSON_TEXT_INPUTS:
        if type(given.get(name)) in {list, int}:
            given[name] = to_json(given[name], inf_nan_mode="constants").decode()
    for name in LIST_TEXT_INPUTS:
        value = given.get(name)
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            given[name] = ",".join(value)
    for name in FILE_INPUTS:
        value = given.get(name)
        if isinstance(value, str):
            given[name] = _with_small_scheme(value)
        elif isinstance(value, list):
            given[name] = [
                _with_small_scheme(part) if isinstance(part, str) else part for part in value
            ]
    return given


def _with_small_scheme(url: str) -> str:
    found = _SCHEME.match(url)
    return found[1].lower() + url[found.end() :] if found else url
