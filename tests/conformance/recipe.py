"""Rebuilds the checkpoint of a golden, in the official form on disk, from the names and shapes of its tensors.

Each tensor is drawn from a generator of its own, numpy's frozen MT19937 stream seeded by "seed:name", so the official code, which
made the goldens from the very same checkpoints, is not needed here.
"""

import json
import warnings
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from spandrel.architectures.LaMa import LaMa

GOLDENS = Path(__file__).parent / "goldens"


class Form(NamedTuple):
    """How a checkpoint is made and kept: the seed of its tensors, the key of its file that holds them (none: the file is they)."""

    seed: int
    key: str | None


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
    "DDColor_large": Form(7, "params"),
    "DDColor_tiny": Form(7, "params"),
    "LaMa": Form(8, None),
    "OldPhoto_detection": Form(9, "model_state"),
    "OldPhoto_VAE_A": Form(10, None),
    "OldPhoto_VAE_B": Form(11, None),
    "OldPhoto_mapping_quality": Form(12, None),
    "OldPhoto_mapping_scratch": Form(13, None),
    "OldPhoto_mapping_Patch_Attention": Form(14, None),
    "OldPhoto_SPADE": Form(15, None),
    "pipe_RealESRGANer_x4": Form(21, "params"),
    "pipe_RealESRGANer_x2": Form(22, "params_ema"),
}


def rebuild(name: str, manifest_path: Path | None = None) -> dict[str, Any]:
    """The checkpoint of a golden, as torch.save writes it to the official file.

    Args:
        name: one of FORMS.
        manifest_path: where its tensors are listed; goldens/<name>/manifest.json without.
    """
    form = FORMS[name]
    manifest = json.loads((manifest_path or GOLDENS / name / "manifest.json").read_text())
    state = state_from_manifest(manifest, form.seed)
    return {form.key: state} if form.key else state


def write_lama_program(path: Path) -> None:
    """Writes LaMa's checkpoint as the official `to_jit.py` does: a traced program of (image, mask) -> filled image."""
    net = LaMa(in_nc=4, out_nc=3)
    net.load_state_dict(
        {
            f"model.{key.removeprefix('generator.')}": value
            for key, value in rebuild("LaMa").items()
        },
        strict=True,
    )
    # In another size than the golden's: a program is to take every size.
    example = torch.rand(1, 3, 64, 72), torch.rand(1, 1, 64, 72).round()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        torch.jit.save(torch.jit.trace(net.eval(), example, check_trace=False), path)


def state_from_manifest(manifest: list[dict], seed: int) -> dict[str, torch.Tensor]:
    """A state dict by its manifest: a row a tensor, of name `k`, shape `s`, distribution `t` and spread `g`."""
    state = {
        row["k"]: torch.from_numpy(_drawn(row, seed))
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


def _drawn(row: dict, seed: int) -> np.ndarray:
    values = _generator(row, seed).standard_normal(tuple(row["s"]))
    match row["t"]:
        case "w" | "n":  # weights by their fan-in, and everything else; `o` is an offset
            drawn = row["g"] * values + row.get("o", 0.0)
        case "norm":
            drawn = 1.0 + row["g"] * values
        case "prelu":
            drawn = 0.25 + 0.05 * values
        case "mean":
            drawn = 0.1 * values
        case "var":
            drawn = 0.8 + 0.4 * _generator(row, seed).random_sample(tuple(row["s"]))
        case "filt":  # a blur that every channel of the old photos' scratch detector has of its own
            drawn = np.broadcast_to(np.outer([1, 2, 1], [1, 2, 1]) / 16, row["s"])
        case "keep":  # what is no weight but a fact, written out
            drawn = np.asarray(row["x"], np.float64).reshape(row["s"])
        case "zero":
            return np.zeros(row["s"], np.int64)
        case other:
            raise ValueError(f"{row['k']}: unknown distribution '{other}'")
    return drawn.astype(np.float32)


def _generator(row: dict, seed: int) -> np.random.RandomState:
    return np.random.RandomState(zlib.crc32(f"{seed}:{row['k']}".encode()) & 0x7FFFFFFF)


def _singular_vectors(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The vectors of a spectral norm, as far as thirty steps of power iteration from a constant vector lead."""
    matrix = weight.double().flatten(1)
    v = torch.full((matrix.shape[1],), matrix.shape[1] ** -0.5, dtype=torch.float64)
    for _ in range(30):
        u = matrix @ v
        u /= u.norm()
        v = matrix.mT @ u
        v /= v.norm()
    return u.float(), v.float()
