"""Peak memory of a scratched old photo beyond the loaded networks: `python -m benchmarks.old_photo_memory --side 512`.

Encoder, mapping with holes and decoder on a square photo of noise with scratches over it; the networks have random weights, which
go to files of the official form and are loaded as their rows say. Prints a row, and adds it to results/old_photo_memory.jsonl with
`--record`. The peak is the kernel's figure for this process (Linux), so nothing that torch allocates escapes it.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from benchmarks.rows import machine, record, resident_peak_mb
from restore.models.architectures import BUILDERS
from restore.models.catalog import Catalog
from restore.models.loader import load_net
from restore.nets.old_photo.vae import OldPhotoVae

TASK = "old_photo_restore"


def resident_mb() -> float:
    """The resident size of this process now, in MB (10^6 bytes)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def loaded(variant: str, role: str) -> torch.nn.Module:
    """A network of random weights, by way of a file as the official ones are."""
    row = Catalog.load().find(TASK, variant, role)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / row.file
        torch.save(BUILDERS[row.architecture]().state_dict(), path)
        return load_net(path, row)


def scratched(side_px: int) -> tuple[Tensor, Tensor]:
    """A 1,3,S,S photo in [-1, 1], white where it is scratched, and its 1,1,S,S holes: a line for each 64 px, 1 % to 2 % of the area."""
    random = np.random.default_rng(0)
    holes = np.zeros((side_px, side_px), np.uint8)
    for start_x, end_x in random.integers(0, side_px, (side_px // 64, 2)).tolist():
        cv2.line(holes, (start_x, 0), (end_x, side_px - 1), 1, thickness=1)
    mask = torch.from_numpy(holes).float()[None, None]
    photo = torch.from_numpy(random.random((1, 3, side_px, side_px), np.float32)).mul_(2).sub_(1)
    return torch.where(mask > 0, 1.0, photo), mask


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--side", type=int, default=512, help="of the photo, in pixels")
    parser.add_argument("--variant", choices=("scratch", "scratch_hr"), default="scratch")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--record", action="store_true", help="add the row to results/old_photo_memory.jsonl"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    encoder, decoder = (loaded(args.variant, role) for role in ("vae_a", "vae_b"))
    assert isinstance(encoder, OldPhotoVae)
    assert isinstance(decoder, OldPhotoVae)
    mapping = loaded(args.variant, "net")

    def restored(photo: Tensor, holes: Tensor) -> dict[str, float]:
        with torch.inference_mode():
            times_s = [time.perf_counter()]
            features = encoder.encode(photo)
            times_s.append(time.perf_counter())
            features = mapping(features, holes)
            times_s.append(time.perf_counter())
            decoder.decode(features)
            times_s.append(time.perf_counter())
        return {
            stage: round(float(s), 1)
            for stage, s in zip(("encode", "map", "decode"), np.diff(times_s), strict=True)
        }

    # A small photo first: the weights are read from their files, and what the libraries allocate once is not the photo's.
    restored(*scratched(128))
    before_mb, load_before = resident_mb(), os.getloadavg()[0]
    photo, holes = scratched(args.side)
    stages_s = restored(photo, holes)
    row = {
        "variant": args.variant,
        "side_px": args.side,
        "holes_percent": round(100 * float(holes.mean()), 2),
        "seconds": round(sum(stages_s.values()), 1),
        "stage_seconds": stages_s,
        "peak_beyond_loaded_model_mb": round(resident_peak_mb() - before_mb),
        "threads": args.threads,
        "load_before": round(load_before, 1),  # seconds beside other work say little
        **machine(),
    }
    print(json.dumps(row, indent=2))
    if args.record:
        record("old_photo_memory", row)


if __name__ == "__main__":
    main()
