"""Compare `restore batch` with a plain loop over Restorer.run, on the same generated photos.

    python benchmarks/batch.py --photos 1000 --max-px 160 --task restore --engines local,ray

Each round runs the loop (benchmarks/batch_loop.py) and each engine once, each as a process of its
own, with the embedded weights. Two speeds are given: from the start of the process to its end, and
`steady`, from the time at which a tenth of the photos was done. The exit code is 1 if a result of
an engine has other bytes than that of the loop, or if the manifests of two engines differ in more
than times.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import count_from, names_from
from benchmarks.rows import machine, record
from data.make_dataset import MAX_PX, MIN_PX, SAMPLES, make_dataset
from restore.batch.folder import LocalFolder
from restore.batch.manifest import read_rows

PROJECT = Path(__file__).resolve().parents[1]
LOOP, ENGINES = "loop", ("local", "ray")
TIMES = frozenset({"seconds", "finished", "stages_ms"})
"""Fields of a row and of its report that differ between two runs."""


@dataclass(frozen=True)
class Speed:
    """The speed of one run.

    Attributes:
        photos_per_s: from the start of the process to its end.
        steady_photos_per_s: from the time at which a tenth of the photos was done to the last one.
        wall_s: duration of the process.
        cpu_s: computing time of the process and of those it has waited for. Ray's own processes
            are not counted.
        load: running processes on the machine, mean of the last minute.
    """

    photos_per_s: float
    steady_photos_per_s: float
    wall_s: float
    cpu_s: float
    load: float

    @classmethod
    def of(cls, wall_s: float, cpu_s: float, finished_s: Sequence[float]) -> Speed:
        """Compute the speed from the times at which photos were finished."""
        times = sorted(finished_s)
        first = max(1, len(times) // 10)
        steady = (len(times) - first) / (times[-1] - times[first - 1])
        return cls(
            photos_per_s=round(len(times) / wall_s, 3),
            steady_photos_per_s=round(steady, 3),
            wall_s=round(wall_s, 1),
            cpu_s=round(cpu_s, 1),
            load=round(os.getloadavg()[0], 1),
        )


def run(name: str, source: Path, target: Path, task: str, device: str) -> Speed:
    """Restore the photos of a folder with the loop or an engine, in a process of its own.

    Raises:
        subprocess.CalledProcessError: it has failed; its output has been shown.
    """
    common = [str(source), str(target), "--task", task, "--device", device]
    command = [sys.executable, "-m", "restore", "batch", *common]
    command += ["--weights", "lite", "--engine", name, "--quiet"]
    if name == LOOP:
        command = [sys.executable, str(PROJECT / "benchmarks" / "batch_loop.py"), *common]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    cpu_before_s, started_s = _children_cpu_s(), time.monotonic()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    wall_s = time.monotonic() - started_s
    if name == LOOP:
        finished_s = json.loads(done.stdout)
    else:
        finished_s = [row["finished"] for row in read_rows(LocalFolder(target))]
    return Speed.of(wall_s, _children_cpu_s() - cpu_before_s, finished_s)


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def without_times(facts: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a row, or a part of it, without the fields that differ between two runs."""
    if isinstance(facts, dict):
        return {name: without_times(one) for name, one in facts.items() if name not in TIMES}
    return [without_times(one) for one in facts] if isinstance(facts, list) else facts


def rows_of(target: Path) -> dict[str, Any]:
    """Return the rows of a manifest by photo, without times."""
    return {row["input"]: without_times(row) for row in read_rows(LocalFolder(target))}


def differing(source: Path, loop: Path, targets: Sequence[Path]) -> dict[str, list[str]]:
    """Return the photos whose result or row differs, for each engine.

    Args:
        source: the photos.
        loop: results of the loop.
        targets: output folders of the engines; rows are compared with those of the first.
    """
    names = [path.name for path in source.glob("*.jpg")]
    first = rows_of(targets[0])
    found = {}
    for target in targets:
        rows = rows_of(target)
        found[target.name] = sorted(rows.keys() - set(names)) + [
            name
            for name in names
            if rows.get(name) != first[name]
            or (target / name).read_bytes() != (loop / name).read_bytes()
        ]
    return found


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the loop and the engines by turns; every second round in the opposite order."""
    names = [LOOP, *arguments.engines]
    speeds: dict[str, list[Speed]] = {name: [] for name in names}
    total = dict.fromkeys(arguments.engines, 0)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        source = root / "in"
        samples = sorted(SAMPLES.glob("*.jpg"))
        make_dataset(source, arguments.photos, 1, samples, max_px=arguments.max_px)
        for number in range(arguments.rounds):
            out = root / str(number)
            for each in names if number % 2 == 0 else reversed(names):
                speed = run(each, source, out / each, arguments.task, arguments.device)
                speeds[each].append(speed)
                print(f"round {number + 1}: {each} {speed}", file=sys.stderr, flush=True)
            found = differing(source, out / LOOP, [out / each for each in arguments.engines])
            for each, photos in found.items():
                total[each] += len(photos)
                print(f"{each}: {photos or 'no photos'} differ", file=sys.stderr, flush=True)
    return {
        "photos": arguments.photos,
        "sides_px": [MIN_PX, arguments.max_px],
        "task": arguments.task,
        "cores": len(os.sched_getaffinity(0)),
        "speeds": {each: [vars(one) for one in several] for each, several in speeds.items()},
        "times_as_fast": ratios(speeds),
        "differing_photos": total,
    }


def ratios(speeds: Mapping[str, Sequence[Speed]]) -> dict[str, dict[str, float]]:
    """Return the speed of each engine divided by that of the loop: medians over the rounds."""
    kinds = ("photos_per_s", "steady_photos_per_s")
    return {
        engine: {
            kind: round(
                statistics.median(
                    getattr(one, kind) / getattr(loop, kind)
                    for one, loop in zip(several, speeds[LOOP], strict=True)
                ),
                3,
            )
            for kind in kinds
        }
        for engine, several in speeds.items()
        if engine != LOOP
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 if results differ."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=count_from(10), default=100, help="number of photos")
    parser.add_argument(
        "--max-px", type=count_from(MIN_PX), default=MAX_PX, help="longer side of the largest photo"
    )
    parser.add_argument("--rounds", type=count_from(1), default=1, help="runs of each")
    parser.add_argument("--engines", type=names_from(ENGINES), default=["local"])
    parser.add_argument("--task", default="pipeline")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--record", action="store_true", help="append to results/batch.jsonl")
    arguments = parser.parse_args(argv)
    facts = compare(arguments)
    print(json.dumps(facts, indent=1))
    if arguments.record:
        record("batch", {**machine(), **facts})
    return 1 if any(facts["differing_photos"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
