"""Every network of the manifest at its natural size, from its file where that is here and with weights from a recipe where not.

The cost of a forward does not depend on what the weights are. A recipe's are an architecture's own initial ones under a fixed seed,
except that nothing is left at zero: a branch that adds nothing would hide its errors. What such networks compute means nothing, and
where one chooses a code by the largest score (CodeFormer, RestoreFormer) a rounding error may choose another.
"""

from __future__ import annotations

import functools
import importlib
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import SpectralNorm

from restore.errors import Code, RestoreError
from restore.faces.network_calls import raw_output
from restore.models.architectures import BUILDERS, FINISHERS
from restore.models.catalog import Catalog, Checkpoint
from restore.models.loader import load_net
from restore.models.store import State, WeightStore
from restore.nets.local_pooling import use_local_pooling
from restore.nets.old_photo.vae import FEATURE_STRIDE

SEED = 0
POWER_ITERATIONS = 15

SIDES_PX: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "NAFNet": (256, 512),
        "LaMa": (512,),
        "retinaface_resnet50": (640,),
        "retinaface_mobile0.25": (640,),
    }
)
"""Sides at which an architecture is measured where its row names no `input_px`; all others at DEFAULT_SIDE_PX."""
DEFAULT_SIDE_PX = 256

ALIKE: Mapping[str, str] = MappingProxyType(
    {
        "realesr-general-wdn-x4v3": "realesr-general-x4v3",
        "gfpgan-1.3": "gfpgan-1.4",
        "ddcolor-artistic": "ddcolor-modelscope",
        "oldphoto-vae-b-quality": "oldphoto-vae-a-quality",
        "oldphoto-vae-b-scratch": "oldphoto-vae-a-quality",
    }
)
"""Rows that differ from another in their weights alone: that one is measured for both."""

UNBUILT: Mapping[str, str] = MappingProxyType(
    {
        "lama-big": "its network is a TorchScript program, which the official file alone holds",
        "lite-upscale-x4": "its file is part of the project, and missing",
        "lite-upscale-x2": "its file is part of the project, and missing",
        "lite-denoise": "its file is part of the project, and missing",
    }
)
"""Rows whose network is had from its file only, and why it is not there."""

# The constructor sends a picture of input_size through the encoder to learn its widths, and uses the size for nothing else.
_DDCOLOR = {
    "input_size": (64, 64),
    "num_output_channels": 2,
    "last_norm": "Spectral",
    "num_queries": 100,
}
_FACES = ("CodeFormer", "GFPGAN", "RestoreFormer")

LIBRARY: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "realesrgan-x4plus": ("spandrel.architectures.ESRGAN", {"num_blocks": 23, "scale": 4}),
        "realesrgan-x4anime": ("spandrel.architectures.ESRGAN", {"num_blocks": 6, "scale": 4}),
        "realesrgan-x2plus": (
            "spandrel.architectures.ESRGAN",
            {"in_nc": 12, "num_blocks": 23, "scale": 4, "shuffle_factor": 2},
        ),
        "realesr-general-x4v3": ("spandrel.architectures.Compact", {"num_conv": 32}),
        "realesr-animevideov3": ("spandrel.architectures.Compact", {"num_conv": 16}),
        "nafnet-sidd-width64": (
            "spandrel.architectures.NAFNet",
            {
                "width": 64,
                "middle_blk_num": 12,
                "enc_blk_nums": [2, 2, 4, 8],
                "dec_blk_nums": [2, 2, 2, 2],
            },
        ),
        "nafnet-gopro-width64": (
            "spandrel.architectures.NAFNet",
            {
                "width": 64,
                "middle_blk_num": 1,
                "enc_blk_nums": [1, 1, 1, 28],
                "dec_blk_nums": [1, 1, 1, 1],
            },
        ),
        "codeformer": ("spandrel_extra_arches.architectures.CodeFormer", {}),
        "gfpgan-1.4": ("spandrel.architectures.GFPGAN", {}),
        "restoreformer": ("spandrel.architectures.RestoreFormer", {}),
        "ddcolor-modelscope": (
            "spandrel_extra_arches.architectures.DDColor",
            {"encoder_name": "convnext-l", **_DDCOLOR},
        ),
        "ddcolor-paper-tiny": (
            "spandrel_extra_arches.architectures.DDColor",
            {"encoder_name": "convnext-t", **_DDCOLOR},
        ),
    }
)
"""A row's module of spandrel, whose class has the module's own name, and what the official file's network differs in from its defaults."""


