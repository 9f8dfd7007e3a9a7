"""Everything that is to be known of a GPU, inside ten minutes: `python -m benchmarks.gpu --part nets --minutes 6`.

Part `nets`: networks in each precision and engine, the most important first; each row goes to `--rows` as soon as it is measured, and
what is there already is not measured again. Part `compile` fills the compiler's cache from several processes, so that `nets` spends its
time on measuring. Part `profile` names the kernels that the best row of a network spends its time in. Part `server`: whole requests
through the real Cog server, with one and with four photos. `--device cpu --small` runs the first three on small inputs, to find faults.

Networks have recipe-made weights where the official file is not here, which cost the same. Quality is the answer's distance from the
float32 answer of the network as its library has it: PSNR with the span of that answer as peak, and codes that agree.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import functools
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from spandrel.architectures.LaMa import LaMa
from torch import Tensor, nn

from benchmarks.floors import count, full_precision, measure_peaks, tensors_in
from benchmarks.networks import Network, by_recipe, called, from_file, inputs_of, networks
from benchmarks.rows import RESULTS, machine
from restore.errors import RestoreError
from restore.optimize.engines import Graphed, channels_last, compiled
from restore.optimize.precision import lowered
from restore.runtime import select_device

PHOTOS = tuple(sorted((Path(__file__).resolve().parent.parent / "data").glob("?.jpg")))[:4]
DTYPES = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CODED = ("CodeFormer", "RestoreFormer")  # answer with faces, then with what says which codes were chosen
GATES_DB = {"fast": 45.0, "max_speed": 38.0}
LEAST_AGREEMENT = 0.99
CALLS_FOR_S = 0.4  # a network is timed for so long, but at least LEAST_CALLS times
LEAST_CALLS = 10


@dataclass(frozen=True)
class Wanted:
    """A network with a figure to reach.

    Attributes:
        milliseconds: for one photo; 0 where none is asked.
        small: what stands for it where the device is a CPU; empty for nothing.
        precisions: below float32, the most promising first; `a+b` has the encoder in a and the rest in b.
    """

    network: str
    milliseconds: float = 0.0
    small: str = ""
    precisions: tuple[str, ...] = ("float16", "bfloat16")


WANTED = (
    Wanted("codeformer@512", 6.0, precisions=("float16", "float16+bfloat16", "bfloat16")),
    Wanted("codeformer@512x8", 3.0, precisions=("float16",)),
    Wanted("realesrgan-x4plus@512", 34.0, "realesrgan-x4anime@16"),
    Wanted("gfpgan-1.4@512", 4.0, precisions=("float16", "bfloat16")),
    Wanted("gfpgan-1.4@512x8", precisions=("float16",)),
    Wanted("restoreformer@512", 6.0, precisions=("float16", "bfloat16")),
    Wanted("nafnet-sidd-width64@1024", 20.0, "nafnet-gopro-width64@32"),
    Wanted("ddcolor-modelscope@512", 6.0, "ddcolor-paper-tiny", ("bfloat16", "float16")),
    Wanted("lama-big@512", 6.0, "lama-big@64"),
    Wanted("retinaface-resnet50@640", 1.5, "retinaface-mobile0.25@64"),
    Wanted("parsenet@512"),
    Wanted("realesr-general-x4v3@512", 0.0, "realesr-general-x4v3@16"),
    Wanted("lite-faces@256", 0.0, "lite-faces@256"),
    Wanted("lite-colorize@256"),
    Wanted("lite-inpaint@512"),
    Wanted("oldphoto-vae-a-quality@512", 0.0, "oldphoto-vae-a-quality@64"),
    Wanted("oldphoto-mapping-quality@512"),
    Wanted("oldphoto-face-512@512"),
    Wanted("oldphoto-scratch-detector@512"),
)
ORDER = (  # rounds over all networks: precision's place in `precisions`, or its name, and the engine
    (0, "compiled+graph"),
    ("float32", "library"),
    (1, "compiled+graph"),
    (0, "graph"),
    (0, "eager"),
    (2, "compiled+graph"),
    ("tf32", "compiled+graph"),
    (0, "autotuned+graph"),
)

SMALL_ORDER = (("bfloat16", "compiled"), ("float32", "library"))


@dataclass(frozen=True)
class Case:
    """One row to measure."""

    network: str
    precision: str
    engine: str


class Subject:
    """A network on a device with its inputs, and what it answers in float32."""

    def __init__(self, name: str, device: torch.device) -> None:
        self.network = network = networks([name])[0]
        self.row, self.device = network.row, device
        self.net = raw(network).to(device)
        self.call: nn.Module = called(self.net, self.row)
        self.inputs = tuple(each.to(device) for each in inputs_of(network))
        if self.row.architecture == "LaMa":
            generator = torch.Generator().manual_seed(1)
            mask = (torch.rand(network.batch, 1, network.side_px, network.side_px, generator=generator) > 0.5).float()
            self.inputs = (self.inputs[0], mask.to(device))
        full_precision()
        with torch.inference_mode():
            self.answer = [each.clone() for each in tensors_in(self.call(*self.inputs))]
            self.codes = codes_of(self.net, self.row.architecture, self.inputs)

    def made(self, precision: str) -> nn.Module:
        """The network in a precision, channels last."""
        encoder, _, rest = precision.rpartition("+")
        return channels_last(lowered(self.net, self.row.architecture, DTYPES[rest], DTYPES[encoder] if encoder else None))

    def quality(self, answer: Sequence[Tensor]) -> dict[str, Any]:
        """How far an answer is from float32's; the worst of several tensors."""
        coded = self.row.architecture in CODED
        found: dict[str, Any] = {}
        if coded and len(answer) == 2:
            chosen = answer[1].argmax(dim=2) if answer[1].is_floating_point() else answer[1]
            assert self.codes is not None
            found["codes_agree"] = round(float((chosen.flatten() == self.codes.flatten()).float().mean()), 4)
            answer = answer[:1]
        pairs = list(zip(answer, self.answer, strict=True))
        if self.row.architecture == "LaMa":  # elsewhere it answers with the photo
            hole = self.inputs[1].expand_as(self.answer[0]) > 0
            pairs = [(one[hole], other[hole]) for one, other in pairs]
        found["finite"] = all(bool(torch.isfinite(one).all()) for one, _ in pairs)
        errors = [float((one.float() - other).norm() / other.norm()) for one, other in pairs]
        found["relative_error"] = float(f"{max(errors):.2g}")
        found["psnr_db"] = round(min(psnr_db(one.float(), other) for one, other in pairs), 1)
        return found


