"""Tests of restore.serving.front with a server that stands for Cog's."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from email.message import Message
from pathlib import Path

import pytest
import requests
from localserver import LocalServer, QuietHandler

from restore.serving import body_reader, cog_folders
from restore.serving.front import Backend
from restore.serving.supervisor import front_running, listening

PHOTO = "data:image/jpeg;base64," + "A" * 500_000


class FakeCog(LocalServer):
    """Records requests, and answers with `parts` of a body, each `pause_s` after the other.

    Attributes:
        requests: method, path, headers and body of every request.
        left: set when a client has left before the end of its response.
        whole: if not empty, the body, sent with its length instead of `parts`.
        busy: number of requests that are refused with 409.
        hold_s: time before a request that is not refused is answered.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, Message, bytes]] = []
        self.status, self.parts, self.pause_s = 200, [b'{"status":"READY"}'], 0.0
        self.left = threading.Event()
        self.whole, self.busy, self.hold_s = b"", 0, 0.0
        super().__init__(type("Handler", (FakeCogHandler,), {"cog": self}))


class FakeCogHandler(QuietHandler):
    cog: FakeCog

    def do_GET(self) -> None:  # noqa: N802 - the library's name
        cog = self.cog
        size = int(self.headers.get("Content-Length") or 0)
        cog.requests.append((self.command, self.path, self.headers, self.rfile.read(size)))
        if cog.busy:
            cog.busy -= 1
            self._send_whole(409, b'{"error":"At capacity","status":"failed"}')
            return
        time.sleep(cog.hold_s)
        if cog.whole:
            self._send_whole(cog.status, cog.whole)
            return
        try:
            self.send_response(cog.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in [*cog.parts, b""]:
                time.sleep(cog.pause_s)
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.flush()
        except OSError:
            cog.left.set()

    do_POST = do_PUT = do_GET  # noqa: N815 - the library's names

    def _send_whole(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def cog() -> Iterator[FakeCog]:
    cog = FakeCog()
    yield cog
    cog.close()


@pytest.fixture
def backend(cog: FakeCog) -> Backend:
    return Backend(cog.port)


@pytest.fixture
def url(
    cog: FakeCog, backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The address of a front before the fake server."""
    monkeypatch.setattr(cog_folders, "ROOT", tmp_path / "predictions")
    with listening("127.0.0.1", 0) as listener, front_running(listener, backend):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_prediction_is_forwarded_with_an_id(cog: FakeCog, url: str) -> None:
    headers = {"Prefer": "respond-async", "X-Other": "a", "traceparent": "b"}
    body = {"input": {"image": PHOTO, "scale": None, "points": [[1, 2]]}, "webhook": "http://a"}
    response = requests.post(f"{url}/predictions", json=body, headers=headers, timeout=9)
    assert response.json() == {"status": "READY"}
    [(method, path, sent, content)] = cog.requests
    received = json.loads(content)
    assert (method, path) == ("POST", "/predictions")
    assert received.pop("id").startswith("pred_")
    assert received == {"input": {"image": PHOTO, "points": "[[1,2]]"}, "webhook": "http://a"}
    assert (sent["Prefer"], sent["traceparent"], sent["X-Other"]) == ("respond-async", "b", None)
    assert sent["Content-Type"] == "application/json"


def test_response_is_streamed(cog: FakeCog, url: str) -> None:
    cog.parts, cog.pause_s = [b"first", b"second"], 0.5
    started_s = time.monotonic()
    with requests.get(f"{url}/", stream=True, timeout=9) as response:
        parts = response.raw.read_chunked()
        assert next(parts) == b"first"
        assert time.monotonic() - started_s < 0.9
        assert next(parts) == b"second"


def test_refusal_of_cog_gets_a_code(cog: FakeCog, url: str) -> None:
    detail = [{"loc": ["body", "input", "scale"], "msg": "it is too large"}]
    refusal = json.dumps({"detail": detail}).encode()
    cog.status, cog.parts = 422, [refusal[:9], refusal[9:]]
    response = requests.post(f"{url}/predictions", json={"input": {}}, timeout=9)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/json"
    assert int(response.headers["content-length"]) == len(response.content)
    answer = response.json()
    assert (answer["detail"], answer["status"]) == (detail, "failed")
    assert answer["error"].startswith("[E102] scale: it is too large. ")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("scal", "[E101] there is no input named 'scal'; the nearest name is scale. "),
        ("upscale", "[E101] there is no input named 'upscale', which is an older name of face_up"),
        ("qqqqqqqq", "[E101] there is no input named 'qqqqqqqq'. See "),
        ("é" * 100, "[E101] there is no input named '" + "\\xe9" * 40 + "'. See "),
    ],
)
def test_unknown_input_is_refused_instead_of_dropped(
    cog: FakeCog, url: str, name: str, error: str
) -> None:
    body = {"input": {"scale": 2, name: 4}}
    response = requests.post(f"{url}/predictions", json=body, timeout=9)
    assert response.status_code == 422
    assert response.json()["error"].startswith(error)
    assert cog.requests == []
    nothing = {"input": {"scale": 2, name: None}}
    assert requests.put(f"{url}/predictions/a", json=nothing, timeout=9).status_code == 200


def test_error_of_a_prediction_begins_with_its_code(cog: FakeCog, url: str) -> None:
    error = "Prediction failed: Prediction failed: RestoreError: [E104] no mask. Send one."
    cog.whole = json.dumps({"status": "failed", "error": error}).encode()
    response = requests.post(f"{url}/predictions", json={"input": {}}, timeout=9)
    assert response.json() == {"status": "failed", "error": "[E104] no mask. Send one."}
    assert int(response.headers["content-length"]) == len(response.content)


def test_prediction_waits_until_the_one_before_has_given_its_slot_back(
    cog: FakeCog, url: str
) -> None:
    def predict() -> int:
        return requests.post(f"{url}/predictions", json={"input": {}}, timeout=9).status_code

    cog.busy = 1
    assert predict() == 409  # no prediction has ended before: another client is served
    assert predict() == 200
    cog.busy = 3
    assert predict() == 200
    assert len(cog.requests) == 6


def test_busy_server_is_an_error_while_it_works_for_another_client(cog: FakeCog, url: str) -> None:
    def predict() -> requests.Response:
        return requests.post(f"{url}/predictions", json={"input": {}}, timeout=9)

    assert predict().status_code == 200
    cog.hold_s = 1.0
    thread = threading.Thread(target=predict)
    thread.start()
    while len(cog.requests) < 2:
        time.sleep(0.01)
    cog.busy = 100
    response = predict()
    thread.join()
    assert response.status_code == 409
    assert response.json()["error"].startswith("[E504] the server is at work on another request")
    assert len(cog.requests) == 3


def test_busy_server_is_an_error_while_it_works_asynchronously(cog: FakeCog, url: str) -> None:
    def predict() -> int:
        return requests.post(f"{url}/predictions", json={"input": {}}, timeout=9).status_code

    assert predict() == 200
    cog.status = 202
    assert predict() == 202
    cog.busy = 100
    assert predict() == 409
    assert len(cog.requests) == 3


def test_cancellation_of_an_unknown_prediction_says_so(cog: FakeCog, url: str) -> None:
    cog.status, cog.parts = 404, [b"{}"]
    response = requests.post(f"{url}/predictions/abc/cancel", timeout=9)
    assert response.status_code == 404
    assert response.json()["error"].startswith("[E602] no prediction 'abc' is running. ")


@pytest.mark.parametrize(
    ("status", "body", "content_type"),
    [
        (400, b"{", "application/json"),
        (422, b"[]", "application/json"),
        (415, b"a=b", "text/plain"),
    ],
)
def test_body_that_is_no_request_is_an_error_with_a_code(
    cog: FakeCog, url: str, status: int, body: bytes, content_type: str
) -> None:
    headers = {"Content-Type": content_type}
    response = requests.post(f"{url}/predictions", data=body, headers=headers, timeout=9)
    assert response.status_code == status
    assert response.json()["error"].startswith("[E607] ")
    assert response.json()["status"] == "failed"
    assert cog.requests == []


def test_request_ends_when_the_client_leaves(cog: FakeCog, url: str) -> None:
    cog.parts, cog.pause_s = [b"x"] * 100, 0.1
    address = url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1]))) as client:
        client.sendall(b"POST /predictions HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        time.sleep(0.5)
    assert cog.left.wait(5)


def test_connection_is_kept_open(url: str) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=9)) as connection:
        sockets = set()
        for _ in range(3):
            connection.request("GET", "/health-check")
            assert connection.getresponse().read() == b'{"status":"READY"}'
            sockets.add(connection.sock)
        assert len(sockets) == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predictions", 405),
        ("GET", "/predictions/a", 405),
        ("GET", "/shutdown", 405),
        ("GET", "/nothing", 404),
        ("POST", "/predictions/", 405),
        ("GET", "//health-check", 404),
    ],
)
def test_other_routes_do_not_reach_cog(
    cog: FakeCog, url: str, method: str, path: str, status: int
) -> None:
    response = requests.request(method, url + path, timeout=9)
    assert response.status_code == status
    assert response.json()["error"].startswith(f"[E607] there is no {method} {path}. ")
    assert cog.requests == []


@pytest.mark.parametrize("host", ["a/predictions/b/cancel?", "a/predictions#", "a@b/x/"])
def test_host_header_does_not_change_the_path(cog: FakeCog, url: str, host: str) -> None:
    for method, path in (("POST", "/shutdown"), ("PUT", "/predictions/a"), ("GET", "/")):
        requests.request(method, url + path, headers={"Host": host}, timeout=9)
        assert [(sent, received) for sent, received, *_ in cog.requests] == [(method, path)]
        cog.requests.clear()


def test_stopping_server_refuses_new_predictions_only(
    cog: FakeCog, backend: Backend, url: str
) -> None:
    backend.is_stopping = True
    response = requests.post(f"{url}/predictions", json={"input": {}}, timeout=10)
    assert response.status_code == 503
    assert response.json()["error"].startswith("[E504] the server is stopping. Send")
    assert cog.requests == []
    assert requests.get(f"{url}/health-check", timeout=10).json() == {"status": "READY"}


def test_prediction_without_a_response_is_counted(cog: FakeCog, backend: Backend, url: str) -> None:
    cog.hold_s = 0.3
    sender = threading.Thread(
        target=requests.post,
        args=(f"{url}/predictions",),
        kwargs={"json": {"input": {}}, "timeout": 10},
    )
    sender.start()
    deadline_s = time.monotonic() + 5
    while not cog.requests and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert backend.sending == 1
    sender.join()
    assert backend.sending == 0


def test_server_that_is_started_again_is_starting(cog: FakeCog, url: str) -> None:
    cog.close()
    health = requests.get(f"{url}/health-check", timeout=9)
    assert (health.status_code, health.json()["status"]) == (200, "STARTING")
    refused = requests.post(f"{url}/predictions", json={"input": {}}, timeout=9)
    assert (refused.status_code, refused.json()["status"]) == (503, "failed")


def test_folder_that_cannot_be_made_is_an_error(cog: FakeCog, url: str) -> None:
    cog_folders.ROOT.touch()
    response = requests.post(f"{url}/predictions", json={"input": {}}, timeout=9)
    assert response.status_code == 503
    assert "[E504] the folder" in response.json()["error"]
    assert cog.requests == []


def test_uploads_share_a_limit(cog: FakeCog, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_reader, "MAX_HELD_BYTES", 400_000)
    refused = requests.post(f"{url}/predictions", json={"input": {"image": PHOTO}}, timeout=9)
    assert refused.status_code == 503
    assert refused.json()["error"].startswith("[E504] The server holds too many uploads. ")
    for _ in range(3):  # what was held is counted no longer
        small = {"input": {"image": PHOTO[:300_000]}}
        assert requests.post(f"{url}/predictions", json=small, timeout=9).status_code == 200


def test_upload_that_stops_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_reader, "STALL_TIMEOUT_S", 0.2)
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=9) as client:
        client.sendall(
            b"POST /predictions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{"
        )
        assert client.recv(100).startswith(b"HTTP/1.1 408 ")


def test_upload_that_drips_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_reader, "STALL_TIMEOUT_S", 0.2)
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=9) as client:
        client.sendall(
            b"POST /predictions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000\r\n\r\n{"
        )
        client.setblocking(False)
        for _ in range(200):
            time.sleep(0.02)
            try:
                assert client.recv(100).startswith(b"HTTP/1.1 408 ")
            except BlockingIOError:
                client.send(b" ")
            else:
                return
    pytest.fail("the body was read for ever")


def test_body_without_a_type_is_refused_instead_of_dropped(url: str, cog: FakeCog) -> None:
    response = requests.post(f"{url}/predictions", data=b'{"input": {}}', timeout=10)
    assert response.status_code == 415
    assert "Content-Type: application/json" in response.text
    assert cog.requests == []
    assert requests.post(f"{url}/predictions", timeout=10).status_code == 200
