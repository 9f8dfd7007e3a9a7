"""Random checkpoints of the goldens, in the official file format.

The goldens were made by the official code with the same checkpoints. A manifest lists name, shape
and distribution of each tensor. A tensor is drawn from numpy's MT19937 stream, whose output is
fixed, seeded by "seed:name". So the official code is not needed here.
"""

import json
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from spandrel.architectures.LaMa import LaMa

from restore.models.catalog import Checkpoint
from restore.models.loader import load_net

GOLDENS = Path(__file__).parent / "goldens"


class CheckpointFormat(NamedTuple):
    """The format of a checkpoint.

    Attributes:
        seed: seed of its tensors.
        key: key of the file under which the state dict is; None if the file is the state dict.
    """

    seed: int
    key: str | None


FORMATS = {
    "RealESRGAN_x4plus": CheckpointFormat(1, "params_ema"),
    "RealESRGAN_x4plus_anime_6B": CheckpointFormat(1, "params_ema"),
    "RealESRGAN_x2plus": CheckpointFormat(1, "params_ema"),
    "realesr_general_x4v3": CheckpointFormat(1, "params"),
    "realesr_animevideov3": CheckpointFormat(1, "params"),
    "NAFNet_SIDD": CheckpointFormat(6, "params"),
    "NAFNet_GoPro": CheckpointFormat(6, "params"),
    "CodeFormer": CheckpointFormat(108, "params_ema"),
    "GFPGAN": CheckpointFormat(3, "params_ema"),
    "RestoreFormer": CheckpointFormat(4, "params"),
    "DDColor_large": CheckpointFormat(7, "params"),
    "DDColor_tiny": CheckpointFormat(7, "params"),
    "LaMa": CheckpointFormat(8, None),
    "OldPhoto_detection": CheckpointFormat(9, "model_state"),
    "OldPhoto_VAE_A": CheckpointFormat(10, None),
    "OldPhoto_VAE_B": CheckpointFormat(11, None),
    "OldPhoto_mapping_quality": CheckpointFormat(12, None),
    "OldPhoto_mapping_scratch": CheckpointFormat(13, None),
    "OldPhoto_mapping_Patch_Attention": CheckpointFormat(14, None),
    "OldPhoto_SPADE": CheckpointFormat(15, None),
    "pipe_RealESRGANer_x4": CheckpointFormat(21, "params"),
    "pipe_RealESRGANer_x2": CheckpointFormat(22, "params_ema"),
}


def rebuild(name: str, manifest_path: Path | None = None) -> dict[str, Any]:
    """Return the checkpoint of a golden, as torch.save writes it to the official file.

    Args:
        name: one of FORMATS.
        manifest_path: the list of its tensors; defaults to goldens/<name>/manifest.json.
    """
    file_format = FORMATS[name]
    manifest = json.loads((manifest_path or GOLDENS / name / "manifest.json").read_text())
    state = state_from_manifest(manifest, file_format.seed)
    return {file_format.key: state} if file_format.key else state


def load_official_file(
    checkpoint: dict[str, Any], path: Path, row: Checkpoint | None
) -> torch.nn.Module:
    """Save a checkpoint as the official file, load it as the product does, and delete the file."""
    torch.save(checkpoint, path)
    net = load_net(path, row)
    path.unlink()  # up to 870 MB, which pytest would keep; the mapped file stays readable
    return net


def read_rgb(path: Path) -> np.ndarray:
    """Read an image as HxWx3 uint8."""
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def relative_error(output: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference as a fraction of the largest expected value."""
    assert output.shape == expected.shape
    return float(np.abs(output - expected).max() / np.abs(expected).max())


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Run torch on one thread: on busy cores, several threads were up to forty times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write_lama_program(path: Path) -> None:
    """Write LaMa's checkpoint as the official `to_jit.py` does: a traced (image, mask) -> image."""
    net = LaMa(in_nc=4, out_nc=3)
    net.load_state_dict(
        {
            f"model.{key.removeprefix('generator.')}": value
            for key, value in rebuild("LaMa").items()
        },
        strict=True,
    )
    # Of another size than the golden, because the program must accept every size.
    example = torch.rand(1, 3, 64, 72), torch.rand(1, 1, 64, 72).round()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        torch.jit.save(torch.jit.trace(net.eval(), example, check_trace=False), path)


def state_from_manifest(manifest: list[dict[str, Any]], seed: int) -> dict[str, torch.Tensor]:
    """Return the state dict of a manifest.

    Args:
        manifest: one row per tensor with name `k`, shape `s`, distribution `t` and spread `g`.
        seed: seed of the tensors.
    """
    state = {
        row["k"]: torch.from_numpy(_draw(row, seed))
        for row in manifest
        if not row["t"].startswith("spec")
    }
    for row in manifest:
        if row["t"] == "specu":
            stem = row["k"].removesuffix("_u")
            state |= dict(
                zip(
                    (f"{stem}_u", f"{stem}_v"),
                    _singular_vectors(state[f"{stem}_orig"]),
                    strict=True,
                )
            )
    return {row["k"]: state[row["k"]] for row in manifest}


def _draw(row: dict[str, Any], seed: int) -> np.ndarray:
    values = _generator(row, seed).standard_normal(tuple(row["s"]))
    match row["t"]:
        case "w" | "n":  # weights, scaled by fan-in, and biases; `o` is an offset
            values *= row["g"]  # in place: there are up to 228 million values
            values += row.get("o", 0.0)
            drawn = values
        case "norm":
            drawn = 1.0 + row["g"] * values
        case "prelu":
            drawn = 0.25 + 0.05 * values
        case "mean":
            drawn = 0.1 * values
        case "var":
            drawn = 0.8 + 0.4 * _generator(row, seed).random_sample(tuple(row["s"]))
        case "filt":  # a fixed blur kernel of the scratch detector
            drawn = np.broadcast_to(np.outer([1, 2, 1], [1, 2, 1]) / 16, row["s"])
        case "keep":  # constants, which the manifest contains
            drawn = np.asarray(row["x"], np.float64).reshape(row["s"])
        case "zero":
            return np.zeros(row["s"], np.int64)
        case other:
            raise ValueError(f"{row['k']}: unknown distribution '{other}'")
    return drawn.astype(np.float32)


def _generator(row: dict[str, Any], seed: int) -> np.random.RandomState:
    return np.random.RandomState(zlib.crc32(f"{seed}:{row['k']}".encode()) & 0x7FFFFFFF)


def _singular_vectors(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the vectors of a spectral norm after thirty steps of power iteration."""
    matrix = weight.double().flatten(1)
    v = torch.full((matrix.shape[1],), matrix.shape[1] ** -0.5, dtype=torch.float64)
    for _ in range(30):
        u = matrix @ v
        u /= u.norm()
        v = matrix.mT @ u
        v /= v.norm()
    return u.float(), v.float()
