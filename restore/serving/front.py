"""The HTTP server in front of Cog's: it refuses harmful requests and forwards all others.

One request can make Cog's server refuse all later ones (see `request_body` and `cog_folders`), and
Cog has no setting against it. This application has the same routes. It reads and checks each body,
and streams each response unchanged, but for errors, which get a code.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from restore.errors import Code, RestoreError
from restore.serving import cog_folders
from restore.serving.body_reader import BodyReader
from restore.serving.cog_connection import Backend, CogConnection, in_thread_if_large
from restore.serving.input_names import check_names
from restore.serving.refusals import failure, refusal_content
from restore.serving.request_body import Refusal, check_id, parse_body, write_body

JSON_TYPE = {"content-type": "application/json"}
NO_TYPE = "The body has no type. Send it with the header `Content-Type: application/json`."
OTHER_TYPE = "The body is not JSON. Send JSON with the header `Content-Type: application/json`."
STARTING = {"status": "STARTING", "setup": {"status": "starting"}, "version": {}}


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
    handlers = {
        Refusal: _refuse,
        RestoreError: _report,
        HTTPException: _no_route,
        ClientDisconnect: _ignore,
    }
    app = Starlette(routes=routes, lifespan=front.lifespan, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


class _Front:
    """The handlers of the application."""

    def __init__(self, backend: Backend) -> None:
        self.cog = CogConnection(backend)
        self.bodies = BodyReader()

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Keep connections to Cog's server open while the application runs."""
        async with self.cog.opened():
            yield

    async def forward(self, request: Request) -> Response:
        """Forward a request without its body."""
        return await self.cog.send(request, request.scope["path"])

    async def health(self, request: Request) -> Response:
        """Forward a health check; while Cog's server is started again, the status is STARTING."""
        response = await self.forward(request)
        return JSONResponse(STARTING) if response.status_code == 503 else response

    async def cancel(self, request: Request) -> Response:
        """Forward the cancellation of a prediction."""
        prediction_id = check_id(request.path_params["id"], "path", "id")
        response = await self.cog.send(request, f"{_kind(request)}/{prediction_id}/cancel")
        if response.status_code == HTTPStatus.NOT_FOUND:
            reason = f"no prediction '{prediction_id}' is running"
            remedy = "Check its id; predictions that have ended cannot be cancelled."
            return JSONResponse(failure(Code.JOB_MISSING, reason, remedy), response.status_code)
        return response

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
        if not _is_json(content_type):
            raise Refusal(415, OTHER_TYPE, close=True)
        async with self.bodies.read(request) as body:
            prediction = await in_thread_if_large(body, parse_body)
            check_names(prediction)
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
        response = await self.cog.send(request, path, content, JSON_TYPE)
        if response.status_code == 200:
            # In a thread, after the response is sent: on some disks this takes milliseconds.
            response.background = BackgroundTask(cog_folders.delete_folders, prediction_id)
        return response


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
    return JSONResponse(refusal_content(refusal), refusal.status, headers)


def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reason = f"there is no {request.method} {request.scope['path']}"
    content = failure(Code.REQUEST_INVALID, reason, "See /openapi.json for the routes.")
    return JSONResponse(content, error.status_code, error.headers)


def _report(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error), "status": "failed"}, 503)


def _ignore(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody receives it
