"""Reading the bodies of requests as they arrive, with limits on time and size."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from starlette.requests import Request

from restore.errors import Code
from restore.service.http_errors import CLOSE, HttpError

STALL_TIMEOUT_S = 30.0
"""Time without any new byte after which a request is refused."""
MIN_BYTES_PER_S = 8192
"""Slowest upload after the first STALL_TIMEOUT_S."""


async def timed_chunks(request: Request) -> AsyncIterator[bytes]:
    """Yield the body of a request as it arrives.

    Raises:
        HttpError: 408 if no data arrive for STALL_TIMEOUT_S, or less than MIN_BYTES_PER_S.
        ClientDisconnect: the client has left.
    """
    chunks = request.stream()
    deadline_s = time.monotonic() + STALL_TIMEOUT_S
    while True:
        limit_s = min(STALL_TIMEOUT_S, deadline_s - time.monotonic())
        try:
            async with asyncio.timeout(limit_s):
                chunk = await anext(chunks, None)
        except TimeoutError as error:
            raise HttpError(
                408,
                Code.REQUEST_INVALID,
                "the request arrived too slowly",
                f"Send at least {MIN_BYTES_PER_S} bytes per second.",
                headers=CLOSE,
            ) from error
        if chunk is None:
            return
        deadline_s += len(chunk) / MIN_BYTES_PER_S
        yield chunk


def check_declared_size(request: Request, max_bytes: int) -> None:
    """Refuse a request whose header says that it is too large, before its body is read.

    Raises:
        HttpError: 413.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > max_bytes:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> HttpError:
    return HttpError(
        413,
        Code.PHOTO_TOO_LARGE,
        f"the request is larger than {max_bytes / 2**20:.0f} MiB",
        "Send fewer or smaller photos.",
        headers=CLOSE,
    )
