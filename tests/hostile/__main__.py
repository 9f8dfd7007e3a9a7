"""`python -m tests.hostile FOLDER ...` or `--generated [COUNT]`: tries every file in a process of its own and says what became of it."""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]  # as pytest does

import cv2  # noqa: E402

cv2.setNumThreads(1)  # its threads would not be in a fork

from corpus import corpus  # noqa: E402
from trials import Bounds, Trials, Verdict, mapped_bytes, reencoded, restored  # noqa: E402

DECODING_S, RESTORING_S = 8, 120


def main() -> int:
    arguments = _parser().parse_args()
    seconds = arguments.seconds or (RESTORING_S if arguments.task else DECODING_S)
    task = restored(arguments.task) if arguments.task else reencoded
    # Networks map gigabytes of libraries, which are no use of memory: they are on top.
    mapped = mapped_bytes() if arguments.task else 0
    trials = Trials(task, Bounds(mapped + round(arguments.gigabytes * 2**30), seconds))
    verdicts = []
    for verdict in (
        _generated(trials, arguments) if arguments.generated else _found(trials, arguments.folders)
    ):
        verdicts.append(verdict)
        if verdict.verdict == "failed":
            print(
                f"FAILED {verdict.name}: {verdict.said} ({verdict.seconds:.1f} s, {verdict.peak_mb:.0f} MB)",
                flush=True,
            )
        elif len(verdicts) % 500 == 0:
            print(f"{len(verdicts)} files", file=sys.stderr, flush=True)
    if not verdicts:
        print("no files", file=sys.stderr)
        return 2
    print(table(verdicts))
    if arguments.json:
        arguments.json.write_text(
            json.dumps([asdict(verdict) for verdict in verdicts], indent=1) + "\n"
        )
    return 1 if any(verdict.verdict == "failed" for verdict in verdicts) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.hostile", description="Tries to break the decoder, or a task."
    )
    parser.add_argument(
        "folders",
        nargs="*",
        type=Path,
        metavar="FOLDER",
        help="files of any kind, or folders of them",
    )
    parser.add_argument(
        "--generated",
        nargs="?",
        type=int,
        const=3500,
        metavar="COUNT",
        help="the generated corpus (default: 3500 files)",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--kind", action="append", help="of the generated corpus this class alone; may be repeated"
    )
    parser.add_argument(
        "--task",
        help="restore each file with embedded weights instead of writing it anew, e.g. restore",
    )
    parser.add_argument(
        "--seconds",
        type=int,
        help=f"processor time a file (default: {DECODING_S}, with --task {RESTORING_S})",
    )
    parser.add_argument(
        "--gigabytes",
        type=float,
        default=3.0,
        help="address space a file, with --task beside the networks' (default: 3)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="every verdict, as JSON")
    return parser


def _generated(trials: Trials, arguments: argparse.Namespace) -> Iterator[Verdict]:
    for specimen in corpus(arguments.generated, arguments.seed):
        if arguments.kind and specimen.kind not in arguments.kind:
            continue
        if specimen.costly and arguments.task:
            continue  # minutes each on a CPU; what is left of them is tried without a task
        with tempfile.TemporaryDirectory(prefix="specimen-") as folder:
            path = Path(folder) / specimen.name
            path.write_bytes(specimen.build())
            # What a task refuses of a whole photo (a result too large) is its own matter.
            expected = (
                ("answered", "refused")
                if arguments.task and "answered" in specimen.expected
                else specimen.expected
            )
            yield trials.of(path, specimen.kind, expected, specimen.whole)
            if [*Path(folder).iterdir()] != [path]:
                yield Verdict(
                    specimen.name,
                    specimen.kind,
                    "failed",
                    "left files beside its own",
                    0.0,
                    0.0,
                    0.0,
                )


def _found(trials: Trials, folders: list[Path]) -> Iterator[Verdict]:
    for folder in folders:
        for path in (
            [folder]
            if folder.is_file()
            else sorted(path for path in folder.rglob("*") if path.is_file())
        ):
            yield trials.of(path, path.suffix.lower() or "no suffix")


def table(verdicts: list[Verdict]) -> str:
    """A line a class and a line for all: counts, the slowest file and the most memory."""
    kinds = sorted({verdict.kind for verdict in verdicts})
    lines = [
        f"{'class':16}{'files':>7}{'answered':>10}{'refused':>9}{'failed':>8}{'slowest':>10}{'memory':>10}  slowest file"
    ]
    for kind in [*kinds, "all"]:
        group = [verdict for verdict in verdicts if kind in {"all", verdict.kind}]
        counts = [
            sum(verdict.verdict == each for verdict in group)
            for each in ("answered", "refused", "failed")
        ]
        slowest, largest = (
            max(group, key=lambda verdict: verdict.seconds),
            max(verdict.peak_mb for verdict in group),
        )
        lines.append(
            f"{kind:16}{len(group):7}{counts[0]:10}{counts[1]:9}{counts[2]:8}{slowest.seconds:8.2f} s{largest:7.0f} MB  {slowest.name}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
