"""A Cog server of this model and its client, for benchmarks: started with a setting, asked over HTTP, nothing lost without a word.

A server takes one request at a time and answers 409 while it is busy, for some milliseconds after an answer too: such a request
is sent again after a pause, and the time of its photos counts from the first attempt. Whatever else goes wrong is an `Answer` as
well, with its error.
"""

from __future__ import annotations

import base64
import difflib
import json
import mimetypes
import os
import queue
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, get_args

import requests

from restore.errors import Code, RestoreError
from restore.options import CHAIN, StabilityMode
from restore.serving.launcher import openapi_schema, running

STABILITY_MODES: tuple[str, ...] = get_args(StabilityMode)
WEIGHTS = ("lite", "auto", "official")
OWN_OPTIONS = ("task", "image", "images", "runtime_profile", "stability_mode", "compile_backend")
"""Inputs that a benchmark's own options set."""

READY_TIMEOUT_S = (
    1800.0  # official weights may be downloaded, and compiled, before a server is ready
)
ANSWER_TIMEOUT_S = 600.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.002, 0.05
HEALTH_EVERY_S = 1.0
LOG_TAIL_BYTES = 2000
ERROR_CHARACTERS = 300  # a refusal may quote a whole data URI

Json = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """What a server is started with and asked for. What is as in any request is not sent, so that older servers know it all."""

    task: str
    profile: str = "baseline"
    stability_mode: str = "safe"
    compile_backend: str = "none"
    weights: str = "lite"
    extra: Mapping[str, object] = field(default_factory=dict)

    def inputs(self) -> Json:
        """The request's inputs but for its photos."""
        inputs: Json = {**self.extra, "task": self.task, "runtime_profile": self.profile}
        if self.stability_mode != "safe":
            inputs["stability_mode"] = self.stability_mode
        if self.compile_backend != "none":
            inputs["compile_backend"] = self.compile_backend
        return inputs

    def environment(self) -> dict[str, str]:
        """What the server is started with beside our own environment; it loads the task's networks unless told otherwise there."""
        chained = str(self.extra.get("steps", "auto"))
        preload = self.task if self.task != CHAIN else "all" if chained == "auto" else chained
        return {
            "RESTORE_WEIGHTS": self.weights,
            "RESTORE_PRELOAD": os.environ.get("RESTORE_PRELOAD", "").strip() or preload,
            # Empty for `none`: our own environment may name another.
            "RESTORE_COMPILE_BACKEND": ""
            if self.compile_backend == "none"
            else self.compile_backend,
        }


def require_known(inputs: Mapping[str, object]) -> None:
    """Cog's server drops an input that it does not know without a word, and something else would be measured.

    Raises:
        RestoreError: OPTION_UNKNOWN.
    """
    known = _known_inputs()
    for name in inputs:
        if name not in known:
            raise RestoreError(
                Code.OPTION_UNKNOWN, f"predict.py has no input '{name}'", _nearest(name, known)
            )


def read_inputs(pairs: Sequence[str]) -> Json:
    """`name=value` pairs as inputs of the types that predict.py gives them; a photo (a mask) is `name=@FILE`.

    Raises:
        RestoreError: OPTION_INVALID, OPTION_UNKNOWN, PHOTO_MISSING.
    """
    known = _known_inputs()
    inputs: Json = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or name in OWN_OPTIONS:
            reason = (
                f"--set {pair} is no name=value pair"
                if not equals
                else f"--set names '{name}', which has an option of its own"
            )
            raise RestoreError(Code.OPTION_INVALID, reason, "Write for example --set scale=2.")
        require_known({name: text})
        inputs[name] = _typed(name, text, known[name])
    return inputs


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean '{near[0]}'?" if near else "The README has a table of its inputs."


def _known_inputs() -> Json:
    properties: Json = openapi_schema()["components"]["schemas"]["Input"]["properties"]
    return properties


