"""Servers on 127.0.0.1 with faults: no ranges, interrupted transfers, errors, no answer at all."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from localserver import LocalServer, QuietHandler


@dataclass
class Reply:
    """The response for one path.

    Attributes:
        body: content of the file.
        ranges: whether range requests are supported.
        etag: ETag header, if any.
        kind: Content-Type header.
        cuts: for each of the first responses, after how many bytes the connection is closed.
        statuses: status codes of the first responses, which have no body.
        stall: event that is awaited before the body is sent.
        length: whether Content-Length is sent.
        at_most: largest number of bytes in a range response.
        off_by: error of the first byte in Content-Range.
        location: address of a redirect, which is sent instead of the body.
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
    """Serves `replies`, and records every request.

    Attributes:
        replies: the response for each path.
        log: path and Range header of every request.
        hosts: Host header of every request.
        statuses: status code of every response.
        encodings: all values of the Accept-Encoding header.
        agents: all values of the User-Agent header.
    """

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.log: list[tuple[str, str | None]] = []
        self.statuses: list[int] = []
        self.encodings: set[str | None] = set()
        self.agents: set[str | None] = set()
        self.hosts: list[str] = []
        super().__init__(type("BoundFileHandler", (FileHandler,), {"files": self}))

    def url(self, path: str) -> str:
        """The address of a path, which need not exist."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def add(self, path: str, body: bytes, **options: Any) -> str:
        """Serve a file; return its address. Options are those of Reply."""
        self.replies[f"/{path}"] = Reply(body, **options)
        return self.url(path)


def sha256_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def closed_port_url(path: str) -> str:
    """An address where no server listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/{path}"


class SilentPort:
    """A port that accepts connections and never answers."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        self._socket.close()


class FileHandler(QuietHandler):
    """Serves the replies of a FileServer.

    Attributes:
        files: the server; set in a subclass.
    """

    files: FileServer

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        self.files.log.append((self.path, self.headers.get("Range")))
        self.files.encodings.add(self.headers.get("Accept-Encoding"))
        self.files.agents.add(self.headers.get("User-Agent"))
        self.files.hosts.append(self.headers.get("Host", ""))
        reply = self.files.replies.get(self.path.partition("?")[0])
        if reply is None or reply.statuses:
            self._send_head(
                404 if reply is None else reply.statuses.pop(0), {"Content-Length": "0"}
            )
        elif reply.location:
            self._send_head(302, {"Location": reply.location, "Content-Length": "0"})
        else:
            self._send_reply(reply)

    def _send_reply(self, reply: Reply) -> None:
        if reply.stall:
            reply.stall.wait(30)
        body, status, headers = _select_range(reply, self.headers)
        headers["Content-Type"] = reply.kind
        if reply.etag:
            headers["ETag"] = reply.etag
        if reply.length:
            headers["Content-Length"] = str(len(body))
        if reply.cuts or not reply.length:
            # Otherwise the client might send its next request on this connection.
            headers["Connection"] = "close"
        self._send_head(status, headers)
        self._send_body(body[: reply.cuts.pop(0)] if reply.cuts else body)

    def _send_head(self, status: int, headers: dict[str, str]) -> None:
        self.files.statuses.append(status)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_body(self, body: bytes) -> None:
        try:
            self.wfile.write(body)
        except ConnectionError:  # the client closed the connection
            self.close_connection = True


def _select_range(reply: Reply, headers: Message[str, str]) -> tuple[bytes, int, dict[str, str]]:
    """The body, status and headers for a request."""
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("Range", ""))
    if not reply.ranges or not match or headers.get("If-Range", reply.etag) != reply.etag:
        return reply.body, 200, {}
    first, size = int(match[1]), len(reply.body)
    last = min(int(match[2] or size), size - 1, first + reply.at_most - 1)
    if first >= size:
        return b"", 416, {"Content-Range": f"bytes */{size}"}
    content_range = f"bytes {first + reply.off_by}-{last}/{size}"
    return reply.body[first : last + 1], 206, {"Content-Range": content_range}
