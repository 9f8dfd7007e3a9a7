"""Compare enlarged photos with the official code of Real-ESRGAN, with real weights.

    pip download --no-deps realesrgan==0.3.0 -d FOLDER && unzip FOLDER/*.whl -d FOLDER
    python -m benchmarks.official_upscale FOLDER PHOTO --variant x4plus --side 96

The photo's middle is enlarged with RealESRGANer of the unpacked package (float32, whole photo, no
padding, as its command line does by default), and with this project: with the official rules, as in
the conformance tests, and as a request. A request corrects local means and flat areas, so that
patterns do not become darker. All use the same weights: the official file, or the copy from the
package index. The networks of the official code are basicsr's and the package's. `--record` appends
a row to results/official_upscale.jsonl.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.rows import machine, record
from benchmarks.tile_margins import middle
from restore import Restorer
from restore.imaging.photo import Photo, open_photo
from restore.models.catalog import NET
from restore.models.checkpoint_file import StateDict, read_state
from restore.models.loader import Model
from restore.options import UpscaleOptions
from restore.pipelines.context import StepContext
from restore.pipelines.official import OfficialRules
from restore.pipelines.rules import PixelRules
from restore.pipelines.upscale import run_upscale
from restore.report import Report
from restore.runtime.device import Runtime

RRDB_BLOCKS = {"x4plus": 23, "x4anime": 6}


def enlarge_officially(
    package: Path, variant: str, state: StateDict, pixels: np.ndarray
) -> np.ndarray:
    """Return the result of RealESRGANer.enhance.

    Args:
        package: the folder `realesrgan` of the package.
        variant: x4plus, x4anime or animevideov3.
        state: the weights, with the official names.
        pixels: HxWx3 uint8 RGB.
    """
    from torchvision.transforms import functional  # noqa: PLC0415 - only for this script

    # basicsr imports a module by the name that it had before torchvision 0.17.
    sys.modules["torchvision.transforms.functional_tensor"] = functional
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.pth"
        torch.save({"params": {key: value.float() for key, value in state.items()}}, path)
        upscaler = _module(package / "utils.py").RealESRGANer(
            scale=4, model_path=str(path), model=_network(package, variant), tile=0, pre_pad=0
        )
    enlarged: np.ndarray = upscaler.enhance(pixels[..., ::-1].copy(), outscale=4)[0]
    return enlarged[..., ::-1]


def _network(package: Path, variant: str) -> nn.Module:
    if variant in RRDB_BLOCKS:
        from basicsr.archs.rrdbnet_arch import RRDBNet  # noqa: PLC0415 - only for this script

        rrdb: nn.Module = RRDBNet(
            num_in_ch=3, num_out_ch=3, num_feat=64, num_block=RRDB_BLOCKS[variant], num_grow_ch=32
        )
        return rrdb
    compact: nn.Module = _module(package / "archs" / "srvgg_arch.py").SRVGGNetCompact(num_conv=16)
    return compact


def _module(path: Path) -> ModuleType:
    """Import one file without its package, whose other modules need more libraries."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _enlarged(pixels: np.ndarray, model: Model, rules: PixelRules) -> np.ndarray:
    """Run the task `upscale` with the profile `baseline`, without tiles."""
    runtime = Runtime(torch.device("cpu"), torch.float32, "baseline")
    context = StepContext({"upscale": model}, runtime, Report("photo", "upscale"), rules=rules)
    return run_upscale(Photo("photo", pixels), UpscaleOptions(scale=4, tile_size=0), context).pixels


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("package", type=Path, help="folder that contains the folder realesrgan")
    add("photo", type=Path)
    add("--variant", choices=(*RRDB_BLOCKS, "animevideov3"), default="x4plus")
    add("--side", type=int, default=96, metavar="PX", help="default: %(default)s")
    add("--record", action="store_true", help="append a row to results/official_upscale.jsonl")
    options = parser.parse_args(arguments)
    pixels = middle(open_photo(options.photo).pixels, options.side, options.side)
    restorer = Restorer(weights="local", device="cpu")
    model, _ = restorer.cache.get("upscale", options.variant)
    if model.variant != options.variant:
        raise SystemExit(f"the weights of {options.variant} are not on this machine")
    state = read_state(model.files[NET])
    official = enlarge_officially(options.package / "realesrgan", options.variant, state, pixels)
    facts: dict[str, object] = {
        "variant": options.variant,
        "file": model.files[NET].name,
        "photo": options.photo.name,
        "side_px": options.side,
    }
    for name, rules in (("official_rules", OfficialRules()), ("request", PixelRules())):
        levels = np.abs(_enlarged(pixels, model, rules).astype(int) - official)
        facts[name] = {
            "max_levels": int(levels.max()),
            "different_samples_percent": round(100 * float((levels > 0).mean()), 4),
        }
    print(facts)
    if options.record:
        record("official_upscale", facts | machine())
    return 0


if __name__ == "__main__":
    sys.exit(main())
