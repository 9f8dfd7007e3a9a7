"""What both engines do with the photos of a batch: bytes in, bytes out, no exceptions."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restore.errors import RestoreError, unexpected
from restore.imaging.named_file import NamedFile
from restore.models.locations import manifest_path
from restore.options import Request
from restore.version import __version__

if TYPE_CHECKING:
    from restore.restorer import Restorer
    from restore.results import Results

log = logging.getLogger("restore.batch")


@dataclass(frozen=True)
class BatchJob:
    """What a batch does with each of its photos.

    Attributes:
        task: the task.
        options: the options that the user gave, by their input names.
        weights: the weights policy.
        device: as for Restorer; None means the default.
    """

    task: str
    options: Mapping[str, object]
    weights: str
    device: str | None = None

    @property
    def inputs(self) -> dict[str, Any]:
        """The options as keyword arguments of Restorer.run."""
        return dict(self.options)

    @property
    def output_format(self) -> str:
        """The option `output_format`, validated."""
        return Request.from_inputs(self.task, self.options).output.output_format

    def fingerprint(self) -> str:
        """Return a checksum of all that a result depends on besides its photo and the networks.

        Raises:
            RestoreError: OPTION_UNKNOWN or OPTION_INVALID for options that cannot be used.
        """
        return self._checksum()

    def manifest_fingerprint(self) -> str:
        """Return the same with the whole manifest of the weights, for rows without networks.

        These are photos that have failed, because nobody knows which networks they would have
        used, and all photos of older versions.
        """
        return self._checksum(hashlib.sha256(manifest_path().read_bytes()).hexdigest())

    def _checksum(self, *more: str) -> str:
        request = Request.from_inputs(self.task, self.options)
        facts = [*request.facts(), self.weights, *more, __version__]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Work:
    """A photo to restore.

    Attributes:
        name: its path relative to the input folder.
        content: the bytes of its file.
    """

    name: str
    content: bytes


@dataclass(frozen=True)
class Outcome:
    """What became of a photo.

    Attributes:
        name: as in Work.
        content: the bytes of the result; None if the photo failed.
        format: 'jpg', 'png' or 'webp'.
        masks: the masks of scratches as PNG files, if the request returns them.
        error: code and message of the failure.
        seconds: computing time, without waiting.
        report: the report of the photo.
        substitutes: weights that were used instead of the official ones, as texts.
        networks: the networks that were used, as texts.
    """

    name: str
    content: bytes | None = None
    format: str = ""
    masks: tuple[bytes, ...] = ()
    error: Mapping[str, str] | None = None
    seconds: float = 0.0
    report: Mapping[str, Any] = field(default_factory=dict)
    substitutes: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()


class Processor:
    """Restores photos; the networks are loaded once.

    Args:
        job: what to do.
        restorer: None makes one from the job.
        place: the machine, for errors about its weights; an empty text if there is only one.

    Raises:
        RestoreError: any WEIGHTS_* code, DEVICE.
    """

    def __init__(self, job: BatchJob, restorer: Restorer | None = None, *, place: str = "") -> None:
        self.job, self.place = job, place
        if restorer is None:
            from restore.restorer import Restorer  # noqa: PLC0415 - imports torch

            restorer = Restorer(weights=job.weights, device=job.device)
            restorer.encodes_early = True
        self.restorer = restorer

    def restore(self, works: Sequence[Work]) -> list[Outcome]:
        """Restore up to four photos in one request.

        Returns:
            One outcome for each photo, in order. If the request fails, each photo is tried alone,
            so that one broken photo does not stop the others.
        """
        started_s = time.perf_counter()
        try:
            outcomes = self._restore_together(works)
        except Exception as error:  # noqa: BLE001 - it becomes an outcome, and is logged
            if len(works) > 1:
                return [outcome for work in works for outcome in self.restore([work])]
            seconds = time.perf_counter() - started_s
            return [failure(works[0].name, _about_weights(error, self.place), seconds)]
        seconds = (time.perf_counter() - started_s) / len(works)
        return [_with_seconds(outcome, seconds) for outcome in outcomes]

    def _restore_together(self, works: Sequence[Work]) -> list[Outcome]:
        with tempfile.TemporaryDirectory(prefix=scratch_prefix(os.getppid(), os.getpid())) as name:
            folder = Path(name)
            photos = []
            for index, work in enumerate(works):
                path = folder / str(index)
                path.write_bytes(work.content)
                photos.append(NamedFile(Path(work.name).name, path))
            results = self.restorer.run(self.job.task, photos, **self.job.inputs)
            return _read_results(results, [work.name for work in works], folder / "results")


def limit_threads(threads: int) -> None:
    """Set the number of threads of numpy, torch and OpenCV in this process."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # numpy reads it when it is imported
    import cv2  # noqa: PLC0415
    import torch  # noqa: PLC0415

    # A main module that imports torch is imported in its workers, too, before this.
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)


def _read_results(results: Results, names: Sequence[str], folder: Path) -> list[Outcome]:
    paths = results.save(folder)
    masks: dict[int, tuple[bytes, ...]] = {
        index: (path.read_bytes(),)
        for index, path in zip(sorted(results.masks), paths[len(names) :], strict=True)
    }
    substitutes = tuple(sorted(one.to_text() for one in results.substitutes))
    networks = tuple(sorted(results.networks))
    return [
        Outcome(
            name=name,
            content=path.read_bytes(),
            format=path.suffix[1:],
            masks=masks.get(index, ()),
            report=without_empty(report.to_dict()),
            substitutes=substitutes,
            networks=networks,
        )
        for index, (name, path, report) in enumerate(
            zip(names, paths[: len(names)], results.reports, strict=True)
        )
    ]


def scratch_prefix(parent: int, worker: int) -> str:
    """Return the start of the names of the temporary folders of a worker process."""
    return f"restore-batch-{parent}-{worker}-"


def remove_scratch(parent: int, worker: int) -> None:
    """Remove the temporary folders that a worker process has left because it was killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{scratch_prefix(parent, worker)}*"):
        shutil.rmtree(path, ignore_errors=True)


def without_empty(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report without its empty fields, for a manifest of millions of rows."""
    kept = {name: value for name, value in facts.items() if value not in ("", [], {}, None)}
    if steps := kept.get("steps"):
        kept["steps"] = [without_empty(step) for step in steps]
    return kept


def failure(name: str, error: Exception, seconds: float = 0.0) -> Outcome:
    """Return the outcome of a photo that has failed; an unexpected error is logged."""
    if isinstance(error, RestoreError):
        known = error
    else:
        log.error("%s: unexpected error", name, exc_info=error)
        known = unexpected(error)
    facts = {"code": str(known.code), "message": str(known.about(Path(name).name))}
    return Outcome(name, error=facts, seconds=round(seconds, 3))


def _about_weights(error: Exception, place: str) -> Exception:
    """Say of an error about weights on which machine it occurred, and what to do afterwards."""
    if not isinstance(error, RestoreError) or not error.code.name.startswith("WEIGHTS_"):
        return error
    reason = f"{error.reason} ({place})" if place else error.reason
    remedy = f"{error.remedy} Then run with --retry-failed."
    return RestoreError(error.code, reason, remedy, photo=error.photo)


def _with_seconds(outcome: Outcome, seconds: float) -> Outcome:
    return replace(outcome, seconds=round(seconds, 3))
