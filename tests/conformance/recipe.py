"""Rebuilds the checkpoint of a golden, in the official form on disk, from the names and shapes of its tensors.

Each tensor is drawn from a generator of its own, numpy's frozen MT19937 stream seeded by "seed:name", so the official code, which
made the goldens from the very same checkpoints, is not needed here.
"""

import json
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

GOLDENS = Path(__file__).parent / "goldens"


class Form(NamedTuple):
    """How a checkpoint is made and kept: the seed of its tensors, the key of its file that holds them."""

    seed: int
    key: str


FORMS = {
    "RealESRGAN_x4plus": Form(1, "params_ema"),
    "RealESRGAN_x4plus_anime_6B": Form(1, "params_ema"),
    "RealESRGAN_x2plus": Form(1, "params_ema"),
    "realesr_general_x4v3": Form(1, "params"),
    "realesr_animevideov3": Form(1, "params"),
    "NAFNet_SIDD": Form(6, "params"),
    "NAFNet_GoPro": Form(6, "params"),
    "CodeFormer": Form(108, "params_ema"),
    "GFPGAN": Form(3, "params_ema"),
    "RestoreFormer": Form(4, "params"),
    "pipe_RealESRGANer_x4": Form(21, "params"),
    "pipe_RealESRGANer_x2": Form(22, "params_ema"),
}


def rebuild(name: str, manifest_path: Path | None = None) -> dict[str, dict[str, torch.Tensor]]:
    """The checkpoint of a golden, as torch.save writes it to the official file.

    Args:
        name: one of FORMS.
        manifest_path: where its tensors are listed; goldens/<name>/manifest.json without.
    """
    form = FORMS[name]
    manifest = json.loads((manifest_path or GOLDENS / name / "manifest.json").read_text())
    return {form.key: state_from_manifest(manifest, form.seed)}


def state_from_manifest(manifest: list[dict], seed: int) -> dict[str, torch.Tensor]:
    """A state dict by its manifest: a row a tensor, of name `k`, shape `s`, distribution `t` and spread `g`."""
    return {row["k"]: torch.from_numpy(_drawn(row, seed)) for row in manifest}


def _drawn(row: dict, seed: int) -> np.ndarray:
    generator = np.random.RandomState(zlib.crc32(f"{seed}:{row['k']}".encode()) & 0x7FFFFFFF)
    values = generator.standard_normal(tuple(row["s"]))
    match row["t"]:
        case "w" | "n":  # weights by their fan-in, and everything else; `o` is an offset
            drawn = row["g"] * values + row.get("o", 0.0)
        case "norm":
            drawn = 1.0 + row["g"] * values
        case "prelu":
            drawn = 0.25 + 0.05 * values
        case other:
            raise ValueError(f"{row['k']}: unknown distribution '{other}'")
    return drawn.astype(np.float32)
