"""A small HTTP/1.1 client for workers, on connections that stay open.

A job is one request to a worker. General clients take milliseconds of a core for it, because they
support much that is not needed here: redirects, cookies, proxies and HTTP/2.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from urllib.parse import SplitResult, unquote, urlsplit

import h11

from restore.errors import system_reason

CONNECT_TIMEOUT_S = 5.0
PIECE_BYTES = 2**20
KEEP_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 6),
)
"""Nothing is sent while a prediction runs. Routers forget idle connections, and a machine without
power does not close them: the kernel keeps them alive, and notices if they are dead."""

Headers = Sequence[tuple[str, str]]
Body = bytes | AsyncIterator[bytes]


class ConnectionFailed(Exception):  # noqa: N818
    """No connection could be made: the server has not seen the request."""


class ConnectionBroken(Exception):  # noqa: N818
    """The connection ended, or the server sent something else than HTTP."""


class Response:
    """A response whose body has not been read.

    Attributes:
        status: HTTP status.
    """

    def __init__(self, connection: _Connection, status: int) -> None:
        self.status = status
        self._connection = connection

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives.

        Raises:
            ConnectionBroken
        """
        while isinstance(event := await self._connection.next_event(), h11.Data):
            yield bytes(event.data)

    async def read(self) -> bytes:
        """Return the whole body.

        Raises:
            ConnectionBroken
        """
        return b"".join([piece async for piece in self.pieces()])


class HttpClient:
    """Sends requests to one server. Several may run at a time, each on its own connection.

    Args:
        url: base URL of the server, http or https; it may have a user name and a password.
    """

    def __init__(self, url: str) -> None:
        self._idle: list[_Connection] = []
        self.move(url)

    def move(self, url: str) -> None:
        """Send further requests to another base URL."""
        self._base = urlsplit(url)
        self._path = self._base.path.rstrip("/")
        self._headers = [("host", self._base.netloc.rpartition("@")[2])]
        if self._base.username is not None:
            user = f"{unquote(self._base.username)}:{unquote(self._base.password or '')}"
            encoded = base64.b64encode(user.encode()).decode()
            self._headers.append(("authorization", f"Basic {encoded}"))
        self.close()

    def close(self) -> None:
        """Close all connections that carry no request."""
        for connection in self._idle:
            connection.close()
        self._idle = []

    @asynccontextmanager
    async def request(
        self, method: str, path: str, body: Body = b"", headers: Headers = ()
    ) -> AsyncIterator[Response]:
        """Send a request; the body of the response can be read within the block.

        Args:
            path: below the base URL.
            body: an iterator needs a header `content-length`.

        Raises:
            ConnectionFailed, ConnectionBroken
        """
        idle = self._idle
        connection = await self._connection()
        try:
            all_headers = [*self._headers, *headers]
            if isinstance(body, bytes):
                all_headers.append(("content-length", str(len(body))))
            head = h11.Request(method=method, target=self._path + path, headers=all_headers)
            yield Response(connection, await connection.send(head, body))
        except BaseException:
            connection.close()
            raise
        if connection.can_be_reused() and idle is self._idle:  # neither moved nor closed meanwhile
            idle.append(connection)
        else:
            connection.close()

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
            connection.close()
        return await _Connection.open(self._base)


class _Connection:
    """One connection, with at most one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._state = h11.Connection(h11.CLIENT)

    @classmethod
    async def open(cls, base: SplitResult) -> _Connection:
        """Connect to a server.

        Raises:
            ConnectionFailed
        """
        is_secure = base.scheme == "https"
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(
                    base.hostname,
                    base.port or (443 if is_secure else 80),
                    ssl=_ssl_context() if is_secure else None,
                    limit=PIECE_BYTES,
                )
        except OSError as error:  # TimeoutError is one
            took_too_long = isinstance(error, TimeoutError)
            reason = "it took too long" if took_too_long else system_reason(error)
            raise ConnectionFailed(reason) from error
        opened: socket.socket = writer.get_extra_info("socket")
        for option in KEEP_ALIVE:
            opened.setsockopt(*option)
        return cls(reader, writer)

    @property
    def is_open(self) -> bool:
        """Whether the server has not closed the connection, as far as is known."""
        return not (self._reader.at_eof() or self._writer.is_closing())

    def can_be_reused(self) -> bool:
        """Return whether the response was read to its end, and another request may follow."""
        if self._state.our_state is not h11.DONE or self._state.their_state is not h11.DONE:
            return False
        self._state.start_next_cycle()
        return True

    def close(self) -> None:
        """Close the connection at once."""
        self._writer.transport.abort()

    async def send(self, head: h11.Request, body: Body) -> int:
        """Send a request, and return the status of the response.

        Raises:
            ConnectionBroken
        """
        # A server that refuses a request may answer and close before it has read the body.
        with suppress(ConnectionError):
            await self._send_all(head, body)
        while True:
            event = await self.next_event()
            if isinstance(event, h11.Response):
                return event.status_code
            if not isinstance(event, h11.InformationalResponse):
                raise ConnectionBroken("the server has sent no response")

    async def next_event(self) -> h11.Event:
        """Return the next event of the response.

        Raises:
            ConnectionBroken
        """
        try:
            while (event := self._state.next_event()) is h11.NEED_DATA:
                self._state.receive_data(await self._reader.read(PIECE_BYTES))
        except (h11.RemoteProtocolError, OSError) as error:
            raise ConnectionBroken(system_reason(error)) from error
        if not isinstance(event, h11.Event):
            raise ConnectionBroken("the server has closed the connection")
        return event

    async def _send_all(self, head: h11.Request, body: Body) -> None:
        data = self._state.send(head) or b""
        if isinstance(body, bytes):
            self._write(data, self._state.send(h11.Data(body)), self._end())
            await self._writer.drain()
            return
        self._write(data)
        async for chunk in body:
            self._write(self._state.send(h11.Data(chunk)))
            await self._writer.drain()
        self._write(self._end())
        await self._writer.drain()

    def _end(self) -> bytes | None:
        return self._state.send(h11.EndOfMessage())

    def _write(self, *parts: bytes | None) -> None:
        self._writer.write(b"".join(part for part in parts if part))


@cache
def _ssl_context() -> ssl.SSLContext:
    """Return the context of all connections; making one takes 50 ms."""
    return ssl.create_default_context()
