"""Old-photo networks against the outputs of the official code.

Encoder, mapping and decoder are compared one by one, because rounding errors grow along the chain:
the official result for the scratched photo differs from a float64 computation by 1.9e-4 of the
largest value (this project's by 1.0e-4).
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import (
    GOLDENS,
    load_official_file,
    one_thread,  # noqa: F401
    rebuild,
    relative_error,
)
from PIL import Image
from torch import Tensor

from restore.models.catalog import Catalog

ROWS = {
    "detection": ("scratch", "scratch_detector"),
    "VAE_A": ("quality", "vae_a"),
    "VAE_B": ("quality", "vae_b"),
    "mapping_quality": ("quality", "net"),
    "mapping_scratch": ("scratch", "net"),
    "mapping_Patch_Attention": ("scratch_hr", "net"),
    "SPADE": ("quality", "face_generator"),
}
# Relative to the largest value. The largest errors measured were 6e-6 for a single network, and
# 2.2e-5 for a mapping of features that were encoded here.
TOLERANCE = 2e-5
CHAINED_TOLERANCE = 1e-4


def load(name: str, folder: Path) -> Any:
    variant, role = ROWS[name]
    row = Catalog.load().find("old_photo_restore", variant, role)
    return load_official_file(rebuild(f"OldPhoto_{name}"), folder / f"{name}.pth", row)


def read_image(name: str, mode: str = "RGB") -> Tensor:
    """Read a golden image as 1xCxHxW in [0, 1]."""
    with Image.open(GOLDENS / f"OldPhoto_{name}.png") as file:
        pixels = np.array(file.convert(mode), ndmin=3)
    planes = pixels if mode == "L" else pixels.transpose(2, 0, 1)
    return torch.from_numpy(planes).float()[None] / 255


def read_golden(name: str) -> Tensor:
    return torch.from_numpy(np.load(GOLDENS / f"OldPhoto_{name}.npy"))


def error(output: Tensor, golden: str) -> float:
    return relative_error(output[0].numpy(), read_golden(golden).numpy())


@pytest.fixture(scope="module")
def photo() -> Tensor:
    return read_image("VAE_A/input") * 2 - 1


@pytest.fixture(scope="module")
def holes() -> Tensor:
    return (read_image("VAE_A/mask", "L") > 0).float()


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load("VAE_A", tmp_path_factory.mktemp("vae"))


@pytest.fixture(scope="module")
def scratched_features(encoder: Any, photo: Tensor, holes: Tensor) -> Tensor:
    """The features of the photo with white holes."""
    with torch.inference_mode():
        return encoder.encode(torch.where(holes > 0, 1.0, photo))


def test_scratch_detector(tmp_path: Path) -> None:
    net = load("detection", tmp_path)
    with torch.inference_mode():
        output = net(read_image("detection/input_gray", "L") * 2 - 1)
    assert error(output, "detection/output_logits") <= TOLERANCE


def test_encoder(encoder: Any, photo: Tensor) -> None:
    with torch.inference_mode():
        assert error(encoder.encode(photo), "VAE_A/enc_out") <= TOLERANCE


@pytest.mark.parametrize(
    ("output", "features"),
    [
        ("dec_of_quality", "mapping_quality/map_out"),
        ("dec_of_scratch", "mapping_scratch/map_out"),
        ("dec_of_patch", "mapping_Patch_Attention/map_out_inference"),
    ],
)
def test_decoder(tmp_path: Path, output: str, features: str) -> None:
    net = load("VAE_B", tmp_path)
    with torch.inference_mode():
        assert error(net.decode(read_golden(features)[None]), f"VAE_B/{output}") <= TOLERANCE


def test_mapping_without_scratches_ignores_the_holes(tmp_path: Path, holes: Tensor) -> None:
    net = load("mapping_quality", tmp_path)
    with torch.inference_mode():
        output = net(read_golden("VAE_A/enc_out")[None], holes)
    assert error(output, "mapping_quality/map_out") <= TOLERANCE


def test_mapping_with_scratches(tmp_path: Path, scratched_features: Tensor, holes: Tensor) -> None:
    net = load("mapping_scratch", tmp_path)
    with torch.inference_mode():
        output = net(scratched_features, holes)
        assert error(output, "mapping_scratch/map_out") <= CHAINED_TOLERANCE
        net.NL.chunk_bytes = 300_000  # 58 of the 1,280 positions at a time
        output = net(scratched_features, holes)
        assert error(output, "mapping_scratch/map_out") <= CHAINED_TOLERANCE


def test_mapping_with_scratches_by_patches(
    tmp_path: Path, scratched_features: Tensor, holes: Tensor
) -> None:
    net, name = load("mapping_Patch_Attention", tmp_path), "mapping_Patch_Attention"
    with torch.inference_mode():
        output = net(scratched_features, holes)
        assert error(output, f"{name}/map_out_inference") <= CHAINED_TOLERANCE
        output = net(scratched_features, torch.zeros_like(holes))
        assert error(output, f"{name}/map_out_inference_nomask") <= CHAINED_TOLERANCE


def test_face_network(tmp_path: Path) -> None:
    net = load("SPADE", tmp_path)
    assert not any(name.endswith("weight_orig") for name in net.state_dict())
    with torch.inference_mode():
        output = net(read_image("SPADE/input") * 2 - 1)
    assert error(output[..., ::2, ::2], "SPADE/output") <= TOLERANCE
