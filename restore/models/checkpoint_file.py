"""Reads the state dict of a checkpoint file."""

from __future__ import annotations

import logging
import pickle
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from restore.models import inert_pickle
from restore.models.spandrel_parts import import_part

log = logging.getLogger(__name__)

StateDict = dict[str, Tensor]

_DAMAGED = (
    pickle.UnpicklingError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    TypeError,
    struct.error,
)
"""What torch.load raises for the pickle of a damaged file, beside RuntimeError and ValueError."""


def read_state(path: Path) -> StateDict:
    """Read the state dict of a checkpoint; code in the file is never executed.

    Tensors are memory-mapped from the file where the format allows it. What is not a tensor is
    left out.

    Args:
        path: a .pth, .pt or .safetensors file.

    Raises:
        ValueError: the file contains something other than a dictionary with tensors, or is damaged.
    """
    loaded = load_file(path) if path.suffix == ".safetensors" else _load_pickle(path)
    if not isinstance(loaded, dict):
        raise ValueError(  # noqa: TRY004 - the file is wrong, not the argument
            f"the file contains a {type(loaded).__name__}, not a state dict"
        )
    # The scratch detector for old photos was saved with its training state, under a key that
    # spandrel does not know.
    if isinstance(loaded.get("model_state"), dict):
        loaded = loaded["model_state"]
    loaded = {key: value for key, value in loaded.items() if isinstance(key, str)}
    canonicalize = import_part("spandrel.__helpers.canonicalize").canonicalize_state_dict
    found: dict[Any, Any] = canonicalize(loaded)
    state = {
        key: value
        for key, value in found.items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }
    if not state:
        raise ValueError("the file contains no tensors")
    return state


def _load_pickle(path: Path) -> object:
    """Load a file of torch.save, without the objects that are neither tensors nor containers.

    Raises:
        ValueError: the file is damaged, or cannot be read without executing its code.
    """
    # Checkpoints written before torch 1.6 are not zip files and cannot be memory-mapped.
    mmap = zipfile.is_zipfile(path)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            # The source of a saved module is not compared with that of its placeholder.
            warnings.simplefilter("ignore", torch.serialization.SourceChangeWarning)
            try:
                return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
            except pickle.UnpicklingError as error:
                log.debug("%s contains more than tensors: %s", path, error)
            # TorchScript archives and tar files, which torch reads by other means, do not get
            # here: for them, the call above raises other errors.
            return torch.load(
                path, map_location="cpu", weights_only=False, mmap=mmap, pickle_module=inert_pickle
            )
    except _DAMAGED as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"the file is damaged or contains no state dict ({reason})") from error


def interpolate_weights(
    first: Mapping[str, Tensor], second: Mapping[str, Tensor], weight: float
) -> StateDict:
    """Return weight * first + (1 - weight) * second for every tensor.

    This is deep network interpolation (Wang et al., CVPR 2019).
    """
    return {key: weight * value + (1.0 - weight) * second[key] for key, value in first.items()}
