"""Verified file -> ready module on a device: architectures and hyper-parameters come from spandrel and the checkpoint's keys.

What spandrel does not know is built by the name that its row gives: CodeFormer and its like by spandrel_extra_arches, all others
by `architectures`. Weights are mapped into memory and assigned to the module rather than copied, so a loaded network costs its
file's size once.
"""

from __future__ import annotations

import functools
import pickle
import threading
import warnings
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

from restore.errors import Code, RestoreError
from restore.models import architectures
from restore.models.catalog import Checkpoint
from restore.models.store import Resolved
from restore.nets.lite.face import is_lite_face
from restore.nets.local_pooling import use_local_pooling

_assigning = threading.Lock()

StateDict = dict[str, Tensor]

EXTRA = ("CodeFormer", "DDColor")
"""Architectures of spandrel_extra_arches, which is imported for a row that names one of them and for nothing else."""

SCRIPTED = ("LaMa",)
"""Architectures whose file is a TorchScript program, network and weights in one."""


@dataclass(frozen=True)
class Model:
    """A network that is ready to run.

    Attributes:
        row: the catalog's facts about its checkpoint.
        variant: the variant that is really in use (an embedded one where that stands in for another).
        net: the module, in eval mode, without gradients, on its device.
        partners: the networks of partner checkpoints by role, as ready as `net` (general_x4v3's `denoise_partner`, a `parser`).
        partner_rows: the catalog's facts about theirs, by role.
        weights: file name, sha256 and licence of each checkpoint, as reported.
        compiled_shapes: of the input, that an optimized copy is compiled for.
    """

    row: Checkpoint
    variant: str
    net: nn.Module
    partners: Mapping[str, nn.Module] = field(default_factory=dict)
    partner_rows: Mapping[str, Checkpoint] = field(default_factory=dict)
    weights: tuple[dict[str, object], ...] = ()
    compiled_shapes: frozenset[tuple[int, ...]] = frozenset()


def load_model(resolved: Resolved, device: torch.device) -> Model:
    """Loads a resolved checkpoint and its partners onto `device`.

    Raises:
        RestoreError: WEIGHTS_UNSUPPORTED when a file does not hold the network that its row names.
    """
    net = load_net(resolved.net.path, resolved.net.row).to(device)
    partners = {
        role: load_net(partner.path, partner.row).to(device)
        for role, partner in resolved.partners.items()
    }
    files = (resolved.net, *resolved.partners.values())
    facts: tuple[dict[str, object], ...] = tuple(
        {"file": f.path.name, "sha256": f.sha256, "licence": f.row.licence} for f in files
    )
    rows = {role: partner.row for role, partner in resolved.partners.items()}
    return Model(resolved.net.row, resolved.variant, net, partners, rows, facts)


def load_net(path: Path, row: Checkpoint | None = None) -> nn.Module:
    """Reads a checkpoint (.pth, .pt or .safetensors) into its network: float32, eval, no gradients, on the CPU.

    Args:
        path: the file.
        row: what the catalog says of it: its architecture, and the size of local averages. Without a row the keys alone decide,
            which does for all that spandrel itself knows and for LiteFace.

    Raises:
        RestoreError: WEIGHTS_UNSUPPORTED when the file cannot be read, its network is unknown or its tensors do not fit.
    """
    try:
        if row is not None and row.architecture in SCRIPTED:
            return _scripted(path)
        state = read_state(path)
        net = _build(state, row.architecture if row else None)
    except (
        spandrel.UnsupportedModelError,
        pickle.UnpicklingError,
        RuntimeError,
        ValueError,
        KeyError,
        OSError,
    ) as error:
        reason = f"'{path.name}' holds no network this project can load ({type(error).__name__}: {str(error)[:160]})"
        raise RestoreError(
            Code.WEIGHTS_UNSUPPORTED, reason, "Fetch the file named in the manifest."
        ) from error
    if row is not None and row.local_pooling_px:
        net = use_local_pooling(net, row.local_pooling_px)
    return net.eval().requires_grad_(requires_grad=False)


