"""Tests of a real Cog server that gets harmful requests or whose processes die.

`running` and `start` run it as `restore serve` does: behind the front, with a supervisor.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from coghttp import free_port, idle_status, processes_of_session
from places import PROJECT

from restore.serving.cog_folders import ROOT
from restore.serving.launcher import start, stop, wait_until_ready

pytestmark = pytest.mark.timeout(300)

QUICK = "tests/contract/quick.py:Predictor"
READY_TIMEOUT_S = 60
DEAD_WORKER_S, LEAKED_SLOT_S = 5.0, 30.0
"""Times within which the watchdog ends the server."""


class Server:
    """A running server, and its processes."""

    def __init__(self, url: str, session: int) -> None:
        self.url, self.session = url, session

    def process(self, mark: str) -> int:
        """Return the process whose command line has a mark."""
        [found] = [
            process
            for process in processes_of_session(self.session)
            if mark in Path(f"/proc/{process}/cmdline").read_text()
        ]
        return found

    def cog_url(self) -> str:
        """Return the address of Cog's server behind the front."""
        environment = Path(f"/proc/{self.process('cog_child')}/environ").read_text().split("\0")
        [port] = [entry for entry in environment if entry.startswith("PORT=")]
        return f"http://127.0.0.1:{port.removeprefix('PORT=')}"

    def predict(self, **body: object) -> requests.Response:
        assert idle_status(self.url) == "READY"
        return requests.post(f"{self.url}/predictions", json={"input": {}, **body}, timeout=30)

    def status(self) -> str:
        return str(requests.get(f"{self.url}/health-check", timeout=5).json()["status"])

    def wait_for(self, status: str, timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        while (found := self.status()) != status:
            assert time.monotonic() < deadline_s, f"{found}, not {status} after {timeout_s} s"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port = free_port()
    with (tmp_path_factory.mktemp("abuse") / "log").open("wb") as log:
        process = start("127.0.0.1", port, {"RESTORE_WEIGHTS": "lite"}, log, QUICK)
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", process, READY_TIMEOUT_S)
            yield Server(f"http://127.0.0.1:{port}", process.pid)
        finally:
            stop(process)


def send_raw(url: str, line: str, body: str = "", headers: str = "") -> tuple[int, str]:
    """Send a request as it is, and return status and body of the response."""
    head = f"{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}"
    if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
        head += f"Content-Length: {len(body.encode())}\r\n"
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as client:
        client.sendall(f"{head}\r\n{body}".encode())
        response = b"".join(iter(lambda: client.recv(65536), b"")).decode()
    return int(response.split()[1]), response.partition("\r\n\r\n")[2]


JSON = "Content-Type: application/json\r\n"
EVIL = "cog-abuse-test"
"""Part of the ids, which would become the name of a folder."""


@pytest.mark.parametrize(
    "request_id",
    [
        f"../../{EVIL}",
        f"/tmp/{EVIL}",
        f"{EVIL}\\u0000",
        f"{EVIL}/x",
        f"..\\u002f..\\u002f{EVIL}",
        "..",
        "",
        "é",
        "a" * 129,
    ],
)
def test_harmful_id_in_a_body_is_refused(server: Server, request_id: str) -> None:
    body = f'{{"input": {{}}, "id": "{request_id}"}}'
    chunked = f"{len(body.encode()):x}\r\n{body}\r\n0\r\n\r\n"
    for status, _ in (
        send_raw(server.url, "POST /predictions", body, JSON),
        send_raw(server.url, "PUT /predictions/abc", body, JSON),
        send_raw(server.url, "POST /trainings", body, JSON),
        send_raw(server.url, "POST /predictions", body, JSON.replace("json", "json;charset=x")),
        send_raw(server.url, "POST /predictions", body, JSON.replace("json", "x+json")),
        send_raw(server.url, "POST /predictions", chunked, JSON + "Transfer-Encoding: chunked\r\n"),
        send_raw(
            server.url, "POST /predictions", body.replace('"input"', '"id": "a", "input"'), JSON
        ),
    ):
        assert status == 422
    check_unharmed(server)


@pytest.mark.parametrize(
    "path",
    [
        f"..%2f..%2f{EVIL}",
        f"{EVIL}%00",
        f"%2ftmp%2f{EVIL}",
        f"/tmp/{EVIL}",
        f"../../{EVIL}",
        "%2e%2e",
        "%c3%a9",
        "a.b",
        "a" * 129,
    ],
)
def test_harmful_id_in_a_path_is_refused(server: Server, path: str) -> None:
    for line in (f"PUT /predictions/{path}", f"POST /predictions/{path}/cancel"):
        assert send_raw(server.url, line, '{"input": {}}', JSON)[0] == 422
    check_unharmed(server)


def check_unharmed(server: Server) -> None:
    """Check that the server is ready, and that no folder has the name of a harmful id."""
    assert idle_status(server.url) == "READY"
    for folder in (Path("/"), Path("/tmp"), ROOT, ROOT.parent):
        with contextlib.suppress(FileNotFoundError):
            assert not [path for path in folder.iterdir() if EVIL in path.name]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ('{"input": ' + "[" * 100_000 + "]" * 100_000 + "}", JSON, 400),
        ('{"input": [' + "[]," * 1_000_000 + "1]}", JSON, 422),
        ("{}", JSON + f"Content-Length: {200 * 2**20}\r\n", 413),
        ("{}", "Content-Type: text/plain\r\n", 415),
        ("{", JSON, 400),
        ("", JSON, 400),
        ("[]", JSON, 422),
    ],
    ids=["deep", "many values", "huge", "text", "broken", "empty", "list"],
)
def test_hostile_body_is_refused(server: Server, body: str, headers: str, status: int) -> None:
    assert send_raw(server.url, "POST /predictions", body, headers)[0] == status
    assert server.predict(input={"scale": 1}).json()["status"] == "succeeded"


