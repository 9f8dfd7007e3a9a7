"""A server that speaks as Cog's does, and that a test can let die at any stage of a request."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

PNG = b"\x89PNG result"


def data_uri(data: bytes, content_type: str = "image/png") -> str:
    return f"data:{content_type};base64,{base64.b64encode(data).decode()}"


def succeeded(*outputs: str, **fields: Any) -> dict[str, Any]:
    """The answer to a prediction with results."""
    return {
        "logs": "all done\n",
        "metrics": {"photos": [{"photo": "image"}], "predict_time": 0.25},
        "output": list(outputs or [data_uri(PNG)]),
        "status": "succeeded",
        **fields,
    }


class Died(Exception):  # noqa: N818 - it is no error
    """The server closes the connection without a further word."""


class FakeCog:
    """Answers predictions one after the other with `behaviours`, and then with success.

    A behaviour is called with the reading and writing end of the connection before the body is
    read. It may raise Died; or return a status and the JSON of the answer.

    Attributes:
        status: what health checks say; None means that they are not answered.
        requests: the bodies of all predictions.
        cancelled: the ids of all cancelled predictions.
        logs: of the running prediction.
    """

    def __init__(self) -> None:
        self.status: str | None = "READY"
        self.behaviours: list[Callable[[Request], Any]] = []
        self.requests: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.cancelled: list[str] = []
        self.logs = ""
        self.running: str | None = None
        self.cancellation = asyncio.Event()
        self._connections: list[asyncio.Task[None]] = []

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve inside a block, and yield the URL."""
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.close()
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            await asyncio.sleep(0)  # the transports close their sockets

    def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.append(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(Died, ConnectionError, asyncio.IncompleteReadError):
                while head := await reader.readuntil(b"\r\n\r\n"):
                    await self._handle(Request(head.decode(), reader, writer))
        finally:
            writer.transport.abort()

    async def _handle(self, request: Request) -> None:
        _, _, *path = request.path.split("/")
        if request.path == "/health-check":
            await request.body()
            if self.status is None:
                await asyncio.sleep(3600)
            await request.answer(200, {"status": self.status, "setup": {"logs": "why"}})
        elif request.method == "POST":
            self.cancelled.append(path[0])
            self.cancellation.set()
            await request.answer(200, {})
        elif path[0] == self.running:
            await request.body()
            await request.answer(202, {"id": path[0], "logs": self.logs, "status": "processing"})
        else:
            await self._predict(path[0], request)

    async def _predict(self, prediction_id: str, request: Request) -> None:
        self.running = prediction_id
        try:
            behaviour = self.behaviours.pop(0) if self.behaviours else None
            found = behaviour and await behaviour(request)
            self.requests.append(json.loads(await request.body()))
            self.ids.append(prediction_id)
            status, content = found or (200, succeeded())
        finally:
            self.running = None
        await request.answer(status, content)


class Request:
    """A request whose body has not been read."""

    def __init__(
        self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        first, *lines = head.strip().split("\r\n")
        self.method, self.path, _ = first.split(" ")
        self.headers = {
            name.lower(): value for name, value in (line.split(": ", 1) for line in lines)
        }
        self.reader, self.writer = reader, writer
        self._body: bytes | None = None

    async def body(self) -> bytes:
        if self._body is None:
            size = int(self.headers.get("content-length", 0))
            self._body = await self.reader.readexactly(size)
        return self._body

    async def answer(self, status: int, content: Any) -> None:
        data = json.dumps(content).encode()
        self.writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n" % (status, len(data)))
        self.writer.write(data)
        await self.writer.drain()


async def dies_before_reading(request: Request) -> None:
    raise Died


async def dies_while_working(request: Request) -> None:
    await request.body()
    raise Died


async def dies_after_its_headers(request: Request) -> None:
    await request.body()
    request.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    await request.writer.drain()
    raise Died


async def dies_within_a_result(request: Request) -> None:
    await request.body()
    text = json.dumps(succeeded()).encode()[:-60]
    request.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + text)
    await request.writer.drain()
    raise Died


async def ends_its_answer_early(request: Request) -> None:
    await request.body()
    text = json.dumps(succeeded()).encode()[:-60]
    request.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(text), text))
    await request.writer.drain()
    raise Died


async def says_that_its_process_crashed(request: Request) -> tuple[int, Any]:
    return 200, {"error": "Worker crashed", "logs": "", "status": "failed"}


async def says_that_its_server_was_restarted(request: Request) -> tuple[int, Any]:
    return 503, {
        "error": "[E504] the server was started again while it worked on this request."
        " Send it again.",
        "status": "failed",
    }


DEATHS = (
    dies_before_reading,
    dies_while_working,
    dies_after_its_headers,
    dies_within_a_result,
    ends_its_answer_early,
    says_that_its_process_crashed,
    says_that_its_server_was_restarted,
)
