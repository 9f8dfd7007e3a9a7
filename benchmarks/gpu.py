"""Networks on a GPU, in each precision and engine: `python -m benchmarks.gpu --minutes 2`.

Part `nets`: each network has a process of its own, which compiles beside the others; what is ready after `--minutes` is timed, one after
another. A row goes to `--rows` as soon as it is measured, and what is there already is not measured again. Part `server`: whole requests
through the real Cog server, with one and with four photos. `--device cpu --small` runs small networks in this process, to find faults.

Networks have recipe-made weights where the official file is not here, which cost the same. Quality is the answer's distance from the
float32 answer of the network as its library has it: PSNR with the span of that answer as peak, and codes that agree.
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
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
from restore.optimize.kernel_nets import PixelRrdbNet
from restore.optimize.kernels import TRIED
from restore.optimize.precision import WITH_KERNELS, lowered, with_kernels
from restore.runtime import select_device

PHOTOS = tuple(sorted((Path(__file__).resolve().parent.parent / "data").glob("?.jpg")))[:4]
DTYPES = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CODED = ("CodeFormer", "RestoreFormer")  # answer with faces, then with what says which codes were chosen
GATES_DB = {"fast": 45.0, "max_speed": 38.0}
LEAST_AGREEMENT = 0.99
CALLS_FOR_S = 0.3  # a network is timed for so long, but at least LEAST_CALLS times
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
    Wanted("ddcolor-modelscope@512", 6.0, precisions=("bfloat16", "float16")),
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
    (0, "kernels+graph"),
    (0, "compiled+graph"),
    ("float32", "library"),
    (0, "graph"),
    (1, "graph"),
    (2, "graph"),
    (0, "eager"),
    (1, "kernels+graph"),
    (1, "compiled+graph"),
    (2, "compiled+graph"),
    ("tf32", "graph"),
)
SMALL_ORDER = (("bfloat16", "eager"), ("float32", "library"))


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

    def made(self, precision: str, *, kernels: bool = False) -> nn.Module:
        """The network in a precision, channels last."""
        if kernels:
            return channels_last(with_kernels(self.net, self.row.architecture, DTYPES[precision]))
        encoder, _, rest = precision.rpartition("+")
        return channels_last(lowered(self.net, self.row.architecture, DTYPES[rest], DTYPES[encoder] if encoder else None))

    def quality(self, answer: Sequence[Tensor], same_codes: Tensor | None = None) -> dict[str, Any]:
        """How far an answer is from float32's, the worst of several tensors; and that of a face made of float32's codes."""
        coded = self.row.architecture in CODED
        found: dict[str, Any] = {}
        if coded and len(answer) == 2:
            chosen = answer[1].argmax(dim=2) if answer[1].is_floating_point() else answer[1]
            assert self.codes is not None
            found["psnr_same_codes_db"] = round(psnr_db(same_codes, self.answer[0]), 1) if same_codes is not None else None
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
            lama: nn.Module = LaMa(in_nc=4, out_nc=3)
            return lama.eval().requires_grad_(requires_grad=False)
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


@dataclass
class Prepared:
    """A case that only waits for being timed.

    Attributes:
        call: compiled and recorded.
        facts: of the row: seconds of the first call, quality, or an error.
    """

    case: Case
    call: Callable[[], Any] | None
    facts: dict[str, Any]
    module: nn.Module | None = None


def prepared(subject: Subject, case: Case) -> Prepared:
    """A case after its first call, with that call's quality."""
    started_s = time.perf_counter()
    try:
        with torch.inference_mode():
            net = module_of(subject, case)
            if isinstance(net, PixelRrdbNet) and subject.device.type == "cuda":
                net.tune(subject.inputs[0])
            call = call_of(subject, case, net)
            answer = [each.clone() for each in tensors_in(call())]
            first_s = time.perf_counter() - started_s
            made = net if isinstance(net, nn.Module) else None
            coded = subject.codes is not None and case.engine != "library" and made is not None
            same = next(tensors_in(made(*subject.inputs, codes=shaped_codes(subject)))) if coded and made else None
            facts = {"first_call_s": round(first_s, 2), **subject.quality(answer, same)}
            return Prepared(case, call, facts, net)
    except Exception as error:  # noqa: BLE001 - one engine's failure is a result, not the end of the others
        return Prepared(case, None, {"error": f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"[:300]})


def shaped_codes(subject: Subject) -> Tensor | None:
    """Float32's codes as the network's copy takes them."""
    assert subject.codes is not None
    return subject.codes if subject.row.architecture == "CodeFormer" else subject.codes.flatten()


def module_of(subject: Subject, case: Case) -> nn.Module:
    """The module of a case, before any compiler."""
    full_precision()
    if case.engine == "library":
        return subject.call
    if case.precision != "float32" and subject.device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    return subject.made(case.precision, kernels=case.engine.startswith("kernels"))


def call_of(subject: Subject, case: Case, module: nn.Module) -> Callable[[], Any]:
    """The call of a case; compiled and recorded."""
    net: Callable[..., Any] = module
    way, _, graph = case.engine.partition("+")
    if way in {"compiled", "autotuned"}:
        net = compiled(module, autotune=way == "autotuned")
    inputs = subject.inputs
    if case.engine != "library":
        inputs = tuple(each.contiguous(memory_format=torch.channels_last) for each in inputs)
    if (graph or way == "graph") and subject.device.type == "cuda":
        recorded = Graphed(net, inputs)
        return functools.partial(recorded, *inputs)
    return functools.partial(net, *inputs)


def times_ms(call: Callable[[], Any], device: torch.device, seconds: float = CALLS_FOR_S) -> list[float]:
    """Times of calls, one by one, with events on CUDA."""
    found: list[float] = []
    until_s = time.perf_counter() + seconds
    while len(found) < LEAST_CALLS or time.perf_counter() < until_s:
        if device.type == "cuda":
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
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


def row_of(subject: Subject, ready: Prepared, floors: Floors) -> dict[str, Any]:
    """A row: the time of a forward, and what the answer is worth."""
    row: dict[str, Any] = {**vars(ready.case), "batch": subject.network.batch, **ready.facts}
    if ready.call is None:
        return row
    tf32 = ready.case.precision != "float32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    try:
        with torch.inference_mode():
            if isinstance(ready.module, PixelRrdbNet):  # what was tried beside other processes says little
                TRIED.clear()
                ready.module.tune(subject.inputs[0])
                ready.call = call_of(subject, ready.case, ready.module)
                print(f"{subject.network.name}: {TRIED}", flush=True)
            for _ in range(2):
                ready.call()
            times = times_ms(ready.call, subject.device)
    except Exception as error:  # noqa: BLE001 - as above
        return row | {"error": f"{type(error).__name__}: {error}"[:300]}
    found = {"ms": round(statistics.median(times), 3), "fastest_ms": round(min(times), 3), "calls": len(times)}
    return row | found | floors.of(ready.case.precision, found["ms"])


def cases(wanted: Sequence[Wanted], order: Sequence[tuple[int | str, str]] = ORDER) -> Iterator[Case]:
    """All rows, the most important first."""
    for precision, engine in order:
        for one in wanted:
            if isinstance(precision, str):
                yield Case(one.network, precision, engine)
            elif precision < len(one.precisions):
                if engine.startswith("kernels") and architecture_of(one.network) not in WITH_KERNELS:
                    continue
                yield Case(one.network, one.precisions[precision], engine)


def architecture_of(name: str) -> str:
    return networks([name])[0].row.architecture


def known_cases(rows: Path, device: str) -> set[Case]:
    """What a file of rows holds already for a device."""
    if not rows.exists():
        return set()
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    return {Case(row["network"], row["precision"], row["engine"]) for row in found if row["device"] == device and "ms" in row}


def measure_here(wanted: Sequence[Wanted], device: torch.device, rows: Path, left_s: Callable[[], float]) -> None:
    """Measures in this process, one network after another."""
    chosen = list(cases(wanted, ORDER if device.type == "cuda" else SMALL_ORDER))
    peaks: dict[str, float] = {}
    for name in dict.fromkeys(case.network for case in chosen):
        mine = [case for case in chosen if case.network == name and case not in known_cases(rows, device_name(device))]
        if mine and left_s() < 0:
            print(f"{name}: left out, no time")
        elif mine:
            peaks = peaks or {each: measure_peaks(device, DTYPES[each], 0.02).gflops for each in ("float32", "bfloat16")}
            subject = Subject(name, device)
            floors = Floors(subject, peaks)
            for case in mine:
                keep(row_of(subject, prepared(subject, case), floors), rows, device)


def measure_beside(wanted: Sequence[Wanted], options: argparse.Namespace, device: torch.device) -> None:
    """Measures with a process for each network: all are made ready at once, then timed one after another while the others wait.

    Args:
        wanted: the networks.
        options: of the command line; `rounds` are places in ORDER.
        device: a CUDA device.
    """
    rounds = [ORDER[int(number)] for number in options.rounds.split(",")]
    known = known_cases(options.rows, device_name(device))
    chosen = [case for case in cases(wanted, rounds) if case not in known]
    gate = Path(tempfile.mkdtemp())
    command = [sys.executable, "-m", "benchmarks.gpu", "--part", "worker", "--rows", str(options.rows), "--gate", str(gate)]
    command += ["--profile"] if options.profile else []
    peaks = {name: measure_peaks(device, DTYPES[name], 0.15).gflops for name in ("float32", "float16", "bfloat16")}
    (gate / "peaks.json").write_text(json.dumps(peaks))
    workers = []
    for name, compiles in dict.fromkeys(_process_of(case) for case in chosen):
        mine = ";".join(f"{case.precision},{case.engine}" for case in chosen if _process_of(case) == (name, compiles))
        workers.append(subprocess.Popen([*command, "--device", options.device, "--only", name, "--cases", mine]))
    until_s = time.monotonic() + 60 * options.minutes
    while time.monotonic() < until_s and len(list(gate.glob("ready-*"))) < sum(worker.poll() is None for worker in workers):
        time.sleep(0.2)
    late = [worker for worker in workers if not (gate / f"ready-{worker.pid}").exists()]
    for worker in late:
        worker.kill()
    print(f"{len(workers) - len(late)} ready, {len(late)} not", flush=True)
    (gate / "go").touch()
    for worker in workers:
        worker.wait()


def _process_of(case: Case) -> tuple[str, bool]:
    """A network with kernels of its own is compiled apart, as that may take too long."""
    return case.network, case.engine.startswith("compiled") and architecture_of(case.network) in WITH_KERNELS


def work(options: argparse.Namespace, device: torch.device) -> None:
    """A process of `measure_beside`."""
    subject = Subject(options.only, device)
    floors = Floors(subject, json.loads((options.gate / "peaks.json").read_text()))
    pairs = [pair.split(",") for pair in options.cases.split(";")]
    ready = []
    for precision, engine in pairs:
        ready.append(prepared(subject, Case(options.only, precision, engine)))
        print(f"{options.only} {precision} {engine}: ready, {ready[-1].facts.get('first_call_s', ready[-1].facts)}", flush=True)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    (options.gate / f"ready-{os.getpid()}").touch()
    while not (options.gate / "go").exists():
        time.sleep(0.1)
    with (options.gate / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for one in ready:
            keep(row_of(subject, one, floors), options.rows, device)
        if options.profile and ready[0].call is not None:
            print(kernels_of(ready[0].call, options.only, device, 9), flush=True)
        if device.type == "cuda":
            torch.cuda.synchronize()


def keep(row: dict[str, Any], rows: Path, device: torch.device) -> None:
    """Adds a row to a file, and prints it."""
    with rows.open("a") as file:
        file.write(json.dumps(row | {"device": device_name(device), **machine()}) + "\n")
    print(line_of(row, WANTED), flush=True)


class Floors:
    """The least time of a network in each precision, by arithmetic alone: a compiler may write less than a network's modules do.

    Args:
        subject: its work is counted at once.
        gflops: the device's peak by precision.
    """

    def __init__(self, subject: Subject, gflops: Mapping[str, float]) -> None:
        self.gflops, self.macs = gflops, count(subject.call, subject.inputs).macs

    def of(self, precision: str, milliseconds: float) -> dict[str, Any]:
        """The floor, and how much of a time it is."""
        dtype = precision.rpartition("+")[2]
        floor_ms = 2000 * self.macs / (self.gflops["float32" if dtype == "tf32" else dtype] * 1e9)
        share = round(100 * floor_ms / milliseconds, 1)
        return {"gmacs": round(self.macs / 1e9, 1), "floor_ms": round(floor_ms, 3), "percent_of_floor": share}


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


def kernels_of(call: Callable[[], Any], title: str, device: torch.device, limit: int) -> str:
    """The kernels in which a call spends its time."""
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.inference_mode(), torch.profiler.profile(activities=kinds) as profile:
        for _ in range(3):
            call()
        if device.type == "cuda":
            torch.cuda.synchronize()
    totals: dict[str, list[float]] = {}
    for event in profile.events() or []:
        if device.type != "cuda" or str(event.device_type).endswith("CUDA"):
            entry = totals.setdefault(event.name, [0.0, 0.0])
            entry[0] += (event.device_time if device.type == "cuda" else event.cpu_time) / 3000
            entry[1] += 1 / 3
    largest = sorted(totals.items(), key=lambda item: -item[1][0])[:limit]
    whole = sum(entry[0] for entry in totals.values())
    lines = [f"{spent:8.3f} ms {calls:6.1f} x  {kernel[:100]}" for kernel, (spent, calls) in largest]
    return "\n".join([f"{title}: {whole:.3f} ms in kernels", *lines])


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
    parser.add_argument("--part", default="nets", choices=["nets", "worker", "server"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=2.0, help="until which all must be ready; small: begun")
    parser.add_argument("--rows", type=Path, default=RESULTS / "gpu.jsonl", help="where rows go, and stand already")
    parser.add_argument("--small", action="store_true", help="small networks and inputs, for a CPU")
    parser.add_argument("--only", default="", metavar="A,B", help="networks")
    parser.add_argument("--rounds", default="0,1,2,3,4,5", help="places in ORDER that are measured on CUDA")
    parser.add_argument("--profile", action="store_true", help="name the kernels of each network's first row")
    parser.add_argument("--cases", default="", help=argparse.SUPPRESS)
    parser.add_argument("--gate", type=Path, default=Path(), help=argparse.SUPPRESS)
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
        case "nets" if device.type == "cuda":
            measure_beside(wanted, options, device)
        case "nets":
            measure_here(wanted, device, options.rows, lambda: ends_s - time.monotonic())
        case "worker":
            work(options, device)
        case "server":
            return min(requests(options), 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
