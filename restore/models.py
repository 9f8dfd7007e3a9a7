"""Verified file -> ready module on a device: architectures and hyper-parameters come from spandrel and the checkpoint's keys.

Weights are mapped into memory and assigned to the module rather than copied, so a loaded network costs its file's size once.
"""

from __future__ import annotations

import pickle
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import spandrel
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from restore.catalog import Checkpoint
from restore.errors import Code, RestoreError
from restore.nets.local_pooling import use_local_pooling
from restore.weights import Resolved

_assigning = threading.Lock()

StateDict = dict[str, Tensor]


@dataclass(frozen=True)
class Model:
    """A network that is ready to run.

    Attributes:
        row: the catalog's facts about its checkpoint.
        variant: the variant that is really in use (`lite` where it stands in for another).
        net: the module, in eval mode, without gradients, on its device.
        partners: parameters of partner checkpoints by role, on the same device (general_x4v3's `denoise_partner`).
        weights: file name, sha256 and licence of each checkpoint, as reported.
    """

    row: Checkpoint
    variant: str
    net: nn.Module
    partners: Mapping[str, StateDict] = field(default_factory=dict)
    weights: tuple[dict[str, object], ...] = ()


def load_model(resolved: Resolved, device: torch.device) -> Model:
    """Loads a resolved checkpoint and its partners onto `device`.

    Raises:
        RestoreError: WEIGHTS_UNSUPPORTED when the file holds no network that spandrel knows.
    """
    row = resolved.net.row
    net = load_net(resolved.net.path, row.local_pooling_px).to(device)
    partners = {}
    for role, partner in resolved.partners.items():
        state = load_net(partner.path).state_dict()
        partners[role] = {key: value.to(device) for key, value in state.items()}
    files = (resolved.net, *resolved.partners.values())
    facts: tuple[dict[str, object], ...] = tuple({"file": f.path.name, "sha256": f.sha256, "licence": f.row.licence} for f in files)
    return Model(row, resolved.variant, net, partners, facts)


def load_net(path: Path, local_pooling_px: int | None = None) -> nn.Module:
    """Reads a checkpoint (.pth, .pt or .safetensors) into its network: float32, eval, no gradients, on the CPU.

    Args:
        path: the file.
        local_pooling_px: where given, global averages become box means of this size (NAFNet's official test configuration).

    Raises:
        RestoreError: WEIGHTS_UNSUPPORTED when the file cannot be read or its network is unknown.
    """
    try:
        state = read_state(path)
        net = _build(state)
    except (spandrel.UnsupportedModelError, pickle.UnpicklingError, RuntimeError, ValueError, KeyError, OSError) as error:
        reason = f"'{path.name}' holds no network this project can load ({type(error).__name__}: {str(error)[:160]})"
        raise RestoreError(Code.WEIGHTS_UNSUPPORTED, reason, "Fetch the file named in the manifest.") from error
    if local_pooling_px:
        net = use_local_pooling(net, local_pooling_px)
    return net.eval().requires_grad_(requires_grad=False)


def read_state(path: Path) -> StateDict:
    """The bare state dict of a checkpoint, its tensors mapped from the file where the format allows; never runs code from it."""
    if path.suffix == ".safetensors":
        loaded: Any = load_file(path)
    else:
        # Checkpoints from before torch 1.6 are no zip files and cannot be mapped.
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    state: StateDict = spandrel.canonicalize_state_dict(loaded)
    return state


def interpolated(first: Mapping[str, Tensor], second: Mapping[str, Tensor], share: float) -> StateDict:
    """Deep network interpolation: share * first + (1 - share) * second, tensor by tensor (Wang et al., CVPR 2019)."""
    return {key: share * value + (1.0 - share) * second[key] for key, value in first.items()}


def _build(state: StateDict) -> nn.Module:
    """The network of a state dict; built without storage of its own where its constructor allows that."""
    try:
        with torch.device("meta"):
            net = _build_assigned(state)
        if not any(tensor.is_meta for tensor in (*net.parameters(), *net.buffers())):
            return net.float()
    except (NotImplementedError, RuntimeError):
        # A constructor that computes with its tensors cannot run without storage: build it for real below.
        pass
    return _build_assigned(state).float()


def _build_assigned(state: StateDict) -> nn.Module:
    with _loading_by_assignment():
        descriptor = spandrel.ModelLoader().load_from_state_dict(state)
    net: nn.Module = descriptor.model
    return net


@contextmanager
def _loading_by_assignment() -> Iterator[None]:
    """spandrel calls `load_state_dict(state)`, which copies; there is no argument of its own to make it assign."""
    original = nn.Module.load_state_dict

    def load(self: nn.Module, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = True) -> object:
        return original(self, state_dict, strict=strict, assign=assign)

    with _assigning, mock.patch.object(nn.Module, "load_state_dict", load):
        yield
