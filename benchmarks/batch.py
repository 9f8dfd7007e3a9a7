"""Compare `restore batch` with a plain loop over Restorer.run, on the same generated photos.

    python benchmarks/batch.py --photos 100 --rounds 2 --engines local,ray --record

Each round runs the loop and each engine once, by turns, with the embedded weights. Two speeds are
given: with the start (networks are loaded, and by an engine in each worker), and `steady`, from the
time at which a tenth of the photos was done. The exit code is 1 if a result of an engine has other
bytes than that of the loop, or if the manifests of two engines differ.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import count_from, names_from
from benchmarks.rows import machine, record
from data.make_dataset import main as make_dataset
from restore.batch.folder import LocalFolder
from restore.batch.manifest import Row, read_rows
from restore.batch.plan import Plan
from restore.batch.processing import BatchJob, Processor, Work
from restore.batch.run import BatchOptions, Engine, run_batch

ENGINES = ("local", "ray")
VOLATILE = ("seconds", "finished", "report")
"""Fields of a row that differ between two runs. The report has times."""


@dataclass(frozen=True)
class Speed:
    """The speed of one run.

    Attributes:
        photos_per_s: with the start.
        steady_photos_per_s: from the time at which a tenth of the photos was done.
    """

    photos_per_s: float
    steady_photos_per_s: float

    @classmethod
    def of(cls, started_s: float, finished_s: Sequence[float]) -> Speed:
        """Compute the speed from the times at which photos were finished."""
        times = sorted(finished_s)
        first = max(1, len(times) // 10)
        steady = (len(times) - first) / (times[-1] - times[first - 1])
        return cls(
            round(len(times) / (times[-1] - started_s), 3),
            round(steady, 3),
        )


class Silent:
    """A watcher that shows nothing."""

    def on_plan(self, plan: Plan, ignored: int) -> None:
        """Do nothing."""

    def on_row(self, row: Row) -> None:
        """Do nothing."""


def run_loop(job: BatchJob, folder: Path) -> tuple[Speed, dict[str, str]]:
    """Restore the photos of a folder one by one, as a short script would.

    Returns:
        The speed, and the checksum of each result by the name of its photo.
    """
    started_s = time.time()
    processor = Processor(job)
    finished, checksums = [], {}
    for path in sorted(folder.glob("*.jpg")):
        [outcome] = processor.restore([Work(path.name, path.read_bytes())])
        assert outcome.content is not None, outcome.error
        checksums[path.name] = hashlib.sha256(outcome.content).hexdigest()
        (folder.parent / "loop.jpg").write_bytes(outcome.content)
        finished.append(time.time())
    return Speed.of(started_s, finished), checksums


def run_engine(job: BatchJob, folder: Path, target: Path, engine: Engine) -> Speed:
    """Restore the photos of a folder with an engine."""
    started_s = time.time()
    run_batch(BatchOptions(str(folder), str(target), job), engine, Silent(), Event())
    finished = [row["finished"] for row in read_rows(LocalFolder(target))]
    return Speed.of(started_s, finished)


def engine_named(name: str) -> Engine:
    """Return an engine."""
    if name == "ray":
        from restore.batch.ray_engine import RayEngine  # noqa: PLC0415 - an optional package

        return RayEngine()
    from restore.batch.local_engine import run_local  # noqa: PLC0415

    return run_local()


def stable_rows(target: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of a manifest without the fields that differ between two runs."""
    return {
        row["input"]: {name: value for name, value in row.items() if name not in VOLATILE}
        for row in read_rows(LocalFolder(target))
    }


def compare(job: BatchJob, photos: int, rounds: int, engines: Sequence[str]) -> dict[str, Any]:
    """Run the loop and the engines by turns."""
    speeds: dict[str, list[Speed]] = {name: [] for name in ("loop", *engines)}
    differing: dict[str, int] = dict.fromkeys(engines, 0)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        make_dataset(["--out", str(root / "in"), "--count", str(photos)])
        for number in range(rounds):
            speed, checksums = run_loop(job, root / "in")
            speeds["loop"].append(speed)
            for engine in engines:
                target = root / f"{engine}-{number}"
                speeds[engine].append(run_engine(job, root / "in", target, engine_named(engine)))
                rows = stable_rows(target)
                first = stable_rows(root / f"{engines[0]}-0")
                differing[engine] += sum(
                    rows.get(photo, {}).get("sha256") != checksum or rows[photo] != first[photo]
                    for photo, checksum in checksums.items()
                )
                print(f"round {number + 1}: {engine} {speeds[engine][-1]}, loop {speed}")
    return {
        "photos": photos,
        "task": job.task,
        "options": dict(job.options),
        "cores": len(os.sched_getaffinity(0)),
        "speeds": {engine: [vars(one) for one in several] for engine, several in speeds.items()},
        "differing_results": differing,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 if results differ."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=count_from(10), default=100, help="number of photos")
    parser.add_argument("--rounds", type=count_from(1), default=1, help="runs of each")
    parser.add_argument("--engines", type=names_from(ENGINES), default=["local"])
    parser.add_argument("--task", default="pipeline")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--record", action="store_true", help="append to results/batch.jsonl")
    arguments = parser.parse_args(argv)
    job = BatchJob(arguments.task, {"output_format": "same"}, "lite", arguments.device)
    facts = compare(job, arguments.photos, arguments.rounds, arguments.engines)
    print(json.dumps(facts, indent=1))
    if arguments.record:
        record("batch", {**machine(), **facts})
    return 1 if any(facts["differing_results"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
