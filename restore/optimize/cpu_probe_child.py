"""The child process of `restore.optimize.cpu_probe`: tries networks and prints its verdicts.

    python -m restore.optimize.cpu_probe_child '[["lite-faces", "/path/of/the/file"]]' 2

Prints True or False for each network, as soon as it is known.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from restore.models.adapters import adapter_for
from restore.models.catalog import Catalog, Checkpoint
from restore.models.loader import Model, load_net
from restore.models.precision import MIN_PSNR_DB
from restore.optimize.compiler import Compiler
from restore.optimize.lowering import in_fastest_layout, lowered_copy, psnr_db

SIDE_PX = 128
"""Side of the input of networks without a fixed size."""
MAX_TIME_RATIO = 0.9
"""Low precision is used if it takes at most this share of the time of float32."""
CPU = torch.device("cpu")


def is_better(row: Checkpoint, path: Path) -> bool:
    """Return whether the low-precision copy of a network is correct and faster than float32.

    It competes with the optimized copy in float32, which is the fastest.
    """
    net, adapter = load_net(path, row), adapter_for(row.architecture)
    float32 = Compiler(CPU, {"RESTORE_COMPILE_BACKEND": "none"}).optimize(
        Model(row, row.variant, net)
    )[0]
    precision = row.precision_for("fast", CPU.type)
    lowered = in_fastest_layout(lowered_copy(net, row, precision), CPU, optimized=True)
    generator = torch.Generator().manual_seed(0)
    inputs = adapter.example_inputs(row, row.input_px or SIDE_PX, 1, generator)
    expected, float32_s = _timed(float32.net, row, inputs)
    output, lowered_s = _timed(lowered, row, inputs)
    correct = psnr_db(output, expected) >= MIN_PSNR_DB["fast"]
    return correct and lowered_s <= MAX_TIME_RATIO * float32_s


def _timed(net: nn.Module, row: Checkpoint, inputs: Sequence[Tensor]) -> tuple[Tensor, float]:
    """Return the output of a second call, and its time."""
    adapter = adapter_for(row.architecture)
    with torch.inference_mode():
        adapter.run(net, *inputs)
        started_s = time.perf_counter()
        output = adapter.run(net, *inputs)
        elapsed_s = time.perf_counter() - started_s
    return output if isinstance(output, Tensor) else output[0], elapsed_s


def main(arguments: Sequence[str]) -> None:
    """Print a verdict for each file."""
    files, threads = json.loads(arguments[0]), int(arguments[1])
    torch.set_num_threads(threads)
    rows = {row.id: row for row in Catalog.load().rows}
    for name, path in files:
        try:
            verdict = is_better(rows[name], Path(path))
        except Exception as error:  # noqa: BLE001 - a network that fails computes in float32
            sys.stderr.write(f"{name}: {error}\n")
            verdict = False
        sys.stdout.write(f"{verdict}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
