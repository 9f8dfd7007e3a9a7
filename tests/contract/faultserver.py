"""A Cog server that serves tests/contract/faulty.py, and the files that it leaves behind."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import requests
from coghttp import data_uri, files_below, post_prediction
from facefakes import ASTRONAUT
from places import PROJECT

from restore.imaging.encode import encode
from restore.imaging.photo import Photo

FAULTY_PREDICTOR = "tests/contract/faulty.py:Predictor"

PORTRAIT = data_uri(encode(Photo("portrait", ASTRONAUT), "png", 100)[0], "image/png")
EYE = data_uri(encode(Photo("eye", ASTRONAUT[80:180, 80:180]), "png", 100)[0], "image/png")
UPSCALE = {"task": "upscale", "scale": 1, "image": EYE, "output_format": "png"}
FACE_RESTORE = {"task": "face_restore", "image": PORTRAIT, "output_format": "png"}


class FaultServer:
    """Sends requests to a running server, with a fault or without one.

    Args:
        url: address of the server.
        temporary_folder: its TMPDIR, as given to `environment_of`.
    """

    def __init__(self, url: str, temporary_folder: Path) -> None:
        self.url = url
        self.temporary_folder = temporary_folder
        self.fault_file = temporary_folder.parent / "fault"
        self.log_file = temporary_folder.parent / "log"

    def post(
        self, inputs: Mapping[str, object], fault: str = "", request_id: str | None = None
    ) -> requests.Response:
        self.fault_file.write_text(fault)
        body: dict[str, object] = {"input": inputs}
        if request_id:
            body["id"] = request_id
        try:
            return post_prediction(self.url, body)
        finally:
            self.fault_file.write_text("")

    def output(self, inputs: Mapping[str, object]) -> list[str]:
        """Return the data URIs of the results of a request that succeeds."""
        body = self.post(inputs).json()
        assert body["status"] == "succeeded", body
        output: list[str] = body["output"]
        return output

    def wait_until_stalled(self) -> None:
        """Wait until a request has reached the stage named by its fault `stall`."""
        marker = self.fault_file.with_suffix(".reached")
        deadline_s = time.monotonic() + 60
        while not marker.exists():
            assert time.monotonic() < deadline_s, "the stage was not reached"
            time.sleep(0.01)
        marker.unlink()

    def temporary_files(self) -> set[Path]:
        return files_below(self.temporary_folder)


def environment_of(temporary_folder: Path) -> dict[str, str]:
    """Create the temporary folder of a server, and return the environment to start it with."""
    temporary_folder.mkdir()
    fault_file = temporary_folder.parent / "fault"
    fault_file.write_text("")
    return {
        "RESTORE_WEIGHTS": "lite",
        "RESTORE_PRELOAD": "none",
        "TMPDIR": str(temporary_folder),
        "RESTORE_TEST_FAULT": str(fault_file),
        "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "tests")]),
    }
