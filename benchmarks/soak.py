"""Hundreds of mixed requests, a fifth of them faulty, through a real Cog server, whose memory is watched: `python -m benchmarks.soak`.

Every task, size and kind of fault comes in an order drawn by seed. Fails (exit code 1) where a request is lost, answers otherwise than
its kind must, or where memory grows: that of the server's processes (without mapped files) and that of the device, in any eighth of the
run above the first after the warm-up (medians), by 100 MB or more. The warm-up asks for every task at its largest, in every mode.
`--leak` serves a predictor that keeps some memory of each request (leaking.py): a run that does not fail then proves nothing.
`--plot` draws the curves; `--record` adds a row to results/soak.jsonl.
"""

from __future__ import annotations

import argparse
import base64
import json
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from tqdm import tqdm

from benchmarks.client import READY_TIMEOUT_S, Answer, Client, Json, Prediction
from benchmarks.rows import machine, record
from restore.errors import RestoreError
from restore.imaging.outputs import require_writable
from restore.imaging.photo import Photo, encode, open_photo
from restore.serving.launcher import PREDICTOR, start, stop, wait_until_ready

DATA = Path(__file__).resolve().parent.parent / "data"
LEAKING = "benchmarks/leaking.py:Predictor"
MOST_GROWTH_MB = 100.0
SAMPLE_EVERY_S = 0.5
WINDOWS = 8  # of a run, the first of which the others are compared with
FEWEST_REQUESTS = 40  # below, there is no eighth worth a median
MOST_PX = 320
MB = 1e6

TASKS: Mapping[str, Json] = {
    "face_restore": {},
    "enhance": {"scale": 1.5},
    "upscale": {"scale": 2},
    "restore": {},
    "colorize": {},
    "old_photo_restore": {"with_scratch": True},
    "inpaint": {"points": "[[8, 8], [30, 10], [20, 30]]"},
    "pipeline": {"steps": "restore,colorize,upscale", "scale": 1},
}


@dataclass(frozen=True)
class Asked:
    """A request and how it must end: `succeeded`, or with this text in its refusal."""

    kind: str
    prediction: Prediction
    expected: str = "succeeded"

    def met_by(self, answer: Answer) -> bool:
        if self.expected == "succeeded":
            return answer.status == "succeeded"
        return answer.status == "failed" and self.expected in answer.error


@dataclass
class Memory:
    """What the server's processes, and the device, held while the requests ran."""

    at_s: list[float] = field(default_factory=list)
    resident_mb: list[float] = field(default_factory=list)
    device_mb: list[float] = field(default_factory=list)


def requests_for(count: int, seed: int) -> Iterator[Asked]:
    """`count` requests by seed: four of five good ones of every task, mode and profile, 1 to 4 photos of 24 to 320 pixels."""
    rng = np.random.default_rng(seed)
    photos = [open_photo(DATA / name) for name in ("1.jpg", "3.jpg", "8.jpg", "9.jpg")]
    faults = (cut_off, no_photo, too_small, unknown_value, missing, no_mask)
    for index in range(count):
        if rng.random() < 0.2:
            yield faults[int(rng.integers(len(faults)))](rng)
            continue
        # In turn first, so that a short run meets every task too.
        task = list(TASKS)[index] if index < len(TASKS) else str(rng.choice(list(TASKS)))
        batch = [
            uri_of(sized(photos[int(i)], int(rng.integers(48, MOST_PX))))
            for i in rng.integers(0, len(photos), int(rng.integers(1, 5)))
        ]
        inputs = {
            **TASKS[task],
            "task": task,
            "runtime_profile": str(rng.choice(["baseline", "fast", "max_speed"])),
        }
        inputs["stability_mode"] = str(rng.choice(["safe", "optimized"]))
        inputs["output_format"] = str(rng.choice(["jpg", "png", "webp"]))
        yield asked(task, {**inputs, "images": batch}, photos=len(batch))


def warm_up() -> Iterator[Asked]:
    """Every task in every mode, with four photos of the largest size: what is kept of a task for the next one is there then."""
    photos = [uri_of(sized(open_photo(DATA / "1.jpg"), MOST_PX))] * 4
    for mode in ("safe", "optimized"):
        for profile in ("baseline", "fast"):
            for task, options in TASKS.items():
                inputs = {
                    **options,
                    "task": task,
                    "runtime_profile": profile,
                    "stability_mode": mode,
                    "images": photos,
                }
                yield asked(task, inputs, photos=len(photos))


