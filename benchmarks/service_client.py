"""A client that finishes its jobs although the service ends and starts again at any time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import requests

from benchmarks.inputs import Json

TIMEOUT_S = 60.0
PAUSE_S = 0.25
GIVE_UP_S = 600.0
"""Time without any answer after which a run fails."""
BUSY_STATUSES = frozenset({429, 503})
"""Refusals that ask for a later request."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class FinishedJob:
    """A job that the service has accepted, and its end.

    Attributes:
        photo: id of its uploaded photo, which no other job has.
        outputs: the contents of its results.
        adopted: whether the answer to its submission was lost, and the job was found in the list.
    """

    id: str
    task: str
    photo: str
    status: str
    error: str
    outputs: tuple[bytes, ...]
    adopted: bool
    wall_s: float


class ServiceClient:
    """Submits jobs one after the other, with an API key of its own.

    Args:
        url: of the service.
        secret: its API key.
        webhook: URL that is called when a job has ended, or None.
        wait_s: seconds for which a submission waits for the end of its job (`Prefer: wait`); 0 for
            none.
    """

    def __init__(
        self, url: str, secret: str, webhook: str | None = None, *, wait_s: int = 0
    ) -> None:
        self.url, self.webhook = url, webhook
        self.headers = {"prefer": f"wait={wait_s}"} if wait_s else {}
        self.session = requests.Session()
        self.session.trust_env = False  # never send loopback requests through a proxy
        self.session.headers["x-api-key"] = secret

    def run(self, photo: bytes, inputs: Mapping[str, object]) -> FinishedJob:
        """Upload a photo, submit a job and wait for its end."""
        started_s = time.perf_counter()
        upload = self._until_answered(lambda: self._upload(photo))
        body: Json = {"input": {**inputs, "image": upload["urls"]["get"]}}
        if self.webhook:
            body |= {"webhook": self.webhook, "webhook_events_filter": ["completed"]}
        created, adopted = self._submit(body, str(upload["id"]))
        job = self._wait(str(created["id"]))
        outputs = tuple(
            self._until_answered(lambda url=url: self._get(url).content)  # type: ignore[misc]
            for url in job["output"] or ()
        )
        return FinishedJob(
            id=job["id"],
            task=str(inputs["task"]),
            photo=upload["id"],
            status=job["status"],
            error=str(job["error"] or ""),
            outputs=outputs,
            adopted=adopted,
            wall_s=time.perf_counter() - started_s,
        )

    def jobs(self) -> Iterator[Json]:
        """Yield all jobs of the key, newest first."""
        url: str | None = f"{self.url}/v1/predictions"
        while url:
            page = self._until_answered(lambda url=url: self._get(url).json())  # type: ignore[misc]
            yield from page["results"]
            url = page["next"]

    def webhook_secret(self) -> str:
        """Return the secret that signs the webhooks of this key."""
        path = f"{self.url}/v1/webhooks/default/secret"
        return str(self._until_answered(lambda: self._get(path).json())["key"])

    def _submit(self, body: Json, photo: str) -> tuple[Json, bool]:
        """Submit a job once.

        If the answer is lost, nobody but the service knows whether it has accepted the job: then
        the list of jobs is searched for the photo before the job is submitted again.
        """
        deadline_s = time.monotonic() + GIVE_UP_S
        while True:
            try:
                answer = self.session.post(
                    f"{self.url}/v1/predictions",
                    json=body,
                    headers=self.headers,
                    timeout=TIMEOUT_S,
                )
                if answer.status_code not in BUSY_STATUSES:
                    answer.raise_for_status()
                    return answer.json(), False
            except (requests.ConnectionError, requests.Timeout):
                if time.monotonic() > deadline_s:
                    raise
                for job in self.jobs():
                    if photo in str(job["input"]["image"]):
                        return job, True
            time.sleep(PAUSE_S)

    def _wait(self, job_id: str) -> Json:
        path = f"{self.url}/v1/predictions/{job_id}"
        while True:
            job: Json = self._until_answered(lambda: self._get(path).json())
            if job["status"] in {"succeeded", "failed", "canceled"}:
                return job
            time.sleep(PAUSE_S)

    def _upload(self, photo: bytes) -> Json:
        files = {"content": ("photo.png", photo, "image/png")}
        answer = self.session.post(f"{self.url}/v1/files", files=files, timeout=TIMEOUT_S)
        answer.raise_for_status()
        uploaded: Json = answer.json()
        return uploaded

    def _get(self, url: str) -> requests.Response:
        answer = self.session.get(url, timeout=TIMEOUT_S)
        answer.raise_for_status()
        return answer

    def _until_answered(self, send: Callable[[], Value]) -> Value:
        """Send a request that may be repeated until the service answers it.

        Raises:
            requests.RequestException: the request is refused, or was not answered for GIVE_UP_S.
        """
        deadline_s = time.monotonic() + GIVE_UP_S
        while True:
            try:
                return send()
            except requests.RequestException as error:
                status: Any = getattr(error.response, "status_code", None)
                refused = status is not None and status not in BUSY_STATUSES
                if refused or time.monotonic() > deadline_s:
                    raise
            time.sleep(PAUSE_S)
