"""Trials: what becomes of a hostile file in a process with limited memory and time."""

import hashlib
import io
import json
import os
import resource
import select
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from PIL import Image

from restore.errors import RestoreError
from restore.imaging.encode import encode
from restore.imaging.outputs import write_atomically
from restore.imaging.photo import Photo, decode, open_photo


@dataclass(frozen=True)
class Bounds:
    """The resources that one file may use.

    Attributes:
        address_space_bytes: memory that its process may map.
        cpu_s: processor time, because wall-clock time depends on other processes.
        idle_s: wall-clock time after which a process that sleeps is killed.
    """

    address_space_bytes: int = 3 * 2**30
    cpu_s: int = 8
    idle_s: int = 60


@dataclass(frozen=True)
class Verdict:
    """The outcome of one file.

    Attributes:
        name: the name of the file.
        kind: its class in the corpus, or its extension.
        verdict: 'accepted', 'rejected' or 'failed'.
        reason: the error code of a rejection, or why the trial failed.
        cpu_s: processor time, including the start of the process.
        wall_s: wall-clock time.
        peak_mb: largest resident memory, including what every process starts with.
    """

    name: str
    kind: str
    verdict: str
    reason: str
    cpu_s: float
    wall_s: float
    peak_mb: float


Task = Callable[[Path, Path], Photo]
"""Reads a photo file, writes one result into a folder, and returns the photo that was read."""


def reencode(source: Path, folder: Path) -> Photo:
    """Decode a file and write it as JPEG."""
    photo = open_photo(source)
    data, _ = encode(photo, "jpg", 95)
    write_atomically(data, folder / "1.jpg")
    return photo


