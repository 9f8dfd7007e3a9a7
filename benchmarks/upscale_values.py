"""Measure what upscaling networks lose by lower precision, on photos.

    python -m benchmarks.upscale_values PHOTOS --nets realesrgan-x4plus --record
    python -m benchmarks.upscale_values PHOTOS --nets realesr-animevideov3=A --against B

The middles of the photos are enlarged in float32, and then
- with copies that compute in bfloat16 (`fast` and `max_speed` on a CPU) or float16 (on CUDA; slow
  on a CPU);
- with weights whose lower bits are random: truncation to float16 removed such bits, so this is how
  far the official float32 weights are from a float16 copy;
- with the weights of `--against`, such as the official file.
Each row has the PSNR with a peak of 1 and the differences in grey levels, over all photos.
`--record` appends rows to results/upscale_values.jsonl.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import comma_separated
from benchmarks.rows import machine, record
from benchmarks.tile_margins import middle, net_of
from restore.imaging.photo import open_photo
from restore.models.adapters import adapter_for
from restore.models.catalog import Catalog, Checkpoint
from restore.models.loader import load_net
from restore.runtime.tensors import to_planes

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
FLOAT16_STEP = 2.0**-10
"""Distance of neighbouring float16 numbers, relative to the power of two below them."""


def variants(
    row: Checkpoint, net: nn.Module, precisions: Sequence[str], against: Path | None
) -> Iterator[tuple[str, nn.Module]]:
    """Yield the networks that are compared with `net`, and what each one is."""
    adapter = adapter_for(row.architecture)
    for name in precisions:
        yield f"computes in {name}", adapter.low_precision_copy(net, DTYPES[name])
    yield "random lower bits", with_random_bits(net)
    if against:
        yield f"weights of {against.name}", load_net(against, row)


def with_random_bits(net: nn.Module) -> nn.Module:
    """Return a copy whose convolutions' weights grow by up to one step of float16."""
    changed = copy.deepcopy(net)
    generator = torch.Generator().manual_seed(0)
    for weight in (each for each in changed.parameters() if each.ndim == 4):
        step = torch.exp2(torch.floor(torch.log2(weight.abs().clamp_min(2.0**-14)))) * FLOAT16_STEP
        lost = torch.rand(weight.shape, generator=generator) * step
        weight.data += torch.where(weight < 0, -lost, lost)
    return changed


def compare(outputs: Sequence[Tensor], references: Sequence[Tensor]) -> dict[str, object]:
    """Return the PSNR and the differences in grey levels of outputs in [0, 1]."""
    error = torch.cat([(a - b).flatten() for a, b in zip(outputs, references, strict=True)])
    levels = torch.cat(
        [
            ((a * 255).round() - (b * 255).round()).abs().flatten()
            for a, b in zip(outputs, references, strict=True)
        ]
    )
    return {
        "psnr_db": round(-10 * math.log10(float(error.square().mean())), 1),
        "max_levels": int(levels.max()),
        "over_1_level_percent": round(100 * float((levels > 1).double().mean()), 4),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("photos", type=Path, help="folder or file")
    add("--nets", type=comma_separated, required=True, metavar="ID[=FILE],...")
    add("--against", type=Path, metavar="FILE", help="other weights of the same network")
    add("--precisions", type=comma_separated, default=tuple(DTYPES), metavar="A,B")
    add("--side", type=int, default=64, metavar="PX", help="default: %(default)s")
    add("--record", action="store_true", help="append rows to results/upscale_values.jsonl")
    options = parser.parse_args(arguments)
    folder: Path = options.photos
    photos = sorted(folder.iterdir()) if folder.is_dir() else [folder]
    side: int = options.side
    inputs = [
        to_planes(middle(open_photo(path).pixels, side, side), torch.device("cpu"))[None]
        for path in photos
    ]
    for name in options.nets:
        row, net = net_of(name, Catalog.load())
        with torch.inference_mode():
            references = [net(each).clamp(0, 1) for each in inputs]
            for what, other in variants(row, net, options.precisions, options.against):
                facts: dict[str, object] = {
                    "network": row.id,
                    "compared": what,
                    "photos": [p.name for p in photos],
                }
                found = compare([other(each).clamp(0, 1) for each in inputs], references)
                facts |= {"side_px": side, **found}
                print(facts, flush=True)
                if options.record:
                    record("upscale_values", facts | machine())
    return 0


if __name__ == "__main__":
    sys.exit(main())