def asked(kind: str, inputs: Json, expected: str = "succeeded", photos: int = 1) -> Asked:
    names = tuple(f"{kind}-{index}" for index in range(photos))
    return Asked(kind, Prediction(names, json.dumps({"input": inputs}).encode()), expected)


def noise(rng: np.random.Generator, side_px: int = 64) -> bytes:
    pixels = rng.integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)
    return encode(Photo("noise", pixels), "jpg", 90)[0]


def cut_off(rng: np.random.Generator) -> Asked:
    data = noise(rng)
    return asked(
        "damaged photo", {"task": "upscale", "image": uri(data[: len(data) // 2])}, "[E206]"
    )


def no_photo(rng: np.random.Generator) -> Asked:
    return asked("no photo", {"task": "restore", "image": uri(rng.bytes(2000))}, "[E205]")


def too_small(rng: np.random.Generator) -> Asked:
    return asked("too small", {"task": "colorize", "image": uri(noise(rng, 4))}, "[E204]")


def unknown_value(rng: np.random.Generator) -> Asked:
    return asked("unknown value", {"task": "sharpen", "image": uri(noise(rng))}, "HTTP 422")


def missing(rng: np.random.Generator) -> Asked:
    return asked("no photo at all", {"task": str(rng.choice(list(TASKS)))}, "[E103]")


def no_mask(rng: np.random.Generator) -> Asked:
    return asked("no mask", {"task": "inpaint", "image": uri(noise(rng))}, "[E104]")


def sized(photo: Photo, long_px: int) -> Photo:
    """The photo at that long side."""
    factor = long_px / max(photo.width, photo.height)
    size = (max(36, round(photo.width * factor)), max(36, round(photo.height * factor)))
    return Photo(photo.name, cv2.resize(photo.pixels, size, interpolation=cv2.INTER_AREA))


def uri_of(photo: Photo) -> str:
    return uri(encode(photo, "png", 90)[0])


def uri(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def medians_mb(samples: Sequence[float]) -> list[float]:
    """The median of each of WINDOWS parts of the run; none of too few samples."""
    length = len(samples) // WINDOWS
    return (
        [
            statistics.median(samples[length * index : length * (index + 1)])
            for index in range(WINDOWS)
        ]
        if length
        else []
    )


def growth_mb(samples: Sequence[float]) -> float:
    """By how much the highest of the later medians is above the first: what climbs and falls again has grown as well. 0 of too few."""
    first, *later = medians_mb(samples) or [0.0]
    return max(later, default=first) - first


def resident_mb(group: int) -> float:
    """What the processes of a group hold in memory together, pages of mapped files left out, which give way."""
    total_kb = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(status.read_text().rpartition(")")[2].split()[2]) != group:
                continue
            lines = (status.parent / "status").read_text().splitlines()
        except (OSError, IndexError, ValueError):  # it has ended meanwhile
            continue
        total_kb += sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
    return total_kb * 1024 / MB


def device_mb() -> float:
    """What is taken of the first GPU's memory, by whomever; 0 without one."""
    if not torch.cuda.is_available():
        return 0.0
    free, total = torch.cuda.mem_get_info(0)
    return (total - free) / MB


class Watch:
    """Samples memory in a thread of its own for the length of a `with` block."""

    def __init__(self, group: int) -> None:
        self.group, self.memory = group, Memory()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self.memory

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        started_s = time.perf_counter()
        while True:
            self.memory.at_s.append(time.perf_counter() - started_s)
            self.memory.resident_mb.append(resident_mb(self.group))
            self.memory.device_mb.append(device_mb())
            if self._ended.wait(SAMPLE_EVERY_S):
                return


def soaked(
    url: str, wanted: Iterator[Asked], minutes: float | None
) -> tuple[Counter[str], list[str]]:
    """Sends requests until there are no more, or time is up: how many of each kind, and what went otherwise than it must."""
    kinds, wrong = Counter[str](), list[str]()
    ends_s = time.perf_counter() + 60 * minutes if minutes else float("inf")
    with Client(url) as client, tqdm(unit="request") as bar:
        for one in wanted:
            answer = client.predict(one.prediction)
            kinds[one.kind] += 1
            if not one.met_by(answer):
                wrong.append(
                    f"{one.kind}: {answer.status}, {one.expected} expected: {answer.error}"
                )
            bar.update()
            if time.perf_counter() > ends_s or answer.status == "lost":
                break
    return kinds, wrong


def soak(arguments: argparse.Namespace) -> Json:
    """The whole run, its server started and ended here.

    Raises:
        RestoreError: a port that is taken, a server that does not become ready, a picture that cannot be written.
    """
    if arguments.plot:
        require_writable(arguments.plot.parent)
    environment = {
        "RESTORE_WEIGHTS": arguments.weights,
        "RESTORE_PRELOAD": "all",
        "LEAKED_MB": str(arguments.leaked_mb),
    }
    with tempfile.TemporaryFile() as log:
        process = start(
            "127.0.0.1", arguments.port, environment, log, LEAKING if arguments.leak else PREDICTOR
        )
        try:
            url = f"http://127.0.0.1:{arguments.port}"
            wait_until_ready(url, process, READY_TIMEOUT_S)
            _, wrong_before = soaked(url, warm_up(), None)
            started_s = time.perf_counter()
            count = 10**9 if arguments.minutes else arguments.requests
            with Watch(process.pid) as memory:
                kinds, wrong = soaked(url, requests_for(count, arguments.seed), arguments.minutes)
            seconds = time.perf_counter() - started_s
        finally:
            stop(process)
    if arguments.plot:
        plot(memory, arguments.plot)
    return result_of(kinds, [*wrong_before, *wrong], memory) | {
        "seconds": round(seconds, 1),
        "seed": arguments.seed,
        "weights": arguments.weights,
        "leak": arguments.leak,
    }


def result_of(kinds: Counter[str], wrong: Sequence[str], memory: Memory) -> Json:
    """The figures of a run, and whether they are as they must be."""
    resident, device = growth_mb(memory.resident_mb), growth_mb(memory.device_mb)
    requests = sum(kinds.values())
    return {
        "requests": requests,
        "kinds": dict(kinds),
        "lost": sum(": lost," in text for text in wrong),
        "wrong": list(wrong),
        "samples": len(memory.at_s),
        "resident_peak_mb": round(max(memory.resident_mb, default=0.0), 1),
        "resident_medians_mb": [round(median) for median in medians_mb(memory.resident_mb)],
        "resident_growth_mb": round(resident, 1),
        "device_growth_mb": round(device, 1),
        "met": not wrong
        and resident < MOST_GROWTH_MB
        and device < MOST_GROWTH_MB
        and requests >= FEWEST_REQUESTS,
    }


def plot(memory: Memory, path: Path) -> None:
    """The curves of memory, as a picture."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - a second, for a picture alone

    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(
        memory.at_s,
        memory.resident_mb,
        label=f"server's processes: growth {growth_mb(memory.resident_mb):.0f} MB",
    )
    if any(memory.device_mb):
        axes.plot(
            memory.at_s,
            memory.device_mb,
            label=f"device: growth {growth_mb(memory.device_mb):.0f} MB",
        )
    axes.set(title="Memory while mixed requests run", xlabel="seconds", ylabel="MB", ylim=(0, None))
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120, format="png")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code: 0, 1 when something was lost, wrong or grew, 2 when the run was refused."""
    options = _parser().parse_args(arguments)
    try:
        result = soak(options)
    except RestoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result, indent=1))
    if options.record:
        record("soak", result | machine())
    return 0 if result["met"] else 1


def _parser() -> argparse.ArgumentParser:
    parser: Any = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=500, help="how many (default: 500)")
    parser.add_argument("--minutes", type=float, help="for how long, in place of how many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--weights", default="lite", choices=["lite", "auto", "official"])
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument(
        "--leak", action="store_true", help="serve a predictor that leaks, which must fail the run"
    )
    parser.add_argument(
        "--leaked-mb", type=float, default=8.0, help="what it keeps of each request (default: 8)"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    parser.add_argument("--record", action="store_true", help="add a row to results/soak.jsonl")
    return parser  # type: ignore[no-any-return]


if __name__ == "__main__":
    sys.exit(main())
