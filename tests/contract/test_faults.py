"""Tests of a real Cog server with faults.

After each fault, the error has a code, no file is left behind, and the next request works.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from coghttp import data_uri, decode_image, free_port, idle_status, processes_of_session
from facefakes import ASTRONAUT
from faultserver import (
    EYE,
    FACE_RESTORE,
    FAULTY_PREDICTOR,
    PORTRAIT,
    UPSCALE,
    FaultServer,
    environment_of,
)
from places import PROJECT

from restore.imaging.encode import encode
from restore.imaging.photo import Photo
from restore.serving.launcher import running, start, stop, wait_until_ready

pytestmark = pytest.mark.timeout(300)

ENDS_WITHIN_S = 15.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultServer]:
    folder = tmp_path_factory.mktemp("faults") / "tmp"
    environment = environment_of(folder)
    with (
        (folder.parent / "log").open("wb") as log,
        running(free_port(), environment, output=log, predictor=FAULTY_PREDICTOR) as url,
    ):
        yield FaultServer(url, folder)


@pytest.mark.parametrize(
    ("inputs", "fault", "message"),
    [
        (UPSCALE, "memory 0", "[E501] photo 'image': memory ran out even with tiles of"),
        (FACE_RESTORE, "memory 0", "[E501] photo 'image': memory ran out while restoring it"),
        (UPSCALE, "disk result", "[E302] '"),
        (UPSCALE, "disk upload", "[E504] photo 'image': its content cannot be written to the"),
        (UPSCALE, "nan", "[E503] photo 'image': the network 'lite_upscale_"),
        (
            {**UPSCALE, "stability_mode": "optimized"},
            "nan",
            "[E503] photo 'image': the network 'lite_upscale_",
        ),
        (UPSCALE, "bug", "[E505] an internal error occurred (ZeroDivisionError)"),
    ],
    ids=[
        "memory",
        "memory for faces",
        "disk",
        "disk for uploads",
        "NaN",
        "NaN when optimized",
        "bug",
    ],
)
def test_fault_has_a_code_and_does_not_affect_the_next_request(
    server: FaultServer, inputs: Mapping[str, object], fault: str, message: str
) -> None:
    output_before, files_before = server.output(inputs), server.temporary_files()
    body = server.post(inputs, fault).json()
    assert body["status"] == "failed"
    assert message in body["error"]
    assert not body.get("output")
    assert "SECRET" not in body["error"]
    assert "/home" not in body["error"]
    assert server.temporary_files() == files_before
    assert idle_status(server.url) == "READY"
    assert server.output(inputs) == output_before


def test_retry_with_smaller_tiles_is_a_warning(server: FaultServer) -> None:
    inputs = {**UPSCALE, "image": PORTRAIT}
    before = server.output(inputs)
    body = server.post(inputs, "memory 200").json()
    assert body["status"] == "succeeded", body
    [report] = body["metrics"]["photos"]
    assert report["tiles"][0]["height"] <= 128
    assert "memory ran out with tiles of 256 pixels; continued with 128" in report["warnings"]
    without_tiles, with_tiles = (
        np.asarray(decode_image(output[0])).astype(int) for output in (before, body["output"])
    )
    assert np.abs(without_tiles - with_tiles).max() <= 1
    assert server.output(inputs) == before


@pytest.mark.parametrize(
    ("inputs", "stage"),
    [
        (UPSCALE, "decode"),
        (UPSCALE, "net"),
        (UPSCALE, "resize"),
        (UPSCALE, "encode"),
        (UPSCALE, "write"),
        ({**UPSCALE, "stability_mode": "optimized"}, "optimize"),
        (FACE_RESTORE, "detect"),
        (FACE_RESTORE, "faces"),
        (FACE_RESTORE, "paste"),
    ],
)
def test_request_can_be_cancelled_in_every_stage(
    server: FaultServer, inputs: Mapping[str, object], stage: str
) -> None:
    output_before, files_before = server.output(inputs), server.temporary_files()
    responses: list[requests.Response] = []
    request_id = f"in-{stage}"

    def send() -> None:
        responses.append(server.post(inputs, f"stall {stage} 30", request_id))

    sender = threading.Thread(target=send)
    sender.start()
    server.wait_until_stalled()
    cancelled_s = time.monotonic()
    assert _cancel(server, request_id) == 200
    sender.join(30)
    assert time.monotonic() - cancelled_s < 5
    assert responses[0].json()["status"] == "canceled"
    assert idle_status(server.url) == "READY"
    assert server.temporary_files() == files_before
    assert server.output(inputs) == output_before


def _cancel(server: FaultServer, request_id: str) -> int:
    return requests.post(f"{server.url}/predictions/{request_id}/cancel", timeout=10).status_code


def test_cancelling_takes_no_longer_than_one_tile(server: FaultServer) -> None:
    # Python can be interrupted between two tiles, but not inside the network.
    enlarged = ASTRONAUT.repeat(4, axis=0).repeat(4, axis=1)
    large = data_uri(encode(Photo("large", enlarged), "png", 100)[0], "image/png")
    responses: list[requests.Response] = []
    inputs = {**UPSCALE, "image": large, "tile_size": 128}

    def send() -> None:
        responses.append(server.post(inputs, request_id="large"))

    sender = threading.Thread(target=send)
    sender.start()
    time.sleep(1.5)
    cancelled_s = time.monotonic()
    assert _cancel(server, "large") == 200
    sender.join(60)
    elapsed_s = time.monotonic() - cancelled_s
    assert responses[0].json()["status"] == "canceled"
    assert elapsed_s < 3, f"{elapsed_s:.1f} s"


def test_disconnected_client_cancels_its_request(server: FaultServer) -> None:
    output_before, files_before = server.output(UPSCALE), server.temporary_files()
    assert idle_status(server.url) == "READY"
    server.fault_file.write_text("stall net 30")
    address = urlsplit(server.url)
    body = ('{"input": {"task": "upscale", "scale": 1, "image": "' + EYE + '"}}').encode()
    header = (
        "POST /predictions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port), timeout=10) as client:
        client.sendall(header.encode() + body)
        server.wait_until_stalled()
    server.fault_file.write_text("")
    started_s = time.monotonic()
    assert idle_status(server.url) == "READY"
    assert time.monotonic() - started_s < 5
    assert server.temporary_files() == files_before
    assert server.output(UPSCALE) == output_before


def test_second_server_on_the_same_port_is_refused(server: FaultServer) -> None:
    port = str(urlsplit(server.url).port)
    second = subprocess.run(
        [sys.executable, "-m", "restore", "serve", "--port", port],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 2
    assert f"[E504] the server cannot listen on 127.0.0.1 port {port}" in second.stderr
    assert decode_image(server.output(UPSCALE)[0]).size == (100, 100)


@pytest.mark.parametrize(
    ("number", "moment"),
    [(signal.SIGTERM, "setup"), (signal.SIGTERM, "predict"), (signal.SIGKILL, "predict")],
    ids=str,
)
def test_worker_does_not_outlive_a_server_that_gets_a_signal(
    tmp_path: Path, number: signal.Signals, moment: str
) -> None:
    # Only the first process gets the signal, as from a container or a supervisor.
    folder = tmp_path / "tmp"
    environment = environment_of(folder)
    with (tmp_path / "log").open("wb") as log:
        port = free_port()
        process = start("127.0.0.1", port, environment, log, FAULTY_PREDICTOR)
        server = FaultServer(f"http://127.0.0.1:{port}", folder)
        responses: list[requests.Response | None] = []
        try:
            sender = threading.Thread(target=lambda: responses.append(_post_or_none(server)))
            if moment == "setup":
                _wait_for_worker(process.pid)
            else:
                wait_until_ready(server.url, process, 120)
                sender.start()
                server.wait_until_stalled()
            os.kill(process.pid, number)
            process.wait(ENDS_WITHIN_S)
            deadline_s = time.monotonic() + ENDS_WITHIN_S
            while processes_of_session(process.pid) and time.monotonic() < deadline_s:
                time.sleep(0.05)
            assert processes_of_session(process.pid) == []
            if moment == "predict":
                sender.join(30)
                response = responses[0]
                finished = response is not None and response.json()["status"] == "succeeded"
                # SIGTERM lets a running request finish.
                assert finished == (number == signal.SIGTERM)
        finally:
            stop(process)


def _wait_for_worker(session: int) -> None:
    deadline_s = time.monotonic() + 30
    while len(processes_of_session(session)) < 3 and time.monotonic() < deadline_s:
        time.sleep(0.02)


def _post_or_none(server: FaultServer) -> requests.Response | None:
    try:
        return server.post(UPSCALE, "stall net 1")
    except requests.ConnectionError:
        return None
