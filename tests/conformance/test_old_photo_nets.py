"""The old-photo networks against the official code's raw outputs, from checkpoints in the official form, loaded by their rows.

Encoder -> mapping -> decoder is compared network by network. Rounding grows along the chain: the official photo of the scratched
case is itself 1.9e-4 of the largest value from what float64 gives (ours 1.0e-4), so the whole chain would say less than its parts.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from recipe import GOLDENS, rebuild
from torch import Tensor

from restore.models.catalog import Catalog
from restore.models.loader import load_net

ROWS = {
    "detection": ("scratch", "scratch_detector"),
    "VAE_A": ("quality", "vae_a"),
    "VAE_B": ("quality", "vae_b"),
    "mapping_quality": ("quality", "net"),
    "mapping_scratch": ("scratch", "net"),
    "mapping_Patch_Attention": ("scratch_hr", "net"),
    "SPADE": ("quality", "face_generator"),
}
# Of the largest value: 6e-6 was seen at most for a network alone, 2.2e-5 for a mapping of features that were encoded here.
TOLERANCE = 2e-5
CHAINED_TOLERANCE = 1e-4

Load = Callable[[str], torch.nn.Module]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Beside other work on the same cores, threads that wait for each other took forty times as long as one alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def loaded(name: str, folder: Path) -> torch.nn.Module:
    path = folder / f"{name}.pth"
    torch.save(rebuild(f"OldPhoto_{name}"), path)
    net = load_net(path, Catalog.load().find("old_photo_restore", *ROWS[name]))
    path.unlink()  # up to 370 MB, which pytest would keep for three runs; the mapping stays
    return net


def image(name: str, mode: str = "RGB") -> Tensor:
    """1,C,H,W in [0, 1]."""
    with Image.open(GOLDENS / f"OldPhoto_{name}.png") as file:
        pixels = np.array(file.convert(mode), ndmin=3)
    return (
        torch.from_numpy(pixels if mode == "L" else pixels.transpose(2, 0, 1)).float()[None] / 255
    )


def golden(name: str) -> Tensor:
    return torch.from_numpy(np.load(GOLDENS / f"OldPhoto_{name}.npy"))


def error(output: Tensor, expected: Tensor) -> float:
    """The largest difference, of the largest value."""
    assert output[0].shape == expected.shape
    return float((output[0] - expected).abs().max() / expected.abs().max())


@pytest.fixture(scope="module")
def photo() -> Tensor:
    return image("VAE_A/input") * 2 - 1


@pytest.fixture(scope="module")
def holes() -> Tensor:
    return (image("VAE_A/mask", "L") > 0).float()


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> torch.nn.Module:
    return loaded("VAE_A", tmp_path_factory.mktemp("vae"))


@pytest.fixture(scope="module")
def scratched(encoder, photo, holes) -> Tensor:
    """The features of the photo with its holes painted white."""
    with torch.inference_mode():
        return encoder.encode(torch.where(holes > 0, 1.0, photo))


def test_scratch_detector(tmp_path):
    net = loaded("detection", tmp_path)
    with torch.inference_mode():
        assert (
            error(
                net(image("detection/input_gray", "L") * 2 - 1), golden("detection/output_logits")
            )
            <= TOLERANCE
        )


def test_encoder(encoder, photo):
    with torch.inference_mode():
        assert error(encoder.encode(photo), golden("VAE_A/enc_out")) <= TOLERANCE


@pytest.mark.parametrize(
    ("output", "features"),
    [
        ("dec_of_quality", "mapping_quality/map_out"),
        ("dec_of_scratch", "mapping_scratch/map_out"),
        ("dec_of_patch", "mapping_Patch_Attention/map_out_inference"),
    ],
)
def test_decoder(tmp_path, output, features):
    with torch.inference_mode():
        assert (
            error(
                loaded("VAE_B", tmp_path).decode(golden(features)[None]), golden(f"VAE_B/{output}")
            )
            <= TOLERANCE
        )


def test_mapping_without_scratches(tmp_path, holes):
    """From the golden features; the holes that come with them have no say."""
    net = loaded("mapping_quality", tmp_path)
    with torch.inference_mode():
        assert (
            error(net(golden("VAE_A/enc_out")[None], holes), golden("mapping_quality/map_out"))
            <= TOLERANCE
        )


def test_mapping_with_scratches(tmp_path, scratched, holes):
    net = loaded("mapping_scratch", tmp_path)
    expected = golden("mapping_scratch/map_out")
    with torch.inference_mode():
        assert error(net(scratched, holes), expected) <= CHAINED_TOLERANCE
        net.NL.max_chunk_bytes = 300_000  # 58 of the 1,280 positions at a time
        assert error(net(scratched, holes), expected) <= CHAINED_TOLERANCE


def test_mapping_with_scratches_by_patches(tmp_path, scratched, holes):
    net = loaded("mapping_Patch_Attention", tmp_path)
    with torch.inference_mode():
        assert (
            error(net(scratched, holes), golden("mapping_Patch_Attention/map_out_inference"))
            <= CHAINED_TOLERANCE
        )
        none = torch.zeros_like(holes)
        assert (
            error(net(scratched, none), golden("mapping_Patch_Attention/map_out_inference_nomask"))
            <= CHAINED_TOLERANCE
        )


def test_face_network(tmp_path):
    net = loaded("SPADE", tmp_path)
    assert not any(name.endswith("weight_orig") for name in net.state_dict())
    with torch.inference_mode():
        output = net(image("SPADE/input") * 2 - 1)
    assert error(output[..., ::2, ::2], golden("SPADE/output")) <= TOLERANCE
