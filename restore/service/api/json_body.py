"""Reading JSON bodies, with the limits and rules of the Cog server in front of the workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Request

from restore.errors import Code
from restore.service.http_errors import CLOSE, HttpError
from restore.serving.body_reader import BodyReader
from restore.serving.request_body import parse_body

INLINE_BYTES = 2**16
"""Larger bodies are parsed in a thread, so that other requests do not wait."""
LARGE_BODIES = 2
"""Number of such bodies that are worked on at a time: each takes several times its size of memory.
Others wait, but are read already: a slow client holds up nobody."""


@asynccontextmanager
async def json_body(request: Request) -> AsyncIterator[dict[str, Any]]:
    """Read and parse the body of a request for a `with` block, in which its memory is counted.

    The member `input` is brought into Cog's form, see `parse_body`.

    Raises:
        HttpError: 415 if the request does not say that it is JSON. A page of another site cannot
            say so without the consent of this service.
        restore.serving.request_body.Refusal: 400, 408, 413, 422 or 503.
        ClientDisconnect: the client has left.
    """
    if not _is_json(request.headers.get("content-type", "")):
        raise HttpError(
            415,
            Code.REQUEST_INVALID,
            "the request is not JSON",
            "Send JSON, with the header `Content-Type: application/json`.",
            headers=CLOSE,
        )
    bodies: BodyReader = request.app.state.service.bodies
    async with bodies.read(request) as body:
        if len(body) <= INLINE_BYTES:
            yield parse_body(body)
            return
        async with request.app.state.service.large_bodies:
            yield await asyncio.to_thread(parse_body, body)


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )
