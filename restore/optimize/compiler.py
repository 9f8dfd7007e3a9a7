"""Networks made faster for `stability_mode` optimized: rearranged, and compiled for a few fixed shapes by one backend a process.

Without a backend, on a CPU, filters lie channels last and 3x3 convolutions go Winograd's way instead (nets/winograd.py).

A compiled network is a copy: `safe` requests before and after see the network that was loaded. It is compiled once for each shape
that is known beforehand, when it is first prepared: in `setup()` where the environment names a backend, else in the first request that
needs it. Any other shape, and any other option, goes through the copy as it is: no request can make the compiler start anew.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from spandrel.architectures.GFPGAN.__arch.gfpganv1_clean_arch import GFPGANv1Clean
from spandrel.architectures.GFPGAN.__arch.stylegan2_clean_arch import ModulatedConv2d
from spandrel.architectures.LaMa import LaMa
from torch import Tensor, nn

from restore.errors import Code, RestoreError
from restore.models.catalog import Checkpoint
from restore.models.loader import SCRIPTED, Model
from restore.nets.old_photo.faces import fold_spectral_norms
from restore.optimize import winograd
from restore.optimize.folding import fold
from restore.optimize.modulated_conv import FeatureModulatedConv2d
from restore.options import COMPILE_BACKENDS

ENVIRONMENT = "RESTORE_COMPILE_BACKEND"
NONE = "none"
FACES_AT_ONCE = (1, 4)  # a batch of another size is cut into these
TILED_TASK, TILE_PX = (
    "upscale",
    512,
)  # the side of Real-ESRGAN's tiles where a request names none; others see whole photos
CALLS_UNTIL_WARM = 3  # a CUDA graph is recorded at the second
MOST_APART = 2e-3  # of the largest value, that a compiled answer may be from the plain one: half a grey level
WINOGRAD_MEMORY = (
    1.5  # times what the direct convolution of many channels takes beside its weights, measured
)
log = logging.getLogger("restore")


class Compiler:
    """Makes optimized networks, with the one compile backend that a process may have.

    Args:
        device: where the networks are.
        environment: RESTORE_COMPILE_BACKEND in it fixes the backend from the start.

    Raises:
        RestoreError: OPTION_INVALID for a backend that does not exist, or not on this device.
    """

    def __init__(self, device: torch.device, environment: Mapping[str, str] = os.environ) -> None:
        self.device = device
        self.backend: str | None = None
        self.compiled = 0  # graphs that were made on purpose
        self._before = graphs_compiled()
        if named := environment.get(ENVIRONMENT, "").strip():
            if named not in COMPILE_BACKENDS:
                reason = (
                    f"the environment's {ENVIRONMENT} is '{named}', which is no compile backend"
                )
                raise RestoreError(
                    Code.OPTION_INVALID,
                    reason,
                    f"Set it to one of {', '.join(COMPILE_BACKENDS)}, or unset it.",
                )
            self.backend = self.backend_for(named)

    def backend_for(self, asked: str) -> str:
        """The backend that would serve a request for `asked`; `auto` takes what there is. Nothing is settled by it.

        Raises:
            RestoreError: OPTION_INVALID where the process has another one already, or the device has none such.
        """
        if asked == "cudagraphs" and self.device.type != "cuda":
            reason = f"compile_backend is cudagraphs, which this device ({self.device}) has not"
            raise RestoreError(
                Code.OPTION_INVALID, reason, "Use none or inductor, or a CUDA device."
            )
        if self.backend is None:
            return NONE if asked == "auto" else asked
        if asked not in {"auto", self.backend}:
            reason = f"compile_backend is {asked}, and this process compiles with {self.backend} since its first optimized request or its setup"
            remedy = f"Ask for {self.backend} or auto, or restart with {ENVIRONMENT}={asked}."
            raise RestoreError(Code.OPTION_INVALID, reason, remedy)
        return self.backend

    @property
    def recompiles(self) -> int:
        """Graphs that torch compiled in this process beyond those made when networks were prepared."""
        return graphs_compiled() - self._before - self.compiled

    @property
    def compiles(self) -> bool:
        """Whether the process has a backend that compiles."""
        return self.backend not in {None, NONE}

    def optimized(self, model: Model) -> tuple[Model, tuple[str, ...]]:
        """A copy of a model for optimized requests, partners included, and what could not be done."""
        warnings: list[str] = []
        nets = {"": model.net, **model.partners}
        faster = {role: rearranged(net, self.device) for role, net in nets.items()}
        row, shapes = model.row, fixed_shapes(model) if self.compiles else []
        if not self.compiles and self.device.type == "cpu":
            # Beside a compiler there is no gain: it has its own way with convolutions, and cannot see through ours.
            if why := winograd.failure():
                warnings.append(f"convolutions go the direct way, which is the slower one: {why}")
                log.warning("%s", warnings[-1])
            else:
                faster = {role: winograd.with_winograd(net) for role, net in faster.items()}
            convolutions = [
                module
                for module in faster[""].modules()
                if isinstance(module, winograd.WinogradConv2d)
            ]
            if row.working_bytes_per_px and any(
                module.has_many_channels for module in convolutions
            ):
                row = row.model_copy(
                    update={
                        "working_bytes_per_px": round(WINOGRAD_MEMORY * row.working_bytes_per_px)
                    }
                )
        elif shapes and (failure := self._compile(faster[""], shapes, model)):
            shapes = []
            warnings.append(
                f"{model.variant} could not be compiled with {self.backend} and runs without: {failure}"
            )
            log.warning("%s", warnings[-1])
        net = faster.pop("")
        copied = dataclasses.replace(
            model, row=row, net=net, partners=faster, compiled_shapes=frozenset(shapes)
        )
        return copied, tuple(warnings)

    def _compile(self, net: nn.Module, shapes: Sequence[tuple[int, ...]], model: Model) -> str:
        """Compiles `net` for the shapes by running it on each; why it cannot be, or nothing. A net that fails stays as it was."""
        plain, options = net.forward, CALLED_WITH.get(model.row.architecture, {})
        before = graphs_compiled()
        try:
            with compiler_settings():
                program = torch.compile(
                    plain, backend=self.backend or NONE, dynamic=False, fullgraph=True
                )
                net.forward = OnlyThese(plain, program, shapes, options, layout_on(self.device))
                for shape in shapes:
                    self._try_out(net, plain, shape, options)
        except Exception as error:  # noqa: BLE001 - a compiler may fail in any way, and the network runs without it
            net.forward = plain
            return f"{type(error).__name__}: {str(error).strip().splitlines()[0][:160] if str(error).strip() else 'no reason given'}"
        finally:
            self.compiled += graphs_compiled() - before
        return ""

    def _try_out(
        self,
        net: nn.Module,
        plain: Callable[..., Any],
        shape: tuple[int, ...],
        options: Mapping[str, Any],
    ) -> None:
        """Calls a compiled network until it is warm, on noise, each time against the plain way.

        Raises:
            ArithmeticError: the two differ.
        """
        generator = torch.Generator().manual_seed(0)
        for _ in range(CALLS_UNTIL_WARM):
            noise = torch.rand(shape, generator=generator).to(self.device)
            with torch.inference_mode():
                pairs = zip(
                    tensors(net(noise, **options)), tensors(plain(noise, **options)), strict=True
                )
                apart = max(
                    float((a - b).abs().max() / b.abs().max().clamp_min(1e-12)) for a, b in pairs
                )
            if not apart <= MOST_APART:
                raise ArithmeticError(
                    f"it then answers differently, by {apart:.1g} of the largest value"
                )


class OnlyThese:
    """A forward that takes the compiled way for known shapes and options, cutting a batch into known ones, else the plain way."""

    def __init__(
        self,
        plain: Callable[..., Any],
        program: Callable[..., Any],
        shapes: Sequence[tuple[int, ...]],
        options: Mapping[str, Any],
        layout: torch.memory_format,
    ) -> None:
        self.plain, self.program, self.options, self.layout = plain, program, dict(options), layout
        self.batches: dict[tuple[int, ...], list[int]] = {}
        for batch, *rest in shapes:
            self.batches.setdefault(tuple(rest), []).append(batch)

    def __call__(self, photos: Tensor, **options: Any) -> Any:  # noqa: ANN401 - what the network gives
        known = self.batches.get(tuple(photos.shape[1:]))
        # A number among the options is a constant of the program: another one would be a program of its own.
        if not known or options != self.options:
            return self.plain(photos, **options)
        pieces = torch.split(photos, cut(len(photos), known))
        # Always the same strides: those of a view, or of a single channel, would be a program of their own.
        seen = (torch.empty_like(piece, memory_format=self.layout).copy_(piece) for piece in pieces)
        answers = []
        for piece in seen:
            answer = self.program(piece, **options)
            answers.append(
                answer if len(pieces) == 1 else kept(answer)
            )  # a CUDA graph writes its next answer over the last
        return answers[0] if len(answers) == 1 else joined(answers)


CALLED_WITH: Mapping[str, Mapping[str, Any]] = {
    "CodeFormer": {"weight": 0.5},
    "GFPGAN": {"return_rgb": False, "randomize_noise": False},
}
"""How a network is called beside its photos, by architecture, where that changes its program."""


def tensors(answer: Any) -> list[Tensor]:  # noqa: ANN401 - tensors, or tuples of them
    """All tensors of an answer, in order."""
    if isinstance(answer, Tensor):
        return [answer]
    return (
        [tensor for part in answer for tensor in tensors(part)]
        if isinstance(answer, tuple | list)
        else []
    )


def kept(answer: Any) -> Any:  # noqa: ANN401 - tensors, or tuples of them
    """A copy of an answer."""
    if isinstance(answer, Tensor):
        return answer.clone()
    return tuple(kept(part) for part in answer) if isinstance(answer, tuple | list) else answer


def cut(count: int, sizes: Sequence[int]) -> list[int]:
    """`count` as a sum of as few of `sizes` as the largest first give; 1 must be among them."""
    pieces = []
    while count:
        pieces.append(max(size for size in sizes if size <= count))
        count -= pieces[-1]
    return pieces


def joined(pieces: Sequence[Any]) -> Any:  # noqa: ANN401 - tensors, or tuples of them
    """The answers to parts of a batch as one; what is no tensor is taken from the first."""
    if isinstance(pieces[0], Tensor):
        return torch.cat(list(pieces))
    if isinstance(pieces[0], tuple | list):
        return tuple(joined(parts) for parts in zip(*pieces, strict=True))
    return pieces[0]


def layout_on(device: torch.device) -> torch.memory_format:
    """The layout of filters and photos in which float32 convolutions are fastest.

    Channels last on a CPU. On an H200 that took DDColor 0.86, but CodeFormer, NAFNet and x4plus 1.2 to 1.75 times as long
    (benchmarks/results/nets.jsonl).
    """
    return torch.channels_last if device.type == "cpu" else torch.contiguous_format


def rearranged(net: nn.Module, device: torch.device) -> nn.Module:
    """A copy that does the same in an order, and in a layout, that are faster on that device."""
    copied: nn.Module = (
        lama_of(net) if isinstance(net, torch.jit.ScriptModule) else copy.deepcopy(net)
    )
    fold_spectral_norms(copied)
    fold(copied)
    for parent in list(copied.modules()):
        for name, child in parent.named_children():
            if isinstance(child, ModulatedConv2d):
                setattr(parent, name, feature_modulated(child))
    if isinstance(copied, GFPGANv1Clean):
        copied.final_conv = nn.Sequential(copied.final_conv, Flattenable())
    copied.requires_grad_(requires_grad=False)
    return cast(nn.Module, copied.to(memory_format=layout_on(device)))  # type: ignore[call-overload]


def lama_of(program: torch.jit.ScriptModule) -> nn.Module:
    """LaMa's TorchScript program as modules, which can be rearranged; a copy of the program if it is another."""
    state = program.state_dict()
    mark = "model.1.bn_l.running_mean"
    prefix = next((key.removesuffix(mark) for key in state if key.endswith(mark)), None)
    if prefix is None:
        return copy.deepcopy(program)
    net: nn.Module = LaMa(in_nc=4, out_nc=3)
    try:
        net.load_state_dict(
            {f"model.{key.removeprefix(prefix)}": value for key, value in state.items()},
            strict=True,
        )
    except RuntimeError as error:
        log.warning(
            "this LaMa is not the network that it was taken for, and runs as the program that it is: %s",
            error,
        )
        return copy.deepcopy(program)
    return net.eval().requires_grad_(requires_grad=False).to(next(iter(state.values())).device)


