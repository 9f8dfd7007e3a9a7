"""Photos for batches, and stand-ins for the networks: workers that answer at once, fail, or die."""

import os
import random
import signal
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event

from PIL import Image
from places import PROJECT

from restore.batch.figures import Statistics
from restore.batch.folder import Entry, Folder
from restore.batch.listing import BatchPhoto
from restore.batch.local_engine import LocalEngine, read_photo
from restore.batch.manifest import Row
from restore.batch.plan import Plan
from restore.batch.pool import WorkerPlan, WorkerPool, serve
from restore.batch.processing import BatchJob, Outcome, Work, failure
from restore.batch.run import BatchOptions, OnOutcome
from restore.errors import Code, RestoreError

JOB = BatchJob("upscale", {"scale": 2, "output_format": "jpg"}, "lite", "cpu")


def restored(content: bytes) -> bytes:
    """What the stand-in makes of a photo."""
    return b"restored " + content


def answer(works: Sequence[Work]) -> list[Outcome]:
    """Restore photos: content that starts with `bad` fails, with `die` it kills the worker."""
    outcomes = []
    for work in works:
        if work.content.startswith(b"die"):
            os.kill(os.getpid(), signal.SIGKILL)
        if work.content.startswith(b"bad"):
            error = RestoreError(Code.PHOTO_DAMAGED, "it is damaged", "Send another one.")
            outcomes.append(failure(work.name, error))
        else:
            report = {"task": "upscale", "stages_ms": {"net": 5.0}, "output": {"bytes": 10}}
            outcomes.append(
                Outcome(work.name, restored(work.content), "jpg", seconds=0.1, report=report)
            )
    return outcomes


def run_fake_worker(connection: Connection, job: BatchJob, threads: int) -> None:
    """The main function of a worker process without networks."""
    serve(connection, answer)


def photo(name: str = "a.jpg", content: bytes = b"a", *, shares_stem: bool = False) -> BatchPhoto:
    """A photo as a listing has it."""
    return BatchPhoto(Entry(name, len(content), "1", 1_000_000_000), shares_stem)


def write_photos(folder: Path, *names: str, content: bytes = b"photo") -> None:
    """Write files that count as photos."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def options_of_tree(folder: Path) -> BatchOptions:
    """Write a text file and three photos, two in a subfolder; return a batch of them."""
    write_photos(folder / "in", "a.jpg", "sub/b.png", "sub/c.jpg", "notes.txt")
    return BatchOptions(str(folder / "in"), str(folder / "out"), JOB)


def write_crops(folder: Path, count: int) -> None:
    """Write photos of 64 to 128 px in three formats and ten subfolders."""
    moments = random.Random(1)
    samples = [Image.open(path).convert("RGB") for path in sorted((PROJECT / "data").glob("*.jpg"))]
    for number in range(count):
        sample = moments.choice(samples)
        side = moments.uniform(0.3, 1.0) * min(sample.size)
        left, top = (moments.uniform(0, length - side) for length in sample.size)
        size = (moments.randint(64, 128), moments.randint(64, 128))
        suffix = moments.choice(["jpg", "png", "webp"])
        path = folder / str(number % 10) / f"{number:04}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        sample.resize(size, box=(left, top, left + side, top + side)).save(path, quality=80)


class Recorder:
    """Collects what a run shows."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.plan: Plan | None = None
        self.statistics = Statistics()

    def on_plan(self, plan: Plan, ignored: int) -> None:
        self.plan = plan

    def on_row(self, row: Row) -> None:
        self.rows.append(row)
        self.statistics.add(row)


def direct_engine(
    job: BatchJob, folder: Folder, photos: Sequence[BatchPhoto], on_outcome: OnOutcome, stop: Event
) -> None:
    """Restore photos in this process with the stand-in."""
    for photo in photos:
        if stop.is_set():
            return
        work = read_photo(folder, photo.name, photo.entry.size)
        [outcome] = [work] if isinstance(work, Outcome) else answer([work])
        on_outcome(photo, outcome)


def pool_engine(
    job: BatchJob, folder: Folder, photos: Sequence[BatchPhoto], on_outcome: OnOutcome, stop: Event
) -> None:
    """Restore photos in worker processes with the stand-in."""
    with WorkerPool(job, WorkerPlan((None,)), run_fake_worker) as pool:
        LocalEngine(pool, folder, on_outcome, stop).run(photos)
