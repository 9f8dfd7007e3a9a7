"""HTTP client for a Cog server that retries while the server is busy and records every failure.

A Cog server handles one request at a time. It responds with 409 while it is busy, and for some
milliseconds after each response. The client then pauses and sends the request again; the time of a
request counts from its first attempt. Every other failure is returned as a `PredictionResult`.
"""

from __future__ import annotations

import json
import queue
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import requests

from benchmarks.inputs import Json, data_uri

RESPONSE_TIMEOUT_S = 600.0
MIN_PAUSE_S, MAX_PAUSE_S = 0.002, 0.05
HEALTH_CHECK_INTERVAL_S = 1.0
MAX_ERROR_CHARACTERS = 300
"""Error texts are cut to this length, because a refusal may quote a whole data URI."""
MAX_DETAIL_CHARACTERS = 120


@dataclass(frozen=True)
class Prediction:
    """A request whose body is encoded before its time starts."""

    names: tuple[str, ...]
    body: bytes


@dataclass(frozen=True)
class PredictionResult:
    """The outcome of one request.

    Attributes:
        names: photos that were sent.
        status: `succeeded`; `failed` if the server refused the request or returned fewer photos
            than it received; `lost` if there was no response.
        wall_s: time from the first attempt to the end of the response.
        waited_s: part of `wall_s` before the attempt that was not rejected with 409.
        predict_time_s: time as measured by the server, with its decoding and encoding.
        outputs: number of pictures in the response.
        reports: Restore's report of each photo.
    """

    names: tuple[str, ...]
    status: Literal["succeeded", "failed", "lost"]
    wall_s: float
    error: str = ""
    waited_s: float = 0.0
    retries_409: int = 0
    predict_time_s: float | None = None
    outputs: int = 0
    reports: tuple[Json, ...] = ()


def prediction(photos: Sequence[Path], inputs: Mapping[str, object]) -> Prediction:
    """Build a request that carries photos as data URIs.

    Raises:
        RestoreError: PHOTO_MISSING.
    """
    body = json.dumps({"input": {**inputs, "images": [data_uri(photo) for photo in photos]}})
    return Prediction(tuple(photo.name for photo in photos), body.encode())


class Client:
    """Sends predictions over persistent connections. Safe to use from several threads."""

    def __init__(
        self,
        url: str,
        *,
        concurrency: int = 1,
        timeout_s: float = RESPONSE_TIMEOUT_S,
        health_check_interval_s: float = HEALTH_CHECK_INTERVAL_S,
    ) -> None:
        self.url = url
        self.timeout_s = timeout_s
        self.health_check_interval_s = health_check_interval_s
        self.concurrency = concurrency
        # One session per request in flight: requests does not guarantee thread safety.
        self._sessions: queue.SimpleQueue[requests.Session] = queue.SimpleQueue()
        for _ in range(concurrency):
            session = requests.Session()
            session.trust_env = False  # never send loopback requests through a proxy
            self._sessions.put(session)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for _ in range(self.concurrency):
            self._sessions.get().close()

    def predict_all(
        self,
        predictions: Sequence[Prediction],
        on_result: Callable[[PredictionResult], object] = lambda result: None,
    ) -> list[PredictionResult]:
        """Send all requests and return results in their order; call `on_result` as each ends."""
        threads = ThreadPoolExecutor(self.concurrency)
        try:
            futures = [threads.submit(self.predict, each) for each in predictions]
            for future in as_completed(futures):
                on_result(future.result())
            return [future.result() for future in futures]
        finally:
            # After an interrupt, requests that have not been sent are dropped.
            threads.shutdown(cancel_futures=True)

    def predict(self, prediction: Prediction) -> PredictionResult:
        """Send a request until the server accepts it, and return its outcome."""
        session = self._sessions.get()
        try:
            return self._send(session, prediction)
        finally:
            self._sessions.put(session)

    def _send(self, session: requests.Session, prediction: Prediction) -> PredictionResult:
        started_s = checked_s = time.perf_counter()
        retries = 0
        while True:
            sent_s = time.perf_counter()
            try:
                response = self._post(session, prediction)
            except requests.RequestException as error:
                wall_s, waited_s = time.perf_counter() - started_s, sent_s - started_s
                return _lost(
                    prediction, f"{type(error).__name__}: {error}", wall_s, waited_s, retries
                )
            ended_s = time.perf_counter()
            wall_s = ended_s - started_s
            if response.status_code != 409:
                return _read(response, prediction.names, wall_s, sent_s - started_s, retries)
            retries += 1
            if ended_s - checked_s > self.health_check_interval_s:
                checked_s = ended_s
                # After its worker has crashed, a server responds with 409 forever.
                health = self._health(session)
                if health not in {"READY", "BUSY"} or wall_s > self.timeout_s:
                    text = f"not accepted within {wall_s:.0f} s; health of the server: {health}"
                    return _lost(prediction, text, wall_s, wall_s, retries)
            time.sleep(_pause_s(retries))

    def _post(self, session: requests.Session, prediction: Prediction) -> requests.Response:
        return session.post(
            f"{self.url}/predictions",
            data=prediction.body,
            headers={"Content-Type": "application/json"},
            timeout=self.timeout_s,
        )

    def _health(self, session: requests.Session) -> str:
        try:
            response = session.get(f"{self.url}/health-check", timeout=self.timeout_s)
            return str(response.json()["status"])
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            return f"unknown ({type(error).__name__})"


def _pause_s(retries: int) -> float:
    """Return an exponential backoff with jitter."""
    pause_s: float = min(MIN_PAUSE_S * 2 ** min(retries - 1, 10), MAX_PAUSE_S)
    return pause_s * random.uniform(0.5, 1.5)


def _lost(
    prediction: Prediction, error: str, wall_s: float, waited_s: float, retries: int
) -> PredictionResult:
    error = error[:MAX_ERROR_CHARACTERS]
    return PredictionResult(prediction.names, "lost", wall_s, error, waited_s, retries)


def _read(
    response: requests.Response,
    names: tuple[str, ...],
    wall_s: float,
    waited_s: float,
    retries: int,
) -> PredictionResult:
    try:
        body = response.json()
    except ValueError:
        body = None
    if response.status_code != 200 or not isinstance(body, dict):
        error = f"HTTP {response.status_code}: {_reason(body, response.text)}"
        error = error[:MAX_ERROR_CHARACTERS]
        return PredictionResult(names, "failed", wall_s, error, waited_s, retries)
    metrics = body.get("metrics") or {}
    outputs = sum(str(uri).startswith("data:image/") for uri in body.get("output") or [])
    error = ""
    if body.get("status") != "succeeded":
        error = str(body.get("error") or f"status is '{body.get('status')}'")
    elif outputs < len(names):  # Cog's server silently leaves out files that it does not find
        error = f"{outputs} pictures came back for {len(names)} photos"
    return PredictionResult(
        names=names,
        status="failed" if error else "succeeded",
        wall_s=wall_s,
        error=error[:MAX_ERROR_CHARACTERS],
        waited_s=waited_s,
        retries_409=retries,
        predict_time_s=metrics.get("predict_time"),
        outputs=outputs,
        reports=tuple(metrics.get("photos") or ()),
    )


def _reason(body: object, text: str) -> str:
    """Return the reason of a refusal: the end of each detail, as some begin with a whole photo."""
    if not isinstance(body, dict):
        return text
    details = body.get("detail")
    if isinstance(details, list):
        return "; ".join(
            str(detail.get("msg") if isinstance(detail, dict) else detail)[-MAX_DETAIL_CHARACTERS:]
            for detail in details
        )
    return str(body.get("error") or details or text)
