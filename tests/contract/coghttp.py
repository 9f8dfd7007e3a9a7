"""Helpers for tests with a real Cog server: photos, requests and processes."""

import base64
import contextlib
import io
import json
import socket
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests
from PIL import Image

BUSY = 409
"""HTTP status of a server that is still at work on another request."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def grey_jpeg(level: int, width_px: int = 24) -> bytes:
    """Encode a JPEG with one grey level, which tells results apart."""
    buffer = io.BytesIO()
    size = (width_px, width_px + 8)
    Image.new("RGB", size, (level, level, level)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def data_uri(data: bytes, media_type: str = "image/jpeg") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def decode_image(uri: str) -> Image.Image:
    header, _, body = uri.partition(",")
    assert header.startswith("data:image/")
    with warnings.catch_warnings():
        # Results may be larger than what Pillow takes for an attack (89 megapixels).
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(io.BytesIO(base64.b64decode(body)))


def decode_json(uri: str) -> dict[str, Any]:
    header, _, body = uri.partition(",")
    assert header == "data:application/json;base64"
    document: dict[str, Any] = json.loads(base64.b64decode(body))
    return document


def processes_of_session(session: int) -> list[int]:
    """Return the running processes of a session, without zombies."""
    processes = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rsplit(")", 1)[1].split()
            if int(fields[3]) == session and fields[0] != "Z":
                processes.append(int(path.parent.name))
    return processes


def idle_status(url: str) -> str:
    """Return the server's status once it is not BUSY: it is, for some ms after a response."""
    deadline_s = time.monotonic() + 10
    while True:
        status = str(requests.get(f"{url}/health-check", timeout=5).json()["status"])
        if status != "BUSY" or time.monotonic() >= deadline_s:
            return status
        time.sleep(0.01)


def post_prediction(
    url: str, body: Mapping[str, object], timeout_s: float = 120.0
) -> requests.Response:
    """Send a request, again if the server is still busy with the previous one."""
    for _ in range(500):
        response = requests.post(f"{url}/predictions", json=body, timeout=timeout_s)
        if response.status_code != BUSY:
            return response
        time.sleep(0.02)
    raise AssertionError("the server stayed busy")


def files_below(folder: Path) -> set[Path]:
    """Return all files below a folder. Cog leaves empty folders behind."""
    return {path for path in folder.rglob("*") if not path.is_dir()}