def feature_modulated(conv: Any) -> FeatureModulatedConv2d:  # noqa: ANN401 - spandrel's ModulatedConv2d has no types
    """GFPGAN's modulated convolution, with the features scaled instead of the filters."""
    enlargement = {None: 1.0, "upsample": 2.0, "downsample": 0.5}[conv.sample_mode]
    return FeatureModulatedConv2d(
        conv.weight.detach()[0],
        conv.modulation,
        enlargement=enlargement,
        eps=conv.eps if conv.demodulate else None,
    )


class Flattenable(nn.Module):
    """Brings features back to the order in which GFPGAN takes them for one long vector."""

    def forward(self, features: Tensor) -> Tensor:
        return features.contiguous()


def fixed_shapes(model: Model) -> list[tuple[int, ...]]:
    """The input shapes that a network is always asked for: its own square where it has one, tiles where tiling changes nothing.

    None for a network whose weights a request may mix with a partner's, and for a scripted one.
    """
    row = model.row
    if (
        row.architecture in SCRIPTED
        or "denoise_partner" in model.partners
        or row.architecture in NEVER_COMPILED
    ):
        return []
    channels = row.channels_in or 3
    if row.input_px:
        return [
            (count, channels, row.input_px, row.input_px)
            for count in (FACES_AT_ONCE if is_of_faces(row) else (1,))
        ]
    return [(1, channels, TILE_PX, TILE_PX)] if row.tiles and row.task == TILED_TASK else []


NEVER_COMPILED = frozenset({"DDColor"})
"""Networks that hand features over in hooks, which a compiler turns into constants."""


def is_of_faces(row: Checkpoint) -> bool:
    """Whether several may be asked for at once."""
    return row.task == "face_restore"


def graphs_compiled() -> int:
    """How many graphs torch has compiled in this process so far."""
    dynamo = sys.modules.get(
        "torch._dynamo.utils"
    )  # its import costs a second, which safe requests need not wait for
    return int(dynamo.counters["stats"]["unique_graphs"]) if dynamo else 0


@contextmanager
def compiler_settings() -> Iterator[None]:
    """Compiles in this process, as helpers would outlive a server that is killed.

    Weights stay what the program is given: frozen into it, the lite face network answers wrongly from its second call on (torch 2.11).
    """
    from torch._inductor import config  # noqa: PLC0415 - costs seconds, and safe requests need none of it

    with config.patch(compile_threads=1):
        yield