def psnr_db(answer: Tensor, reference: Tensor) -> float:
    """With the reference's span as peak; 200 where nothing differs."""
    span = float(reference.max() - reference.min())
    square = float((answer - reference).square().mean())
    return min(200.0, 10.0 * math.log10(span**2 / square)) if square > 0 else 200.0 if square == 0 else -math.inf


def raw(network: Network) -> nn.Module:
    """A network as its library has it: from its file, or by recipe."""
    if network.row.architecture == "LaMa":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return LaMa(in_nc=4, out_nc=3).eval().requires_grad_(requires_grad=False)
    return from_file(network.row) or by_recipe(network.row)


def codes_of(net: Any, architecture: str, inputs: Sequence[Tensor]) -> Tensor | None:  # noqa: ANN401 - libraries have no types
    """The numbers of the codes that a network chooses in float32."""
    if architecture == "CodeFormer":
        chosen: Tensor = net(inputs[0], weight=0.5)[1].argmax(dim=2)
        return chosen
    if architecture == "RestoreFormer":
        numbers: Tensor = net.encode(inputs[0])[2][2]
        return numbers
    return None


def prepared(subject: Subject, case: Case) -> Callable[[], Any]:
    """The call of one row; compiled and recorded at its first calls."""
    full_precision()
    if case.engine == "library":
        net: Callable[..., Any] = subject.call
    else:
        if case.precision != "float32" and subject.device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        net = subject.made(case.precision)
    way, _, graph = case.engine.partition("+")
    if way in {"compiled", "autotuned"}:
        net = compiled(net, autotune=way == "autotuned")  # type: ignore[arg-type]
    inputs = tuple(each.contiguous(memory_format=torch.channels_last) for each in subject.inputs)
    if (graph or way == "graph") and subject.device.type == "cuda":
        recorded = Graphed(net, inputs)
        return functools.partial(recorded, *inputs)
    return functools.partial(net, *inputs)


def times_ms(call: Callable[[], Any], device: torch.device, seconds: float = CALLS_FOR_S) -> list[float]:
    """Times of calls, one by one, with events on CUDA."""
    found, until_s = [], time.perf_counter() + seconds
    while len(found) < LEAST_CALLS or time.perf_counter() < until_s:
        if device.type == "cuda":
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            call()
            end.record()
            end.synchronize()
            found.append(begin.elapsed_time(end))
        else:
            started_s = time.perf_counter()
            call()
            found.append(1000 * (time.perf_counter() - started_s))
            if len(found) >= 2:
                break
    return found


