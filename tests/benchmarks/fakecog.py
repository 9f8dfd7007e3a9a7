"""A Cog server's HTTP side on 127.0.0.1, as busy, broken or healthy as a test asks."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager

from localserver import LocalServer, QuietHandler

STAGES_MS = {"decode": 1.0, "net": 10.0}


def success(body: dict[str, object]) -> dict[str, object]:
    """What Restore answers: a picture and a report for each photo."""
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
        super().__init__(_handler(self))
        self.url = f"http://127.0.0.1:{self.port}"

    @contextmanager
    def served(self, port, environment):
        """Stands in for benchmarks.client.served."""
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
