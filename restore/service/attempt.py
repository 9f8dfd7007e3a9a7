"""One attempt of a worker at a job, from the claim to the end or back to the queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import cache, partial
from pathlib import PurePath
from typing import TypeVar

from sqlalchemy.exc import DBAPIError

from restore.errors import RestoreError, unexpected
from restore.service.answer_reader import (
    MAX_RESULT_IN_MEMORY_BYTES,
    Answer,
    AnswerReader,
    Output,
)
from restore.service.attempt_watch import AttemptWatch, ClaimLost, WorkerHangs
from restore.service.file_writer import unwritable
from restore.service.files import CHUNK_BYTES, FileStore
from restore.service.job_files import PREFIX
from restore.service.jobs import JobStore
from restore.service.new_files import Draft, NewFiles
from restore.service.photo_names import (
    document_with_file_name,
    reports_with_file_names,
    with_file_names,
)
from restore.service.records import Job
from restore.service.request_body import RequestBody, request_body
from restore.service.worker import Worker
from restore.service.worker_client import WorkerLost, WorkerUnavailable
from restore.serving.refusals import error_text

DATABASE_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Pauses before the end of a job is written again, if the database cannot be reached."""
JSON_TYPE = "application/json"
SUFFIXES = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    JSON_TYPE: ".json",
}

Value = TypeVar("Value")

log = logging.getLogger("restore.service.attempt")


class Attempt:
    """Runs a claimed job on a worker.

    Args:
        job: as claimed; its `attempt` is the number of this attempt.
        worker: the worker that claimed it.
        jobs, files: where the job, its photos and its results are.
    """

    def __init__(self, job: Job, worker: Worker, jobs: JobStore, files: FileStore) -> None:
        self.job, self.worker, self.jobs, self.files = job, worker, jobs, files
        self.watch = AttemptWatch(job, worker, jobs)
        self._body: Future[RequestBody] = Future()

    def prepare(self) -> None:
        """Build the request to the worker; an error ends the job when it runs. Blocks."""
        try:
            self._body.set_result(
                request_body(
                    self.job,
                    self.files,
                    shares_disk=self.worker.shares_disk,
                    public_url=self.worker.public_url,
                )
            )
        except Exception as error:  # noqa: BLE001 - `run` deals with it
            self._body.set_exception(error)

    async def run(self) -> None:
        """Run the prepared job; it has ended, or waits again, when this returns.

        If this is cancelled, the job goes back to the queue, and Cog cancels the prediction.
        """
        try:
            await self._run()
        except asyncio.CancelledError:
            await asyncio.shield(self._release("the gateway was stopped", worker_died=False))
            raise
        except ClaimLost:
            self.worker.doubt("a job was taken away from it, which it may still work on")
        except WorkerUnavailable as error:
            self.worker.doubt(str(error))
            await self._release(f"the worker was not available: {error}", worker_died=False)
        except WorkerLost as error:
            self.worker.doubt(str(error))
            await self._release(str(error), worker_died=True)
        except WorkerHangs as error:
            await self.worker.replace(str(error))
            await self._release(str(error), worker_died=True)
        except RestoreError as error:
            await self._fail(str(error))
        except OSError as error:
            log.exception("the results of job %s cannot be stored", self.job.id)
            await self._fail(str(unwritable(error)))
        except DBAPIError:
            raise  # the lease expires, and another attempt follows
        except Exception as error:
            log.exception("job %s failed", self.job.id)
            await self._fail(str(unexpected(error)))

    async def _run(self) -> None:
        body = self._body.result(timeout=0)
        self.watch.body_bytes = body.size
        with AnswerReader(self.files.results) as reader:
            answer = await self.watch.over(
                self.worker.client.predict(self.watch.prediction_id, body, reader)
            )
            self.worker.trust()
            await self._end(answer)

    async def _end(self, answer: Answer) -> None:
        """Write the end of a prediction down."""
        body, job = answer.body, self.job
        # Cog drops the logs of a prediction that fails: those that were taken while it ran remain.
        logs, metrics = body.get("logs") or None, body.get("metrics") or {}
        predict_s, status = metrics.get("predict_time"), body.get("status")
        if status == "succeeded":
            reports = reports_with_file_names(metrics.get("photos") or [], job)
            with NewFiles(self.files) as results:
                store = cache(partial(store_results, job, answer.outputs, results))
                if sum(output.size for output in answer.outputs) > MAX_RESULT_IN_MEMORY_BYTES:
                    await self.watch.over(asyncio.to_thread(store))
                await self._write(
                    lambda: self.jobs.succeed(
                        job.id,
                        job.attempt,
                        output=store(),
                        reports=reports,
                        predict_s=predict_s,
                        logs=logs,
                        also=results.record,
                    )
                )
        elif status == "canceled":
            if not self.watch.is_cancelling:
                raise WorkerLost("somebody else cancelled the prediction")
            await self._write(lambda: self.jobs.cancelled(job.id, job.attempt, logs=logs))
        else:
            error = with_file_names(error_text(str(body.get("error") or "")), job)
            await self._fail(error, predict_s=predict_s, logs=logs)

    async def _fail(
        self, error: str, *, predict_s: float | None = None, logs: str | None = None
    ) -> None:
        await self._write(
            lambda: self.jobs.fail(
                self.job.id, self.job.attempt, error, predict_s=predict_s, logs=logs
            )
        )

    async def _release(self, error: str, *, worker_died: bool) -> None:
        await self._write(
            lambda: self.jobs.release(
                self.job.id, self.job.attempt, worker_died=worker_died, error=error
            )
        )

    async def _write(self, change: Callable[[], Value]) -> Value:
        """Change the job in the database, again for a time if the database cannot be reached."""
        for pause_s in DATABASE_PAUSES_S:
            try:
                return await asyncio.to_thread(change)
            except DBAPIError as error:
                log.warning("job %s: the database failed (%s)", self.job.id, error.orig)
            await asyncio.sleep(pause_s)
        return await asyncio.to_thread(change)


def result_name(job: Job, index: int, content_type: str) -> str:
    """Return the name of a result: that of its photo, with the suffix of its own format.

    Results after those of the photos are masks.
    """
    suffix = SUFFIXES.get(content_type, "")
    if index >= max(1, len(job.filenames)):
        return f"mask-{index - len(job.filenames) + 1}{suffix}"
    name = job.filenames[index] if job.filenames else ""
    return f"{PurePath(name).stem or f'photo-{index + 1}'}{suffix}"


def store_results(job: Job, outputs: Sequence[Output], results: NewFiles) -> list[str]:
    """Write the results of a job, and return their `file:ID`. Blocks.

    Raises:
        RestoreError: as of `FileStore.save`.
    """
    ids = []
    for index, output in enumerate(outputs):
        name = result_name(job, index, output.content_type)
        draft = Draft(job.owner, name, output.content_type, job.id)
        ids.append(f"{PREFIX}{results.add(_content(output, job), draft)}")
    return ids


def _content(output: Output, job: Job) -> bytes | Iterator[bytes]:
    """Return a result at once if it is small, or in chunks; JSON names the file of its photo."""
    if output.content_type == JSON_TYPE:
        return document_with_file_name(output.file.read(), job)
    if output.size <= CHUNK_BYTES:
        return output.file.read()
    return iter(partial(output.file.read, CHUNK_BYTES), b"")
