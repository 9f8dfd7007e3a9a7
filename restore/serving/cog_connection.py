"""Sending requests to Cog's server, and returning its responses as they arrive."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, TypeVar

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from restore.serving.health import HOST, INTERRUPTED
from restore.serving.refusals import with_code

CONNECT_TIMEOUT_S = 10.0
INLINE_BYTES = 2**16
"""Larger bodies are parsed in a thread, so that other requests do not wait."""
MAX_EXAMINED_BYTES = 2**20
"""Responses with status 200 that are larger are results, and no errors."""
ERROR_STATUSES = (HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND)
SLOT_TIMEOUT_S = 1.0
"""Time after a prediction in which Cog's server gets free: some milliseconds after the response."""
FIRST_PAUSE_S, MAX_PAUSE_S = 0.005, 0.1

FORWARDED_HEADERS = ("accept", "prefer", "traceparent", "tracestate", "user-agent")
"""The headers of a request that Cog's server may read, besides the type of the body."""
CONNECTION_HEADERS = frozenset({"connection", "keep-alive", "transfer-encoding", "date"})
"""Headers of a response that belong to one connection."""

STOPPING = {
    "error": "[E504] the server is stopping. Send the request to another server, or again when it"
    " has been started.",
    "status": "failed",
}
NOT_READY = {
    "error": "[E504] the server is not ready, because it loads its networks or is started again."
    " Send the request again when GET /health-check says READY.",
    "status": "failed",
}

T = TypeVar("T")


@dataclass
class Backend:
    """Where Cog's server listens.

    Attributes:
        port: its port on 127.0.0.1, or None while there is no server.
        is_stopping: whether new predictions are refused, because the server ends.
        sending: number of predictions without a response.
    """

    port: int | None = None
    is_stopping: bool = False
    sending: int = 0


class CogConnection:
    """Sends requests over connections that stay open."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._client: httpx.AsyncClient
        self._running = 0
        self._ended_s = -math.inf

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Keep connections to Cog's server open during a `with` block."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT_S)
        async with httpx.AsyncClient(
            limits=limits,
            timeout=timeout,
            trust_env=False,
            headers={"accept-encoding": "identity"},
        ) as client:
            self._client = client
            yield

    async def send(
        self,
        request: Request,
        path: str,
        content: bytes = b"",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Response:
        """Send a request, and return the response; errors get a code.

        The request is dropped when the client leaves: Cog then cancels the prediction.

        Args:
            request: the request of the client.
            content: the body of a prediction; other requests have none.

        Raises:
            ClientDisconnect: the client has left.
        """
        if not content:
            return await self._forward(request, path, content, headers)
        if self._backend.is_stopping:
            return JSONResponse(STOPPING, 503)
        self._backend.sending += 1  # before any other task runs: see `Supervisor`
        try:
            return await self._forward(request, path, content, headers)
        finally:
            self._backend.sending -= 1

    async def _forward(
        self, request: Request, path: str, content: bytes, headers: Mapping[str, str]
    ) -> Response:
        if self._backend.port is None:
            return JSONResponse(NOT_READY, 503)
        kept = {name: value for name in FORWARDED_HEADERS if (value := request.headers.get(name))}
        outgoing = self._client.build_request(
            request.method,
            f"http://{HOST}:{self._backend.port}{path}",
            content=content,
            headers={**kept, **headers},
        )
        try:
            sending = self._predict(outgoing) if content else self._send(outgoing)
            incoming = await _until_disconnect(request, sending)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            return JSONResponse(NOT_READY, 503)
        except httpx.TransportError:
            return JSONResponse(INTERRUPTED, 503)
        received = {
            name: value
            for name, value in incoming.headers.items()
            if name.lower() not in CONNECTION_HEADERS
        }
        status = incoming.status_code
        if status in ERROR_STATUSES or _may_be_a_failure(incoming):
            received.pop("content-length", None)
            answer = b"".join([chunk async for chunk in _stream(incoming)])
            answer = await in_thread_if_large(answer, partial(with_code, status=status))
            return Response(answer, status, received)
        return StreamingResponse(_stream(incoming), status, received)

    async def _send(self, outgoing: httpx.Request) -> httpx.Response:
        return await self._client.send(outgoing, stream=True)

    async def _predict(self, outgoing: httpx.Request) -> httpx.Response:
        """Send a prediction, again as long as Cog's server is not free from the one before."""
        pause_s = FIRST_PAUSE_S
        while True:
            self._running += 1
            try:
                incoming = await self._send(outgoing)
            finally:
                self._running -= 1
            if incoming.status_code == HTTPStatus.OK:
                self._ended_s = time.monotonic()
            elif incoming.status_code == HTTPStatus.ACCEPTED:
                self._ended_s = -math.inf  # an asynchronous prediction has taken the slot
            gets_free = not self._running and time.monotonic() < self._ended_s + SLOT_TIMEOUT_S
            if incoming.status_code != HTTPStatus.CONFLICT or not gets_free:
                return incoming
            await incoming.aread()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)


async def in_thread_if_large(content: bytes, function: Callable[[bytes], T]) -> T:
    """Call a function, in a thread if its content is large."""
    if len(content) <= INLINE_BYTES:
        return function(content)
    return await asyncio.to_thread(function, content)


def _may_be_a_failure(incoming: httpx.Response) -> bool:
    size = incoming.headers.get("content-length", "")
    return incoming.status_code == HTTPStatus.SERVICE_UNAVAILABLE or (
        incoming.status_code == HTTPStatus.OK
        and size.isdecimal()
        and int(size) <= MAX_EXAMINED_BYTES
    )


async def _stream(incoming: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in incoming.aiter_raw():
            yield chunk
    finally:
        await incoming.aclose()


async def _until_disconnect(
    request: Request, sending: Coroutine[Any, Any, httpx.Response]
) -> httpx.Response:
    """Wait for a response, but no longer than the client is connected.

    Raises:
        ClientDisconnect: the client has left.
    """
    response, leaving = asyncio.create_task(sending), asyncio.create_task(_disconnect(request))
    try:
        await asyncio.wait({response, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not response.done():
            raise ClientDisconnect
        return response.result()
    finally:
        for task in (response, leaving):
            task.cancel()


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
