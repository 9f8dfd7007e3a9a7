"""Small gateway processes that kill themselves with SIGKILL at a given stage of a job.

The script reads lines of JSON, [DATA, DATABASE_URL, STAGE], from its input. For each line it forks
a gateway, waits for its end, and writes a line, [JOB_ID or "", SIGNAL].
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from restore.service import database, gateways
from restore.service.file_writer import FileWriter
from restore.service.files import FileStore
from restore.service.ids import new_id
from restore.service.jobs import JobStore
from restore.service.new_files import Draft, NewFiles
from restore.service.records import NewJob
from restore.service.settings import Settings

HOOK = "https://example.org/hook"
STAGES = (
    "receiving an upload",
    "uploaded",
    "submitting",
    "accepted",
    "claiming",
    "claimed",
    "logged",
    "storing the result",
    "result stored",
    "recording the result",
    "succeeded",
)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run_until(data: Path, database_url: str | None, stage: str, answer: int) -> None:
    """Run one job up to a stage; write its id to a pipe when it is accepted."""
    settings = Settings(data=data, database_url=database_url)
    engine = database.connect(settings)
    jobs, files = JobStore(engine), FileStore(engine, settings)

    def reached(name: str) -> None:
        if name == stage:
            die()

    async def photo() -> AsyncIterator[bytes]:
        yield bytes(2**20)
        reached("receiving an upload")
        yield b"end"

    with gateways.joined(jobs, data) as gateway:
        saving = files.save(photo(), owner="", name="a.jpg", content_type="image/jpeg")
        upload = asyncio.run(saving)
        reached("uploaded")
        job_id = new_id()
        inputs = {"image": f"file:{upload.id}"}
        with dying_commit(stage == "submitting"):
            jobs.submit(NewJob(job_id, "", "m", "v", inputs, webhook=HOOK))
        os.write(answer, job_id.encode())  # to the client
        reached("accepted")
        with dying_commit(stage == "claiming"):
            job = jobs.claim("w", gateway.id, 60.0)
        assert job is not None
        reached("claimed")
        jobs.add_logs(job.id, job.attempt, "half\n")
        reached("logged")
        if stage == "storing the result":
            FileWriter.finish = lambda *_, **__: die()  # type: ignore[assignment,method-assign,return-value]
        with NewFiles(files) as results:
            result = f"file:{results.add(b'killed', Draft('', 'r', 'image/png', job.id))}"
            reached("result stored")
            with dying_commit(stage == "recording the result"):
                jobs.succeed(job.id, job.attempt, output=[result], also=results.record)
        reached("succeeded")


class dying_commit:  # noqa: N801 - a context manager
    """Kill the process after the last statement of a transaction, before its commit."""

    def __init__(self, active: bool) -> None:
        self.active = active

    def __enter__(self) -> None:
        if self.active:
            Connection._commit_impl = lambda _: die()  # type: ignore[assignment,method-assign]

    def __exit__(self, *_: Any) -> None:
        assert not self.active, "the process lives"


def main() -> None:
    """Serve requests for killed gateways."""
    for line in sys.stdin:
        data, database_url, stage = json.loads(line)
        answer, end = os.pipe()
        process = os.fork()
        if not process:
            run_until(Path(data), database_url, stage, end)
            os._exit(1)
        _, status = os.waitpid(process, 0)
        os.close(end)
        with os.fdopen(answer) as pipe:
            reply = [pipe.read(), os.WTERMSIG(status)]
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