def read_state(path: Path) -> StateDict:
    """The bare state dict of a checkpoint, its tensors mapped from the file where the format allows; never runs code from it.

    Raises:
        ValueError: the file holds something else than a dictionary.
    """
    if path.suffix == ".safetensors":
        loaded: Any = load_file(path)
    else:
        # Checkpoints from before torch 1.6 are no zip files and cannot be mapped.
        loaded = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    if not isinstance(loaded, dict):
        raise ValueError(f"no state dict but a {type(loaded).__name__}")  # noqa: TRY004 - about the file, not about an argument
    # The old photos' scratch detector was saved with all that its training needed, under a key that spandrel does not know.
    if isinstance(loaded.get("model_state"), dict):
        loaded = loaded["model_state"]
    state: StateDict = spandrel.canonicalize_state_dict(loaded)
    return state


def _scripted(path: Path) -> nn.Module:
    """The network of a TorchScript file. Raises RuntimeError or ValueError where it is none."""
    with warnings.catch_warnings():
        # torch 2.11 advises against TorchScript; the official file is nothing else.
        warnings.filterwarnings(
            "ignore", message="`torch.jit.load` is deprecated", category=DeprecationWarning
        )
        net: nn.Module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    for parameter in net.parameters():  # a program refuses `requires_grad_` for itself
        parameter.requires_grad = False
    return net.float().eval()


def interpolated(
    first: Mapping[str, Tensor], second: Mapping[str, Tensor], share: float
) -> StateDict:
    """Deep network interpolation: share * first + (1 - share) * second, tensor by tensor (Wang et al., CVPR 2019)."""
    return {key: share * value + (1.0 - share) * second[key] for key, value in first.items()}


def _build(state: StateDict, architecture: str | None) -> nn.Module:
    """The network of a state dict; built without storage of its own where its constructor allows that."""
    if architecture is None and is_lite_face(state):
        architecture = architectures.LITE_FACE
    build = functools.partial(_build_assigned, state, architecture)
    try:
        with torch.device("meta"):
            net = build()
        if not any(tensor.is_meta for tensor in (*net.parameters(), *net.buffers())):
            return net.float()
    except (NotImplementedError, RuntimeError):
        # A constructor that computes with its tensors cannot run without storage: build it for real below.
        pass
    return build().float()


def _build_assigned(state: StateDict, architecture: str | None) -> nn.Module:
    if architecture is not None and architecture in architectures.BUILDERS:
        return architectures.build(architecture, state)
    loader = spandrel.ModelLoader(
        registry=_extra_registry() if architecture in EXTRA else spandrel.MAIN_REGISTRY
    )
    with _loading_by_assignment():
        known: nn.Module = loader.load_from_state_dict(state).model
        return known


@functools.cache
def _extra_registry() -> spandrel.ArchRegistry:
    """The architectures of spandrel_extra_arches, in a registry of their own: spandrel's main one belongs to the process."""
    with warnings.catch_warnings():
        # The package scripts one function when it is imported; torch 2.11 advises against that, and we have no say in it.
        warnings.filterwarnings(
            "ignore", message="`torch.jit.script` is deprecated", category=DeprecationWarning
        )
        from spandrel_extra_arches import EXTRA_REGISTRY  # noqa: PLC0415 - only for a row that needs it
    return EXTRA_REGISTRY


@contextmanager
def _loading_by_assignment() -> Iterator[None]:
    """spandrel calls `load_state_dict(state)`, which copies; there is no argument of its own to make it assign."""
    original = nn.Module.load_state_dict

    def load(
        self: nn.Module, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = True
    ) -> object:
        return original(self, state_dict, strict=strict, assign=assign)

    with _assigning, mock.patch.object(nn.Module, "load_state_dict", load):
        yield
