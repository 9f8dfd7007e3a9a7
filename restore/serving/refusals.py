"""The code of a request that Cog's server refuses, as other errors have it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from restore.errors import Code, RestoreError

INPUT = ("body", "input")
"""Where the inputs of the task are in a request."""


def with_code(content: bytes) -> bytes:
    """Add `error` and `status` to the body of a refusal; `detail`, which Cog's clients read, stays.

    Args:
        content: the body of a response with status 422.

    Returns:
        The content itself if it does not have Cog's form.
    """
    try:
        answer = json.loads(content)
        first = answer["detail"][0]
        location, message = [str(part) for part in first["loc"]], str(first["msg"])
    except (ValueError, KeyError, TypeError, IndexError):
        return content
    answer |= {"error": str(_error(location, message)), "status": "failed"}
    return json.dumps(answer, ensure_ascii=False).encode()


def coded(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON of a refusal of this program with its code, likewise."""
    answer: dict[str, Any] = json.loads(with_code(json.dumps(content).encode()))
    return answer


def _error(location: Sequence[str], message: str) -> RestoreError:
    is_input = tuple(location[:2]) == INPUT
    name = ".".join(location[2 if is_input else 1 :])
    reason = f"{name}: {message}" if name and name not in message else message
    return RestoreError(
        Code.OPTION_INVALID if is_input else Code.REQUEST_INVALID,
        reason.rstrip("."),
        "See /openapi.json for the inputs and their limits.",
    )
