"""The HTTP client of one Cog server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus

from restore.errors import Code, RestoreError
from restore.service.answer_reader import Answer, AnswerError, AnswerReader
from restore.service.http_client import ConnectionBroken, ConnectionFailed, HttpClient
from restore.service.request_body import RequestBody
from restore.serving.health import INTERRUPTED

SHORT_TIMEOUT_S = 10.0
"""Limit for answers that do not wait for a prediction."""
BUSY_TIMEOUT_S = 5.0
"""Cog may refuse a request for some milliseconds after it has answered the previous one."""
FIRST_BUSY_PAUSE_S, MAX_BUSY_PAUSE_S = 0.002, 0.1
INLINE_BYTES = 2**16
"""Larger pieces of an answer are decoded in a thread."""

CRASHED = "Worker crashed"
"""Cog's error when its worker process has ended."""
JSON = [("content-type", "application/json"), ("accept-encoding", "identity")]
NO_ANSWER = (ConnectionFailed, ConnectionBroken, TimeoutError)
ABOUT_THE_JOB = frozenset(
    {
        HTTPStatus.ACCEPTED,
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
"""Answers besides those of a server error that do not mean that the worker refuses every job."""
NOT_A_REQUEST = {"input": {"task": ""}}
"""Cog answers 202 if the named prediction runs, whatever the body is, and otherwise refuses this
body. Cog has no other way to ask for the logs of a running prediction."""

CHECK_VERSION = "Check the inputs, and that worker and service have the same version of Restore."
MAX_SHOWN_CHARACTERS = 300


class WorkerUnavailable(Exception):  # noqa: N818 - the job has not failed
    """The worker has not begun to work on a request."""


class WorkerLost(Exception):  # noqa: N818
    """The worker has ended, or was replaced, while it worked on a request."""


@dataclass(frozen=True)
class Health:
    """The answer to a health check.

    Attributes:
        status: the status in Cog's words, such as READY, BUSY or SETUP_FAILED.
        detail: the end of the setup's logs.
    """

    status: str
    detail: str


class WorkerClient:
    """Sends requests to a Cog server over connections that stay open.

    Args:
        url: base URL of the server.
    """

    def __init__(self, url: str) -> None:
        self._client = HttpClient(url)
        self.move, self.close = self._client.move, self._client.close

    async def health(self) -> Health | None:
        """Return the state of the server, or None if it does not answer."""
        try:
            async with asyncio.timeout(SHORT_TIMEOUT_S):
                _, content = await self._ask("GET", "/health-check")
            body = json.loads(content)
            setup = body.get("setup") or {}
            return Health(str(body["status"]), str(setup.get("logs", "")))
        except (*NO_ANSWER, ValueError, KeyError, TypeError, AttributeError):
            return None

    async def predict(self, prediction_id: str, body: RequestBody, reader: AnswerReader) -> Answer:
        """Run a prediction, and return its answer when it has ended.

        Cog cancels the prediction when this is cancelled.

        Raises:
            WorkerUnavailable, WorkerLost
            RestoreError: OPTION_INVALID or SERVER if the server refuses the inputs, PHOTO_MISSING
                if a photo has been removed.
            OSError: the results cannot be written.
        """
        deadline_s, pause_s = time.monotonic() + BUSY_TIMEOUT_S, FIRST_BUSY_PAUSE_S
        while True:
            try:
                answer = await self._send(prediction_id, body, reader)
            except ConnectionFailed as error:
                raise WorkerUnavailable("no connection could be made") from error
            except (ConnectionBroken, AnswerError) as error:
                raise WorkerLost(f"its answer broke off ({error})") from error
            if answer is not None:
                return answer
            if time.monotonic() >= deadline_s:
                raise WorkerUnavailable("it works for somebody else")
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_BUSY_PAUSE_S)

    async def logs(self, prediction_id: str) -> str | None:
        """Return the logs of a running prediction, or None if they are not to be had."""
        path, body = f"/predictions/{prediction_id}", json.dumps(NOT_A_REQUEST).encode()
        try:
            async with asyncio.timeout(SHORT_TIMEOUT_S):
                status, content = await self._ask("PUT", path, body)
            if status != HTTPStatus.ACCEPTED:
                return None
            return str(json.loads(content).get("logs", ""))
        except (*NO_ANSWER, ValueError, AttributeError):
            return None

    async def cancel(self, prediction_id: str) -> bool:
        """Cancel a prediction; return whether the server knows it."""
        try:
            async with asyncio.timeout(SHORT_TIMEOUT_S):
                status, _ = await self._ask("POST", f"/predictions/{prediction_id}/cancel")
        except NO_ANSWER:
            return False
        return status // 100 == 2

    async def _ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Send a small request, and return the status and the body of the response."""
        async with self._client.request(method, path, body, JSON) as response:
            return response.status, await response.read()

    async def _send(
        self, prediction_id: str, body: RequestBody, reader: AnswerReader
    ) -> Answer | None:
        """Send a request once; return the answer, or None if the server is busy."""
        path, headers = f"/predictions/{prediction_id}", JSON
        content: bytes | AsyncIterator[bytes]
        match body.parts:
            case (bytes(only),):
                content = only
            case _:
                content, headers = body.chunks(), [*JSON, ("content-length", str(body.size))]
        async with self._client.request("PUT", path, content, headers) as response:
            if response.status == HTTPStatus.CONFLICT:
                await response.read()
                return None
            if response.status != HTTPStatus.OK:
                raise _refusal(response.status, await response.read())
            async for piece in response.pieces():
                if len(piece) <= INLINE_BYTES:
                    reader.feed(piece)
                else:
                    await asyncio.to_thread(reader.feed, piece)
        answer = reader.finish()
        if answer.body.get("status") == "failed" and CRASHED in str(answer.body.get("error")):
            raise WorkerLost("its process ended")
        return answer


def _refusal(status: int, content: bytes) -> Exception:
    """Return the exception for an answer other than 200 and 409."""
    text = content.decode(errors="replace")
    if status == HTTPStatus.SERVICE_UNAVAILABLE and INTERRUPTED["error"] not in text:
        return WorkerUnavailable(f"it refuses requests: {text[:MAX_SHOWN_CHARACTERS]}")
    if status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in ABOUT_THE_JOB:
        # Such as 404 of a server that is no worker, or 401: another worker may take the job.
        return WorkerUnavailable(f"it refuses requests: {text[:MAX_SHOWN_CHARACTERS]}")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return WorkerLost(f"it answered {status}: {text[:MAX_SHOWN_CHARACTERS]}")
    if status == HTTPStatus.ACCEPTED:
        return WorkerUnavailable("it already runs this job")
    reason = f"the worker refuses the request: {_detail(text)[:MAX_SHOWN_CHARACTERS]}"
    code = Code.OPTION_INVALID if status == HTTPStatus.UNPROCESSABLE_ENTITY else Code.SERVER
    return RestoreError(code, reason, CHECK_VERSION)


def _detail(text: str) -> str:
    """Return the messages of Cog's refusal of the inputs."""
    try:
        return "; ".join(item["msg"] for item in json.loads(text)["detail"])
    except (ValueError, KeyError, TypeError):
        return text
