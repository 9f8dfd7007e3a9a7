"""Faults while a real Cog server is at work: each is answered with a code, leaves no file, and does nothing to the next request."""

import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from coghttp import (
    data_uri,
    decoded,
    files_below,
    free_port,
    posted,
    processes_of_group,
    settled_status,
)
from conftest import PROJECT
from facejobs import ASTRONAUT
from fileserver import FileServer
from PIL import ExifTags, Image

from restore.imaging.photo import Photo, encode
from restore.serving.launcher import running, start, stop, wait_until_ready

pytestmark = pytest.mark.timeout(300)

FAULTY = "tests/contract/faulty.py:Predictor"
PORTRAIT = data_uri(encode(Photo("me", ASTRONAUT), "png", 100)[0], "image/png")
EYE = data_uri(encode(Photo("eye", ASTRONAUT[80:180, 80:180]), "png", 100)[0], "image/png")
UPSCALE = {"task": "upscale", "scale": 1, "image": EYE, "output_format": "png"}
FACES = {"task": "face_restore", "image": PORTRAIT, "output_format": "png"}
ENDS_WITHIN_S = 15.0


class Served:
    """A server whose requests may be given a fault, and what lies in its temporary folder."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder, self.order = url, folder, folder.parent / "fault"

    def post(self, inputs, fault: str = "", name: str | None = None) -> requests.Response:
        self.order.write_text(fault)
        try:
            return posted(self.url, {"input": inputs, **({"id": name} if name else {})})
        finally:
            self.order.write_text("")

    def output(self, inputs) -> list[str]:
        body = self.post(inputs).json()
        assert body["status"] == "succeeded", body
        return body["output"]

    def wait_until_reached(self) -> None:
        reached = self.order.with_suffix(".reached")
        ends_s = time.monotonic() + 60
        while not reached.exists():
            assert time.monotonic() < ends_s, "the stage was not reached"
            time.sleep(0.01)
        reached.unlink()

    @property
    def log(self) -> Path:
        return self.folder.parent / "log"

    @property
    def files(self) -> set[Path]:
        return files_below(self.folder)


def environment_of(folder: Path) -> dict[str, str]:
    folder.mkdir()
    order = folder.parent / "fault"
    order.write_text("")
    path = os.pathsep.join([str(PROJECT), str(PROJECT / "tests")])
    return {
        "RESTORE_WEIGHTS": "lite",
        "RESTORE_PRELOAD": "none",
        "TMPDIR": str(folder),
        "RESTORE_TEST_FAULT": str(order),
        "PYTHONPATH": path,
    }


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults") / "tmp"
    with (
        (folder.parent / "log").open("wb") as log,
        running(free_port(), environment_of(folder), output=log, predictor=FAULTY) as url,
    ):
        yield Served(url, folder)


@pytest.mark.parametrize(
    ("inputs", "fault", "said"),
    [
        (UPSCALE, "memory 0", "[E501] photo 'image': memory ran out even with tiles of"),
        (FACES, "memory 0", "[E501] photo 'image': memory ran out while restoring it"),
        (UPSCALE, "disk result", "[E302] '"),
        (UPSCALE, "disk upload", "[E504] photo 'image': it cannot be kept in the temporary folder"),
        (UPSCALE, "nan", "[E503] photo 'image': the network 'lite_upscale_"),
        (
            {**UPSCALE, "stability_mode": "optimized"},
            "nan",
            "[E503] photo 'image': the network 'lite_upscale_",
        ),
        (UPSCALE, "bug", "[E505] this request met a fault of the program (ZeroDivisionError)"),
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
def test_a_fault_is_answered_with_a_code_and_the_next_request_is_as_before(
    served, inputs, fault, said
):
    before = served.output(inputs)
    there = served.files
    body = served.post(inputs, fault).json()
    assert body["status"] == "failed"
    assert said in body["error"]
    assert not body.get("output")
    assert "SECRET" not in body["error"]
    assert "/home" not in body["error"]
    assert served.files == there, "nothing is left behind"
    assert settled_status(served.url) == "READY"
    assert served.output(inputs) == before


def test_memory_that_suffices_for_smaller_tiles_is_a_warning(served):
    inputs = {**UPSCALE, "image": PORTRAIT}
    before = served.output(inputs)
    body = served.post(inputs, "memory 200").json()
    assert body["status"] == "succeeded", body
    [report] = body["metrics"]["photos"]
    assert report["tiles"][0]["height"] <= 128
    assert "memory ran out with tiles of 256 pixels; continued with 128" in report["warnings"]
    whole, tiled = (
        np.asarray(decoded(output[0])).astype(int) for output in (before, body["output"])
    )
    assert np.abs(whole - tiled).max() <= 1
    assert served.output(inputs) == before


@pytest.mark.parametrize(
    ("inputs", "stage"),
    [
        (UPSCALE, "decode"),
        (UPSCALE, "net"),
        (UPSCALE, "resize"),
        (UPSCALE, "encode"),
        (UPSCALE, "write"),
        ({**UPSCALE, "stability_mode": "optimized"}, "optimize"),
        (FACES, "detect"),
        (FACES, "faces"),
        (FACES, "paste"),
    ],
)
def test_a_request_is_cancelled_in_every_stage_and_leaves_nothing(served, inputs, stage):
    before = served.output(inputs)
    there = served.files
    answers = []
    asking = threading.Thread(
        target=lambda: answers.append(served.post(inputs, f"stall {stage} 30", name=f"in-{stage}"))
    )
    asking.start()
    served.wait_until_reached()
    cancelled_s = time.monotonic()
    assert (
        requests.post(f"{served.url}/predictions/in-{stage}/cancel", timeout=10).status_code == 200
    )
    asking.join(30)
    assert time.monotonic() - cancelled_s < 5
    assert answers[0].json()["status"] == "canceled"
    assert settled_status(served.url) == "READY"
    assert served.files == there
    assert served.output(inputs) == before


def test_a_cancel_takes_no_longer_than_a_tile(served):
    """Python is told between two steps of it: a tile is such a step, so that a large photo needs no patience."""
    large = data_uri(
        encode(Photo("large", ASTRONAUT.repeat(4, axis=0).repeat(4, axis=1)), "png", 100)[0],
        "image/png",
    )
    answers = []
    inputs = {**UPSCALE, "image": large, "tile_size": 128}

    def ask() -> None:
        started_s = time.monotonic()
        answers.append(
            (posted(served.url, {"input": inputs, "id": "large"}), time.monotonic() - started_s)
        )

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(1.5)
    cancelled_s = time.monotonic()
    assert requests.post(f"{served.url}/predictions/large/cancel", timeout=10).status_code == 200
    asking.join(60)
    took_s = time.monotonic() - cancelled_s
    assert answers[0][0].json()["status"] == "canceled"
    assert took_s < 3, f"{took_s:.1f} s"


def test_a_client_that_goes_leaves_a_server_that_answers_the_next(served):
    before = served.output(UPSCALE)
    there = served.files
    assert settled_status(served.url) == "READY"
    served.order.write_text("stall net 30")
    address = urlsplit(served.url)
    body = ('{"input": {"task": "upscale", "scale": 1, "image": "' + EYE + '"}}').encode()
    with socket.create_connection((address.hostname, address.port), timeout=10) as client:
        head = f"POST /predictions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        served.wait_until_reached()
    served.order.write_text("")
    started_s = time.monotonic()
    assert settled_status(served.url) == "READY"
    assert time.monotonic() - started_s < 5
    assert served.files == there
    assert served.output(UPSCALE) == before


def named_by(case: str, files: FileServer) -> dict[str, object]:
    """What a stranger may try to have read for him."""
    secret = files.add("secret", b"\x89PNG\r\n\x1a\n" + b"x" * 99)
    return {
        "a path": {"image": "/etc/hostname"},
        "a path from home": {"image": "~/.ssh/id_rsa"},
        "a path up": {"image": "../../../../etc/hostname"},
        "a file URL": {"image": "file:///etc/hostname"},
        "a list of paths": {"images": ["/etc/hostname"]},
        "a path beside an upload": {"images": [EYE, "/etc/hostname"]},
        "an upload beside a path": {"images": ["/etc/hostname", EYE]},
        "a mask": {"task": "inpaint", "image": EYE, "mask": "/etc/hostname"},
        "a loopback URL": {"image": secret},
        "a loopback name": {"image": secret.replace("127.0.0.1", "localhost")},
        "a mask's loopback URL": {"task": "inpaint", "image": EYE, "masks": [secret]},
        "the metadata of a cloud": {"image": "http://169.254.169.254/latest/meta-data/"},
        "another scheme": {"image": "ftp://127.0.0.1/a.jpg"},
    }[case]


NAMED = (
    "a path",
    "a path from home",
    "a path up",
    "a file URL",
    "a list of paths",
    "a path beside an upload",
    "an upload beside a path",
    "a mask",
    "a loopback URL",
    "a loopback name",
    "a mask's loopback URL",
    "the metadata of a cloud",
    "another scheme",
)


def test_the_log_holds_neither_photos_nor_places(served):
    """Whatever comes of a photo, and whichever input it is in."""
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(
        {1: "N", 2: (48.0, 51.0, 29.53125), 3: "E", 4: (2.0, 17.0, 40.21875)}
    )
    buffer = io.BytesIO()
    Image.fromarray(ASTRONAUT[:64, :64]).save(buffer, "JPEG", exif=exif)
    photo = data_uri(buffer.getvalue())
    kept = served.post(
        {"task": "restore", "image": photo, "keep_gps": True, "output_format": "jpg"}
    ).json()
    assert decoded(kept["output"][0]).getexif().get_ifd(ExifTags.IFD.GPSInfo)[2] == (
        48.0,
        51.0,
        29.53125,
    ), "the photo has a place"
    for inputs in (
        {"task": "restore"},
        {"task": "sharpen"},
        {"scale": photo},
        {"images": photo},
        {"task": "inpaint", "mask": photo},
    ):
        served.post({"image": photo, **inputs})
    served.post({"image": photo[: len(photo) // 2]})
    served.post({"image": photo}, "bug")
    log = served.log.read_text(errors="replace")
    assert "E505" in log or "prediction failed" in log, "it is the log of these requests"
    for text in (photo[40:100], photo[-60:], "29.53125", "945/32", "40.21875", "1287/32"):
        assert text not in log, text


@pytest.mark.parametrize("case", NAMED)
def test_a_request_reads_neither_the_servers_disk_nor_its_network(served, case):
    files = FileServer()
    there = served.files
    started_s = time.monotonic()
    body = served.post(named_by(case, files)).json()
    files.close()
    assert body["status"] == "failed", body
    assert "[E201]" in body["error"]
    assert len(body["error"]) < 400, "and no photo is quoted"
    assert files.log == [], "nothing was asked"
    assert time.monotonic() - started_s < 4
    assert served.files == there


def test_a_second_server_on_the_port_says_so_and_the_first_goes_on(served):
    port = str(urlsplit(served.url).port)
    command = [sys.executable, "-m", "restore", "serve", "--port", port]
    second = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False
    )
    assert second.returncode == 2
    assert f"[E504] the server cannot listen on 127.0.0.1 port {port}" in second.stderr
    assert decoded(served.output(UPSCALE)[0]).size == (100, 100)


@pytest.mark.parametrize(
    ("number", "when"),
    [(signal.SIGTERM, "setup"), (signal.SIGTERM, "predict"), (signal.SIGKILL, "predict")],
    ids=str,
)
def test_no_process_outlives_a_server_that_is_told_to_end(tmp_path, number, when):
    """The signal goes to Cog's server alone, as a container's or a supervisor's would."""
    folder = tmp_path / "tmp"
    with (tmp_path / "log").open("wb") as log:
        process = start("127.0.0.1", port := free_port(), environment_of(folder), log, FAULTY)
        server = Served(f"http://127.0.0.1:{port}", folder)
        try:
            asking = None
            if when == "setup":
                ends_s = time.monotonic() + 30
                while len(processes_of_group(process.pid)) < 2 and time.monotonic() < ends_s:
                    time.sleep(0.02)
            else:
                wait_until_ready(server.url, process, 120)
                answers = []
                asking = threading.Thread(target=lambda: answers.append(_tried(server)))
                asking.start()
                server.wait_until_reached()
            os.kill(process.pid, number)
            process.wait(ENDS_WITHIN_S)
            ends_s = time.monotonic() + ENDS_WITHIN_S
            while processes_of_group(process.pid) and time.monotonic() < ends_s:
                time.sleep(0.05)
            assert processes_of_group(process.pid) == []
            if asking:
                asking.join(30)
                finished = answers[0] is not None and answers[0].json()["status"] == "succeeded"
                assert finished == (number == signal.SIGTERM), (
                    "what was begun is finished, unless the server is killed"
                )
        finally:
            stop(process)


def _tried(server: Served) -> requests.Response | None:
    try:
        return server.post(UPSCALE, "stall net 1")
    except requests.ConnectionError:
        return None
