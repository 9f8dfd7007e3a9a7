"""Time that the service adds to a job, and its throughput beside that of one Cog server."""

from __future__ import annotations

import itertools
import json
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import requests

from benchmarks.client import Client, Prediction
from benchmarks.inputs import Json
from benchmarks.service_process import ServiceProcess
from benchmarks.soak_requests import DATA, PHOTOS, photo_uri, resized
from restore.imaging.photo import open_photo

TIMEOUT_S = 60.0
BLOCK = 10
"""Jobs that are sent to one side before the other one takes its turn."""
CLIENTS = 4
"""Clients at the same time in the measurement of the throughput."""

Send = Callable[[], float | None]


@dataclass
class Times:
    """Times of the jobs of one side, in seconds: total, and as measured by Cog."""

    wall_s: list[float]
    predict_s: list[float]

    @property
    def p50_ms(self) -> float:
        """The median of the total time."""
        return 1e3 * statistics.median(self.wall_s)

    @property
    def outside_p50_ms(self) -> float:
        """The median of the time outside of Cog's prediction."""
        pairs = zip(self.wall_s, self.predict_s, strict=True)
        return 1e3 * statistics.median(wall_s - predict_s for wall_s, predict_s in pairs)


def job_of(long_px: int) -> Json:
    """Return the inputs of a job that enlarges a photo with this long side."""
    photo = resized(open_photo(DATA / PHOTOS[0]), long_px)
    return {"task": "upscale", "scale": 2, "image": photo_uri(photo)}


def service_sender(service: ServiceProcess, api_key: str, inputs: Json) -> Send:
    """Return a function that runs a job, downloads its result, and returns Cog's time for it."""
    session = requests.Session()
    session.trust_env = False
    session.headers.update({"x-api-key": api_key, "prefer": "wait=60"})
    body = json.dumps({"input": inputs}).encode()

    def send() -> float:
        answer = session.post(
            f"{service.url}/v1/predictions",
            data=body,
            headers={"content-type": "application/json"},
            timeout=TIMEOUT_S,
        )
        answer.raise_for_status()
        job = answer.json()
        if job["status"] != "succeeded":
            raise RuntimeError(f"a job of the benchmark has not succeeded: {answer.text[:500]}")
        for url in job["output"]:  # Cog's answer contains the result, too
            session.get(url, timeout=TIMEOUT_S).raise_for_status()
        return float(job["metrics"]["predict_time"])

    return send


def cog_sender(client: Client, inputs: Json) -> Send:
    """Return a function that sends the same prediction to a Cog server."""
    body = json.dumps({"input": inputs}).encode()

    def send() -> float | None:
        result = client.predict(Prediction(("photo",), body))
        if result.status != "succeeded":
            raise RuntimeError(f"a prediction of the benchmark has failed: {result.error}")
        return result.predict_time_s

    return send


def measure_overhead(service: ServiceProcess, api_key: str, jobs: int, long_px: int) -> Json:
    """Compare jobs through the service with the same predictions, sent to its only worker.

    Both sides take turns of BLOCK jobs, so that the load of the machine is the same for both.
    """
    inputs = job_of(long_px)
    [worker_url] = service.worker_sessions().values()
    with Client(worker_url) as client:
        sides = {
            "direct": cog_sender(client, inputs),
            "service": service_sender(service, api_key, inputs),
        }
        times = {name: Times([], []) for name in sides}
        for send in sides.values():  # the first ones load the networks and open connections
            _send_block(service, send, BLOCK)
        cpu_s = dict.fromkeys(sides, 0.0)
        for _ in range(max(1, jobs // BLOCK)):
            for name, send in sides.items():
                before_s = service.cpu_s()
                block = _send_block(service, send, BLOCK)
                cpu_s[name] += service.cpu_s() - before_s
                times[name].wall_s += block.wall_s
                times[name].predict_s += block.predict_s
    direct, through = times["direct"], times["service"]
    overhead_ms = through.p50_ms - direct.p50_ms
    jobs_sent = len(through.wall_s)
    return {
        "jobs": jobs_sent,
        "photo_px": long_px,
        "direct_p50_ms": round(direct.p50_ms, 1),
        "service_p50_ms": round(through.p50_ms, 1),
        "overhead_p50_ms": round(overhead_ms, 1),
        "direct_outside_p50_ms": round(direct.outside_p50_ms, 1),
        "service_outside_p50_ms": round(through.outside_p50_ms, 1),
        "gateway_cpu_ms": round(1e3 * (cpu_s["service"] - cpu_s["direct"]) / jobs_sent, 1),
        "overhead_outside_p50_ms": round(through.outside_p50_ms - direct.outside_p50_ms, 1),
    }


def measure_throughput(service: ServiceProcess, api_key: str, jobs: int, long_px: int) -> Json:
    """Compare two workers behind the service with one of them without the service.

    Each worker has one thread. The sides take turns; each side has several clients, which send the
    next job when one has ended.
    """
    inputs = job_of(long_px)
    worker_url = next(iter(service.worker_sessions().values()))
    rates: dict[str, list[float]] = {"direct": [], "service": []}
    with Client(worker_url, concurrency=CLIENTS) as client:
        sides = {
            "direct": [cog_sender(client, inputs)] * CLIENTS,
            "service": [service_sender(service, api_key, inputs) for _ in range(CLIENTS)],
        }
        for senders in sides.values():
            _rate(service, senders, 2 * BLOCK)
        for _ in range(max(1, jobs // (2 * BLOCK))):
            for name, senders in sides.items():
                rates[name].append(_rate(service, senders, 2 * BLOCK))
    ratios = [two / one for one, two in zip(rates["direct"], rates["service"], strict=True)]
    return {
        "jobs": 2 * BLOCK * len(ratios),
        "photo_px": long_px,
        "clients": CLIENTS,
        "one_cog_per_s": round(statistics.median(rates["direct"]), 2),
        "two_workers_per_s": round(statistics.median(rates["service"]), 2),
        "ratio": round(statistics.median(ratios), 2),
    }


def _send_block(service: ServiceProcess, send: Send, jobs: int) -> Times:
    """Send jobs one after the other, once the service has found all workers free."""
    service.wait_until_ready()
    times = Times([], [])
    for _ in range(jobs):
        started_s = time.perf_counter()
        predict_s = send()
        times.wall_s.append(time.perf_counter() - started_s)
        times.predict_s.append(predict_s or 0.0)
    return times


def _rate(service: ServiceProcess, senders: Sequence[Send], jobs: int) -> float:
    """Return the jobs in a second when all senders work at the same time."""
    service.wait_until_ready()
    started_s = time.perf_counter()
    with ThreadPoolExecutor(len(senders)) as threads:
        turns = itertools.islice(itertools.cycle(senders), jobs)
        queued: list[list[Send]] = [[] for _ in senders]
        for index, send in enumerate(turns):
            queued[index % len(senders)].append(send)
        for done in [threads.submit(_run_all, each) for each in queued]:
            done.result()
    return jobs / (time.perf_counter() - started_s)


def _run_all(sends: Sequence[Send]) -> None:
    for send in sends:
        send()
