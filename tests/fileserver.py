"""A web server on 127.0.0.1 that misbehaves on request: ranges or none, cut connections, pages, wrong status codes."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from dataclasses import dataclass, field

from localserver import LocalServer, QuietHandler


@dataclass
class Reply:
    """How one path is answered.

    Attributes:
        cuts: for each of the first answers, after how many bytes the connection is cut.
        statuses: status codes of the first answers, which then carry no body.
        stall: answers wait for this event before the body.
        length: whether Content-Length is sent.
        at_most: most bytes that a range brings.
        off_by: error of the first byte that Content-Range tells.
        location: where the client is sent in place of an answer.
    """

    body: bytes
    ranges: bool = True
    etag: str | None = '"one"'
    kind: str = "application/octet-stream"
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    stall: threading.Event | None = None
    length: bool = True
    at_most: int = 1 << 30
    off_by: int = 0
    location: str = ""


class FileServer(LocalServer):
    """Serves `replies`; `log` holds (path, Range header or None) of every request, `hosts` its host, `statuses` the answers' codes."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.log: list[tuple[str, str | None]] = []
        self.statuses: list[int] = []
        self.encodings: set[str | None] = set()
        self.hosts: list[str] = []
        super().__init__(_handler(self))

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def add(self, path: str, body: bytes, **how: object) -> str:
        self.replies[f"/{path}"] = Reply(body, **how)
        return self.url(path)


def sha(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def closed_port_url(path: str) -> str:
    """An address where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/{path}"


def _handler(server: FileServer) -> type[QuietHandler]:
    class Handler(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
            server.log.append((self.path, self.headers.get("Range")))
            server.encodings.add(self.headers.get("Accept-Encoding"))
            server.hosts.append(self.headers.get("Host", ""))
            reply = server.replies.get(self.path.partition("?")[0])
            if reply is None or reply.statuses:
                self._head(404 if reply is None else reply.statuses.pop(0), {"Content-Length": "0"})
                return
            if reply.location:
                self._head(302, {"Location": reply.location, "Content-Length": "0"})
                return
            if reply.stall:
                reply.stall.wait(30)
            body, status, headers = _selected(reply, self.headers)
            headers["Content-Type"] = reply.kind
            if reply.etag:
                headers["ETag"] = reply.etag
            if reply.length:
                headers["Content-Length"] = str(len(body))
            if reply.cuts or not reply.length:
                headers["Connection"] = (
                    "close"  # said aloud, lest the client send its next request into a dying connection
                )
            self._head(status, headers)
            self._send(body[: reply.cuts.pop(0)] if reply.cuts else body)

        def _head(self, status: int, headers: dict[str, str]) -> None:
            server.statuses.append(status)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def _send(self, body: bytes) -> None:
            try:
                self.wfile.write(body)
            except ConnectionError:  # the client had read enough
                self.close_connection = True

    return Handler


def _selected(reply: Reply, asked: object) -> tuple[bytes, int, dict[str, str]]:
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.get("Range", ""))
    if not reply.ranges or not found or asked.get("If-Range", reply.etag) != reply.etag:
        return reply.body, 200, {}
    first = int(found[1])
    last = min(int(found[2] or len(reply.body)), len(reply.body) - 1, first + reply.at_most - 1)
    if first >= len(reply.body):
        return b"", 416, {"Content-Range": f"bytes */{len(reply.body)}"}
    return (
        reply.body[first : last + 1],
        206,
        {"Content-Range": f"bytes {first + reply.off_by}-{last}/{len(reply.body)}"},
    )
