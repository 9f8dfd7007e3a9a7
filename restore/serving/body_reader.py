"""Reading the bodies of requests into memory, within limits on size, time and total memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from restore.serving.request_body import Refusal

MAX_BODY_BYTES = 100 * 2**20
"""Cog's own limit."""
MAX_HELD_BYTES = 4 * MAX_BODY_BYTES
"""Limit of all bodies together. Cog's server handles one prediction at a time."""
STALL_TIMEOUT_S = 60.0
"""Time without any new byte after which a request is refused."""
MIN_BYTES_PER_S = 8192
"""Slowest body after the first STALL_TIMEOUT_S."""

TOO_MANY = {
    "error": "The server holds too many uploads. Send the request again later.",
    "status": "failed",
}


class BodyReader:
    """Reads bodies, and knows the size of all that are held in memory."""

    def __init__(self) -> None:
        self.held_bytes = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Read a body, and count it as held until the end of a `with` block.

        Raises:
            Refusal: 408, 413 or 503.
            ClientDisconnect: the client has left.
        """
        body = bytearray()
        size = 0
        try:
            await self._fill(body, request)
            size = len(body)
            content = bytes(body)
            body.clear()  # one copy is enough
            yield content
        finally:
            self.held_bytes -= size or len(body)

    async def _fill(self, body: bytearray, request: Request) -> None:
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > MAX_BODY_BYTES:
            raise _too_large()
        chunks = request.stream()
        started_s = time.monotonic()
        while True:
            allowed_s = STALL_TIMEOUT_S + len(body) / MIN_BYTES_PER_S
            left_s = allowed_s - (time.monotonic() - started_s)
            try:
                async with asyncio.timeout(min(STALL_TIMEOUT_S, left_s)):
                    chunk = await anext(chunks, None)
            except TimeoutError as error:
                raise Refusal(408, "The body arrived too slowly", close=True) from error
            if chunk is None:
                return
            body += chunk
            self.held_bytes += len(chunk)
            if len(body) > MAX_BODY_BYTES:
                raise _too_large()
            if self.held_bytes > MAX_HELD_BYTES:
                raise Refusal(503, TOO_MANY, close=True)


def _too_large() -> Refusal:
    limit = f"the request is larger than {MAX_BODY_BYTES // 2**20} MiB, which is the limit"
    return Refusal(413, f"{limit}. Send fewer or smaller photos, or their URLs.", close=True)
