"""A test with Replicate's client for JavaScript and a real service with one worker."""

import base64
import io
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from apicalls import jpeg
from PIL import Image
from runningservice import API_KEY, RunningService

VERSION = "1.4.0"
INSTALL_TIMEOUT_S = 120
SCRIPT = Path(__file__).with_name("npm_client.mjs")


@pytest.fixture(scope="module")
def library() -> Path:
    """The package `replicate` of npm, which is installed once on each machine."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed")
    folder = Path(tempfile.gettempdir()) / f"restore-tests-replicate-{VERSION}-{os.getuid()}"
    module = folder / "node_modules" / "replicate" / "index.js"
    if not module.exists():
        command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder)]
        try:
            done = subprocess.run(
                [*command, f"replicate@{VERSION}"],
                capture_output=True,
                timeout=INSTALL_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            pytest.skip("npm did not install the package in time")
        if done.returncode:
            pytest.skip(f"npm cannot install the package: {done.stderr.decode()[-200:]}")
    return module


def test_client_for_javascript(
    library: Path, running_service: RunningService, tmp_path: Path
) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(jpeg())
    url = f"{running_service.url}/v1"
    done = subprocess.run(
        ["node", str(SCRIPT), str(library), url, API_KEY, str(photo)],
        capture_output=True,
        timeout=120,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert Image.open(io.BytesIO(base64.b64decode(seen["run"]))).size == (64, 80)
    assert seen["polled"] == {"outputs": 1, "first": "starting", "last": "succeeded"}
    assert seen["ended"] == {"status": "succeeded", "worker": "worker-1"}
    assert seen["cancelled"] in {"canceled", "succeeded"}  # it may end before the request
    assert seen["listed"] >= 4
    assert seen["file"] == {"size": photo.stat().st_size, "deleted": True}
    codes = ("[E205] ", "[E102] ", "[E607] ")
    for message, code in zip(seen["errors"], codes, strict=True):
        assert code in message
    assert seen["secret"].startswith("whsec_")
