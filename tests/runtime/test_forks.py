"""Requests in forked processes: refused if torch would wait forever in them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import PROJECT

SCRIPT = """
import os
import numpy as np
import torch
from restore import RestoreError, Restorer

torch.set_num_threads({threads})
PHOTO = np.zeros((16, 16), np.uint8)
inherited = Restorer(weights="lite", device="cpu")
if {is_used}:
    inherited.run("upscale", PHOTO, scale=1)

def use(make):
    try:
        make().run("upscale", PHOTO, scale=1)
    except RestoreError as error:
        print(error.code, flush=True)
    else:
        print("done", flush=True)

if os.fork() == 0:
    use(lambda: inherited)
    use(lambda: Restorer(weights="lite", device="cpu", preload="upscale"))
    os._exit(0)
os.wait()
"""


@pytest.mark.parametrize(
    ("threads", "is_used", "outcomes"),
    [
        (2, True, ["E502", "E502"]),
        (1, True, ["done", "done"]),
        (2, False, ["done", "done"]),
    ],
)
def test_forked_process_runs_networks_or_is_refused(
    tmp_path: Path, threads: int, is_used: bool, outcomes: list[str]
) -> None:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(threads=threads, is_used=is_used))
    done = subprocess.run(
        [sys.executable, str(path)],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": str(threads)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.split() == outcomes
