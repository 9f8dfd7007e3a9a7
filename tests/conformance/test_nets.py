"""Real-ESRGAN and NAFNet networks against the outputs of the official code."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import (
    GOLDENS,
    load_official_file,
    one_thread,  # noqa: F401
    read_rgb,
    rebuild,
    relative_error,
)

from restore.models.catalog import Catalog

NAMES = [
    "realesr_general_x4v3",
    "realesr_animevideov3",
    "RealESRGAN_x4plus",
    "RealESRGAN_x4plus_anime_6B",
    "RealESRGAN_x2plus",
    "NAFNet_SIDD",
    "NAFNet_GoPro",
]
# Relative to the largest value. The order of sums depends on threads and instruction sets: the
# largest error measured was 8e-6.
TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def gopro() -> dict[str, Any]:
    """The checkpoint of NAFNet_GoPro, which is drawn once for two tests."""
    return rebuild("NAFNet_GoPro")


def output_of(net: torch.nn.Module, path: Path) -> np.ndarray:
    """Return the 3xHxW output for an image, not clamped."""
    rgb = torch.from_numpy(read_rgb(path))
    with torch.inference_mode():
        return net(rgb.permute(2, 0, 1)[None].float() / 255)[0].numpy()


@pytest.mark.parametrize("name", NAMES)
def test_network_matches_the_official_output(
    request: pytest.FixtureRequest, name: str, tmp_path: Path
) -> None:
    is_gopro = name == "NAFNet_GoPro"
    checkpoint = request.getfixturevalue("gopro") if is_gopro else rebuild(name)
    net = load_official_file(checkpoint, tmp_path / f"{name}.pth", None)
    output = output_of(net, GOLDENS / name / "input.png")
    assert relative_error(output, np.load(GOLDENS / name / "output.npy")) <= TOLERANCE


def test_nafnet_uses_local_averages_as_in_the_official_test(
    gopro: dict[str, Any], tmp_path: Path
) -> None:
    folder, row = GOLDENS / "NAFNet_GoPro", Catalog.load().find("restore", "deblur")
    net = load_official_file(gopro, tmp_path / "net.pth", row)
    output = output_of(net, folder / "input_400x460.png")[:, ::4, ::4]
    expected = np.load(folder / "output_tlc_400x460_s4.npy")
    assert relative_error(output, expected) <= TOLERANCE
