"""Networks against the official code's raw outputs, from checkpoints in the official form to within float32's rounding."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from recipe import GOLDENS, rebuild

from restore.models.catalog import Catalog, Checkpoint
from restore.models.loader import load_net

NAMES = [
    "realesr_general_x4v3",
    "realesr_animevideov3",
    "RealESRGAN_x4plus",
    "RealESRGAN_x4plus_anime_6B",
    "RealESRGAN_x2plus",
    "NAFNet_SIDD",
    "NAFNet_GoPro",
]
# Of the largest value. Threads and instruction sets sum in other orders: 8e-6 was seen at most.
TOLERANCE = 2e-5


@pytest.fixture(autouse=True)
def one_thread():
    """Beside other work on the same cores, threads that wait for each other took forty times as long as one alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def loaded(name: str, folder: Path, row: Checkpoint | None = None) -> torch.nn.Module:
    path = folder / f"{name}.pth"
    torch.save(rebuild(name), path)
    return load_net(path, row)


def output_of(net: torch.nn.Module, path: Path) -> np.ndarray:
    """CHW, not clamped."""
    with Image.open(path) as image:
        rgb = torch.from_numpy(np.array(image.convert("RGB")))
    with torch.inference_mode():
        return net(rgb.permute(2, 0, 1)[None].float() / 255)[0].numpy()


def assert_close(output: np.ndarray, golden: np.ndarray) -> None:
    assert output.shape == golden.shape
    assert np.abs(output - golden).max() <= TOLERANCE * np.abs(golden).max()


@pytest.mark.parametrize("name", NAMES)
def test_a_network_computes_what_the_official_one_does(name, tmp_path):
    net = loaded(name, tmp_path)
    assert_close(
        output_of(net, GOLDENS / name / "input.png"), np.load(GOLDENS / name / "output.npy")
    )


def test_nafnet_computes_local_averages_as_its_official_test_does(tmp_path):
    folder = GOLDENS / "NAFNet_GoPro"
    net = loaded("NAFNet_GoPro", tmp_path, Catalog.load().find("restore", "deblur"))
    output = output_of(net, folder / "input_400x460.png")
    assert_close(output[:, ::4, ::4], np.load(folder / "output_tlc_400x460_s4.npy"))