@dataclass(frozen=True)
class Network:
    """A network at one size, for so many photos at once."""

    row: Checkpoint
    side_px: int
    batch: int = 1

    @property
    def name(self) -> str:
        return f"{self.row.id}@{self.side_px}" + (f"x{self.batch}" if self.batch > 1 else "")


@dataclass(frozen=True)
class Ready:
    """A network that can be called.

    Attributes:
        module: takes `inputs` in their order; in eval mode, without gradients.
        inputs: one of each, batches of as many as the network is measured with.
        weights: `official`, `embedded` or `recipe`.
    """

    module: nn.Module
    inputs: tuple[Tensor, ...]
    weights: str


class MissingError(Exception):
    """A network that cannot be had here; its text says why."""


class FaceCall(nn.Module):
    """A face network as the pipelines call it: faces in, faces out."""

    def __init__(self, net: nn.Module, architecture: str) -> None:
        super().__init__()
        self.net = net
        self.architecture = architecture

    def forward(self, faces: Tensor) -> Tensor:
        return raw_output(self.net, self.architecture, faces, 0.5)


def networks(names: Sequence[str] = (), catalog: Catalog | None = None) -> list[Network]:
    """Every network once at each of its sizes, or those that are named: by row id for all sizes, as `id@side`, or as `id@sidexbatch`.

    Raises:
        RestoreError: OPTION_INVALID for a name that is none of them.
    """
    rows = (catalog or Catalog.load()).rows
    every = [
        Network(row, side_px) for row in rows if row.id not in ALIKE for side_px in _sides_px(row)
    ]
    known = {network.row.id: network.row for network in every}
    named = []
    for name in names:
        match = re.fullmatch(r"(.+?)(?:@([1-9]\d{0,3})(?:x([1-9]\d?))?)?", name)
        row = known.get(match[1]) if match else None
        if (
            match is None
            or row is None
            or (row.input_px and match[2] and int(match[2]) != row.input_px)
        ):
            same = (
                f"It is the network of {ALIKE[name]}."
                if name in ALIKE
                else f"Choose from {', '.join(sorted(known))}."
            )
            raise RestoreError(Code.OPTION_INVALID, f"'{name}' is not measured", same)
        sides_px = (int(match[2]),) if match[2] else _sides_px(row)
        named += [Network(row, side_px, int(match[3] or 1)) for side_px in sides_px]
    return named if names else every


def ready(network: Network, store: WeightStore | None = None) -> Ready:
    """A network on the CPU in float32: from its file, or by recipe.

    Raises:
        MissingError: there is no file, and nothing to build it from.
        RestoreError: any WEIGHTS_* code for a file that is not what its row says.
    """
    row = network.row
    net = from_file(row, store)
    weights = "recipe" if net is None else "embedded" if row.embedded else "official"
    return Ready(called(net or by_recipe(row), row), inputs_of(network), weights)


def from_file(row: Checkpoint, store: WeightStore | None = None) -> nn.Module | None:
    """A row's network with its own weights; None where there is no file. Raises RestoreError: any WEIGHTS_* code for another file."""
    store = store or WeightStore(Catalog.load(), offline=True)
    return None if store.status(row) is State.MISSING else load_net(store.locate(row).path, row)


