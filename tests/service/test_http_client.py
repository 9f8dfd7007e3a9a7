"""Tests of the HTTP client of workers, with a server that sends what a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from restore.service.http_client import (
    ConnectionBroken,
    ConnectionFailed,
    HttpClient,
    _ssl_context,
)

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"


class Server:
    """Answers each request of each connection with the next answer.

    Attributes:
        heads: the first lines and headers of all requests.
        bodies: their bodies.
        connections: how many there were.
    """

    def __init__(self, answers: Sequence[bytes]) -> None:
        self.answers = list(answers)
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.connections = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while self.answers:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                size = head.partition("content-length: ")[2].partition("\r\n")[0]
                self.heads.append(head)
                self.bodies.append(await reader.readexactly(int(size or 0)))
                writer.write(self.answers.pop(0))
                await writer.drain()
        writer.close()


def run(
    scenario: Callable[[Server, HttpClient], Awaitable[None]], *answers: bytes, user: str = ""
) -> None:
    async def with_server() -> None:
        server = Server(answers)
        listener = await asyncio.start_server(server.handle, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        client = HttpClient(f"http://{user}127.0.0.1:{port}/base/")
        try:
            await scenario(server, client)
        finally:
            client.close()
            listener.close()
            await asyncio.sleep(0.01)  # the transports close their sockets

    asyncio.run(with_server())


async def get(client: HttpClient, path: str = "/a") -> bytes:
    async with client.request("GET", path) as response:
        assert response.status == 200
        return await response.read()


def test_connection_is_used_again_and_kept_alive() -> None:
    async def scenario(server: Server, client: HttpClient) -> None:
        assert [await get(client), await get(client, "/b")] == [b"ok", b"abc"]
        assert server.connections == 1
        assert [head.split()[1] for head in server.heads] == ["/base/a", "/base/b"]
        [connection] = client._idle
        opened = connection._writer.get_extra_info("socket")
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30

    run(scenario, OK, CHUNKED, OK)


def test_requests_at_the_same_time_have_connections_of_their_own() -> None:
    async def scenario(server: Server, client: HttpClient) -> None:
        async with client.request("GET", "/a") as first:
            assert await get(client) == b"ok"
            assert await first.read() == b"ok"
        assert server.connections == 2

    run(scenario, OK, OK, OK)


@pytest.mark.parametrize("why", ["closed by the server", "not read", "moved"])
def test_connection_is_not_used_again(why: str) -> None:
    async def scenario(server: Server, client: HttpClient) -> None:
        if why == "closed by the server":
            assert await get(client) == b"ok"
            await asyncio.sleep(0.05)  # the server has no further answers, and closes
            server.answers.append(OK)
        else:
            async with client.request("GET", "/a") as response:
                if why == "moved":
                    client.move(client._base.geturl())
                    await response.read()
        assert await get(client) == b"ok"
        assert server.connections == 2

    run(scenario, *([OK] if why == "closed by the server" else [OK, OK]))


def test_body_is_sent_as_it_comes() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    async def scenario(server: Server, client: HttpClient) -> None:
        async with client.request("PUT", "/a", body(), [("content-length", "7")]) as response:
            assert await response.read() == b"ok"
        async with client.request("PUT", "/a", b"three") as response:
            assert await response.read() == b"ok"
        assert server.bodies == [b"one two", b"three"]

    run(scenario, OK, OK)


def test_user_of_the_address_is_sent() -> None:
    async def scenario(server: Server, client: HttpClient) -> None:
        await get(client)
        assert "authorization: basic bwu6cdpx\r\n" in server.heads[0]  # base64 of me:p:q, lowered
        assert "host: 127.0.0.1:" in server.heads[0]

    run(scenario, OK, user="me:p%3aq@")


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", b"no HTTP at all\r\n\r\n"],
    ids=["none", "cut off", "other"],
)
def test_broken_answers_are_told_apart_from_failed_connections(answer: bytes) -> None:
    async def scenario(server: Server, client: HttpClient) -> None:
        with pytest.raises(ConnectionBroken):
            await get(client)
        assert client._idle == []
        client.move("http://127.0.0.1:9")
        with pytest.raises(ConnectionFailed):
            await get(client)

    run(scenario, answer)


def test_context_of_secure_connections_is_made_once() -> None:
    assert _ssl_context() is _ssl_context()
