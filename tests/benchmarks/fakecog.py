"""A Cog server's HTTP side on 127.0.0.1, as busy, broken or healthy as a test asks."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STAGES_MS = {"decode": 1.0, "net": 10.0}


def success(body: dict[str, object]) -> dict[str, object]:
    """What Restore answers: a picture and a report for each photo."""
    photos = body["input"]["images"]
    report = {"device": "cpu", "precision": "float32", "weights": [{"file": "a.safetensors"}], "stages_ms": STAGES_MS}
    reports = [{**report, "photo": f"images[{n}]", "steps": [], "warnings": ["lite"]} for n in range(len(photos))]
    output = ["data:image/jpeg;base64,AAAA"] * len(photos)
    return {"status": "succeeded", "output": output, "metrics": {"predict_time": 0.05, "photos": reports}}


class FakeCog:
    """Answers `/predictions` as `answers` say, one for each request in turn, then with `success`.

    Attributes:
        answers: a status code with a body, or None to hang up.
        health: what `/health-check` says.
        bodies: the requests, `ports` the clients' ports they came from.
        most_at_once: how many requests were in hand together.
        delay_s: how long each takes.
    """

    def __init__(self) -> None:
        self.answers: list[tuple[int, object] | None] = []
        self.health = "READY"
        self.bodies: list[dict[str, object]] = []
        self.ports: set[int] = set()
        self.most_at_once = self.at_once = 0
        self.delay_s = 0.0
        self.lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @contextmanager
    def served(self, port, environment):
        """Stands in for benchmarks.client.served."""
        yield self.url


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that hangs up is what these tests are about."""


def _handler(server: FakeCog) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self._send(200, {"status": server.health})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with server.lock:
                server.bodies.append(body)
                server.ports.add(self.client_address[1])
                server.at_once += 1
                server.most_at_once = max(server.most_at_once, server.at_once)
                answer = server.answers.pop(0) if server.answers else (200, success(body))
            if server.delay_s:
                time.sleep(server.delay_s)
            with server.lock:
                server.at_once -= 1
            if answer is None:
                self.close_connection = True
            else:
                self._send(*answer)

        def _send(self, status: int, body: object) -> None:
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler
