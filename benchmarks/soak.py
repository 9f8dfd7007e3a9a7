"""Send hundreds of mixed requests, one fifth of them faulty, to a Cog server and watch its memory.

    python benchmarks/soak.py --requests 2000 --plot soak.png

Order, tasks, sizes and faults are drawn from a seed. The warm-up sends every task at its largest
size in every mode. The run fails (exit code 1) if a request is lost, if a request has another
outcome than expected, or if memory grows by 100 MB or more. Growth is the highest median of any
later eighth of the run minus the median of the first eighth, for the server's processes (without
mapped files) and for the device.

`--leak` serves a predictor that keeps memory of each request (leaking.py), to show that a leak is
detected. `--plot` draws the memory; `--record` appends a row to results/soak.jsonl.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import add_port_option, add_weights_option
from benchmarks.client import Client
from benchmarks.inputs import Json
from benchmarks.memory import MemorySamples, MemoryWatch, growth_mb, medians_mb
from benchmarks.rows import machine, record
from benchmarks.server import READY_TIMEOUT_S
from benchmarks.soak_requests import ExpectedRequest, random_requests, warm_up_requests
from restore.errors import RestoreError
from restore.imaging.outputs import require_writable
from restore.serving.cog_process import PREDICTOR
from restore.serving.launcher import start, stop, wait_until_ready

LEAKING_PREDICTOR = "benchmarks/leaking.py:Predictor"
HOST = "127.0.0.1"
MAX_GROWTH_MB = 100.0
MIN_REQUESTS = 40
"""With fewer requests, the median of an eighth of the run says nothing."""
UNLIMITED_REQUESTS = 10**9


def send_all(
    url: str, requests: Iterator[ExpectedRequest], minutes: float | None
) -> tuple[Counter[str], list[str]]:
    """Send requests until none is left, the time is up or one is lost.

    Returns:
        The number of requests of each kind, and a line for each unexpected outcome.
    """
    kinds, unexpected = Counter[str](), list[str]()
    deadline_s = time.perf_counter() + 60 * minutes if minutes else float("inf")
    with Client(url) as client, tqdm(unit="request") as bar:
        for request in requests:
            result = client.predict(request.prediction)
            kinds[request.kind] += 1
            if not request.matches(result):
                unexpected.append(
                    f"{request.kind}: {result.status}, {request.expected} expected: {result.error}"
                )
            bar.update()
            if time.perf_counter() > deadline_s or result.status == "lost":
                break
    return kinds, unexpected


def soak(arguments: argparse.Namespace) -> Json:
    """Start a server, run the whole test and stop the server.

    Raises:
        RestoreError: the port is in use, the server does not become ready, or the plot cannot be
            written.
    """
    if arguments.plot:
        require_writable(arguments.plot.parent)
    environment = {
        "RESTORE_WEIGHTS": arguments.weights,
        "RESTORE_PRELOAD": "all",
        "LEAKED_MB": str(arguments.leaked_mb),
    }
    predictor = LEAKING_PREDICTOR if arguments.leak else PREDICTOR
    with tempfile.TemporaryFile() as log:
        process = start(HOST, arguments.port, environment, log, predictor)
        try:
            url = f"http://{HOST}:{arguments.port}"
            wait_until_ready(url, process, READY_TIMEOUT_S)
            _, unexpected_before = send_all(url, warm_up_requests(), None)
            started_s = time.perf_counter()
            count = UNLIMITED_REQUESTS if arguments.minutes else arguments.requests
            with MemoryWatch(process.pid) as watch:
                requests = random_requests(count, arguments.seed)
                kinds, unexpected = send_all(url, requests, arguments.minutes)
            seconds = time.perf_counter() - started_s
        finally:
            stop(process)
    if arguments.plot:
        plot(watch.samples, arguments.plot)
    return summarize(kinds, [*unexpected_before, *unexpected], watch.samples) | {
        "seconds": round(seconds, 1),
        "seed": arguments.seed,
        "weights": arguments.weights,
        "leak": arguments.leak,
    }


def summarize(kinds: Counter[str], unexpected: Sequence[str], samples: MemorySamples) -> Json:
    """Return the figures of a run, and whether it passed (`met`)."""
    resident, device = growth_mb(samples.resident_mb), growth_mb(samples.device_mb)
    requests = sum(kinds.values())
    grown = max(resident, device) >= MAX_GROWTH_MB
    return {
        "requests": requests,
        "kinds": dict(kinds),
        "lost": sum(": lost," in text for text in unexpected),
        "wrong": list(unexpected),
        "samples": len(samples.at_s),
        "resident_peak_mb": round(max(samples.resident_mb, default=0.0), 1),
        "resident_medians_mb": [round(median) for median in medians_mb(samples.resident_mb)],
        "resident_growth_mb": round(resident, 1),
        "device_growth_mb": round(device, 1),
        "met": not unexpected and not grown and requests >= MIN_REQUESTS,
    }


def plot(samples: MemorySamples, path: Path) -> None:
    """Draw memory over time as a PNG."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - a slow import that only plots need

    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots()
    curves = {"processes of the server": samples.resident_mb}
    if any(samples.device_mb):
        curves["device"] = samples.device_mb
    for name, values_mb in curves.items():
        axes.plot(samples.at_s, values_mb, label=f"{name}: growth {growth_mb(values_mb):.0f} MB")
    axes.set(title="Memory during mixed requests", xlabel="seconds", ylabel="MB", ylim=(0, None))
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120, format="png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, 1 if the test failed, 2 if the run was refused."""
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
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--requests", type=int, default=500, help="number of requests (default: 500)"
    )
    parser.add_argument("--minutes", type=float, help="duration, instead of a number of requests")
    parser.add_argument("--seed", type=int, default=1)
    add_weights_option(parser)
    add_port_option(parser)
    parser.add_argument(
        "--leak", action="store_true", help="serve a predictor that leaks; the run must fail"
    )
    parser.add_argument(
        "--leaked-mb", type=float, default=8.0, help="leaked memory per request (default: 8)"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    parser.add_argument("--record", action="store_true", help="append a row to results/soak.jsonl")
    return parser


if __name__ == "__main__":
    sys.exit(main())
