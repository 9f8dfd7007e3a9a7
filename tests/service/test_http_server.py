"""Tests of the HTTP server of the service: slow connections, hostile requests, and its end."""

import asyncio
import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from apicalls import Api, jpeg

from restore.service import bodies, connections, http_server
from restore.service.app import create_app
from restore.service.connections import TimedProtocol
from restore.service.http_server import address
from restore.service.records import Status
from restore.service.settings import Settings


@pytest.fixture
def api(api_of: Callable[..., Api]) -> Api:
    return api_of(max_file_mib=1)


@pytest.fixture
def port(api: Api) -> Iterator[int]:
    """The port of a service without workers whose limits of time are short."""
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as listener:
        patch.setattr(connections, "HEADER_TIMEOUT_S", 0.4)
        patch.setattr(bodies, "STALL_TIMEOUT_S", 0.4)
        app = create_app(api.service)
        config = uvicorn.Config(app, http=TimedProtocol, lifespan="off", log_level="error")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()


def health(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/health")
        return connection.getresponse().status


def connected(port: int, data: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(data)
    return connection


def received(connection: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            data += chunk
    return data


def test_half_open_connections_are_closed_and_do_not_stop_the_service(port: int) -> None:
    starts = (b"", b"GET /health HTTP/1.1\r\nHost: 127", b"POST /v1/files HTTP/1.1\r\n")
    with contextlib.ExitStack() as stack:
        open_ = [stack.enter_context(connected(port, starts[n % 3])) for n in range(100)]
        assert health(port) == 200
        assert [received(connection) for connection in open_] == [b""] * 100


def test_headers_that_drip_do_not_extend_the_time(port: int) -> None:
    started_s = time.monotonic()
    start = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
    with contextlib.suppress(OSError), connected(port, start) as connection:
        for _ in range(100):
            connection.sendall(b"x: y\r\n")
            time.sleep(0.05)
    assert time.monotonic() - started_s < 3


def test_body_that_stops_is_refused(port: int) -> None:
    head = (
        b"POST /upscale HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
    )
    with connected(port, head) as connection:
        assert received(connection).startswith(b"HTTP/1.1 408 ")


def test_connection_stays_open_between_requests_and_for_a_long_one(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        statuses = []
        for _ in range(3):
            connection.request("GET", "/health")
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
            time.sleep(0.1)
        body = (
            b'--b\r\ncontent-disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
            + jpeg()
            + b"\r\n--b--\r\n"
        )
        headers = {"content-type": "multipart/form-data; boundary=b"}
        connection.request("POST", "/upscale?wait=0.6", body, headers)
        response = connection.getresponse()
        assert (response.status, statuses) == (202, [200] * 3)


def test_client_that_leaves_cancels_its_job(port: int, api: Api) -> None:
    body = b'{"image": "https://93.184.215.14/a.jpg", "wait": 60}'
    head = b"POST /upscale HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with connected(port, head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)):
        wait_until(lambda: api.service.jobs.counts()[Status.STARTING] == 1)
    wait_until(lambda: api.service.jobs.counts()[Status.CANCELED] == 1)


def wait_until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.02)


@pytest.mark.parametrize("size_mib", [2, 100])
@pytest.mark.parametrize("path", ["/v1/files", "/upscale"])
def test_large_upload_ends_at_the_limit_with_a_response(
    port: int, path: str, size_mib: int
) -> None:
    """The client sends all it can before it reads the response, as `requests` does."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n".encode()
    head += b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    name = b"content" if path == "/v1/files" else b"image"
    start = b'--b\r\ncontent-disposition: form-data; name="%s"; filename="a.jpg"\r\n\r\n' % name
    chunk = bytes(2**16)
    sent = 0
    with connected(port, head + b"%x\r\n%s\r\n" % (len(start), start)) as connection:
        with contextlib.suppress(OSError):
            while sent < size_mib * 2**20:
                connection.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                sent += len(chunk)
        answer = received(connection)
    assert sent < 30 * 2**20, "the service has read on"
    assert size_mib > 2 or answer.startswith(b"HTTP/1.1 413 "), answer[:200]
    assert health(port) == 200


def test_upload_that_goes_on_after_the_response_is_cut_off(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LINGER_S", 0.3)
    head = b"POST /upscale HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n"
    started_s = time.monotonic()
    with connected(port, head) as connection:
        assert received(connection).startswith(b"HTTP/1.1 415 ")
        with contextlib.suppress(OSError):
            while time.monotonic() - started_s < 10:
                connection.sendall(b"x")
                time.sleep(0.02)
    assert time.monotonic() - started_s < 5


@pytest.mark.parametrize(
    "request_text",
    [
        b"GET /..%2f..%2f..%2fetc%2fpasswd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/files/../../etc/passwd/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /page/x/..%2f..%2fservice.py HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /status/%0d%0aset-cookie:%20a HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/files/a/b/%0d%0aset-cookie:a=b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_paths_are_never_files_or_headers(port: int, request_text: bytes) -> None:
    with connected(
        port, request_text.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    ) as one:
        answer = received(one)
    assert answer.startswith(b"HTTP/1.1 404 "), answer[:200]
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert b"\r\nset-cookie" not in head
    assert b"root:" not in answer


@pytest.mark.parametrize(
    "request_text",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET " + b"a" * 10**6,
        b"\r\n" * 9,
    ],
)
def test_what_is_not_a_request_closes_the_connection(port: int, request_text: bytes) -> None:
    with connected(port) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(request_text)
        assert received(connection)[:12] in {b"", b"HTTP/1.1 400"}
    assert health(port) == 200


@pytest.mark.parametrize("body", [b"", b"1\r\nx\r\n0\r\n", b"1;"])
def test_headers_and_trailers_have_a_limit(port: int, body: bytes) -> None:
    start = b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\n"
    if body:
        start += b"Transfer-Encoding: chunked\r\nContent-Type: image/png\r\n\r\n" + body
    sent = 0
    with connected(port, start) as connection, contextlib.suppress(OSError):
        while sent < 16 * 2**20:
            connection.sendall(b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 2**10)
            sent += 2**15
    assert sent < 16 * 2**20, "the service has read on"
    assert health(port) == 200


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"host": "127.0.0.1"}, "http://127.0.0.1:8000"),
        ({"host": "0.0.0.0"}, "http://127.0.0.1:8000"),
        ({"host": "::"}, "http://[::1]:8000"),
        ({"host": "photos.lan", "port": 80}, "http://photos.lan:80"),
        ({"public_url": "https://photos.example"}, "https://photos.example"),
    ],
)
def test_address_can_be_opened_in_a_browser(settings: dict[str, object], expected: str) -> None:
    assert address(Settings.model_validate(settings)) == expected


def test_failed_task_ends_the_service_with_an_exit_code(
    tmp_path: Path, no_settings_of_the_machine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: object) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("a defect")

    monkeypatch.setattr("restore.service.cleaner.Cleaner.run", fail)
    settings = Settings(
        data=tmp_path, port=0, workers=0, worker_urls=("http://127.0.0.1:9",), host="127.0.0.1"
    )
    lines: list[str] = []
    assert http_server.serve(settings, lines.append) == 1
    assert lines[0].startswith("Restore is ready on http://127.0.0.1:")
