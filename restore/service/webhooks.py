"""Sending webhook events, signed as Standard Webhooks (https://www.standardwebhooks.com).

A receiver's address comes from a client. It is treated like the URL of a photo: only public
addresses are connected to, unless RESTORE_ALLOW permits others, and redirects are not followed.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from standardwebhooks import Webhook
from urllib3.exceptions import HTTPError

from restore.errors import RestoreError
from restore.service.changes import DELIVERIES, POLL_S, Changes
from restore.service.deliveries import Deliveries, Delivery
from restore.service.outage_log import OutageLog
from restore.service.records import Job
from restore.service.secret_file import secret
from restore.serving.addresses import time_limited_session
from restore.serving.uploads import ADDRESSES, allowed_sources

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 5.0, 10.0
THREADS = 16
"""Events that are sent at the same time."""
MAX_OF_OWNER = 8
"""Those of one API key, so that slow receivers of one do not hold up the events of others."""
GONE = 410
"""Status with which a receiver refuses all further attempts."""

PREFIX = "whsec_"

log = logging.getLogger("restore.service.webhooks")


class SecretStore:
    """The secrets that sign webhooks, one for each owner.

    Args:
        data: the data folder, which has the secret that they are derived from.
    """

    def __init__(self, data: Path) -> None:
        self._root = secret(data, "webhooks")

    def secret_of(self, owner: str) -> str:
        """Return the secret of an owner: `whsec_` and base64, so that it has exactly one `_`."""
        derived = hmac.digest(self._root, f"webhook {owner}".encode(), hashlib.sha256)
        return PREFIX + base64.b64encode(derived).decode()


class Deliverer:
    """Sends the events of the outbox until it is cancelled.

    Args:
        engine: the database.
        changes: tells of new events.
        secrets: sign the events.
        render: returns a job as the JSON of a prediction; called in a thread.
    """

    def __init__(
        self,
        engine: Engine,
        changes: Changes,
        secrets: SecretStore,
        render: Callable[[Job], Mapping[str, Any]],
    ) -> None:
        self.deliveries = Deliveries(engine)
        self._changes, self._secrets, self._render = changes, secrets, render
        self._busy: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Send events as they become due. A database that is away for a while does no harm."""
        threads = ThreadPoolExecutor(THREADS, "webhook")
        outages = OutageLog("webhooks")
        with self._changes.subscribe(DELIVERIES) as news:
            try:
                while True:
                    try:
                        await self._start_due(threads)
                        pause_s = await self._pause_s()
                        outages.worked()
                    except DBAPIError as error:
                        outages.failed(error)
                        pause_s = POLL_S
                    # Events of other gateways are not announced here.
                    await news.wait(pause_s)
            finally:
                for task in self._tasks:
                    task.cancel()
                # What a thread is sending is not waited for: it would block all other tasks.
                threads.shutdown(wait=False, cancel_futures=True)

    async def _start_due(self, threads: ThreadPoolExecutor) -> None:
        free = THREADS - self._busy.total()
        if free <= 0 or await asyncio.to_thread(self.deliveries.seconds_to_next) != 0:
            return

        def room_of(owner: str) -> int:
            return MAX_OF_OWNER - self._busy[owner] if owner else free

        for delivery in await asyncio.to_thread(self.deliveries.claim, free, room_of):
            self._busy[delivery.owner] += 1
            task = asyncio.create_task(self._deliver(delivery, threads))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pause_s(self) -> float:
        """Return the longest time to wait for news."""
        next_s = await asyncio.to_thread(self.deliveries.seconds_to_next)
        return min(POLL_S, next_s) if next_s else POLL_S

    async def _deliver(self, delivery: Delivery, threads: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(threads, self.send, delivery)
        except DBAPIError as error:
            # It is claimed for a limited time, and sent again afterwards, with the same id.
            log.warning("event %s: the database does not answer: %s", delivery.id, error.orig)
        finally:
            self._busy[delivery.owner] -= 1
            self._changes.notify(DELIVERIES)  # the next event of the job may be sent now

    def send(self, delivery: Delivery) -> None:
        """Send one event, and record what came of it. Blocks."""
        body = delivery.body
        try:
            body = body or json.dumps(self._render(delivery.job))
            status = post(delivery.url, body, self._headers(delivery, body))
        except RestoreError as error:  # the address is not allowed
            self.deliveries.failed(delivery, error.reason, permanent=True)
        except (requests.RequestException, HTTPError, ValueError) as error:
            self.deliveries.failed(delivery, type(error).__name__, body=body)
        except Exception as error:
            log.exception("event %s of job %s was not sent", delivery.event, delivery.job.id)
            self.deliveries.failed(delivery, type(error).__name__, body=body)
        else:
            if 200 <= status < 300:
                self.deliveries.succeeded(delivery)
            else:
                reason = f"the receiver answered with HTTP {status}"
                self.deliveries.failed(delivery, reason, body=body, permanent=status == GONE)

    def _headers(self, delivery: Delivery, body: str) -> dict[str, str]:
        now = datetime.now(UTC)
        signature = Webhook(self._secrets.secret_of(delivery.owner)).sign(delivery.id, now, body)
        return {
            "content-type": "application/json",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature,
        }


def post(url: str, body: str, headers: Mapping[str, str]) -> int:
    """Post a body, and return the HTTP status. The response itself is not read.

    Raises:
        RestoreError: PHOTO_MISSING if the address is not public.
        requests.RequestException, HTTPError, ValueError: the receiver cannot be reached.
    """
    public = ADDRESSES not in allowed_sources()
    with (
        time_limited_session(public=public) as session,
        session.post(
            url,
            data=body.encode(),
            headers=dict(headers),
            timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
            allow_redirects=False,
            stream=True,
        ) as response,
    ):
        status: int = response.status_code
        return status
