"""Measure the peak memory of one large photo beyond that of the loaded model.

    python benchmarks/peak_memory.py --megapixels 24 --scale 2

The photo is noise, as its content does not affect memory. Memory is the peak resident size of the
process as the kernel (Linux) counts it, before and after, so that all allocations are included.

Prints one row; `--record` appends it to results/peak_memory.jsonl.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.rows import machine, record, resident_peak_mb
from restore import Photo, Restorer

ASPECT_RATIO = 1.5


def measured(options: argparse.Namespace) -> dict[str, object]:
    """Upscale one photo and return its row."""
    restorer = Restorer(device="cpu", weights="lite" if options.variant == "lite" else None)
    inputs = {"upscale_variant": options.variant, "tile_size": options.tile_size}
    # The first tile makes the model and the libraries allocate what they keep.
    restorer.run("upscale", [Photo("warm-up", np.zeros((64, 64, 3), np.uint8))], **inputs)
    height = int((options.megapixels * 1e6 / ASPECT_RATIO) ** 0.5)
    shape = (height, round(height * ASPECT_RATIO), 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    before_mb = resident_peak_mb()
    started_s = time.perf_counter()
    results = restorer.run("upscale", [Photo("large", pixels)], scale=options.scale, **inputs)
    return {
        "variant": results.reports[0].variant,
        "megapixels_in": round(shape[0] * shape[1] / 1e6, 2),
        "megapixels_out": round(results.photos[0].megapixels, 2),
        "tiles": results.reports[0].tiles,
        "seconds": round(time.perf_counter() - started_s, 1),
        "peak_beyond_loaded_model_mb": round(resident_peak_mb() - before_mb),
        **machine(),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--megapixels", type=float, default=24.0)
    parser.add_argument("--scale", type=float, default=2.0)
    parser.add_argument("--variant", default="lite")
    parser.add_argument("--tile-size", type=int, default=512)
    parser.add_argument(
        "--record", action="store_true", help="append the row to results/peak_memory.jsonl"
    )
    options = parser.parse_args(arguments)
    row = measured(options)
    print(json.dumps(row, indent=2))
    if options.record:
        record("peak_memory", row)


if __name__ == "__main__":
    main()