def test_body_above_the_limit_is_refused_with_the_limit(server: Server) -> None:
    headers = JSON + f"Content-Length: {200 * 2**20}\r\n"
    _, text = send_raw(server.url, "POST /predictions", "{}", headers)
    assert "larger than 100 MiB" in text


def test_body_above_the_limit_without_a_declared_size_is_refused(server: Server) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(101):
            yield b"a" * 2**20

    with contextlib.suppress(requests.ConnectionError):  # closed before all was sent
        headers = {"Content-Type": "application/json"}
        response = requests.post(
            f"{server.url}/predictions", data=chunks(), headers=headers, timeout=60
        )
        assert response.status_code == 413
    assert server.predict().json()["status"] == "succeeded"


def test_harmless_ids_work_everywhere(server: Server) -> None:
    body = server.predict(id="Ab_9-z").json()
    assert (body["id"], body["status"]) == ("Ab_9-z", "succeeded")
    assert idle_status(server.url) == "READY"
    put = requests.put(f"{server.url}/predictions/own", json={"input": {}}, timeout=30)
    assert put.json()["id"] == "own"
    assert len(server.predict().json()["id"]) > 20, "an id that cannot be guessed"
    cancel = requests.post(f"{server.url}/predictions/own/cancel", timeout=30)
    assert cancel.status_code == 404
    assert cancel.json()["error"].startswith("[E602] no prediction 'own' is running. ")


def test_requests_that_follow_each_other_are_all_served(server: Server) -> None:
    assert idle_status(server.url) == "READY"
    url, body = f"{server.url}/predictions", {"input": {"saturation": 0.0}}
    statuses = [requests.post(url, json=body, timeout=30).status_code for _ in range(30)]
    assert statuses == [200] * 30


def test_photo_is_not_repeated_in_an_error(server: Server) -> None:
    photo = "data:image/jpeg;base64," + "A" * 200_000
    response = requests.post(
        f"{server.url}/predictions", json={"input": {"images": [photo] * 5}}, timeout=30
    )
    assert response.status_code == 422
    assert len(response.content) < 1000
    assert response.json()["error"].startswith("[E103] images: a list of 5 values has more than 4")


def test_prediction_leaves_no_folder(server: Server) -> None:
    bodies = [server.predict().json(), server.predict(id="own").json()]
    deadline_s = time.monotonic() + 5  # they are deleted after the response
    while any((ROOT / body["id"]).exists() for body in bodies):
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_folder_that_cannot_be_made_is_an_error_and_leaks_no_slot(server: Server) -> None:
    obstacle = ROOT / "obstacle"
    ROOT.mkdir(parents=True, exist_ok=True)
    obstacle.touch()
    try:
        response = server.predict(id="obstacle")
    finally:
        obstacle.unlink()
    assert response.status_code == 503
    assert "[E504] the folder" in response.json()["error"]
    assert server.predict().json()["status"] == "succeeded"


