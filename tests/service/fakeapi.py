"""A small server with the routes that the page uses: no queue, no database, no networks.

A prediction moves on by one state each time that it is asked for, so that tests do not wait.
"""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Mapping
from typing import Any

import uvicorn
from PIL import Image, ImageOps, UnidentifiedImageError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from restore.service.page_files import PageFiles
from restore.serving.schema import openapi_schema

Json = dict[str, Any]
VERSION = "f" * 64
STARTED = "2026-11-27T12:00:00.000000Z"
FINAL = frozenset({"succeeded", "failed", "canceled"})


class FakeApi:
    """The server. Tests change its attributes while it runs.

    Attributes:
        predictions: all predictions by id.
        files: name, media type and content of all files by id.
        requests: method and path of all requests.
        key: the API key that requests need, or "".
        refusal: message with which all new jobs are refused, or "".
        holds: whether jobs stay `processing` until they are cancelled.
        faces: boxes of the faces that `inspect` finds, from left to right.
        steps: task and reason of the steps that `inspect` proposes; "restore:deblur" is a task and
            its work.
        warnings: warnings in the report of each job.
        max_pixels: size above which a photo is refused, or reduced to half its sides with
            `max_megapixels`.
        removed: whether inputs and outputs of all jobs have been removed.
    """

    def __init__(self) -> None:
        self.predictions: dict[str, Json] = {}
        self.files: dict[str, tuple[str, str, bytes]] = {}
        self.requests: list[str] = []
        self.key = ""
        self.refusal = ""
        self.holds = False
        self.faces: list[list[float]] = []
        self.steps: list[tuple[str, str]] = [("colorize", "the photo is grey")]
        self.warnings: list[str] = []
        self.max_pixels = 50_000_000
        self.removed = False
        app = Starlette(routes=[*self._routes(), *PageFiles().routes()])
        config = uvicorn.Config(app, port=0, log_level="error", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://127.0.0.1:{self.port}/"

    def close(self) -> None:
        """Stop the server."""
        self._server.should_exit = True
        self._thread.join()

    def of_task(self, task: str) -> list[Json]:
        """The predictions of a task, in order."""
        return [each for each in self.predictions.values() if each["input"]["task"] == task]

    def _routes(self) -> list[Route]:
        return [
            Route("/v1/models", self._models),
            Route("/v1/files", self._upload, methods=["POST"]),
            Route("/v1/files/{id}/token/{name}", self._download),
            Route("/v1/predictions", self._create, methods=["POST"]),
            Route("/v1/predictions/{id}", self._get),
            Route("/v1/predictions/{id}/cancel", self._cancel, methods=["POST"]),
        ]

    def _refusal(self, request: Request) -> Response | None:
        self.requests.append(f"{request.method} {request.url.path}")
        if not self.key or request.headers.get("authorization") == f"Bearer {self.key}":
            return None
        return _problem(401, "[E601] the request has no valid API key. Send one.")

    async def _models(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        version = {"id": VERSION, "openapi_schema": openapi_schema()}
        model = {"owner": "restore", "name": "restore", "latest_version": version}
        return JSONResponse({"results": [model]})

    async def _upload(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        async with request.form() as form:
            upload: Any = form["content"]
            content = await upload.read()
        file_id = self._store(upload.filename, upload.content_type or "", content)
        urls = {"get": f"{self.url}v1/files/{file_id}", "download": self._address(file_id)}
        answer = {"id": file_id, "urls": urls, "expires_at": "2999-01-01T00:00:00.000000Z"}
        return JSONResponse(answer, 201)

    async def _download(self, request: Request) -> Response:
        _, media_type, content = self.files[request.path_params["id"]]
        return Response(content, media_type=media_type)

    async def _create(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        body = await request.json()
        assert body["version"] == VERSION
        if self.refusal:
            return _problem(429, self.refusal)
        prediction_id = f"{len(self.predictions) + 1:026d}".replace("0", "a")
        self.predictions[prediction_id] = {
            "id": prediction_id,
            "status": "starting",
            "input": body["input"],
            "output": None,
            "logs": "",
            "error": None,
            "metrics": {"queue_position": 2},
            "created_at": STARTED,
            "data_removed": False,
        }
        return JSONResponse(self.predictions[prediction_id], 201)

    async def _get(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        prediction = self.predictions.get(request.path_params["id"])
        if prediction is None:
            return _problem(404, "[E602] there is no such job. Check its id.")
        if self.removed:
            prediction |= {"input": {}, "output": None, "data_removed": True}
        elif prediction["status"] not in FINAL:
            self._advance(prediction)
        return JSONResponse(_with_addresses(prediction, self))

    async def _cancel(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        prediction = self.predictions[request.path_params["id"]]
        prediction["status"] = "canceled"
        return JSONResponse(prediction)

    def _advance(self, prediction: Json) -> None:
        task = prediction["input"]["task"]
        if prediction["status"] == "starting" and task != "inspect":
            prediction |= {"status": "processing", "metrics": {"worker": "cpu-0"}}
            prediction["logs"] = "loading\n" + _bar(task, 5)
        elif not self.holds or task == "inspect":
            self._finish(prediction)

    def _finish(self, prediction: Json) -> None:
        name, _, content = self.files[_file_id(prediction["input"]["image"])]
        try:
            photo = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
        except UnidentifiedImageError:
            error = f"[E205] photo '{name}': it is not a photo. Send JPEG, PNG or WebP."
            prediction |= {"status": "failed", "error": error}
            return
        if photo.width * photo.height > self.max_pixels:
            if "max_megapixels" not in prediction["input"]:
                error = f"[E203] photo '{name}': too many pixels. Set max_megapixels to reduce it."
                prediction |= {"status": "failed", "error": error}
                return
            photo = ImageOps.scale(photo, 0.5)
        if prediction["input"]["task"] == "inspect":
            output = self._store("a.json", "application/json", self._inspection(photo))
        else:
            output = self._store("a.jpg", "image/jpeg", restored(photo))
        report = {
            "output": {"width": 2 * photo.width, "height": 2 * photo.height},
            "warnings": self.warnings,
        }
        prediction |= {"status": "succeeded", "output": [output], "logs": _bar("upscale", 12)}
        prediction["metrics"] = {"photos": [report], "predict_time": 1.4}

    def _inspection(self, photo: Image.Image) -> bytes:
        steps = [
            {"task": name.partition(":")[0], "work": name.partition(":")[2], "reason": why}
            for name, why in self.steps
        ]
        faces = [
            {"index": index, "box": box, "restorable": True, "reason": ""}
            for index, box in enumerate(self.faces)
        ]
        facts = {"width": photo.width, "height": photo.height}
        found = {"photo": facts, "steps": steps, "faces": faces, "warnings": []}
        return json.dumps(found).encode()

    def _store(self, name: str, media_type: str, content: bytes) -> str:
        file_id = f"file{len(self.files)}"
        self.files[file_id] = (name, media_type, content)
        return file_id

    def _address(self, file_id: str) -> str:
        # Another host, as if the service had a public name: the page must not use it.
        return f"http://photos.invalid/v1/files/{file_id}/token/{self.files[file_id][0]}"


def restored(photo: Image.Image) -> bytes:
    """The result of a photo: twice its size, lighter, as JPEG."""
    larger = photo.convert("RGB").resize((2 * photo.width, 2 * photo.height))
    stream = io.BytesIO()
    ImageOps.autocontrast(ImageOps.posterize(larger, 5), cutoff=2).save(stream, "JPEG")
    return stream.getvalue()


def _bar(task: str, done: int) -> str:
    return f"{100 * done // 12:3d}%|{'#' * done:12}| {done}/12 [00:03<00:04] {task}: tiles\n"


def _file_id(address: str) -> str:
    return address.rsplit("/v1/files/", 1)[1].split("/", maxsplit=1)[0]


def _with_addresses(prediction: Json, api: FakeApi) -> Json:
    """The prediction as it is sent: files have addresses that need no key."""
    answer = {**prediction, "input": dict(prediction["input"])}
    if "image" in answer["input"]:
        answer["input"]["image"] = api._address(_file_id(answer["input"]["image"]))
    if answer["output"]:
        answer["output"] = [api._address(file_id) for file_id in answer["output"]]
    return answer


def _problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    content = {"title": "refused", "detail": detail, "status": status}
    return JSONResponse(content, status, headers)
