"""Every network of the manifest with example inputs, from its file or with recipe-made weights.

The time of a forward pass does not depend on the values of the weights. Recipe-made weights are an
architecture's own initial weights with a fixed seed, except that no parameter is left at zero: a
branch that adds nothing would hide its errors. The outputs of such networks are meaningless. Where
a network selects a code by the largest score (CodeFormer, RestoreFormer), a rounding error may
select another code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import SpectralNorm

from restore.errors import Code, RestoreError
from restore.models.adapters import adapter_for
from restore.models.adapters.base import Adapter, UnknownSizesError
from restore.models.catalog import Catalog, Checkpoint
from restore.models.loader import load_net
from restore.models.store import State, WeightStore
from restore.nets.local_pooling import use_local_pooling

SEED = 0
POWER_ITERATIONS = 15
MIN_PARAMETER = 1e-3

DEFAULT_SIDE_PX = 256
SIDES_PX: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "NAFNet": (256, 512),
        "LaMa": (512,),
        "retinaface_resnet50": (640,),
        "retinaface_mobile0.25": (640,),
    }
)
"""Sides at which an architecture is measured, if its row has no `input_px`."""

SAME_NETWORK: Mapping[str, str] = MappingProxyType(
    {
        "realesr-general-wdn-x4v3": "realesr-general-x4v3",
        "gfpgan-1.3": "gfpgan-1.4",
        "ddcolor-artistic": "ddcolor-modelscope",
        "oldphoto-vae-b-quality": "oldphoto-vae-a-quality",
        "oldphoto-vae-b-scratch": "oldphoto-vae-a-quality",
    }
)
"""Rows that differ from another row in their weights only: the other one is measured."""

_NAME = re.compile(r"(.+?)(?:@([1-9]\d{0,3})(?:x([1-9]\d?))?)?")


class MissingError(Exception):
    """A network can neither be loaded nor built here; the text says why."""


@dataclass(frozen=True)
class Network:
    """A network at one size and batch size."""

    row: Checkpoint
    side_px: int
    batch: int = 1

    @property
    def name(self) -> str:
        """The name that `networks` accepts: id@side or id@sidexbatch."""
        return f"{self.row.id}@{self.side_px}" + (f"x{self.batch}" if self.batch > 1 else "")


@dataclass(frozen=True)
class Ready:
    """A network that can be called.

    Attributes:
        module: takes `inputs` in their order; in eval mode, without gradients.
        inputs: one batch of each input.
        weights: `official`, `embedded` or `recipe`.
    """

    module: nn.Module
    inputs: tuple[Tensor, ...]
    weights: str


class AdapterCall(nn.Module):
    """A network as the pipelines call it, through its adapter."""

    def __init__(self, net: nn.Module, adapter: Adapter) -> None:
        super().__init__()
        self.net = net
        self.adapter = adapter

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.adapter.run(self.net, *inputs)


def networks(names: Sequence[str] = (), catalog: Catalog | None = None) -> list[Network]:
    """Return every network at each of its sizes, or those that are named.

    Args:
        names: `id` for all sizes, `id@side`, or `id@sidexbatch`; ids are those of manifest rows.
        catalog: the manifest; loaded by default.

    Raises:
        RestoreError: OPTION_INVALID for an unknown name.
    """
    rows = (catalog or Catalog.load()).rows
    measured_rows = {row.id: row for row in rows if row.id not in SAME_NETWORK}
    if not names:
        return [Network(row, side) for row in measured_rows.values() for side in _sides_px(row)]
    return [network for name in names for network in _named(name, measured_rows)]


def _named(name: str, rows: Mapping[str, Checkpoint]) -> list[Network]:
    match = _NAME.fullmatch(name)
    row = rows.get(match[1]) if match else None
    if match is None or row is None or not _accepts_side(row, match[2]):
        remedy = (
            f"It is the same network as {SAME_NETWORK[name]}."
            if name in SAME_NETWORK
            else f"Choose from {', '.join(sorted(rows))}."
        )
        raise RestoreError(Code.OPTION_INVALID, f"'{name}' is not measured", remedy)
    sides_px = (int(match[2]),) if match[2] else _sides_px(row)
    return [Network(row, side_px, int(match[3] or 1)) for side_px in sides_px]


def _accepts_side(row: Checkpoint, side: str | None) -> bool:
    return not row.input_px or not side or int(side) == row.input_px


def ready(network: Network, store: WeightStore | None = None) -> Ready:
    """Prepare a network on the CPU in float32: from its file, or with recipe-made weights.

    Raises:
        MissingError: there is no file, and the network cannot be built without it.
        RestoreError: any WEIGHTS_* code if the file does not match its row.
    """
    row = network.row
    net = from_file(row, store)
    weights = "recipe" if net is None else "embedded" if row.embedded else "official"
    return Ready(with_adapter(net or by_recipe(row), row), inputs_of(network), weights)


def from_file(row: Checkpoint, store: WeightStore | None = None) -> nn.Module | None:
    """Load a network from its file; None if there is no file.

    Raises:
        RestoreError: any WEIGHTS_* code if the file does not match its row.
    """
    store = store or WeightStore(Catalog.load(), offline=True)
    return None if store.status(row) is State.MISSING else load_net(store.locate(row).path, row)


def blank(row: Checkpoint) -> nn.Module:
    """Build a network on the meta device, for counting.

    Raises:
        MissingError: there is no file, and the network cannot be built without it.
    """
    try:
        with torch.device("meta"):
            return with_adapter(_created(row), row)
    except MissingError:
        net = from_file(row)
        if net is None:
            raise
        return with_adapter(net, row).to("meta")
    except (NotImplementedError, RuntimeError):
        # A constructor that computes with its tensors needs storage.
        with torch.no_grad():
            return with_adapter(_created(row), row).to("meta")


def by_recipe(row: Checkpoint) -> nn.Module:
    """Build a network with seeded weights.

    Raises:
        MissingError: the network cannot be built without its file.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(SEED)
        net = _created(row)
        for parameter in net.parameters():
            _randomize_zeros(parameter)
        _settle_spectral_norms(net)
    net = adapter_for(row.architecture).finish(net)
    net = use_local_pooling(net, row.local_pooling_px) if row.local_pooling_px else net
    return net.float().eval().requires_grad_(requires_grad=False)