def test_webhooks_and_asynchronous_requests_pass_through(server: Server) -> None:
    assert idle_status(server.url) == "READY"
    response = requests.post(
        f"{server.url}/predictions",
        json={"input": {"scale": 1}, "id": "later"},
        headers={"Prefer": "respond-async"},
        timeout=30,
    )
    assert (response.status_code, response.json()) == (202, {"id": "later", "status": "starting"})
    again = requests.put(f"{server.url}/predictions/later", json={"input": {}}, timeout=30)
    assert again.status_code == 202
    busy = requests.post(f"{server.url}/predictions", json={"input": {}}, timeout=30)
    assert busy.status_code == 409
    sse = requests.post(
        f"{server.url}/predictions",
        json={"input": {}},
        headers={"Accept": "text/event-stream"},
        timeout=30,
    )
    assert sse.status_code == 406


def test_dead_worker_is_replaced(server: Server) -> None:
    worker = server.process("_run_worker")
    os.kill(worker, signal.SIGKILL)
    server.wait_for("STARTING", DEAD_WORKER_S)
    server.wait_for("READY", READY_TIMEOUT_S)
    assert server.process("_run_worker") != worker
    assert server.predict().json()["status"] == "succeeded"


def test_worker_that_dies_in_a_prediction_fails_it(server: Server) -> None:
    assert idle_status(server.url) == "READY"
    worker = server.process("_run_worker")
    cog = f"{server.url}/predictions"
    headers = {"Prefer": "respond-async"}
    requests.post(cog, json={"input": {"scale": 8}}, headers=headers, timeout=30)
    os.kill(worker, signal.SIGKILL)
    server.wait_for("STARTING", DEAD_WORKER_S)
    refused = requests.post(cog, json={"input": {}}, timeout=30)
    assert refused.status_code == 503
    server.wait_for("READY", READY_TIMEOUT_S)


@pytest.mark.slow  # it waits for 20 s; tests/serving/test_watchdog.py has the rule
def test_leaked_slot_is_freed(server: Server) -> None:
    # The front refuses this id. Without the front, Cog's only slot is lost.
    assert idle_status(server.url) == "READY"
    leak = requests.post(f"{server.cog_url()}/predictions", json={"id": "a\0b"}, timeout=30)
    assert leak.json()["status"] == "failed"
    assert server.status() == "BUSY", "Cog no longer leaks its slot: the watchdog can be simpler"
    server.wait_for("STARTING", LEAKED_SLOT_S)
    server.wait_for("READY", READY_TIMEOUT_S)
    assert server.predict().json()["status"] == "succeeded"


@pytest.mark.parametrize(
    "fault", ["dead worker", pytest.param("leaked slot", marks=pytest.mark.slow)]
)
def test_cogs_server_alone_ends_so_that_a_platform_starts_it_again(fault: str) -> None:
    # As in a container of `cog build`, without the front and the supervisor.
    port = free_port()
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COG_PREDICT_TYPE_STUB": QUICK,
        "PORT": str(port),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "cog.server.http", "--host", "127.0.0.1"],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        alone = Server(f"http://127.0.0.1:{port}", process.pid)
        try:
            wait_until_ready(alone.url, process, READY_TIMEOUT_S)
            if fault == "dead worker":
                os.kill(alone.process("_run_worker"), signal.SIGKILL)
            else:
                requests.post(f"{alone.url}/predictions", json={"id": "a\0b"}, timeout=30)
            process.wait(DEAD_WORKER_S if fault == "dead worker" else LEAKED_SLOT_S)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL
    deadline_s = time.monotonic() + 15
    while processes_of_session(process.pid):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_killed_server_is_replaced_and_a_killed_supervisor_ends_all(server: Server) -> None:
    os.kill(server.process("cog_child"), signal.SIGKILL)
    server.wait_for("STARTING", DEAD_WORKER_S)
    server.wait_for("READY", READY_TIMEOUT_S)
    os.kill(server.session, signal.SIGKILL)
    deadline_s = time.monotonic() + 15
    while processes_of_session(server.session):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
