"""Pipelines against the official code's outputs: RealESRGANer.enhance, every case."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from recipe import rebuild

from restore.errors import RestoreError
from restore.imaging.photo import open_photo
from restore.imaging.resize import resize_lanczos
from restore.models.catalog import Catalog
from restore.models.loader import Model, load_net
from restore.options import UpscaleOptions
from restore.pipelines.context import StepContext
from restore.pipelines.official import run_official_tiles
from restore.pipelines.upscale import run_upscale
from restore.report import Report
from restore.runtime.device import Runtime

GOLDENS = Path(__file__).parent / "goldens" / "pipe_RealESRGANer"
CASES = json.loads((GOLDENS / "cases.json").read_text())
CPU = Runtime(torch.device("cpu"), torch.float32, "baseline")
NETS = {4: "manifest_srvgg_conv2_x4.json", 2: "manifest_rrdb_block1_x2.json"}


@pytest.fixture(scope="module")
def nets(tmp_path_factory) -> dict[int, torch.nn.Module]:
    folder = tmp_path_factory.mktemp("nets")
    built = {}
    for scale, manifest in NETS.items():
        torch.save(
            rebuild(f"pipe_RealESRGANer_x{scale}", GOLDENS / manifest), folder / f"x{scale}.pth"
        )
        built[scale] = load_net(folder / f"x{scale}.pth")
    return built


def input_of(case: str) -> Path:
    kind = next((kind for kind in ("rgba", "gray", "rgb16") if kind in case), "rgb")
    return GOLDENS / f"in_{kind}.png"


def enhanced(case: str, facts: dict, net: torch.nn.Module) -> np.ndarray:
    """Our pipeline's parts, set as RealESRGANer was for this case; BGR(A) or grey as OpenCV reads the golden."""
    scale = facts.get("scale", 2 if case.startswith("x2") else 4)
    net_scale = 2 if case.startswith("x2") else 4
    photo = open_photo(input_of(case))
    settings = {
        "scale": net_scale,
        "multiple": 2 if net_scale == 2 else 1,
        "runtime": CPU,
        "tile_px": facts.get("tile", 0),
        "tile_pad_px": facts.get("tile_pad", 10),
        "pre_pad_px": facts["pre_pad"],
    }
    assert scale == net_scale
    with torch.inference_mode():
        pixels = run_official_tiles(photo.pixels, net, **settings)
        alpha = photo.alpha
        if alpha is not None and facts.get("alpha_upsampler") == "bicubic":
            # By its name bicubic; what the official code does for any value but its default is linear, before rounding.
            smooth = cv2.resize(
                alpha / np.float32(255),
                None,
                fx=net_scale,
                fy=net_scale,
                interpolation=cv2.INTER_LINEAR,
            )
            alpha = np.rint(smooth * 255).astype(np.uint8)
        elif alpha is not None:
            alpha = run_official_tiles(alpha, net, **settings)
    outscale = facts.get("outscale", net_scale)
    size = (int(photo.width * outscale), int(photo.height * outscale))
    pixels = resize_lanczos(pixels, size)
    if pixels.ndim == 3:
        pixels = pixels[..., ::-1]
    return pixels if alpha is None else np.dstack([pixels, resize_lanczos(alpha, size)])


@pytest.mark.parametrize("case", sorted(CASES))
def test_real_esrganer(case, nets):
    facts = CASES[case]
    net = nets[2 if case.startswith("x2") else 4]
    if "error" in facts:
        with pytest.raises(RestoreError, match="multiple of 2"):
            enhanced(case, facts, net)
        return
    result = enhanced(case, facts, net)
    assert (list(result.shape), str(result.dtype)) == (facts["shape"], facts["dtype"])
    assert_equal_to_golden(result, case)


@pytest.mark.parametrize(
    "case", ["x4_rgb_prepad0", "x4_gray", "x4_rgba", "x4_rgb16", "x4_rgb_outscale2.5", "x2_rgb_odd"]
)
def test_what_users_get_untiled_is_what_real_esrganer_gives(case, nets):
    """The pipeline `upscale` itself, with `tile_size` 0, on the cases that need nothing else than its inputs."""
    net_scale = 2 if case.startswith("x2") else 4
    row = Catalog.load().find("upscale", "x2plus" if net_scale == 2 else "animevideov3")
    options = UpscaleOptions(scale=CASES[case].get("outscale", net_scale), tile_size=0)
    photo = run_upscale(
        open_photo(input_of(case)),
        options,
        StepContext(
            {"upscale": Model(row, "recipe", nets[net_scale])}, CPU, Report(case, "upscale")
        ),
    )
    pixels = photo.pixels if photo.is_grey else photo.pixels[..., ::-1]
    assert_equal_to_golden(
        pixels if photo.alpha is None else np.dstack([pixels, photo.alpha]), case
    )


def assert_equal_to_golden(result: np.ndarray, case: str) -> None:
    golden = cv2.imread(str(GOLDENS / f"out_{case}.png"), cv2.IMREAD_UNCHANGED)
    assert (result.shape, result.dtype) == (golden.shape, golden.dtype)
    difference = np.abs(result.astype(np.int64) - golden.astype(np.int64))
    assert difference.max() <= 1
    # Of 65,535 levels, 257 make one grey level: float noise between machines may turn one, never a grey level.
    grey_levels = np.rint(difference * 255 / np.iinfo(golden.dtype).max)
    assert (grey_levels > 0).mean() <= 0.001
