"""What the GPU benchmark measures, and in which order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.networks import networks
from restore.optimize.triton_copies import TRITON_ARCHITECTURES

DTYPES = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True)
class Target:
    """A network to measure, with the time to reach.

    Attributes:
        network: name as in `networks`.
        target_ms: target per photo; 0 for none.
        small: the network that a run with `--small` measures instead; "" for none.
        precisions: precisions below float32, the most promising first. In `a+b`, the encoder has
            precision a and the rest precision b.
    """

    network: str
    target_ms: float = 0.0
    small: str = ""
    precisions: tuple[str, ...] = ("float16", "bfloat16")


TARGETS = (
    Target("codeformer@512", 6.0, precisions=("float16", "float16+bfloat16", "bfloat16")),
    Target("codeformer@512x8", 3.0, precisions=("float16",)),
    Target("realesrgan-x4plus@512", 34.0, "realesrgan-x4anime@16"),
    Target("gfpgan-1.4@512", 4.0),
    Target("gfpgan-1.4@512x8", precisions=("float16",)),
    Target("restoreformer@512", 6.0),
    Target("nafnet-sidd-width64@1024", 20.0, "nafnet-gopro-width64@32"),
    Target("ddcolor-modelscope@512", 6.0, precisions=("bfloat16", "float16")),
    Target("lama-big@512", 6.0, "lama-big@64"),
    Target("retinaface-resnet50@640", 1.5, "retinaface-mobile0.25@64"),
    Target("parsenet@512"),
    Target("realesr-general-x4v3@512", 0.0, "realesr-general-x4v3@16"),
    Target("lite-faces@256", 0.0, "lite-faces@256"),
    Target("lite-colorize@256"),
    Target("lite-inpaint@512"),
    Target("oldphoto-vae-a-quality@512", 0.0, "oldphoto-vae-a-quality@64"),
    Target("oldphoto-mapping-quality@512"),
    Target("oldphoto-face-512@512"),
    Target("oldphoto-scratch-detector@512"),
)


@dataclass(frozen=True)
class Round:
    """One combination of precision and engine, measured for all networks.

    Attributes:
        precision: a name of DTYPES, or an index into the precisions of a target.
        engine: `library` (the library's module), or this project's copy: `eager`, `graph` (as CUDA
            graph), `compiled+graph` (inductor first) or `kernels+graph` (Triton kernels).
    """

    precision: int | str
    engine: str


ROUNDS = (
    Round(0, "kernels+graph"),
    Round(0, "compiled+graph"),
    Round("float32", "library"),
    Round(0, "graph"),
    Round(1, "graph"),
    Round(2, "graph"),
    Round(0, "eager"),
    Round(1, "kernels+graph"),
    Round(1, "compiled+graph"),
    Round(2, "compiled+graph"),
    Round("tf32", "graph"),
)
"""Rounds on CUDA, the most important first."""

CPU_ROUNDS = (Round("bfloat16", "eager"), Round("float32", "library"))


@dataclass(frozen=True)
class Case:
    """One row to measure."""

    network: str
    precision: str
    engine: str


def cases(targets: Sequence[Target], rounds: Sequence[Round]) -> Iterator[Case]:
    """Yield the cases of all rounds; networks without Triton kernels are left out of theirs."""
    for each in rounds:
        for target in targets:
            precision = each.precision
            if isinstance(precision, int):
                if precision >= len(target.precisions):
                    continue
                if each.engine.startswith("kernels") and not has_kernels(target.network):
                    continue
                precision = target.precisions[precision]
            yield Case(target.network, precision, each.engine)


def has_kernels(name: str) -> bool:
    """Whether there are Triton kernels for a network."""
    return networks([name])[0].row.architecture in TRITON_ARCHITECTURES


def measured_cases(path: Path, device: str) -> set[Case]:
    """Return the cases that a file of rows contains for a device. Failed rows do not count."""
    if not path.exists():
        return set()
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {
        Case(row["network"], row["precision"], row["engine"])
        for row in rows
        if row["device"] == device and "ms" in row
    }
