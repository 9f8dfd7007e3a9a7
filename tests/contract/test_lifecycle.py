"""Tests of starting and stopping a real Cog server."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from coghttp import (
    data_uri,
    files_below,
    free_port,
    grey_jpeg,
    post_prediction,
    processes_of_session,
)
from places import PROJECT

from restore.errors import RestoreError
from restore.serving.launcher import running, start, stop, wait_until_ready
from restore.serving.served_results import ROOT_NAME

pytestmark = pytest.mark.timeout(600)

ENVIRONMENT = {"RESTORE_WEIGHTS": "lite", "RESTORE_PRELOAD": "none"}


def test_stopping_ends_server_and_worker(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as output:
        port = free_port()
        process = start("127.0.0.1", port, ENVIRONMENT, output)
        wait_until_ready(f"http://127.0.0.1:{port}", process, 120)
        assert len(processes_of_session(process.pid)) == 4, "front, server, worker and watchdog"
        stop(process)
        assert processes_of_session(process.pid) == []


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_signal_to_the_command_ends_server_and_worker(number: signal.Signals) -> None:
    port = free_port()
    command = [sys.executable, "-m", "restore", "serve", "--port", str(port)]
    with subprocess.Popen(
        command,
        cwd=PROJECT,
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as serve:
        wait_until_ready(f"http://127.0.0.1:{port}", serve, 120)
        serve.send_signal(number)
        serve.wait(30)
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{port}/health-check", timeout=5)


def test_serve_prints_its_url_when_it_accepts_connections() -> None:
    port = free_port()
    command = [sys.executable, "-m", "restore", "serve", "--port", str(port)]
    with subprocess.Popen(
        command,
        cwd=PROJECT,
        env={**os.environ, **ENVIRONMENT, "COG_LOG_LEVEL": "error"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as serve:
        assert serve.stdout is not None
        lines = iter(serve.stdout.readline, "")
        assert any(f"http://127.0.0.1:{port}" in line for line in lines)
        requests.get(f"http://127.0.0.1:{port}/health-check", timeout=5)
        serve.send_signal(signal.SIGTERM)
        serve.wait(30)


def test_results_are_deleted_when_the_server_ends(tmp_path: Path) -> None:
    root = tmp_path / ROOT_NAME
    environment = {**ENVIRONMENT, "TMPDIR": str(tmp_path)}
    with running(free_port(), environment) as url:
        inputs = {"task": "restore", "image": data_uri(grey_jpeg(90))}
        assert post_prediction(url, {"input": inputs}).json()["status"] == "succeeded"
        assert files_below(root)
    assert list(root.iterdir()) == []


def test_stopping_during_setup_ends_the_worker(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as output:
        process = start("127.0.0.1", free_port(), {"RESTORE_WEIGHTS": "lite"}, output)
        deadline_s = time.monotonic() + 30
        while len(processes_of_session(process.pid)) < 3 and time.monotonic() < deadline_s:
            time.sleep(0.02)
        stop(process)
        assert processes_of_session(process.pid) == []


def test_missing_official_weights_fail_setup_with_a_code(tmp_path: Path) -> None:
    closed_proxy = f"http://127.0.0.1:{free_port()}"
    environment = {
        "RESTORE_WEIGHTS": "official",
        "RESTORE_WEIGHTS_DIR": str(tmp_path),
        "HTTPS_PROXY": closed_proxy,
        "https_proxy": closed_proxy,
    }
    started_s = time.monotonic()
    with (
        pytest.raises(RestoreError, match=r"\[E403\].*codeformer.pth"),
        running(free_port(), environment, timeout_s=60),
    ):
        pass
    assert time.monotonic() - started_s < 45
    assert not list(tmp_path.rglob("*.pth"))
