"""Hundreds of jobs of several clients while gateway and workers are killed at random."""

from __future__ import annotations

import io
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import numpy as np
from PIL import Image
from sqlalchemy import Engine

from benchmarks.inputs import Json
from benchmarks.memory import WINDOWS
from benchmarks.service_client import FinishedJob, ServiceClient
from benchmarks.service_process import ServiceProcess, kill_process
from benchmarks.service_receiver import Events, Receiver
from benchmarks.soak_requests import DATA, PHOTOS, TASKS, resized
from restore.imaging.encode import encode
from restore.imaging.photo import open_photo
from restore.service.auth import ENVIRONMENT_OWNER
from restore.service.deliveries import CLAIM
from restore.service.jobs import JobStore

MIN_LONG_SIDE_PX, MAX_LONG_SIDE_PX = 48, 64
MAX_GROWTH_MB = 100.0
SAMPLE_INTERVAL_S = 0.5
KILL_POLL_S = 0.05
EVENTS_TIMEOUT_S = CLAIM.total_seconds() + 60.0
"""An event that a killed gateway was sending is sent again when its claim has expired."""
RESTARTED_AFTER_S = 0.5
"""Time after which an init system starts a dead gateway again."""


class Killer:
    """Kills gateway and workers when a part of the jobs has ended, within a `with` block.

    Args:
        service: what is killed.
        plan: what to kill after which number of finished jobs.
        finished: returns the number of finished jobs.
    """

    def __init__(
        self, service: ServiceProcess, plan: Sequence[tuple[int, str]], finished: Sequence[object]
    ) -> None:
        self.service, self.plan, self._finished = service, list(plan), finished
        self.killed: Counter[str] = Counter()
        self.gateway_mb: list[float] = []
        self.workers_mb: list[float] = []
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=target, daemon=True) for target in (self._kill, self._sample)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _kill(self) -> None:
        while self.plan and not self._ended.wait(KILL_POLL_S):
            if len(self._finished) < self.plan[0][0]:
                continue
            _, target = self.plan.pop(0)
            if target == "gateway":
                self.service.kill()
                time.sleep(RESTARTED_AFTER_S)
                self.service.start()
                self.killed[target] += 1
            else:
                self._kill_worker()

    def _kill_worker(self) -> None:
        """Kill one random process of the workers: supervisor, Cog's server or its worker."""
        while not self._ended.wait(KILL_POLL_S):
            processes = self.service.worker_processes()
            if processes and kill_process(random.choice(processes)):
                self.killed["worker"] += 1
                return

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_INTERVAL_S):
            gateway_mb, workers_mb = self.service.memory_mb()
            self.gateway_mb.append(gateway_mb)
            self.workers_mb.append(workers_mb)


