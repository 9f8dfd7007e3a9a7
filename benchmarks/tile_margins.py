"""Measure how far the cut edge of a tile changes the result of a network, to choose margins.

    python -m benchmarks.tile_margins PHOTOS --nets realesrgan-x4plus --record
    python -m benchmarks.tile_margins PHOTOS --nets realesr-general-x4v3=FILE.safetensors

The middle of each photo is enlarged as a whole, and without its right part, as a tile that ends
there. The row states for each distance from the cut the differences of the samples at that
distance or up to BAND_PX further: these are the worst samples of a tile with this margin. Blending
reduces them. The distances do not depend on the size of the tile. `--record` appends rows to
results/tile_margins.jsonl.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import comma_separated
from benchmarks.rows import machine, record
from restore.imaging.photo import open_photo
from restore.models.catalog import Catalog, Checkpoint
from restore.models.loader import load_net
from restore.models.store import WeightStore
from restore.runtime.tensors import to_planes

DISTANCES_PX = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 128)
BAND_PX = 16
MAX_LEVELS = 2
QUANTILE = 0.9999


def differences(net: nn.Module, pixels: np.ndarray, cut_px: int, scale: int) -> np.ndarray:
    """Return the differences in grey levels between a photo's result and that of its left part.

    Args:
        net: called with 1x3xHxW in [0, 1].
        pixels: HxWx3 uint8.
        cut_px: width of the left part.
        scale: the network's scale factor.

    Returns:
        (cut_px)x(samples of one column of the photo), the column next to the cut first.
    """
    planes = to_planes(pixels, torch.device("cpu"))[None]
    with torch.inference_mode():
        whole, tile = (
            (net(part.contiguous()).clamp(0, 1) * 255).round()
            for part in (planes, planes[..., :cut_px])
        )
    absolute = (whole[..., : cut_px * scale] - tile).abs()[0].numpy().astype(np.uint8)
    columns: np.ndarray = np.moveaxis(absolute, -1, 0).reshape(cut_px, -1)[::-1]
    return columns


def margin_facts(by_distance: np.ndarray) -> dict[str, object]:
    """Return the largest difference and the quantile for each distance, and the margin to choose.

    Args:
        by_distance: distance x samples, in grey levels.
    """
    facts: dict[str, object] = {}
    chosen = None
    for distance in DISTANCES_PX:
        band = by_distance[distance : distance + BAND_PX]
        if band.size == 0:
            break
        quantile = float(np.quantile(band, QUANTILE, method="higher"))
        facts[f"from_{distance}_px"] = {
            "max_levels": int(band.max()),
            "quantile_levels": quantile,
            "over_2_per_million": round(1e6 * float((band > MAX_LEVELS).mean()), 1),
        }
        if quantile > MAX_LEVELS:
            chosen = None
        elif chosen is None:
            chosen = distance
    return {**facts, "margin_px": chosen}


def measure(
    row: Checkpoint, net: nn.Module, photos: Sequence[Path], size: str
) -> dict[str, object]:
    """Return the facts of one network over all photos.

    Args:
        row: the manifest row of the network.
        net: the network in float32.
        photos: the files.
        size: `WIDTHxHEIGHT/CUT`: the middle that is enlarged, and where it is cut.
    """
    width, _, rest = size.partition("x")
    height, _, cut = rest.partition("/")
    parts = []
    for path in photos:
        pixels = middle(open_photo(path).pixels, int(width), int(height))
        parts.append(differences(net, pixels, int(cut), row.scale))
        print(f"{row.id} {path.name}", flush=True)
    by_distance = np.concatenate(parts, axis=1)
    facts: dict[str, object] = {
        "network": row.id,
        "photos": [path.name for path in photos],
        "size": size,
    }
    return {**facts, **margin_facts(by_distance)}


def middle(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the middle of HxWx3 pixels in this size."""
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    if min(top, left) < 0:
        raise SystemExit(f"a photo of {pixels.shape[1]}x{pixels.shape[0]} pixels is too small")
    return np.ascontiguousarray(pixels[top : top + height, left : left + width, :3])


def net_of(name: str, catalog: Catalog) -> tuple[Checkpoint, nn.Module]:
    """Load the network of a row from its own file, its copy, or the file in `ID=FILE`."""
    row_id, _, file = name.partition("=")
    row = next((row for row in catalog.rows if row.id == row_id), None)
    if row is None:
        raise SystemExit(f"the manifest has no row '{row_id}'")
    if file:
        return row, load_net(Path(file), row)
    store = WeightStore(catalog, offline=True)
    found = store.ensure_copy(row) if row.index_copy and not store.find(row) else store.locate(row)
    return row, load_net(found.path, row)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("photos", type=Path, help="folder or file")
    add("--nets", type=comma_separated, required=True, metavar="ID[=FILE],...")
    add("--size", default="320x192/224", metavar="WxH/CUT", help="default: %(default)s")
    add("--limit", type=int, metavar="N", help="only the first N photos")
    add("--record", action="store_true", help="append rows to results/tile_margins.jsonl")
    options = parser.parse_args(arguments)
    folder: Path = options.photos
    photos = sorted(path for path in folder.iterdir()) if folder.is_dir() else [folder]
    for name in options.nets:
        row, net = net_of(name, Catalog.load())
        facts = measure(row, net, photos[: options.limit], options.size)
        print(facts, flush=True)
        if options.record:
            record("tile_margins", facts | machine())
    return 0


if __name__ == "__main__":
    sys.exit(main())
