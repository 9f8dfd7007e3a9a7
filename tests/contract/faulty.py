"""The predictor of predict.py with faults that a test orders.

The file named by RESTORE_TEST_FAULT holds the fault of the next request, such as `memory 100`:

    memory PX       every network input with a longer side than PX runs out of memory
    nan             networks return NaN
    disk result     the disk is full when a result is written; `disk upload`: an upload
    bug             an internal error
    stall STAGE S   a stage of the work waits S seconds and touches `<file>.reached`
"""

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from predict import Predictor as RealPredictor
from restore.imaging import outputs
from restore.pipelines import face_batches
from restore.report import Report
from restore.restorer import Restorer
from restore.runtime import tiling

FAULT_FILE = Path(os.environ["RESTORE_TEST_FAULT"])
OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB"


def fault(name: str) -> list[str] | None:
    """Return the arguments of the fault with this name, or None if it is not ordered."""
    ordered, *arguments = FAULT_FILE.read_text().split() or [""]
    return arguments if ordered == name else None


class Predictor(RealPredictor):
    def setup(self) -> None:
        super().setup()
        _wrap(tiling, "_forward", forward)
        _wrap(face_batches, "restore_faces", restore_faces)
        _wrap(Path, "write_bytes", write_bytes)
        _wrap(Restorer, "run", run)
        _wrap(Report, "stage", stage)
        _wrap(outputs, "encode_timed", encode_timed)


def forward(original: Callable[..., Any], net: Callable[..., Any], tile: Any, *args: Any) -> Any:
    if (limit := fault("memory")) and max(tile.shape[-2:]) > int(limit[0]):
        raise torch.OutOfMemoryError(OUT_OF_MEMORY)
    factor = torch.nan if fault("nan") is not None else 1.0
    return original(lambda tensor: net(tensor) * factor, tile, *args)


def restore_faces(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if fault("memory") is not None:
        raise torch.OutOfMemoryError(OUT_OF_MEMORY)
    return original(*args, **kwargs)


def write_bytes(original: Callable[..., int], path: Path, data: bytes) -> int:
    kind = "result" if path.suffix == ".part" else "upload"
    if fault("disk") == [kind]:
        original(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")
    if kind == "result" and (stall := fault("stall")) and stall[0] == "write":
        original(path, data[: len(data) // 2])
        wait(float(stall[1]))
    return original(path, data)


def run(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if fault("bug") is not None:
        raise ZeroDivisionError("data:image/png;base64,SECRET in /home/somebody")
    return original(*args, **kwargs)


@contextmanager
def stage(original: Callable[..., Any], report: Report, name: str) -> Iterator[None]:
    with original(report, name):
        stall_in(name)
        yield


def encode_timed(original: Callable[..., Any], *args: Any) -> Any:
    stall_in("encode")
    return original(*args)


def stall_in(name: str) -> None:
    """Wait if it is ordered for this stage."""
    if (stall := fault("stall")) and stall[0] == name:
        wait(float(stall[1]))


def wait(seconds: float) -> None:
    """Wait in short steps, so that a cancellation can interrupt."""
    FAULT_FILE.with_suffix(".reached").touch()
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        time.sleep(0.01)


def _wrap(owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
    original = getattr(owner, name)
    setattr(owner, name, lambda *args, **kwargs: wrapper(original, *args, **kwargs))