def kill_plan(jobs: int, gateways: int, workers: int, rng: random.Random) -> list[tuple[int, str]]:
    """Return what is killed after how many finished jobs, spread over the run at random."""
    targets = ["gateway"] * gateways + ["worker"] * workers
    rng.shuffle(targets)
    return sorted((rng.randint(1, max(1, jobs * 9 // 10)), target) for target in targets)


def requests_of(jobs: int, seed: int) -> list[tuple[bytes, Json]]:
    """Return a small photo and inputs for each job. The tasks take turns."""
    rng = np.random.default_rng(seed)
    photos = [open_photo(DATA / name) for name in PHOTOS]
    found = []
    for index in range(jobs):
        long_px = int(rng.integers(MIN_LONG_SIDE_PX, MAX_LONG_SIDE_PX + 1))
        photo = resized(photos[index % len(photos)], long_px)
        task = list(TASKS)[index % len(TASKS)]
        found.append((encode(photo, "png", 90)[0], {**TASKS[task], "task": task}))
    return found


def problems_of(
    jobs: int, finished: Sequence[FinishedJob], listed: Iterable[Json], events: Events
) -> dict[str, int]:
    """Return the number of each fault; all are 0 in a run that has passed.

    Args:
        jobs: number of jobs that the clients wanted.
        finished: those whose end the clients have seen.
        listed: all jobs that the service has.
    """
    rows = list(listed)
    ids = Counter(row["id"] for row in rows)
    photos = Counter(job.photo for job in finished)
    known = {job.id for job in finished}
    return {
        "lost": jobs - len(known & set(ids)),
        "duplicated": ids.total() - len(known & set(ids)) + photos.total() - len(photos),
        "not_succeeded": sum(row["status"] != "succeeded" for row in rows),
        "bad_results": sum(not _is_image(job) for job in finished),
        "without_event": len(known - set(events.ids_of)),
        "ended_twice": sum(len(each) > 1 for each in events.ids_of.values()),
        "unverified_events": events.unverified,
    }


def peaks_mb(samples: Sequence[float]) -> list[float]:
    """Return the highest of the samples in each of WINDOWS parts of a run.

    Medians would show the restarts: a process that has just started has loaded nothing yet.
    """
    length = len(samples) // WINDOWS
    return [max(samples[length * n : length * (n + 1)]) for n in range(WINDOWS if length else 0)]


def growth_mb(peaks: Sequence[float]) -> float:
    """Return the highest of the later peaks minus the first one; 0 without peaks."""
    return max(peaks[1:], default=0.0) - peaks[0] if peaks else 0.0


def warm_up(service: ServiceProcess, api_key: str, rounds: int, seed: int) -> None:
    """Run each task some times as another client, so that all networks and caches are loaded."""
    client = ServiceClient(service.url, api_key)
    with ThreadPoolExecutor(len(TASKS)) as threads:
        requests = requests_of(rounds * len(TASKS), seed)
        for done in [threads.submit(client.run, photo, inputs) for photo, inputs in requests]:
            done.result()


def _is_image(job: FinishedJob) -> bool:
    try:
        [output] = job.outputs
        with Image.open(io.BytesIO(output)) as image:
            image.load()
    except (ValueError, OSError):
        return False
    return True


def run_kill(
    service: ServiceProcess,
    engine: Engine,
    secrets: Sequence[str],
    jobs: int,
    kills: tuple[int, int],
    seed: int,
    wait_s: int,
) -> Json:
    """Run all jobs and kills, and return the figures.

    Args:
        engine: database of the service, for the number of attempts.
        secrets: API keys of the clients.
        kills: number of kills of the gateway and of workers.
        wait_s: seconds for which the submissions of every second client wait; 0 for none.
    """
    waiting = list(enumerate(requests_of(jobs, seed)))[::-1]
    finished: list[FinishedJob] = []
    rng = random.Random(seed)
    plan = kill_plan(jobs, *kills, rng)
    random.seed(seed)
    with Receiver() as receiver:
        clients = [
            ServiceClient(
                service.url, secret, f"{receiver.url}/{number}", wait_s=wait_s * (number % 2)
            )
            for number, secret in enumerate(secrets)
        ]
        for number, client in enumerate(clients):
            receiver.secrets[str(number)] = client.webhook_secret()

        def work(client: ServiceClient) -> None:
            while waiting:
                try:
                    _, (photo, inputs) = waiting.pop()
                except IndexError:  # another client took the last one
                    return
                finished.append(client.run(photo, inputs))

        started_s = time.perf_counter()
        with Killer(service, plan, finished) as killer, ThreadPoolExecutor(len(clients)) as threads:
            for done in [threads.submit(work, client) for client in clients]:
                done.result()
        seconds = time.perf_counter() - started_s
        _wait_for_events(receiver, {job.id for job in finished})
        listed = [job for client in clients for job in client.jobs()]
    problems = problems_of(jobs, finished, listed, receiver.events)
    peaks = {"gateway": peaks_mb(killer.gateway_mb), "workers": peaks_mb(killer.workers_mb)}
    growth = {name: round(growth_mb(each), 1) for name, each in peaks.items()}
    right_kills = (killer.killed["gateway"], killer.killed["worker"]) == kills
    return {
        "jobs": jobs,
        "clients": len(clients),
        "wait_s": wait_s,
        "kills": dict(killer.killed),
        "tasks": dict(Counter(job.task for job in finished)),
        "finished": len({job.id for job in finished}),
        **problems,
        "adopted": sum(job.adopted for job in finished),
        "attempts": _attempts(engine),
        "event_calls": receiver.events.calls,
        "seconds": round(seconds, 1),
        "wall_p50_s": round(statistics.median(job.wall_s for job in finished), 2),
        "wall_max_s": round(max(job.wall_s for job in finished), 1),
        "peaks_mb": {name: [round(each) for each in values] for name, values in peaks.items()},
        "growth_mb": growth,
        "seed": seed,
        "errors": sorted({job.error[:200] for job in finished if job.error}),
        "met": not any(problems.values()) and right_kills and max(growth.values()) < MAX_GROWTH_MB,
    }


def _attempts(engine: Engine) -> dict[str, int]:
    """Return the number of the clients' jobs by their number of attempts."""
    jobs, counts, cursor = JobStore(engine), Counter[int](), None
    while True:
        page = jobs.list(None, limit=100, cursor=cursor)
        counts.update(job.attempt for job in page.jobs if job.owner != ENVIRONMENT_OWNER)
        if (cursor := page.next) is None:
            return {str(attempt): count for attempt, count in sorted(counts.items())}


def _wait_for_events(receiver: Receiver, ids: set[str]) -> None:
    deadline_s = time.monotonic() + EVENTS_TIMEOUT_S
    while ids - set(receiver.events.ids_of) and time.monotonic() < deadline_s:
        time.sleep(SAMPLE_INTERVAL_S)
