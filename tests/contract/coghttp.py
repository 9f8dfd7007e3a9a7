"""What tests of a real Cog server share: photos to send, requests that are asked again while it is busy, its processes."""

import base64
import contextlib
import io
import socket
import time
from pathlib import Path

import requests
from PIL import Image


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def colour_of(level: int, side: int = 24) -> bytes:
    """A JPEG in one grey level, so that results tell which photo they came from."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side + 8), (level, level, level)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def data_uri(data: bytes, kind: str = "image/jpeg") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def decoded(uri: str) -> Image.Image:
    head, _, body = uri.partition(",")
    assert head.startswith("data:image/")
    return Image.open(io.BytesIO(base64.b64decode(body)))


def processes_of_group(group: int) -> list[int]:
    """Processes alive (no zombies) in a process group, from /proc."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = status.read_text().rsplit(")", 1)[1].split()
            if int(fields[2]) == group and fields[0] != "Z":
                found.append(int(status.parent.name))
    return found


def settled_status(url: str) -> str:
    """The server's status once its slot is free again: Cog says BUSY for some milliseconds after it has answered."""
    deadline_s = time.monotonic() + 10
    while (
        status := requests.get(f"{url}/health-check", timeout=5).json()["status"]
    ) == "BUSY" and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return status


def posted(url: str, body: dict[str, object], timeout_s: float = 120.0) -> requests.Response:
    """The answer to a prediction; a request right after another may meet a slot that is not free yet."""
    for _ in range(500):
        answer = requests.post(f"{url}/predictions", json=body, timeout=timeout_s)
        if answer.status_code != 409:
            return answer
        time.sleep(0.02)
    raise AssertionError("the server stayed busy")


def files_below(folder: Path) -> set[Path]:
    """All files, but not folders, of which Cog leaves empty ones."""
    return {path for path in folder.rglob("*") if not path.is_dir()}
