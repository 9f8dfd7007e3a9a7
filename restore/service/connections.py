"""Connections of clients that are slow, or that send more than is read.

The parser is that of Node.js (llhttp), which is much faster than h11. It has no limit for headers,
and does not demand the header Host: both are checked here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_TIMEOUT_S = 15.0
"""Time in which a connection has to send the headers of a request."""
MAX_HEAD_BYTES = 2**16
"""Limit of the headers of a request, and of the trailers of a chunked body."""
LINGER_S = 2.0
LINGER_BYTES = 4 * 2**20
"""Time and data of a refused upload that are ignored before its connection is closed. A connection
that is closed while data arrive is reset, and the client may lose the response."""


class TimedProtocol(HttpToolsProtocol):
    """A connection with limits on the headers, and on what is ignored of a refused body.

    uvicorn waits for headers forever, and reads a refused body to its end. The time of bodies is
    limited in `bodies.py`.
    """

    _timer: asyncio.TimerHandle | None = None
    _lingering: _Lingering
    _head_bytes = 0

    def connection_made(  # type: ignore[override]
        self, transport: asyncio.Transport
    ) -> None:
        """Start the time of the first request."""
        self._lingering = _Lingering(transport, self.loop, self._has_unread_body)
        super().connection_made(self._lingering)  # type: ignore[arg-type]
        self._update_timer()

    def data_received(self, data: bytes) -> None:
        """Start the time of a further request, or stop it when its headers are complete."""
        if self._lingering.lingers:
            self._lingering.ignore(data)
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The headers are too large.")
        self._update_timer()

    def on_headers_complete(self) -> None:
        """Begin a request.

        Raises:
            ValueError: it has not one header Host, which HTTP/1.1 demands. The parser tells it as
                an error, which is answered with 400.
        """
        self._head_bytes = 0
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):
            raise ValueError(f"the request has {hosts} headers Host")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the body of a request."""
        self._head_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Close the connection if the request was not read to its end."""
        super().on_response_complete()
        if self._has_unread_body():
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time."""
        self._stop_timer()
        self._lingering.stop()
        super().connection_lost(exc)

    def _has_unread_body(self) -> bool:
        cycle: Any = self.cycle  # None before the first request
        return cycle is not None and bool(cycle.more_body)

    def _update_timer(self) -> None:
        # uvicorn declares `cycle` without None, but it is None before the first request.
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._stop_timer()
        elif self._timer is None:
            self._timer = self.loop.call_later(HEADER_TIMEOUT_S, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None


class _Lingering:
    """A transport that is closed some time after a response to a body that is still arriving.

    Args:
        transport: everything but the methods below is its.
        has_unread_body: whether the client still sends a body.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        has_unread_body: Callable[[], bool],
    ) -> None:
        self._transport, self._loop, self._has_unread_body = transport, loop, has_unread_body
        self._timer: asyncio.TimerHandle | None = None
        self._ignored_bytes = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of the transport
        return getattr(self._transport, name)

    @property
    def lingers(self) -> bool:
        """Whether data are ignored, until the transport is closed."""
        return self._timer is not None

    def is_closing(self) -> bool:
        """Return whether nothing more is sent."""
        return self.lingers or self._transport.is_closing()

    def close(self) -> None:
        """Close the transport, or let a client that still sends read the response before."""
        if self.is_closing():
            return
        if not self._has_unread_body():
            self._transport.close()
            return
        self._timer = self._loop.call_later(LINGER_S, self._transport.close)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()

    def ignore(self, data: bytes) -> None:
        """Count data that are ignored; close the transport if there are too many."""
        self._ignored_bytes += len(data)
        if self._ignored_bytes > LINGER_BYTES:
            self._transport.close()

    def stop(self) -> None:
        """Stop the time, because the transport is closed."""
        if self._timer:
            self._timer.cancel()
