"""The HTTP server in front of Cog's: it refuses harmful requests and forwards all others.

One request can make Cog's server refuse all later ones (see `request_body` and `cog_folders`), and
Cog has no setting against it. This application has the same routes. It reads and checks each body,
and streams each response unchanged, but for the refusals of Cog's server, which get a code.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from restore.errors import RestoreError
from restore.serving import cog_folders
from restore.serving.body_reader import BodyReader
from restore.serving.health import HOST, INTERRUPTED
from restore.serving.refusals import coded, with_code
from restore.serving.request_body import Refusal, check_id, parse_body, write_body

CONNECT_TIMEOUT_S = 10.0
INLINE_BYTES = 2**16
"""Larger bodies are parsed in a thread, so that other requests do not wait."""

JSON_TYPE = {"content-type": "application/json"}
NO_TYPE = "The body has no type: send it with the header `Content-Type: application/json`"
FORWARDED_HEADERS = ("accept", "prefer", "traceparent", "tracestate", "user-agent")
"""The headers of a request that Cog's server may read, besides the type of the body."""
CONNECTION_HEADERS = frozenset({"connection", "keep-alive", "transfer-encoding", "date"})
"""Headers of a response that belong to one connection."""

NOT_READY = {
    "error": "Setup has not finished yet. Wait until it has finished, or GET /health-check for"
    " status.",
    "status": "failed",
}
STARTING = {"status": "STARTING", "setup": {"status": "starting"}, "version": {}}


@dataclass
class Backend:
    """Where Cog's server listens.

    Attributes:
        port: its port on 127.0.0.1, or None while there is no server.
    """

    port: int | None = None


def front_app(backend: Backend) -> Starlette:
    """Build the application.

    Args:
        backend: the server to forward to; its port may change while the application runs.
    """
    front = _Front(backend)
    routes = [
        Route("/", front.forward),
        Route("/openapi.json", front.forward),
        Route("/health-check", front.health),
        Route("/shutdown", front.forward, methods=["POST"]),
    ]
    for kind in ("predictions", "trainings"):
        routes += [
            Route(f"/{kind}", front.create, methods=["POST"]),
            Route(f"/{kind}/{{id:path}}/cancel", front.cancel, methods=["POST"]),
            Route(f"/{kind}/{{id:path}}", front.create, methods=["PUT"]),
        ]
    handlers = {Refusal: _refuse, RestoreError: _report, ClientDisconnect: _ignore}
    app = Starlette(routes=routes, lifespan=front.lifespan, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


class _Front:
    """The handlers of the application."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.bodies = BodyReader()
        self.client: httpx.AsyncClient

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Keep connections to Cog's server open while the application runs."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT_S)
        async with httpx.AsyncClient(
            limits=limits,
            timeout=timeout,
            trust_env=False,
            headers={"accept-encoding": "identity"},
        ) as client:
            self.client = client
            yield

    async def forward(self, request: Request) -> Response:
        """Forward a request without its body."""
        return await self._send(request, request.scope["path"])

    async def health(self, request: Request) -> Response:
        """Forward a health check; while Cog's server is started again, the status is STARTING."""
        response = await self.forward(request)
        return JSONResponse(STARTING) if response.status_code == 503 else response

    async def cancel(self, request: Request) -> Response:
        """Forward the cancellation of a prediction."""
        prediction_id = check_id(request.path_params["id"], "path", "id")
        return await self._send(request, f"{_kind(request)}/{prediction_id}/cancel")

    async def create(self, request: Request) -> Response:
        """Forward a prediction, with an id if it has none."""
        path_id = request.path_params.get("id")
        path = _kind(request)
        if path_id is not None:
            path += f"/{check_id(path_id, 'path', 'id')}"
        content_type = request.headers.get("content-type")
        if content_type is None:  # then Cog ignores the body
            if _has_body(request):
                raise Refusal(415, NO_TYPE, close=True)
            return await self._predict(request, path, path_id, {})
        if not _is_json(content_type):  # Cog refuses it
            return await self._send(request, path, b"", {"content-type": content_type})
        async with self.bodies.read(request) as body:
            prediction = await _in_thread_if_large(body, parse_body)
            return await self._predict(request, path, path_id, prediction)

    async def _predict(
        self, request: Request, path: str, path_id: str | None, prediction: dict[str, Any]
    ) -> Response:
        """Forward a prediction, and delete its folders when it has ended.

        Raises:
            RestoreError: SERVER if Cog could not make the folders, which would leak its slot.
        """
        prediction_id = path_id or prediction.get("id") or f"pred_{uuid.uuid4().hex}"
        if path_id is None:
            prediction["id"] = prediction_id
        content = write_body(prediction)
        cog_folders.check_folder(prediction_id, len(content))
        response = await self._send(request, path, content, JSON_TYPE)
        if response.status_code == 200:
            # In a thread, after the response is sent: on some disks this takes milliseconds.
            response.background = BackgroundTask(cog_folders.delete_folders, prediction_id)
        return response

    async def _send(
        self,
        request: Request,
        path: str,
        content: bytes = b"",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Response:
        """Send a request to Cog's server, and return its response as it arrives.

        The request is dropped when the client leaves: Cog then cancels the prediction.

        Raises:
            ClientDisconnect: the client has left.
        """
        if self.backend.port is None:
            return JSONResponse(NOT_READY, 503)
        kept = {name: value for name in FORWARDED_HEADERS if (value := request.headers.get(name))}
        outgoing = self.client.build_request(
            request.method,
            f"http://{HOST}:{self.backend.port}{path}",
            content=content,
            headers={**kept, **headers},
        )
        try:
            incoming = await _until_disconnect(request, self.client.send(outgoing, stream=True))
        except (httpx.ConnectError, httpx.ConnectTimeout):
            return JSONResponse(NOT_READY, 503)
        except httpx.TransportError:
            return JSONResponse(INTERRUPTED, 503)
        received = {
            name: value
            for name, value in incoming.headers.items()
            if name.lower() not in CONNECTION_HEADERS
        }
        if incoming.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
            received.pop("content-length", None)
            return Response(with_code(await _read(incoming)), incoming.status_code, received)
        return StreamingResponse(_stream(incoming), incoming.status_code, received)


async def _read(incoming: httpx.Response) -> bytes:
    return b"".join([chunk async for chunk in _stream(incoming)])


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


async def _in_thread_if_large(
    body: bytes, function: Callable[[bytes], dict[str, Any]]
) -> dict[str, Any]:
    return function(body) if len(body) <= INLINE_BYTES else await asyncio.to_thread(function, body)


def _kind(request: Request) -> str:
    """Return `/predictions` or `/trainings`."""
    # `request.url` contains the Host header, which the client chooses.
    return "/" + str(request.scope["path"]).split("/")[1]


def _has_body(request: Request) -> bool:
    size = request.headers.get("content-length", "0")
    return size != "0" or "transfer-encoding" in request.headers


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )


def _refuse(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    headers = {"connection": "close"} if refusal.close else None
    if isinstance(refusal.content, str):
        return PlainTextResponse(refusal.content, refusal.status, headers)
    return JSONResponse(coded(refusal.content), refusal.status, headers)


def _report(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error), "status": "failed"}, 503)


def _ignore(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody receives it
