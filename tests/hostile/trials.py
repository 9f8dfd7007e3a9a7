"""One file, one process: what becomes of a hostile file where memory and time are limited, and what it leaves behind."""

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

from PIL import Image

from restore.errors import RestoreError
from restore.imaging.photo import Photo, decode, encode, open_photo, write_atomically


@dataclass(frozen=True)
class Bounds:
    """What a file may cost: all that its process may map, and processor time, as the wall clock of a busy machine measures others.

    A process that sleeps is ended by the wall clock, after `waiting_s`.
    """

    address_space_bytes: int = 3 * 2**30
    seconds: int = 8
    waiting_s: int = 60


@dataclass(frozen=True)
class Verdict:
    """What became of a file.

    Attributes:
        verdict: 'answered', 'refused' or 'failed'.
        said: the code of a refusal, or why it failed.
        seconds: processor time, the start of its process included.
        wall_seconds: wall clock.
        peak_mb: the most memory that its process held, with what every process holds from the start.
    """

    name: str
    kind: str
    verdict: str
    said: str
    seconds: float
    wall_seconds: float
    peak_mb: float


Task = Callable[[Path, Path], Photo]
"""Reads a photo's file, writes one result into a folder, and returns the photo that was read."""


def reencoded(source: Path, folder: Path) -> Photo:
    """Decode a file and write it as JPEG."""
    photo = open_photo(source)
    data, _ = encode(photo, "jpg", 95)
    write_atomically(data, folder / "1.jpg")
    return photo


