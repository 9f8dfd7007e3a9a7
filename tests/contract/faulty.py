"""predict.py's Predictor with faults to order: each request has the one that the file RESTORE_TEST_FAULT holds, such as `memory 100`.

For tests alone. What is wrapped here is what would fail on a bad day: memory, disk, a network, the program. `stall STAGE SECONDS` waits
in a stage of the work, in steps that Python can interrupt, and says so in `<file>.reached`.
"""

import errno
import os
import time
from contextlib import contextmanager
from pathlib import Path

import torch

from predict import Predictor as RealPredictor
from restore.pipelines import face_stage as faces
from restore.report import Report
from restore.restorer import Restorer
from restore.runtime import tiling

FAULT = Path(os.environ["RESTORE_TEST_FAULT"])


def fault(name: str) -> list[str] | None:
    """The arguments of the fault of this name, or None where another or none is ordered."""
    ordered, *arguments = FAULT.read_text().split() or [""]
    return arguments if ordered == name else None


class Predictor(RealPredictor):
    def setup(self) -> None:
        super().setup()
        _wrap(tiling, "_forward", forward)
        _wrap(faces, "restored", restored)
        _wrap(Path, "write_bytes", write_bytes)
        _wrap(Restorer, "run", run)
        _wrap(Report, "stage", stage)


def forward(real, net, tile, *rest):
    if (limit := fault("memory")) and max(tile.shape[:2]) > int(limit[0]):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    bad = torch.nan if fault("nan") is not None else 1.0
    return real(lambda seen: net(seen) * bad, tile, *rest)


def restored(real, *given, **named):
    if fault("memory") is not None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    return real(*given, **named)


def write_bytes(real, path, data):
    kind = "result" if path.suffix == ".part" else "upload"
    if fault("disk") == [kind]:
        real(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")
    if kind == "result" and (stalled := fault("stall")) and stalled[0] == "write":
        real(path, data[: len(data) // 2])
        wait(float(stalled[1]))
    return real(path, data)


def run(real, *given, **named):
    if fault("bug") is not None:
        raise ZeroDivisionError("data:image/png;base64,SECRET in /home/somebody")
    return real(*given, **named)


@contextmanager
def stage(real, report, name):
    with real(report, name):
        if (stalled := fault("stall")) and stalled[0] == name:
            wait(float(stalled[1]))
        yield


def wait(seconds: float) -> None:
    FAULT.with_suffix(".reached").touch()
    ends_s = time.monotonic() + seconds
    while time.monotonic() < ends_s:
        time.sleep(0.01)


def _wrap(owner, name: str, wrapper) -> None:
    real = getattr(owner, name)
    setattr(owner, name, lambda *given, **named: wrapper(real, *given, **named))
