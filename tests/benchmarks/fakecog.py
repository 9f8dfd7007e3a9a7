"""A fake of Cog's HTTP server whose responses, delays and health a test chooses."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from localserver import LocalServer, QuietHandler

STAGES_MS = {"decode": 1.0, "net": 10.0}


def success(body: Mapping[str, Any]) -> dict[str, object]:
    """Return the response of a server that restored all photos."""
    photos = body["input"]["images"]
    report = {
        "device": "cpu",
        "precision": "float32",
        "weights": [{"file": "a.safetensors"}],
        "stages_ms": STAGES_MS,
    }
    reports = [
        {**report, "photo": f"images[{n}]", "steps": [], "warnings": ["lite"]}
        for n in range(len(photos))
    ]
    output = ["data:image/jpeg;base64,AAAA"] * len(photos)
    return {
        "status": "succeeded",
        "output": output,
        "metrics": {"predict_time": 0.05, "photos": reports},
    }


class FakeCog(LocalServer):
    """Responds to `/predictions` with `responses` in turn, and with `success` after the last.

    Attributes:
        responses: each a status code and a body, or None to close the connection.
        health: status in the response to `/health-check`.
        bodies: bodies of the requests.
        ports: ports of the clients that sent them.
        max_concurrent: the largest number of requests at the same time.
        delay_s: duration of each request.
        environments: environments with which `served` was called.
    """

    def __init__(self) -> None:
        self.responses: list[tuple[int, object] | None] = []
        self.health = "READY"
        self.bodies: list[dict[str, Any]] = []
        self.ports: set[int] = set()
        self.max_concurrent = self.concurrent = 0
        self.delay_s = 0.0
        self.environments: list[Mapping[str, str]] = []
        self.lock = threading.Lock()
        super().__init__(_handler(self))
        self.url = f"http://127.0.0.1:{self.port}"

    @contextmanager
    def served(self, port: int, environment: Mapping[str, str]) -> Iterator[str]:
        """Replace benchmarks.server.served."""
        self.environments.append(environment)
        yield self.url


def _handler(server: FakeCog) -> type[QuietHandler]:
    class Handler(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
            self._send(200, {"status": server.health})

        def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with server.lock:
                server.bodies.append(body)
                server.ports.add(self.client_address[1])
                server.concurrent += 1
                server.max_concurrent = max(server.max_concurrent, server.concurrent)
                response = server.responses.pop(0) if server.responses else (200, success(body))
            if server.delay_s:
                time.sleep(server.delay_s)
            with server.lock:
                server.concurrent -= 1
            if response is None:
                self.close_connection = True
            else:
                self._send(*response)

        def _send(self, status: int, body: object) -> None:
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler
