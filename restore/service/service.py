"""One gateway: what the routes work on, and the tasks that run beside them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from restore.service import database, gateways
from restore.service.api.health import Models
from restore.service.api.json_body import LARGE_BODIES
from restore.service.api.metrics import Metrics
from restore.service.api.models import ModelVersion
from restore.service.api.prediction import prediction_json
from restore.service.api.urls import default_base_url
from restore.service.auth import Access, check_exposure
from restore.service.changes import Changes
from restore.service.cleaner import Cleaner
from restore.service.dispatcher import dispatch
from restore.service.files import FileStore
from restore.service.jobs import JobStore
from restore.service.keeper import Keeper
from restore.service.keys import KeyStore
from restore.service.limits import Limits
from restore.service.records import Job
from restore.service.settings import Settings
from restore.service.webhooks import Deliverer, SecretStore
from restore.service.workers import Workers
from restore.serving.body_reader import BodyReader

THREADS = 32
"""Threads for the database and the disk. asyncio's own default is too small for two cores."""

log = logging.getLogger("restore.service")


class Service:
    """The parts of a gateway.

    Args:
        settings: of this gateway.

    Attributes:
        jobs, files, keys: what is stored.
        changes: news between the parts.
        workers: those of this gateway.
        access: finds out whose a request is.
        bodies: reads JSON bodies.
        large_bodies: limits the number of large bodies that are read or written at a time.
        version: the version of the predictor.
        secrets: sign webhooks.
        models, metrics: figures for GET /health and GET /metrics.
        has_failed: whether the service ends because of an error.

    Raises:
        RestoreError: SERVER if the database or the data folder cannot be used; OPTION_INVALID for
            settings without a worker; UNAUTHORIZED or OPTION_INVALID for settings that would expose
            the service, see `check_exposure`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = database.connect(settings)
        self.changes = Changes()
        self.jobs = JobStore(self.engine, self.changes, keep_s=settings.keep_s)
        self.files = FileStore(self.engine, settings)
        self.workers = Workers(settings, self.files.uploads, self.files.results)
        self.keys = KeyStore(self.engine)
        self.access = Access(settings, self.keys, Limits(settings))
        self.bodies = BodyReader()
        self.large_bodies = asyncio.Semaphore(LARGE_BODIES)
        self.version = ModelVersion()
        self.secrets = SecretStore(settings.data)
        self.models, self.metrics = Models(settings.weights), Metrics(self)
        self.has_failed = False
        check_exposure(settings, has_keys=self.keys.exists())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run workers, webhooks and regular duties within a `with` block."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(THREADS, "store"))
        with gateways.joined(self.jobs, self.settings.data) as gateway:
            duties = (
                Keeper(self.jobs, gateway.id).run(),
                Cleaner(self.jobs, self.files, self.settings).run(),
                Deliverer(self.engine, self.changes, self.secrets, self._render).run(),
                dispatch(self.workers, self.jobs, self.files, gateway.id),
            )
            tasks = [asyncio.create_task(self._essential(duty)) for duty in duties]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _render(self, job: Job) -> dict[str, Any]:
        """Return the JSON of a prediction for a webhook."""
        return prediction_json(job, default_base_url(self.settings), self.files)

    async def _essential(self, duty: Coroutine[Any, Any, None]) -> None:
        """Run a task without which the gateway is of no use: if it fails, end the process.

        Whoever supervises the process starts it again, and no job is lost.
        """
        try:
            await duty
        except Exception:
            log.exception("a task of the service has failed: the service ends")
            self.has_failed = True
            os.kill(os.getpid(), signal.SIGTERM)
