"""Errors of Cog's server and of the front with a code, as other errors have them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from restore.errors import Code, RestoreError
from restore.options import MAX_PHOTOS
from restore.serving.request_body import FILE_INPUTS, Refusal

INPUT = ("body", "input")
"""Where the inputs of the task are in a request."""
UNKNOWN_INPUT = "unknown_input"
"""The type of a refusal because of an input that does not exist."""
WHOLE = "__root__"
"""Cog's name for the inputs as a whole."""
_COG_PREFIX = re.compile(r"^(?:Prediction failed: )*(?:RestoreError: )?")
"""What Cog puts before the message of a failed prediction."""
_CODED = re.compile(r"\[E\d{3}\] ")

SEE_LOG = "The log of the server has the details."
SEE_SCHEMA = "See /openapi.json for the inputs and their limits."
BUSY = RestoreError(
    Code.SERVER,
    "the server is at work on another request, and handles one at a time",
    "Send this one again after a pause.",
)

_QUOTED = re.compile(r"""\"[^\"]*\"|'[^']*'""")
_COUNT_WORDS = (" has more than ", " has less than ")
MAX_SHOWN_CHARACTERS = 60
"""A longer value is described in messages. A photo as a data URI has millions of characters."""


def with_code(content: bytes, status: int) -> bytes:
    """Give the error in a response of Cog's server its code.

    `detail`, which Cog's clients read, stays, but for long values in it.

    Args:
        content: the body of the response.
        status: its HTTP status.

    Returns:
        The content itself if it is no error, or does not have Cog's form.
    """
    if status == HTTPStatus.OK and b'"failed"' not in content:
        return content  # a result, which may be long
    try:
        answer = json.loads(content)
        if status == HTTPStatus.UNPROCESSABLE_ENTITY:
            _describe(answer)
        elif status == HTTPStatus.CONFLICT:
            answer["error"] = str(BUSY)
        elif status != HTTPStatus.OK:
            answer["error"] = _with_server_code(answer["error"])
        elif answer["status"] == "failed":
            answer["error"] = error_text(answer["error"])
        else:
            return content
    except (ValueError, KeyError, TypeError, IndexError):
        return content
    return json.dumps(answer, ensure_ascii=False).encode()


def refusal_content(refusal: Refusal) -> dict[str, Any]:
    """Return the JSON of a refusal of the front with its code, likewise."""
    if isinstance(refusal.content, str):
        return failure(Code.REQUEST_INVALID, refusal.content, SEE_SCHEMA)
    content: dict[str, Any] = json.loads(json.dumps(refusal.content))
    if "detail" in content:
        _describe(content)
    else:
        content["error"] = _with_server_code(content["error"])
    return content


def failure(code: Code, reason: str, remedy: str) -> dict[str, Any]:
    """Return the JSON of a request that failed.

    Args:
        reason: what is wrong; a full stop or a remedy may follow it.
    """
    text = reason[:1].lower() + reason[1:].rstrip(".")
    if ". " in text:  # it has a remedy of its own
        text, _, remedy = text.partition(". ")
        remedy += "."
    return {"error": str(RestoreError(code, text, remedy)), "status": "failed"}


def error_text(error: str) -> str:
    """Return the message of a failed prediction, without what Cog puts before it."""
    text = _COG_PREFIX.sub("", error)
    if _CODED.match(text):
        return text
    return str(RestoreError(Code.SERVER, f"the worker failed: {text or 'no reason'}", SEE_LOG))


def _with_server_code(error: str) -> str:
    return error if _CODED.match(error) else f"[{Code.SERVER}] {error}"


def _describe(answer: dict[str, Any]) -> None:
    """Add `error` and `status` to the JSON of a refusal, and shorten the values in it."""
    for detail in answer["detail"]:
        detail["msg"] = _short(str(detail["msg"]))
    first = answer["detail"][0]
    location = [str(part) for part in first["loc"]]
    answer["error"] = str(_error(location, first["msg"], first.get("type")))
    answer["status"] = "failed"


def _error(location: Sequence[str], message: str, kind: object) -> RestoreError:
    if kind == UNKNOWN_INPUT:
        return RestoreError(Code.OPTION_UNKNOWN, message, SEE_SCHEMA)
    is_input = tuple(location[:2]) == INPUT
    parts = [part for part in location[2 if is_input else 1 :] if part != WHOLE]
    name = ".".join(parts) or ("input" if WHOLE in location else "")
    is_named = re.search(rf"\b{re.escape(name)}\b", _QUOTED.sub("", message))
    reason = message if is_named else f"{name}: {message}"
    if name in FILE_INPUTS and any(words in message for words in _COUNT_WORDS):
        return RestoreError(Code.PHOTO_COUNT, reason, f"Send 1 to {MAX_PHOTOS}.")
    return RestoreError(
        Code.OPTION_INVALID if is_input else Code.REQUEST_INVALID, reason.rstrip("."), SEE_SCHEMA
    )


def _short(message: str) -> str:
    """Describe a long value at the start of a message, such as `"data:..." is not a list`."""
    try:
        value, end = json.JSONDecoder().raw_decode(message)
    except ValueError:
        return message
    if end <= MAX_SHOWN_CHARACTERS:
        return message
    match value:
        case str():
            shown = json.dumps(value[:MAX_SHOWN_CHARACTERS], ensure_ascii=False) + "..."
        case list():
            shown = f"a list of {len(value)} values"
        case dict():
            shown = f"an object of {len(value)} values"
        case _:
            shown = message[:MAX_SHOWN_CHARACTERS] + "..."
    return shown + message[end:]
