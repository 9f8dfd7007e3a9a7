"""Reads the state dict of a checkpoint file."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from restore.models.spandrel_parts import import_part

StateDict = dict[str, Tensor]


def read_state(path: Path) -> StateDict:
    """Read the state dict of a checkpoint; code in the file is never executed.

    Tensors are memory-mapped from the file where the format allows it.

    Args:
        path: a .pth, .pt or .safetensors file.

    Raises:
        ValueError: the file contains something other than a dictionary.
    """
    if path.suffix == ".safetensors":
        loaded: Any = load_file(path)
    else:
        # Checkpoints written before torch 1.6 are not zip files and cannot be memory-mapped.
        loaded = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    if not isinstance(loaded, dict):
        raise ValueError(  # noqa: TRY004 - the file is wrong, not the argument
            f"the file contains a {type(loaded).__name__}, not a state dict"
        )
    # The scratch detector for old photos was saved with its training state, under a key that
    # spandrel does not know.
    if isinstance(loaded.get("model_state"), dict):
        loaded = loaded["model_state"]
    canonicalize = import_part("spandrel.__helpers.canonicalize").canonicalize_state_dict
    state: StateDict = canonicalize(loaded)
    return state


def interpolate_weights(
    first: Mapping[str, Tensor], second: Mapping[str, Tensor], weight: float
) -> StateDict:
    """Return weight * first + (1 - weight) * second for every tensor.

    This is deep network interpolation (Wang et al., CVPR 2019).
    """
    return {key: weight * value + (1.0 - weight) * second[key] for key, value in first.items()}
