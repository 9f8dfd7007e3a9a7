"""Measure the job service: its overhead, its throughput, and what remains when it is killed.

    python -m benchmarks.service --part overhead
    python -m benchmarks.service --part throughput
    python -m benchmarks.service --part kill --jobs 500

`overhead` compares jobs through the service with the same predictions, sent directly to its worker.
`throughput` compares two workers behind the service with one Cog server. `kill` runs mixed jobs of
eight clients while the gateway is killed five times with SIGKILL, and a process of a worker ten
times. The gateway is started again, as an init system does. The run fails if a job is lost, runs to
its end twice or does not succeed, or if memory grows by 100 MB or more.

Each worker has one thread and the embedded networks. `--record` appends a row to
results/service.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import count_from
from benchmarks.inputs import Json
from benchmarks.rows import machine, record
from benchmarks.service_kill import run_kill, warm_up
from benchmarks.service_process import ServiceProcess
from benchmarks.service_speed import measure_overhead, measure_throughput
from restore.errors import RestoreError
from restore.service import database
from restore.service.keys import KeyStore
from restore.service.settings import Settings

PARTS = ("overhead", "throughput", "kill")
WORKERS = {"overhead": 1, "throughput": 2, "kill": 2}
JOBS = {"overhead": 100, "throughput": 200, "kill": 500}
PRELOAD = {"overhead": "upscale", "throughput": "upscale", "kill": "none"}
WARM_UP_ROUNDS = 4
MAX_OVERHEAD_MS = 15.0
MIN_RATIO = 1.8


def measure(arguments: argparse.Namespace) -> Json:
    """Start a service, measure one part and stop the service.

    Raises:
        RestoreError: the service does not become ready.
    """
    part, api_key = arguments.part, secrets.token_urlsafe()
    jobs = arguments.jobs or JOBS[part]
    environment = {
        "RESTORE_ALLOW": "addresses",  # the receiver of the webhooks is on this machine
        "RESTORE_PRELOAD": PRELOAD[part],
    }
    with tempfile.TemporaryDirectory(prefix="restore-benchmark-") as folder:
        service = ServiceProcess(Path(folder), WORKERS[part], api_key, environment)
        service.data.mkdir()
        engine = database.connect(Settings(data=service.data))
        keys = KeyStore(engine)
        clients = [keys.create(f"client-{n + 1}")[1] for n in range(arguments.clients)]
        load = os.getloadavg()[0]
        service.start()
        try:
            service.wait_until_ready()
            if part == "overhead":
                figures = measure_overhead(service, clients[0], jobs, arguments.photo_px)
                figures["met"] = figures["overhead_p50_ms"] <= MAX_OVERHEAD_MS
            elif part == "throughput":
                figures = measure_throughput(service, clients[0], jobs, arguments.photo_px)
                figures["met"] = figures["ratio"] >= MIN_RATIO
            else:
                warm_up(service, api_key, WARM_UP_ROUNDS, arguments.seed)
                kills = (arguments.gateway_kills, arguments.worker_kills)
                figures = run_kill(
                    service, engine, clients, jobs, kills, arguments.seed, arguments.wait
                )
        except Exception:
            print(service.log()[-4000:], file=sys.stderr)
            raise
        finally:
            service.kill()
            engine.dispose()
            if arguments.log:
                arguments.log.write_text(service.log())
    loads = [round(load, 1), round(os.getloadavg()[0], 1)]
    return {"part": part, **figures, "workers": WORKERS[part], "load": loads}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, 1 if a target is missed, 2 if the run was refused."""
    options = _parser().parse_args(arguments)
    try:
        result = measure(options)
    except RestoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result, indent=1))
    if options.record:
        record("service", result | machine())
    return 0 if result["met"] else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--part", choices=PARTS, required=True)
    parser.add_argument("--jobs", type=count_from(1), help=f"defaults: {JOBS}")
    parser.add_argument("--clients", type=count_from(1), default=8, help="of kill (default: 8)")
    parser.add_argument(
        "--photo-px",
        type=count_from(64),
        default=96,
        help="long side of the photo of overhead and throughput (default: 96)",
    )
    parser.add_argument("--gateway-kills", type=count_from(0), default=5, metavar="N")
    parser.add_argument("--worker-kills", type=count_from(0), default=10, metavar="N")
    parser.add_argument(
        "--wait",
        type=count_from(0),
        default=0,
        metavar="S",
        help="every second client of kill waits up to S seconds in its submissions (default: 0)",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, metavar="FILE", help="keep the log of the service")
    parser.add_argument("--record", action="store_true", help="append a row")
    return parser


if __name__ == "__main__":
    sys.exit(main())
