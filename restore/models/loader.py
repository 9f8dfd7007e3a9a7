"""Loads verified checkpoint files: builds the network and moves it to its device."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from restore.errors import Code, RestoreError
from restore.models import checkpoint_file
from restore.models.adapters import AdapterT, adapter_for, adapter_of_kind, detect_adapter
from restore.models.adapters.base import Adapter
from restore.models.catalog import NET, Checkpoint
from restore.models.empty_nets import without_storage
from restore.models.policy import Resolved
from restore.models.precision import FLOAT32, PrecisionName
from restore.models.verified_file import VerifiedFile, unreadable
from restore.nets.local_pooling import use_local_pooling

_LOAD_ERRORS = (
    pickle.UnpicklingError,
    RuntimeError,
    ValueError,
    KeyError,
)


@dataclass(frozen=True)
class Model:
    """A loaded network.

    Attributes:
        row: manifest row of the checkpoint.
        variant: the variant in use; that of an embedded network when it is the fallback.
        net: the network in eval mode, without gradients, on its device.
        partners: partner networks by role, such as `denoise_partner` or `parser`.
        partner_rows: manifest rows of the partners by role.
        weights: file name, sha256 and licence of each checkpoint, for the report; `source` if it is
            a copy from the package index.
        compiled_shapes: input shapes for which an optimized copy is compiled or recorded.
        files: path of each checkpoint by role, NET for that of the network.
        precisions: precision of each network by role; float32 where it is absent.
    """

    row: Checkpoint
    variant: str
    net: nn.Module
    partners: Mapping[str, nn.Module] = field(default_factory=dict)
    partner_rows: Mapping[str, Checkpoint] = field(default_factory=dict)
    weights: tuple[dict[str, object], ...] = ()
    compiled_shapes: frozenset[tuple[int, ...]] = frozenset()
    files: Mapping[str, Path] = field(default_factory=dict)
    precisions: Mapping[str, PrecisionName] = field(default_factory=dict)

    @property
    def rows(self) -> Mapping[str, Checkpoint]:
        """The manifest rows of all networks by role, NET for that of the network."""
        return {NET: self.row, **self.partner_rows}

    def precision_of(self, role: str = NET) -> PrecisionName:
        """Return the precision in which a network computes."""
        return self.precisions.get(role, FLOAT32)

    @property
    def adapter(self) -> Adapter:
        """The adapter of the network."""
        return adapter_for(self.row.architecture)

    def adapter_of_kind(self, kind: type[AdapterT]) -> AdapterT:
        """Return the adapter of the network, which must be of one kind, such as FaceAdapter.

        Raises:
            ValueError: the network is of another kind.
        """
        return adapter_of_kind(self.row.architecture, kind)


def load_model(resolved: Resolved, device: torch.device) -> Model:
    """Load the checkpoints of a variant onto a device.

    Raises:
        RestoreError: WEIGHTS_UNSUPPORTED when a file does not contain the network of its row.
    """
    net = load_net(resolved.net.path, resolved.net.row).to(device)
    partners = {
        role: load_net(partner.path, partner.row).to(device)
        for role, partner in resolved.partners.items()
    }
    files = (resolved.net, *resolved.partners.values())
    weights = tuple(_weights_facts(file) for file in files)
    rows = {role: partner.row for role, partner in resolved.partners.items()}
    paths = {role: partner.path for role, partner in resolved.partners.items()}
    return Model(
        resolved.net.row,
        resolved.variant,
        net,
        partners,
        rows,
        weights,
        files={NET: resolved.net.path, **paths},
    )


def _weights_facts(file: VerifiedFile) -> dict[str, object]:
    facts: dict[str, object] = {
        "file": file.path.name,
        "sha256": file.sha256,
        "licence": file.row.licence,
    }
    return facts | ({"source": file.source} if file.source else {})


def load_net(path: Path, row: Checkpoint | None = None) -> nn.Module:
    """Load a checkpoint file into its network: float32, eval mode, no gradients, on the CPU.

    Args:
        path: a .pth, .pt or .safetensors file.
        row: its manifest row. Without a row the keys of the file decide; that works for every
            architecture in spandrel's main registry and for LiteFace.

    Raises:
        RestoreError: WEIGHTS_UNSUPPORTED when the file is damaged, its architecture is unknown or
            its tensors do not fit; WEIGHTS_MISSING when it cannot be read.
    """
    try:
        net = _load_without_row(path) if row is None else adapter_for(row.architecture).load(path)
    except OSError as error:
        raise unreadable(path, error) from error
    except _LOAD_ERRORS as error:
        reason = (
            f"'{path.name}' does not contain a network that this project can load "
            f"({type(error).__name__}: {str(error)[:160]})"
        )
        raise RestoreError(
            Code.WEIGHTS_UNSUPPORTED, reason, "Use the file that the manifest names."
        ) from error
    if row is not None and row.local_pooling_px:
        net = use_local_pooling(net, row.local_pooling_px)
    for parameter in net.parameters():  # TorchScript programs do not support `requires_grad_`
        parameter.requires_grad = False
    return net.eval()


def _load_without_row(path: Path) -> nn.Module:
    state = checkpoint_file.read_state(path)
    adapter = detect_adapter(state)
    return without_storage(lambda: adapter.from_state(state)).float()