def blank(row: Checkpoint) -> nn.Module:
    """A row's network on the meta device, for counting.

    Raises:
        MissingError: there is no file, and nothing to build it from.
    """
    try:
        construct = _constructor(row)
    except MissingError:
        net = from_file(row)
        if net is None:
            raise
        return called(net, row).to("meta")
    try:
        with torch.device("meta"):
            return called(construct(), row)
    except (NotImplementedError, RuntimeError):
        # A constructor that computes with its tensors cannot run without storage.
        with torch.no_grad():
            return called(construct(), row).to("meta")


def by_recipe(row: Checkpoint) -> nn.Module:
    """A row's network with seeded weights. Raises MissingError: nothing to build it from."""
    construct = _constructor(row)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        with torch.no_grad():
            net = construct()
            for parameter in net.parameters():
                _wake(parameter)
            _settle_spectral_norms(net)
    net = FINISHERS[row.architecture](net) if row.architecture in FINISHERS else net
    net = use_local_pooling(net, row.local_pooling_px) if row.local_pooling_px else net
    return net.float().eval().requires_grad_(requires_grad=False)


def called(net: nn.Module, row: Checkpoint) -> nn.Module:
    """The network as a module of tensors in and tensors out."""
    return FaceCall(net, row.architecture).eval() if row.architecture in _FACES else net.eval()


def inputs_of(network: Network) -> tuple[Tensor, ...]:
    """Seeded noise of the network's size, channels and range; with holes where it fills holes."""
    row, side_px = network.row, network.side_px
    generator = torch.Generator().manual_seed(SEED)
    low, high = row.input_range or (-1.0, 1.0)

    def noise(channels: int, side: int) -> Tensor:
        return (
            torch.rand(network.batch, channels, side, side, generator=generator) * (high - low)
            + low
        )

    hole = torch.zeros(network.batch, 1, side_px, side_px)
    hole[..., side_px // 8 :: side_px // 4] = 1.0  # four upright lines
    match row.architecture:
        case "LaMa":
            return noise(3, side_px), hole
        case "LiteInpaint":
            return (torch.cat([noise(3, side_px) * (1.0 - hole), hole], dim=1),)
        case "OldPhotoMapping" | "OldPhotoScratchMapping" | "OldPhotoPatchMapping":
            return noise(row.channels_in or 1, side_px // FEATURE_STRIDE), hole
        case _:
            return (noise(row.channels_in or 3, side_px),)


def _sides_px(row: Checkpoint) -> tuple[int, ...]:
    return (row.input_px,) if row.input_px else SIDES_PX.get(row.architecture, (DEFAULT_SIDE_PX,))


def _constructor(row: Checkpoint) -> Callable[[], nn.Module]:
    if row.architecture in BUILDERS:
        return BUILDERS[row.architecture]
    if row.id in LIBRARY:
        module, arguments = LIBRARY[row.id]
        # spandrel_extra_arches scripts one function when it is imported, which torch 2.11 advises against.
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message="`torch.jit.script` is deprecated", category=DeprecationWarning
            )
            network = getattr(importlib.import_module(module), module.rpartition(".")[2])
        return functools.partial(network, **arguments)
    raise MissingError(UNBUILT.get(row.id, f"'{row.architecture}' has no builder"))


def _wake(parameter: nn.Parameter) -> None:
    """Draws a parameter that starts at zero or, as ConvNeXt's layer scales do, at next to nothing."""
    if parameter.numel() and float(parameter.abs().max()) < 1e-3:
        fan_in = parameter.numel() // parameter.shape[0] if parameter.dim() > 1 else 100
        parameter.normal_(std=fan_in**-0.5)


def _settle_spectral_norms(net: nn.Module) -> None:
    """Finds each spectral norm, whose vectors start anywhere: divided by a far too small one, the values of a network explode."""
    for module in net.modules():
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm):
                for _ in range(POWER_ITERATIONS):
                    hook.compute_weight(module, do_power_iteration=True)