def with_adapter(net: nn.Module, row: Checkpoint) -> nn.Module:
    """Wrap a network so that it is called through the adapter of its row."""
    return AdapterCall(net, adapter_for(row.architecture)).eval()


def inputs_of(network: Network) -> tuple[Tensor, ...]:
    """Return seeded random inputs of the network's size, channels and range."""
    generator = torch.Generator().manual_seed(SEED)
    adapter = adapter_for(network.row.architecture)
    return adapter.example_inputs(network.row, network.side_px, network.batch, generator)


def _sides_px(row: Checkpoint) -> tuple[int, ...]:
    return (row.input_px,) if row.input_px else SIDES_PX.get(row.architecture, (DEFAULT_SIDE_PX,))


def _created(row: Checkpoint) -> nn.Module:
    try:
        return adapter_for(row.architecture).create(row)
    except UnknownSizesError as error:
        raise MissingError(str(error)) from error


def _randomize_zeros(parameter: nn.Parameter) -> None:
    """Draw a parameter that starts at zero or near zero, as the layer scales of ConvNeXt do."""
    if parameter.numel() and float(parameter.abs().max()) < MIN_PARAMETER:
        fan_in = parameter.numel() // parameter.shape[0] if parameter.dim() > 1 else 100
        parameter.normal_(std=fan_in**-0.5)


def _settle_spectral_norms(net: nn.Module) -> None:
    """Iterate every spectral norm to convergence.

    Its vectors start at random. Divided by a norm that is far too small, activations explode.
    """
    for module in net.modules():
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm):
                for _ in range(POWER_ITERATIONS):
                    hook.compute_weight(module, do_power_iteration=True)
