"""Tests of restore.serving.parent."""

import signal
import subprocess
import sys
import time
from pathlib import Path

CHILD = """
import pathlib, sys, time
from restore.serving.parent import end_with_parent
parent = {parent}
end_with_parent(pathlib.Path(sys.argv[1], "cleaned").touch, parent)
pathlib.Path(sys.argv[1], "started").touch()
time.sleep(60)
"""
PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[2], sys.argv[1]])
time.sleep(60)
"""


def wait_for(path: Path) -> None:
    deadline_s = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline_s, f"{path.name} is missing"
        time.sleep(0.02)


def test_process_cleans_up_and_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    child = CHILD.format(parent="None")
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), child]) as parent:
        wait_for(tmp_path / "started")
        assert not (tmp_path / "cleaned").exists()
        parent.send_signal(signal.SIGKILL)
    wait_for(tmp_path / "cleaned")


def test_process_ends_whose_parent_has_ended_before(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD.format(parent=2**30), str(tmp_path)]
    assert subprocess.run(command, check=False, timeout=20).returncode == 1
    assert (tmp_path / "cleaned").exists()
