"""GET /metrics: figures for Prometheus, in a registry of their own."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter as Counts
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Request
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.responses import Response

from restore.service.auth import owner_of
from restore.service.records import Job, Status
from restore.service.worker_state import WorkerStatus

if TYPE_CHECKING:
    from restore.service.service import Service

BUCKETS_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)

router = APIRouter(tags=["service"])


class Metrics:
    """The figures of a gateway.

    Those of jobs that have ended are counted since the start of the gateway, the others are read
    from the database when they are asked for.

    Args:
        service: what is observed.
    """

    def __init__(self, service: Service) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Current(service))
        self._ended = Counter(
            "restore_jobs_ended",
            "Jobs that this gateway has ended.",
            ["status"],
            registry=self.registry,
        )
        for status in Status:
            if status.is_final:
                self._ended.labels(status.value)  # so that it is 0 before the first one
        self._predict = self._histogram("restore_predict_seconds", "Time of the worker for a job.")
        self._wait = self._histogram("restore_wait_seconds", "Time of a job in the queue.")
        self._total = self._histogram(
            "restore_total_seconds", "Time from creation to end of a job."
        )
        service.jobs.listeners.append(self.observe)

    def observe(self, job: Job) -> None:
        """Count a job that has just ended; called after each change of a job."""
        if not job.status.is_final or job.removed or job.completed_at is None:
            return
        self._ended.labels(job.status.value).inc()
        self._total.observe((job.completed_at - job.created_at).total_seconds())
        if job.started_at is not None:
            self._wait.observe((job.started_at - job.created_at).total_seconds())
        if job.predict_s is not None:
            self._predict.observe(job.predict_s)

    def text(self) -> bytes:
        """Return all figures in the format of Prometheus. Blocks."""
        return generate_latest(self.registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, buckets=BUCKETS_S, registry=self.registry)


class _Current(Collector):
    """Figures that are read when they are asked for."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def describe(self) -> list[Metric]:
        """Return nothing, so that the registry does not collect at its start."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the figures."""
        counts = self._service.jobs.counts()
        jobs = GaugeMetricFamily("restore_jobs", "Jobs by status.", labels=["status"])
        for status, count in counts.items():
            jobs.add_metric([status.value], count)
        yield jobs
        yield GaugeMetricFamily(
            "restore_queue_length", "Jobs that wait.", value=counts[Status.STARTING]
        )
        yield from self._workers()
        files = self._service.files
        disk = shutil.disk_usage(self._service.settings.data)
        for name, text, value in (
            ("stored_bytes", "Size of all stored files.", files.total_bytes()),
            ("quota_bytes", "Limit of all stored files.", files.quota.limit_bytes),
            ("disk_free_bytes", "Free space on the disk of the data.", disk.free),
        ):
            yield GaugeMetricFamily(f"restore_{name}", text, value=value)

    def _workers(self) -> Iterator[Metric]:
        states = self._service.workers.list()
        statuses = Counts(state.status for state in states)
        workers = GaugeMetricFamily("restore_workers", "Workers by status.", labels=["status"])
        for status in WorkerStatus:
            workers.add_metric([status.value], statuses[status])
        yield workers
        restarts = CounterMetricFamily(
            "restore_worker_restarts", "Restarts of a worker.", labels=["worker"]
        )
        for state in states:
            restarts.add_metric([state.name], state.restarts)
        yield restarts


@router.get("/metrics", response_class=Response)
async def get_metrics(request: Request, _: Annotated[str, Depends(owner_of)]) -> Response:
    """Return the figures of this gateway in the format of Prometheus.

    If the service has API keys, Prometheus has to send one (`authorization` of the scrape job).
    """
    service: Service = request.app.state.service
    text = await asyncio.to_thread(service.metrics.text)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
