"""Measure the peak memory of a scratched old photo beyond that of the loaded networks.

    python benchmarks/old_photo_memory.py --side 512

Runs encoder, mapping network with holes and decoder on a square photo of noise with scratches. The
networks have random weights, which are written to files of the official form and loaded with their
manifest rows. Memory is the peak resident size of the process as the kernel (Linux) counts it.

Prints one row; `--record` appends it to results/old_photo_memory.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.rows import machine, record, resident_peak_mb
from restore.models.adapters import adapter_for
from restore.models.catalog import Catalog
from restore.models.loader import load_net
from restore.nets.old_photo.vae import OldPhotoVae

TASK = "old_photo_restore"
WARM_UP_SIDE_PX = 128
SCRATCH_SPACING_PX = 64
STAGES = ("encode", "map", "decode")


def resident_mb() -> float:
    """Return the present resident size of this process in MB (10^6 bytes)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def load_random(variant: str, role: str) -> torch.nn.Module:
    """Load a network with random weights from a file of the official form."""
    row = Catalog.load().find(TASK, variant, role)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / row.file
        torch.save(adapter_for(row.architecture).create(row).state_dict(), path)
        return load_net(path, row)


def scratched_noise(side_px: int) -> tuple[Tensor, Tensor]:
    """Return a scratched photo and its holes.

    Returns:
        1x3xSxS noise in [-1, 1], white at the scratches, and 1x1xSxS holes: one line per 64 pixels,
        1 % to 2 % of the area.
    """
    random = np.random.default_rng(0)
    holes = np.zeros((side_px, side_px), np.uint8)
    ends = random.integers(0, side_px, (side_px // SCRATCH_SPACING_PX, 2)).tolist()
    for start_x, end_x in ends:
        cv2.line(holes, (start_x, 0), (end_x, side_px - 1), 1, thickness=1)
    mask = torch.from_numpy(holes).float()[None, None]
    photo = torch.from_numpy(random.random((1, 3, side_px, side_px), np.float32)).mul_(2).sub_(1)
    return torch.where(mask > 0, 1.0, photo), mask


def restore_timed(
    encoder: OldPhotoVae,
    mapping: torch.nn.Module,
    decoder: OldPhotoVae,
    photo: Tensor,
    holes: Tensor,
) -> dict[str, float]:
    """Restore a photo and return the seconds of each stage."""
    with torch.inference_mode():
        times_s = [time.perf_counter()]
        features = encoder.encode(photo)
        times_s.append(time.perf_counter())
        features = mapping(features, holes)
        times_s.append(time.perf_counter())
        decoder.decode(features)
        times_s.append(time.perf_counter())
    durations_s = np.diff(times_s)
    return {stage: round(float(s), 1) for stage, s in zip(STAGES, durations_s, strict=True)}


def measured(side_px: int, variant: str, threads: int) -> dict[str, object]:
    """Restore one photo and return its row."""
    encoder, decoder = (load_random(variant, role) for role in ("vae_a", "vae_b"))
    assert isinstance(encoder, OldPhotoVae)
    assert isinstance(decoder, OldPhotoVae)
    mapping = load_random(variant, "net")
    # A small photo makes the networks and libraries allocate what they keep.
    restore_timed(encoder, mapping, decoder, *scratched_noise(WARM_UP_SIDE_PX))
    before_mb, load_before = resident_mb(), os.getloadavg()[0]
    photo, holes = scratched_noise(side_px)
    stages_s = restore_timed(encoder, mapping, decoder, photo, holes)
    return {
        "variant": variant,
        "side_px": side_px,
        "holes_percent": round(100 * float(holes.mean()), 2),
        "seconds": round(sum(stages_s.values()), 1),
        "stage_seconds": stages_s,
        "peak_beyond_loaded_model_mb": round(resident_peak_mb() - before_mb),
        "threads": threads,
        "load_before": round(load_before, 1),  # times on a busy machine are not comparable
        **machine(),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--side", type=int, default=512, help="side of the photo in pixels")
    parser.add_argument("--variant", choices=("scratch", "scratch_hr"), default="scratch")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--record", action="store_true", help="append the row to results/old_photo_memory.jsonl"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    row = measured(options.side, options.variant, options.threads)
    print(json.dumps(row, indent=2))
    if options.record:
        record("old_photo_memory", row)


if __name__ == "__main__":
    main()
