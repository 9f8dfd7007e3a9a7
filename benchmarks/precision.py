"""Measure the quality of every network below float32 on this CPU, for the manifest.

    python benchmarks/precision.py --record

The rows of the manifest state the precision of each profile (`[checkpoint.precision.cpu]`, and
`[checkpoint.precision.cuda]` for networks that no GPU has measured yet). This script measures what
decides: PSNR against float32 and, for networks that select codes, the share of equal codes. Speed
is not measured here: restore/optimize/cpu_probe.py does that on the machine that runs a request.
`--record` appends rows to results/precision.jsonl. Weights and inputs are those of gpu.py.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import comma_separated
from benchmarks.floors import tensors_in
from benchmarks.gpu_cases import Case
from benchmarks.gpu_subject import Subject
from benchmarks.networks import SAME_NETWORK
from benchmarks.rows import machine, record
from restore.models.catalog import Catalog, Checkpoint

SIDE_PX = 64
SIDES_PX = {"LaMa": 128, "retinaface_resnet50": 128, "retinaface_mobile0.25": 128}
WITH_CODES = ("CodeFormer", "RestoreFormer")
PRECISIONS = ("bfloat16", "float16")
CODE_PRECISIONS = ("bfloat16", "float32+bfloat16")


def measure(row: Checkpoint, precisions: Sequence[str]) -> Iterator[dict[str, object]]:
    """Yield one row for each precision: quality, or the error."""
    side_px = row.input_px or SIDES_PX.get(row.architecture, SIDE_PX)
    subject = Subject(f"{row.id}@{side_px}", torch.device("cpu"))
    for precision in precisions:
        facts: dict[str, object] = {
            "network": subject.network.name,
            "precision": precision,
            "weights": subject.weights,
        }
        try:
            with torch.inference_mode():
                module = subject.copy_for(Case(subject.network.name, precision, "eager"))
                facts |= subject.quality(list(tensors_in(module(*subject.inputs))))
        except Exception as error:  # noqa: BLE001 - the other networks are still measured
            facts["error"] = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:160]}"
        yield facts | {"device": "cpu"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = _parser().parse_args(arguments)
    rows = [row for row in Catalog.load().rows if row.id not in SAME_NETWORK]
    for row in rows:
        if options.only and row.id not in options.only:
            continue
        default = CODE_PRECISIONS if row.architecture in WITH_CODES else PRECISIONS
        for facts in measure(row, options.precisions or default):
            print(facts, flush=True)
            if options.record:
                record("precision", facts | machine())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--only", type=comma_separated, default=(), metavar="A,B", help="rows of the manifest")
    add("--precisions", type=comma_separated, default=(), metavar="A,B", help="such as bfloat16")
    add("--record", action="store_true", help="append rows to results/precision.jsonl")
    return parser


if __name__ == "__main__":
    sys.exit(main())
