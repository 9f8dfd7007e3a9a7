"""The Ray engine: photos are read and restored by Ray Data, on this machine or on a cluster.

The results return to this process, which writes them and the manifest as with the local engine.
Every node needs this package and access to the input folder.
"""

from __future__ import annotations

import logging
import os
import platform
import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from threading import Event
from typing import TYPE_CHECKING, Any

from restore.batch.folder import Folder, open_folder
from restore.batch.listing import BatchPhoto
from restore.batch.local_engine import lost_error, read_photo
from restore.batch.pool import SetupFailure
from restore.batch.processing import (
    BatchJob,
    Outcome,
    Processor,
    Work,
    failure,
    limit_threads,
)
from restore.batch.run import OnOutcome
from restore.batch.workers import GPU_GROUP_SIZE
from restore.errors import Code, RestoreError

if TYPE_CHECKING:
    import ray.data

PHOTOS_PER_BLOCK = 8
"""Photos that Ray schedules together."""
CPUS_PER_ACTOR = 1
MAX_RETRIES = 2
"""Times that Ray repeats a block whose actor or node has ended."""


class RayEngine:
    """Restores photos with a pool of Ray actors that each hold the networks.

    Args:
        num_gpus: GPUs of each actor; None means one if the cluster has any, else none.
        concurrency: largest number of actors; None means as many as the cluster has room for.
        actor: the class of the actors; tests replace it.

    Raises:
        RestoreError: OPTION_INVALID if Ray is not installed.
    """

    def __init__(
        self,
        num_gpus: float | None = None,
        concurrency: int | None = None,
        actor: type[RayProcessor] | None = None,
    ) -> None:
        if find_spec("ray") is None:
            raise RestoreError(
                Code.OPTION_INVALID,
                "--engine ray needs Ray, which is not installed",
                "Run `pip install 'restore[batch]'`, or use --engine local.",
            )
        self.num_gpus, self.concurrency = num_gpus, concurrency
        self.actor = actor or RayProcessor

    def __call__(
        self,
        job: BatchJob,
        folder: Folder,
        photos: Sequence[BatchPhoto],
        on_outcome: OnOutcome,
        stop: Event,
    ) -> None:
        """Restore photos; see `restore.batch.run.Engine`.

        Raises:
            RestoreError: a node cannot work at all, such as DEVICE.
        """
        connect()
        left = {photo.name: photo for photo in photos}
        # A photo that ends its actor takes the others of its block along: they get blocks of their
        # own in the second pass.
        for per_block in (PHOTOS_PER_BLOCK, 1):
            if left and not stop.is_set():
                for outcome in self._pass(job, folder, list(left.values()), per_block):
                    on_outcome(left.pop(outcome.name), outcome)
                    if stop.is_set():
                        return
        if stop.is_set():
            return
        for photo in list(left.values()):
            on_outcome(left.pop(photo.name), failure(photo.name, lost_error(MAX_RETRIES + 1, None)))

    def _pass(
        self, job: BatchJob, folder: Folder, photos: Sequence[BatchPhoto], per_block: int
    ) -> Iterator[Outcome]:
        """Yield outcomes as they arrive; photos of blocks that failed are missing.

        Raises:
            RestoreError: that of an actor which could not be made.
        """
        rows = [{"name": one.name, "size": one.entry.size} for one in photos]
        blocks = -(-len(rows) // per_block)
        for row in self._dataset(job, folder, rows, blocks).iter_rows():
            outcome = row["outcome"]
            if isinstance(outcome, SetupFailure):
                raise RestoreError(outcome.code, outcome.reason, outcome.remedy)
            yield outcome

    def _dataset(
        self, job: BatchJob, folder: Folder, rows: list[dict[str, Any]], blocks: int
    ) -> ray.data.Dataset:
        import ray  # noqa: PLC0415 - an optional package
        import ray.data  # noqa: PLC0415

        resources: dict[str, float] = ray.cluster_resources()
        gpus = self.num_gpus
        if gpus is None:
            gpus = 1.0 if resources.get("GPU") else 0.0
        room = int(resources.get("GPU" if gpus else "CPU", 1.0) // (gpus or 1.0))
        largest = self.concurrency or max(1, room)
        warnings.filterwarnings("ignore", message=".*ray_remote_args", module="restore.batch")
        return ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
            self.actor,
            batch_size=GPU_GROUP_SIZE if gpus else 1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=min(largest, blocks)),
            fn_constructor_args=(job, folder.place, 0 if gpus else CPUS_PER_ACTOR),
            num_cpus=CPUS_PER_ACTOR,
            num_gpus=gpus or None,
            max_restarts=-1,
            max_task_retries=MAX_RETRIES,
        )


class RayProcessor:
    """The actor: it reads photos, restores them and returns their outcomes.

    Args:
        job: what to do.
        place: path or URL of the input folder.
        threads: threads of the networks; 0 leaves the defaults.

    Attributes:
        refusal: why the node cannot work. Ray would hide an exception behind the death of the
            actor.
    """

    refusal: SetupFailure | None = None

    def __init__(self, job: BatchJob, place: str, threads: int = 0) -> None:
        if threads:
            limit_threads(threads)
        node = f"on the Ray node {platform.node()}"
        try:
            self.processor = Processor(job, place=node)
            self.folder = open_folder(place)
        except RestoreError as error:
            self.refusal = SetupFailure(error.code, f"{error.reason} ({node})", error.remedy)

    def restore(self, works: list[Work]) -> list[Outcome]:
        """Restore photos that have been read."""
        return self.processor.restore(works)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Outcome | SetupFailure]]:
        """Restore the photos of a batch with the columns `name` and `size`."""
        if self.refusal:
            return {"outcome": [self.refusal]}
        outcomes: list[Outcome | SetupFailure] = []
        works: list[Work] = []
        for name, size in zip(batch["name"], batch["size"], strict=True):
            read = read_photo(self.folder, str(name), int(size))
            (works if isinstance(read, Work) else outcomes).append(read)  # type: ignore[arg-type]
        if works:
            outcomes += self.restore(works)
        return {"outcome": outcomes}


def connect() -> None:
    """Connect to the cluster of RAY_ADDRESS, or start a local Ray without its dashboard."""
    import ray  # noqa: PLC0415 - an optional package
    import ray.data  # noqa: PLC0415

    if not ray.is_initialized():
        ray.init(
            # Without an address, Ray would look for a cluster on this machine, which may have died.
            address=os.environ.get("RAY_ADDRESS", "").strip() or "local",
            include_dashboard=False,  # its job API runs commands of everybody who can reach it
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # their photos are tried again
    context.print_on_execution_start = False