class Trials:
    """Runs files, each in a fork of this process, which has imported everything already.

    This process must not have started threads, because they do not exist in a fork, and the fork
    would wait for them forever.
    """

    def __init__(self, task: Task = reencode, bounds: Bounds = Bounds()) -> None:
        self.task = task
        self.bounds = bounds

    def run(
        self,
        source: Path,
        kind: str,
        expected: tuple[str, ...] = ("accepted", "rejected"),
        intact: bytes | None = None,
    ) -> Verdict:
        """Run one file; `expected` and `intact` are those of a `Specimen`."""
        with tempfile.TemporaryDirectory(prefix="hostile-") as scratch:
            folder = Path(scratch)
            (folder / "out").mkdir()
            (folder / "tmp").mkdir()
            start = time.monotonic()
            outcome, ending, usage = self._run_in_fork(source, folder)
            wall_s = time.monotonic() - start
            files = sorted(
                str(path.relative_to(folder))
                for path in folder.rglob("*")
                if path.name not in {"out", "tmp"}
            )
        verdict, reason = _judge(outcome, ending, expected, _pixels_of(intact) if intact else None)
        if verdict != "failed" and (problem := _file_problem(verdict, files)):
            verdict, reason = "failed", problem
        cpu_s, peak_mb = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
        return Verdict(source.name, kind, verdict, reason, cpu_s, wall_s, peak_mb)

    def _run_in_fork(
        self, source: Path, folder: Path
    ) -> tuple[dict[str, str], str, resource.struct_rusage]:
        """Return the outcome, why the fork was killed (or ''), and the resources it used."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            self._run_as_child(source.resolve(), folder, writing)
        os.close(writing)
        received, ending = self._receive(child, reading)
        os.close(reading)
        _, status, usage = os.wait4(child, 0)
        if not ending and os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            ending = (
                f"still busy after {self.bounds.cpu_s} s"
                if name == "SIGXCPU"
                else f"killed by {name}"
            )
        outcome = json.loads(received) if received and not ending else {}
        return outcome, ending, usage

    def _receive(self, child: int, reading: int) -> tuple[bytes, str]:
        """Read until the child closes its end; kill it if it sleeps for too long."""
        deadline, received = time.monotonic() + self.bounds.idle_s, b""
        while True:
            ready, _, _ = select.select([reading], [], [], max(0.0, deadline - time.monotonic()))
            if ready:
                part = os.read(reading, 2**16)
                if not part:
                    return received, ""
                received += part
            elif _is_running(child):  # the limit of processor time ends it
                deadline = time.monotonic() + 1
            else:
                os.kill(child, signal.SIGKILL)
                return received, f"still waiting after {self.bounds.idle_s} s of wall clock"

    def _run_as_child(self, source: Path, folder: Path, writing: int) -> NoReturn:
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)  # C libraries print their errors here
            os.chdir(folder)
            os.environ["TMPDIR"] = tempfile.tempdir = str(folder / "tmp")
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_CPU, (self.bounds.cpu_s, self.bounds.cpu_s + 1))
            resource.setrlimit(resource.RLIMIT_AS, (self.bounds.address_space_bytes,) * 2)
            outcome = _run_task(self.task, source, folder / "out")
        except BaseException as error:  # noqa: BLE001 - every unexpected exception is a failure
            outcome = {"failed": f"{type(error).__name__}: {str(error)[:200]}"}
        os.write(writing, json.dumps(outcome).encode())
        os._exit(0)


def _run_task(task: Task, source: Path, folder: Path) -> dict[str, str]:
    try:
        photo = task(source, folder)
    except RestoreError as error:
        return {"code": str(error.code), "text": str(error)}
    for path in folder.iterdir():
        with Image.open(path) as result:
            if min(result.size) < 1:
                return {"failed": "the result has no pixels"}
    return {"pixels": _digest(photo), "has_warnings": "yes" if photo.warnings else ""}


def _judge(
    outcome: dict[str, str], ending: str, expected: tuple[str, ...], intact: str | None
) -> tuple[str, str]:
    """Return verdict and reason; a photo accepted without a warning must equal the intact one."""
    if ending or not outcome or "failed" in outcome:
        return "failed", ending or outcome.get("failed", "exited without an outcome")
    if "code" in outcome:
        if "rejected" not in expected and outcome["code"] not in expected:
            return "failed", f"expected {' or '.join(expected)}, but {outcome['text']}"
        return "rejected", outcome["code"]
    if "accepted" not in expected:
        return "failed", f"accepted, expected {' or '.join(expected)}"
    if intact is not None and outcome["pixels"] != intact and not outcome["has_warnings"]:
        return "failed", "accepted without a warning, with pixels that differ from the intact file"
    return "accepted", ""


def _file_problem(verdict: str, files: list[str]) -> str:
    """Return what is wrong with the files that a trial left, or ''."""
    results = [name for name in files if name.startswith("out/") and not name.endswith(".part")]
    if verdict == "accepted" and len(results) != 1:
        return f"accepted with {len(results)} results"
    allowed = results if verdict == "accepted" else []
    unexpected = [name for name in files if name not in allowed]
    return f"left behind: {', '.join(unexpected)}" if unexpected else ""


def _pixels_of(data: bytes) -> str:
    return _digest(decode(data, "intact"))


def _digest(photo: Photo) -> str:
    total = hashlib.blake2b(photo.pixels.tobytes())
    if photo.alpha is not None:
        total.update(photo.alpha.tobytes())
    return f"{photo.pixels.shape} {total.hexdigest()}"


def _is_running(process: int) -> bool:
    return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "S"


def mapped_bytes() -> int:
    """Return the size of this process's address space, which a fork inherits."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def restoring_task(name: str) -> Task:
    """Return a task that restores a photo with embedded weights.

    Networks and lazily imported modules are loaded here, once for all forks.
    """
    import torch  # noqa: PLC0415 - not needed for decoding alone

    from restore import Restorer  # noqa: PLC0415

    torch.set_num_threads(1)  # threads would not exist in a fork
    restorer = Restorer(weights="lite", device="cpu", preload=name)
    inputs: dict[str, Any] = {"steps": "auto"} if name == "pipeline" else {}
    if name == "inpaint":
        inputs["points"] = "[[1, 1], [6, 1], [6, 6]]"

    def run(source: Path, folder: Path) -> Photo:
        photo = open_photo(source)
        restorer.run(name, photo, **inputs).save(folder)
        return photo

    small = io.BytesIO()
    Image.new("RGB", (64, 64), (90, 90, 90)).save(small, "PNG")
    restorer.run(name, decode(small.getvalue(), "warm-up"), **inputs)
    return run