def _typed(name: str, text: str, schema: Json) -> object:
    if schema.get("format") == "uri":
        return data_uri(Path(text.removeprefix("@")))
    kind = schema.get("type", "string")  # a choice's type stands elsewhere: all of ours are strings
    if kind == "string":
        return text
    types = {"integer": (int,), "number": (int, float), "boolean": (bool,)}.get(kind, ())
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if type(value) not in types:
        raise RestoreError(
            Code.OPTION_INVALID,
            f"{name} is '{text}'",
            f"Write a value of type {kind}, such as --set scale=2.",
        )
    return value


@contextmanager
def served(port: int, environment: Mapping[str, str]) -> Iterator[str]:
    """A ready server for the length of a `with` block; gives its base URL. It ends with us, even where we are told to by a signal.

    Raises:
        RestoreError: SERVER when the port is taken or setup fails; the end of the server's log is on stderr then.
    """
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [
        signal.signal(number, lambda received, frame: sys.exit(128 + received))
        for number in numbers
    ]
    with tempfile.TemporaryFile() as log:
        try:
            with running(port, environment, READY_TIMEOUT_S, log) as url:
                yield url
        except RestoreError:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
            sys.stderr.write(log.read().decode(errors="replace"))
            raise
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)


@dataclass(frozen=True)
class Prediction:
    """One request, encoded before the clock starts."""

    names: tuple[str, ...]
    body: bytes


def prediction(photos: Sequence[Path], inputs: Mapping[str, object]) -> Prediction:
    """A request with photos as data URIs.

    Raises:
        RestoreError: PHOTO_MISSING.
    """
    body = json.dumps({"input": {**inputs, "images": [data_uri(photo) for photo in photos]}})
    return Prediction(tuple(photo.name for photo in photos), body.encode())


def data_uri(photo: Path) -> str:
    """A file as a data URI.

    Raises:
        RestoreError: PHOTO_MISSING.
    """
    kind = mimetypes.guess_type(photo.name)[0] or "application/octet-stream"
    try:
        return f"data:{kind};base64,{base64.b64encode(photo.read_bytes()).decode()}"
    except OSError as error:
        raise RestoreError(
            Code.PHOTO_MISSING,
            f"'{photo}' cannot be read ({error.strerror})",
            "Check the path.",
            photo=photo.name,
        ) from error


