"""Run files, or the generated corpus, through the decoder or a task, each in its own process.

Usage: `python -m tests.hostile FOLDER ...` or `python -m tests.hostile --generated [COUNT]`.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]  # like pytest

import cv2  # noqa: E402

cv2.setNumThreads(1)  # threads would not exist in a fork

from corpus import corpus  # noqa: E402
from trials import (  # noqa: E402
    Bounds,
    Trials,
    Verdict,
    mapped_bytes,
    reencode,
    restoring_task,
)

DECODING_S, RESTORING_S = 8, 120
DEFAULT_COUNT = 3500


def main() -> int:
    arguments = _parser().parse_args()
    cpu_s = arguments.seconds or (RESTORING_S if arguments.task else DECODING_S)
    task = restoring_task(arguments.task) if arguments.task else reencode
    # Networks map gigabytes of libraries, which are not used memory.
    mapped = mapped_bytes() if arguments.task else 0
    trials = Trials(task, Bounds(mapped + round(arguments.gigabytes * 2**30), cpu_s))
    verdicts = []
    for verdict in (
        _run_corpus(trials, arguments)
        if arguments.generated
        else _run_folders(trials, arguments.folders)
    ):
        verdicts.append(verdict)
        if verdict.verdict == "failed":
            usage = f"{verdict.cpu_s:.1f} s, {verdict.peak_mb:.0f} MB"
            print(f"FAILED {verdict.name}: {verdict.reason} ({usage})", flush=True)
        elif len(verdicts) % 500 == 0:
            print(f"{len(verdicts)} files", file=sys.stderr, flush=True)
    if not verdicts:
        print("no files", file=sys.stderr)
        return 2
    print(table(verdicts))
    if arguments.json:
        rows = [asdict(verdict) for verdict in verdicts]
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 1 if any(verdict.verdict == "failed" for verdict in verdicts) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.hostile", description="Try to break the decoder, or a task."
    )
    parser.add_argument(
        "folders", nargs="*", type=Path, metavar="FOLDER", help="files, or folders of files"
    )
    parser.add_argument(
        "--generated",
        nargs="?",
        type=int,
        const=DEFAULT_COUNT,
        metavar="COUNT",
        help=f"run the generated corpus (default: {DEFAULT_COUNT} files)",
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the corpus (default: 1)")
    parser.add_argument(
        "--kind", action="append", help="run only this class of the corpus; may be repeated"
    )
    parser.add_argument(
        "--task", help="restore each file with embedded weights instead of re-encoding it"
    )
    parser.add_argument(
        "--seconds",
        type=int,
        help=f"processor time per file (default: {DECODING_S}, with --task {RESTORING_S})",
    )
    parser.add_argument(
        "--gigabytes",
        type=float,
        default=3.0,
        help="address space per file, in addition to the networks (default: 3)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all verdicts as JSON")
    return parser


def _run_corpus(trials: Trials, arguments: argparse.Namespace) -> Iterator[Verdict]:
    for specimen in corpus(arguments.generated, arguments.seed):
        if arguments.kind and specimen.kind not in arguments.kind:
            continue
        if specimen.is_expensive and arguments.task:
            continue  # minutes per file on a CPU
        # A task may reject an intact photo, for example because its result would be too large.
        may_reject = arguments.task and "accepted" in specimen.expected
        expected = ("accepted", "rejected") if may_reject else specimen.expected
        with tempfile.TemporaryDirectory(prefix="specimen-") as folder:
            path = Path(folder) / specimen.name
            path.write_bytes(specimen.build())
            yield trials.run(path, specimen.kind, expected, specimen.intact)
            if [*Path(folder).iterdir()] != [path]:
                reason = "left files beside the input"
                yield Verdict(specimen.name, specimen.kind, "failed", reason, 0.0, 0.0, 0.0)


def _run_folders(trials: Trials, folders: list[Path]) -> Iterator[Verdict]:
    for folder in folders:
        files = [folder]
        if not folder.is_file():
            files = sorted(path for path in folder.rglob("*") if path.is_file())
        for path in files:
            yield trials.run(path, path.suffix.lower() or "no extension")


def table(verdicts: list[Verdict]) -> str:
    """Return a table with one row per class and one for all: counts, time and memory."""
    header = f"{'class':16}{'files':>7}{'accepted':>10}{'rejected':>10}{'failed':>8}"
    lines = [f"{header}{'slowest':>10}{'memory':>10}  slowest file"]
    for kind in [*sorted({verdict.kind for verdict in verdicts}), "all"]:
        group = [verdict for verdict in verdicts if kind in {"all", verdict.kind}]
        accepted, rejected, failed = (
            sum(verdict.verdict == name for verdict in group)
            for name in ("accepted", "rejected", "failed")
        )
        slowest = max(group, key=lambda verdict: verdict.cpu_s)
        peak_mb = max(verdict.peak_mb for verdict in group)
        counts = f"{kind:16}{len(group):7}{accepted:10}{rejected:10}{failed:8}"
        lines.append(f"{counts}{slowest.cpu_s:8.2f} s{peak_mb:7.0f} MB  {slowest.name}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
