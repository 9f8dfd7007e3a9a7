"""A receiver of webhooks, which verifies and counts them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from standardwebhooks import Webhook


@dataclass
class Events:
    """The webhook events that have arrived: ids by job."""

    ids_of: dict[str, set[str]] = field(default_factory=dict)
    calls: int = 0
    unverified: int = 0


class Receiver:
    """Receives webhooks, and verifies each of them, within a `with` block.

    Attributes:
        secrets: those of all clients, by the number in the path.
        events: what has arrived.
        url: base of the URLs of the clients.
    """

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self.events = Events()
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["content-length"])
                body = self.rfile.read(size)
                if len(body) < size:  # its sender was killed, and the next one sends it again
                    return
                receiver.receive(self.path.strip("/"), body, dict(self.headers.items()))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def receive(self, client: str, body: bytes, headers: dict[str, str]) -> None:
        """Count an event whose signature is right."""
        headers = {name.lower(): value for name, value in headers.items()}
        try:
            job = Webhook(self.secrets[client]).verify(body, headers)
        except Exception:  # noqa: BLE001 - any reason is a failure of the run
            with self._lock:
                self.events.unverified += 1
            return
        with self._lock:
            self.events.calls += 1
            self.events.ids_of.setdefault(job["id"], set()).add(headers["webhook-id"])