@dataclass(frozen=True)
class Answer:
    """What came of one request.

    Attributes:
        names: the photos that were sent.
        status: `succeeded`; `failed` where the server said no, or sent fewer photos than it got; `lost` where it said nothing.
        wall_s: from the first attempt to the end of the answer.
        waited_s: how much of that passed before the attempt that was not answered by 409.
        predict_time_s: the server's own account, its decoding of inputs and reading of outputs included.
        outputs: how many pictures came back.
        reports: Restore's, one for each photo.
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


class Client:
    """Posts predictions over connections that are kept, up to `concurrency` at once. Safe to use from several threads."""

    def __init__(
        self,
        url: str,
        *,
        concurrency: int = 1,
        timeout_s: float = ANSWER_TIMEOUT_S,
        health_every_s: float = HEALTH_EVERY_S,
    ) -> None:
        self.url = url
        self.timeout_s = timeout_s
        self.health_every_s = health_every_s
        self.concurrency = concurrency
        # A session for each thread at work: requests does not promise that threads may share one.
        self._sessions: queue.SimpleQueue[requests.Session] = queue.SimpleQueue()
        for _ in range(concurrency):
            session = requests.Session()
            session.trust_env = (
                False  # a proxy of the environment has no business between us and loopback
            )
            self._sessions.put(session)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for _ in range(self.concurrency):
            self._sessions.get().close()

    def predict_all(
        self,
        asked: Sequence[Prediction],
        on_answer: Callable[[Answer], object] = lambda answer: None,
    ) -> list[Answer]:
        """Answers in the order of the requests; `on_answer` sees each as it comes."""
        threads = ThreadPoolExecutor(self.concurrency)
        try:
            futures = [threads.submit(self.predict, one) for one in asked]
            for future in as_completed(futures):
                on_answer(future.result())
            return [future.result() for future in futures]
        finally:
            threads.shutdown(
                cancel_futures=True
            )  # an interrupt does not wait for what was never sent

    def predict(self, asked: Prediction) -> Answer:
        """Posts one request until the server takes it; whatever comes of it is an answer."""
        session = self._sessions.get()
        try:
            return self._answered(session, asked)
        finally:
            self._sessions.put(session)

    def _answered(self, session: requests.Session, asked: Prediction) -> Answer:
        started_s = looked_s = time.perf_counter()
        retries = 0
        while True:
            sent_s = time.perf_counter()
            try:
                headers = {"Content-Type": "application/json"}
                response = session.post(
                    f"{self.url}/predictions",
                    data=asked.body,
                    headers=headers,
                    timeout=self.timeout_s,
                )
            except requests.RequestException as error:
                text = f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS]
                return Answer(
                    asked.names,
                    "lost",
                    time.perf_counter() - started_s,
                    text,
                    sent_s - started_s,
                    retries,
                )
            ended_s = time.perf_counter()
            if response.status_code != 409:
                return _read(
                    response, asked.names, ended_s - started_s, sent_s - started_s, retries
                )
            retries += 1
            if ended_s - looked_s > self.health_every_s:
                looked_s = ended_s
                # A worker that crashed leaves a server that says 409 for ever.
                health = self._health(session)
                if health not in {"READY", "BUSY"} or ended_s - started_s > self.timeout_s:
                    text = f"not taken within {ended_s - started_s:.0f} s; the server says {health}"
                    return Answer(
                        asked.names, "lost", ended_s - started_s, text, ended_s - started_s, retries
                    )
            time.sleep(
                min(FIRST_PAUSE_S * 2 ** min(retries - 1, 10), LONGEST_PAUSE_S)
                * random.uniform(0.5, 1.5)
            )

    def _health(self, session: requests.Session) -> str:
        try:
            return str(
                session.get(f"{self.url}/health-check", timeout=self.timeout_s).json()["status"]
            )
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            return f"nothing of its health ({type(error).__name__})"


def _read(
    response: requests.Response,
    names: tuple[str, ...],
    wall_s: float,
    waited_s: float,
    retries: int,
) -> Answer:
    try:
        body = response.json()
    except ValueError:
        body = None
    if response.status_code != 200 or not isinstance(body, dict):
        error = f"HTTP {response.status_code}: {_reason(body, response.text)}"
        return Answer(names, "failed", wall_s, error[:ERROR_CHARACTERS], waited_s, retries)
    metrics = body.get("metrics") or {}
    outputs = sum(str(one).startswith("data:image/") for one in body.get("output") or [])
    error = ""
    if body.get("status") != "succeeded":
        error = str(body.get("error") or f"status is '{body.get('status')}'")
    elif outputs < len(names):  # a file that Cog's server does not find is left out without a word
        error = f"{outputs} pictures came back for {len(names)} photos"
    return Answer(
        names=names,
        status="failed" if error else "succeeded",
        wall_s=wall_s,
        error=error[:ERROR_CHARACTERS],
        waited_s=waited_s,
        retries_409=retries,
        predict_time_s=metrics.get("predict_time"),
        outputs=outputs,
        reports=tuple(metrics.get("photos") or ()),
    )


def _reason(body: object, text: str) -> str:
    """What a refusal says, of each detail its end: some begin with the whole photo."""
    if not isinstance(body, dict):
        return text
    details = body.get("detail")
    if isinstance(details, list):
        return "; ".join(
            str(one.get("msg") if isinstance(one, dict) else one)[-120:] for one in details
        )
    return str(body.get("error") or details or text)