class Trials:
    """Puts files to trial, each in a fork of this process, which so has everything imported already.

    This process must not have started threads: a fork has none of them, and would wait for them for ever.
    """

    def __init__(self, task: Task = reencoded, bounds: Bounds = Bounds()) -> None:
        self.task = task
        self.bounds = bounds

    def of(
        self,
        source: Path,
        kind: str,
        expected: tuple[str, ...] = ("answered", "refused"),
        whole: bytes | None = None,
    ) -> Verdict:
        """Try one file. `expected` and `whole` are a `corpus.Specimen`'s."""
        with tempfile.TemporaryDirectory(prefix="hostile-") as scratch:
            folder = Path(scratch)
            (folder / "out").mkdir()
            (folder / "tmp").mkdir()
            start = time.monotonic()
            said, ending, usage = self._in_a_fork(source, folder)
            wall_seconds = time.monotonic() - start
            left = sorted(
                str(path.relative_to(folder))
                for path in folder.rglob("*")
                if path.name not in {"out", "tmp"}
            )
        verdict, reason = _judged(said, ending, expected, _pixels_of(whole) if whole else None)
        results = [name for name in left if name.startswith("out/") and not name.endswith(".part")]
        if verdict == "answered" and len(results) != 1:
            verdict, reason = "failed", f"answered with {len(results)} files"
        if verdict != "failed" and (
            strays := left
            if verdict == "refused"
            else [name for name in left if name not in results]
        ):
            verdict, reason = "failed", f"left behind: {', '.join(strays)}"
        return Verdict(
            source.name,
            kind,
            verdict,
            reason,
            usage.ru_utime + usage.ru_stime,
            wall_seconds,
            usage.ru_maxrss / 1024,
        )

    def _in_a_fork(
        self, source: Path, folder: Path
    ) -> tuple[dict[str, str], str, resource.struct_rusage]:
        """What the fork said, how it ended where not by itself, and what it used."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            self._child(source.resolve(), folder, writing)
        os.close(writing)
        deadline, heard, ending = time.monotonic() + self.bounds.waiting_s, b"", ""
        while not ending:
            ready, _, _ = select.select([reading], [], [], max(0.0, deadline - time.monotonic()))
            if not ready and _runs(
                child
            ):  # or would, if the others let it: the limit of processor time will end it
                deadline = time.monotonic() + 1
            elif not ready:
                ending = f"still waiting after {self.bounds.waiting_s} s of wall clock"
                os.kill(child, signal.SIGKILL)
            elif piece := os.read(reading, 2**16):
                heard += piece
            else:
                break
        os.close(reading)
        _, status, usage = os.wait4(child, 0)
        if not ending and os.WIFSIGNALED(status):
            by = signal.Signals(os.WTERMSIG(status)).name
            ending = (
                f"still busy after {self.bounds.seconds} s"
                if by == "SIGXCPU"
                else f"killed by {by}"
            )
        said = json.loads(heard) if heard and not ending else {}
        return said, ending, usage

    def _child(self, source: Path, folder: Path, writing: int) -> None:
        """Runs in the fork, and never returns."""
        try:
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)  # codecs in C complain here
            os.chdir(folder)
            os.environ["TMPDIR"] = tempfile.tempdir = str(folder / "tmp")
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_CPU, (self.bounds.seconds, self.bounds.seconds + 1))
            resource.setrlimit(resource.RLIMIT_AS, (self.bounds.address_space_bytes,) * 2)
            said = _tried(self.task, source, folder / "out")
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is what this is looking for
            said = {"failed": f"{type(error).__name__}: {str(error)[:200]}"}
        os.write(writing, json.dumps(said).encode())
        os._exit(0)


def _tried(task: Task, source: Path, folder: Path) -> dict[str, str]:
    try:
        photo = task(source, folder)
    except RestoreError as error:
        return {"code": str(error.code), "text": str(error)}
    for path in folder.iterdir():  # a result must be a picture
        with Image.open(path) as result:
            if min(result.size) < 1:
                return {"failed": "the result has no pixels"}
    return {"pixels": _digest(photo), "warned": "yes" if photo.warnings else ""}


def _judged(
    said: dict[str, str], ending: str, expected: tuple[str, ...], whole: str | None
) -> tuple[str, str]:
    """A verdict and what to say of it. An answer that nothing warned of must be the whole picture."""
    if ending or not said or "failed" in said:
        return "failed", ending or said.get("failed", "ended without a word")
    if "code" in said:
        if "refused" not in expected and said["code"] not in expected:
            return "failed", f"not {' or '.join(expected)} but {said['text']}"
        return "refused", said["code"]
    if "answered" not in expected:
        return "failed", f"answered, not {' or '.join(expected)}"
    if whole is not None and said["pixels"] != whole and not said["warned"]:
        return "failed", "answered in silence with pixels that are not those of the whole file"
    return "answered", ""


def _pixels_of(data: bytes) -> str:
    return _digest(decode(data, "whole"))


def _digest(photo: Photo) -> str:
    total = hashlib.blake2b(photo.pixels.tobytes())
    if photo.alpha is not None:
        total.update(photo.alpha.tobytes())
    return f"{photo.pixels.shape} {total.hexdigest()}"


def _runs(process: int) -> bool:
    return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "S"


def mapped_bytes() -> int:
    """The address space of this process, of which a fork has as much."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def restored(task: str) -> Task:
    """A task by name on embedded weights. Its networks are loaded here, once for all forks; pieces that load late are warmed."""
    import torch  # noqa: PLC0415 - decoding alone must do without it

    from restore import Restorer  # noqa: PLC0415

    torch.set_num_threads(1)  # its threads would not be in a fork
    restorer = Restorer(weights="lite", device="cpu", preload=task)
    inputs: dict[str, object] = {"steps": "auto"} if task == "pipeline" else {}
    if task == "inpaint":
        inputs["points"] = "[[1, 1], [6, 1], [6, 6]]"

    def run(source: Path, folder: Path) -> Photo:
        photo = open_photo(source)
        restorer.run(task, photo, **inputs).save(folder)
        return photo

    small = io.BytesIO()
    Image.new("RGB", (64, 64), (90, 90, 90)).save(small, "PNG")
    restorer.run(task, decode(small.getvalue(), "warm"), **inputs)
    return run