def measured(subject: Subject, case: Case) -> dict[str, Any]:
    """One row: the time of a forward, and what the answer is worth."""
    started_s = time.perf_counter()
    try:
        with torch.inference_mode():
            call = prepared(subject, case)
            answer = [each.clone() for each in tensors_in(call())]
            if subject.device.type == "cuda":
                torch.cuda.synchronize()
            first_s = time.perf_counter() - started_s
            for _ in range(2):
                call()
            times = times_ms(call, subject.device)
        return {
            "ms": round(statistics.median(times), 3),
            "fastest_ms": round(min(times), 3),
            "calls": len(times),
            "first_call_s": round(first_s, 2),
            **subject.quality(answer),
        }
    except Exception as error:  # noqa: BLE001 - one engine's failure is a result, not the end of the others
        return {"error": f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"[:300]}


def cases(wanted: Sequence[Wanted], order: Sequence[tuple[int | str, str]] = ORDER) -> Iterator[Case]:
    """All rows, the most important first."""
    for precision, engine in order:
        for one in wanted:
            if isinstance(precision, str):
                yield Case(one.network, precision, engine)
            elif precision < len(one.precisions):
                yield Case(one.network, one.precisions[precision], engine)


def known_cases(rows: Path, device: str) -> set[Case]:
    """What a file of rows holds already for a device."""
    if not rows.exists():
        return set()
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    return {Case(row["network"], row["precision"], row["engine"]) for row in found if row["device"] == device}


def measure_all(wanted: Sequence[Wanted], device: torch.device, rows: Path, left_s: Callable[[], float]) -> int:
    """Measures until time is up; the number of rows that are new. Networks are built once and kept on the device."""
    where = {"device": device_name(device), **machine()}
    known = known_cases(rows, device_name(device))
    subject: functools.lru_cache[Any] = functools.lru_cache(maxsize=None if device.type == "cuda" else 1)(lambda name: Subject(name, device))  # type: ignore[assignment]
    floors = Floors(device)
    new = 0
    order = ORDER if device.type == "cuda" else SMALL_ORDER
    for case in cases(wanted, order):
        if case in known:
            continue
        if left_s() < 0:
            print(f"{case.network} {case.precision} {case.engine}: left out, no time")
            break
        it = subject(case.network)
        row = {**vars(case), **measured(it, case), "batch": it.network.batch}
        if "ms" in row:
            row |= floors.of(it, case.precision, row["ms"])
        with rows.open("a") as file:
            file.write(json.dumps(row | where) + "\n")
        print(line_of(row, wanted), flush=True)
        torch.compiler.reset()
        if device.type == "cuda":
            torch.cuda.empty_cache()
        new += 1
    return new


class Floors:
    """The least time of each network in each precision."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.peaks, self.work = device, functools.cache(self._peaks), functools.cache(self._work)

    def of(self, subject: Subject, precision: str, milliseconds: float) -> dict[str, Any]:
        """Floor and share of it, by arithmetic alone: a compiler may write less than a network's modules do."""
        dtype = DTYPES[precision.rpartition("+")[2]]
        gflops = self.peaks(dtype if precision != "tf32" else torch.float32)
        floor_ms = 2000 * self.work(subject) / (gflops * 1e9)
        return {"gmacs": round(self.work(subject) / 1e9, 1), "floor_ms": round(floor_ms, 3), "percent_of_floor": round(100 * floor_ms / milliseconds, 1)}

    def _peaks(self, dtype: torch.dtype) -> float:
        return measure_peaks(self.device, dtype, 0.15 if self.device.type == "cuda" else 0.02).gflops

    def _work(self, subject: Subject) -> int:
        return count(subject.call, subject.inputs).macs


def line_of(row: Mapping[str, Any], wanted: Sequence[Wanted]) -> str:
    head = f"{row['network']:28} {row['precision']:17} {row['engine']:16}"
    if "error" in row:
        return f"{head} failed: {row['error']}"
    spent = row["ms"] / row["batch"]
    target = next((one.milliseconds for one in wanted if one.network == row["network"]), 0.0)
    codes = f" codes {row['codes_agree']:.4f}" if "codes_agree" in row else ""
    verdict = f" of {target}" if target else ""
    return (
        f"{head} {spent:8.3f} ms{verdict} first {row['first_call_s']:.1f} s  error {row['relative_error']:.2g} "
        f"psnr {row['psnr_db']:.1f}{codes} {row.get('percent_of_floor', 0)} % {'' if row['finite'] else 'NOT FINITE'}"
    )


def profiled(name: str, precision: str, engine: str, device: torch.device, limit: int = 14) -> str:
    """The kernels in which a call spends its time."""
    subject = Subject(name, device)
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.inference_mode():
        call = prepared(subject, Case(name, precision, engine))
        for _ in range(3):
            call()
        with torch.profiler.profile(activities=kinds) as profile:
            for _ in range(3):
                call()
            if device.type == "cuda":
                torch.cuda.synchronize()
    totals: dict[str, list[float]] = {}
    for event in profile.events() or []:
        if device.type != "cuda" or str(event.device_type).endswith("CUDA"):
            entry = totals.setdefault(event.name, [0.0, 0])
            entry[0] += (event.device_time if device.type == "cuda" else event.cpu_time) / 3000
            entry[1] += 1 / 3
    largest = sorted(totals.items(), key=lambda item: -item[1][0])[:limit]
    whole = sum(entry[0] for entry in totals.values())
    lines = [f"{spent:8.3f} ms {calls:6.1f} x  {kernel[:110]}" for kernel, (spent, calls) in largest]
    return "\n".join([f"{name} {precision} {engine}: {whole:.3f} ms in kernels", *lines])


def compile_all(wanted: Sequence[Wanted], device: str, workers: int, seconds: float, rounds: Sequence[int]) -> None:
    """Fills the compiler's cache: each network in a process of its own."""

    def work(case: Case) -> None:
        command = [sys.executable, "-m", "benchmarks.gpu", "--part", "compile-one", "--device", device]
        try:
            subprocess.run([*command, "--only", f"{case.network},{case.precision},{case.engine}"], check=False, timeout=seconds)
        except subprocess.TimeoutExpired:
            print(f"{case.network} {case.precision}: compiled too long")

    chosen = [case for case in cases(wanted, [ORDER[number] for number in rounds]) if case.engine.startswith(("compiled", "autotuned"))]
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, chosen))


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def requests(options: argparse.Namespace) -> int:
    """Whole requests through the real Cog server."""
    from benchmarks import bench_single_image, run_bench  # noqa: PLC0415 - networks are measured where no server can be

    shared = ["--task", "face_restore", "--profiles", "max_speed", "--weights", options.weights, "--port", str(options.port)]
    repeats = ["--repeats", str(options.repeats)]
    print("one photo with one face (wanted: p50 20 ms)")
    failed = bench_single_image.main([*shared, *repeats, "--warmup", "3"])
    print("four photos a request (wanted: 80 photos a second)")
    batch = ["--images", *map(str, PHOTOS), "--batch-size", "4", "--stability-mode", "optimized", "--record"]
    return max(failed, run_bench.main([*shared, *repeats, *batch]))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code: 0, 1 when a benchmark of requests failed, 2 without the device."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--part", default="nets", choices=["nets", "compile", "compile-one", "profile", "server"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=9.0, help="what has not begun by then is left out")
    parser.add_argument("--rows", type=Path, default=RESULTS / "gpu.jsonl", help="where rows go, and stand already")
    parser.add_argument("--small", action="store_true", help="small networks and inputs, for a CPU")
    parser.add_argument("--only", default="", metavar="A,B", help="networks; for profile and compile-one: network,precision,engine")
    parser.add_argument("--workers", type=int, default=8, help="of the part compile")
    parser.add_argument("--rounds", default="0", help="of the part compile: places in ORDER")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--weights", default="lite", choices=["lite", "auto", "official"], help="of the requests")
    parser.add_argument("--port", type=int, default=5000)
    options = parser.parse_args(arguments)
    try:
        device = select_device(options.device)
    except RestoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    ends_s = time.monotonic() + 60 * options.minutes
    only = options.only.split(",")
    torch.backends.cudnn.benchmark = device.type == "cuda"
    wanted = [one for one in WANTED if not options.only or one.network in only]
    if options.small:
        wanted = [Wanted(one.small, 0.0, "", one.precisions) for one in wanted if one.small]
    match options.part:
        case "nets":
            measure_all(wanted, device, options.rows, lambda: ends_s - time.monotonic())
        case "compile":
            rounds = [int(number) for number in options.rounds.split(",")]
            compile_all(wanted, options.device, options.workers, 60 * options.minutes, rounds)
        case "compile-one":
            started_s = time.monotonic()
            measured(Subject(only[0], device), Case(*only))
            print(f"{' '.join(only)}: compiled in {time.monotonic() - started_s:.0f} s", flush=True)
        case "profile":
            print(profiled(only[0], only[1], only[2], device))
        case "server":
            return min(requests(options), 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
