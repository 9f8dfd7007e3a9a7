"""Peak memory of one large photo beyond the loaded model: `python -m benchmarks.peak_memory --megapixels 24 --scale 2`.

Prints a row, and adds it to results/peak_memory.jsonl with `--record`.

The photo is smooth noise; what it shows does not matter to memory. The figure is the process' resident peak from the kernel
(Linux), read before and after, so nothing that torch, numpy or OpenCV allocate escapes it.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from benchmarks.rows import machine, record, resident_peak_mb
from restore import Photo, Restorer


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--megapixels", type=float, default=24.0)
    parser.add_argument("--scale", type=float, default=2.0)
    parser.add_argument("--variant", default="lite")
    parser.add_argument("--tile-size", type=int, default=512)
    parser.add_argument(
        "--record", action="store_true", help="add the row to results/peak_memory.jsonl"
    )
    args = parser.parse_args()
    restorer = Restorer(device="cpu", weights="lite" if args.variant == "lite" else None)
    options = {"upscale_variant": args.variant, "tile_size": args.tile_size}
    # One tile first: what the model and the libraries allocate once is not the photo's.
    restorer.run("upscale", [Photo("warm-up", np.zeros((64, 64, 3), np.uint8))], **options)
    height = int((args.megapixels * 1e6 / 1.5) ** 0.5)
    pixels = np.random.default_rng(0).integers(
        0, 256, (height, round(height * 1.5), 3), dtype=np.uint8
    )
    before_mb = resident_peak_mb()
    started_s = time.perf_counter()
    results = restorer.run("upscale", [Photo("large", pixels)], scale=args.scale, **options)
    row = {
        "variant": results.reports[0].variant,
        "megapixels_in": round(pixels.shape[0] * pixels.shape[1] / 1e6, 2),
        "megapixels_out": round(results.photos[0].megapixels, 2),
        "tiles": results.reports[0].tiles,
        "seconds": round(time.perf_counter() - started_s, 1),
        "peak_beyond_loaded_model_mb": round(resident_peak_mb() - before_mb),
        **machine(),
    }
    print(json.dumps(row, indent=2))
    if args.record:
        record("peak_memory", row)


if __name__ == "__main__":
    main()
