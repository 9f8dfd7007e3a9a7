"""Makes optimized copies of models: rewritten, and compiled for a few fixed shapes.

A process has at most one compile backend. Without a backend, on a CPU, memory layout is channels
last and 3x3 convolutions use Winograd's algorithm (restore.optimize.winograd).

An optimized network is a copy: requests with `stability_mode` safe use the original. A network is
compiled when its copy is made: in `setup()` if the environment names a backend, else in the first
request that needs it. Other shapes and other options run without the compiled program, so no
request can cause a recompilation.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from restore.errors import Code, RestoreError
from restore.models.adapters import adapter_for
from restore.models.catalog import Checkpoint
from restore.models.loader import Model
from restore.optimize import winograd
from restore.optimize.fixed_shapes import (
    FixedShapeForward,
    Shape,
    compiled_shapes_of,
    flatten_output,
)
from restore.optimize.rewrite import memory_format_for, rewritten_copy
from restore.options import COMPILE_BACKENDS

ENVIRONMENT = "RESTORE_COMPILE_BACKEND"
NONE = "none"
CUDAGRAPHS = "cudagraphs"
WARM_UP_CALLS = 3
"""Calls until a compiled network is warm: a CUDA graph is recorded in the second."""
MAX_RELATIVE_DIFFERENCE = 2e-3
"""Largest difference between compiled and original output, relative to the largest value: half a
grey level."""
WINOGRAD_MEMORY_FACTOR = 1.5
"""Working memory of Winograd convolutions with many channels, relative to torch's (measured)."""
MAX_REASON_CHARACTERS = 160

log = logging.getLogger("restore")


class Compiler:
    """Makes optimized copies with the compile backend of the process.

    Attributes:
        device: the device of the networks.
        backend: the backend of the process; None while no request has chosen one.
        compiled: number of graphs that were compiled deliberately.

    Args:
        device: the device of the networks.
        environment: RESTORE_COMPILE_BACKEND in it sets the backend.

    Raises:
        RestoreError: OPTION_INVALID for a backend that does not exist.
    """

    def __init__(self, device: torch.device, environment: Mapping[str, str] = os.environ) -> None:
        self.device = device
        self.backend: str | None = None
        self.compiled = 0
        self._graphs_before = graphs_compiled()
        if name := environment.get(ENVIRONMENT, "").strip():
            if name not in COMPILE_BACKENDS:
                raise RestoreError(
                    Code.OPTION_INVALID,
                    f"the environment variable {ENVIRONMENT} is '{name}', which does not exist",
                    f"Set it to one of {', '.join(COMPILE_BACKENDS)}, or unset it.",
                )
            self.backend = self.backend_for(name)

    def backend_for(self, requested: str) -> str:
        """Return the backend for a request; `auto` is the backend of the process or `none`.

        The backend of the process is not set.

        Raises:
            RestoreError: OPTION_INVALID if the process has another backend.
        """
        if self.backend is None:
            return NONE if requested == "auto" else requested
        if requested not in {"auto", self.backend}:
            raise RestoreError(
                Code.OPTION_INVALID,
                f"compile_backend is {requested}, but this process already compiles with "
                f"{self.backend}",
                f"Use {self.backend} or auto, or restart with {ENVIRONMENT}={requested}.",
            )
        return self.backend

    @property
    def recompiles(self) -> int:
        """Number of graphs that torch compiled in this process without being asked to."""
        return graphs_compiled() - self._graphs_before - self.compiled

    @property
    def compiles(self) -> bool:
        """Whether the process has a backend that compiles."""
        return self.backend not in {None, NONE}

    def optimize(self, model: Model) -> tuple[Model, tuple[str, ...]]:
        """Return an optimized copy of a model and its partners, and a warning for each failure."""
        net = rewritten_copy(model.net, model.adapter, self.device)
        partners = self._rewritten_partners(model)
        row, shapes, failure = model.row, list[Shape](), ""
        if self.compiles:
            shapes, failure = self._compile(net, model)
        elif self.device.type == "cpu":
            # Not together with a compiler, which has its own convolutions and cannot compile these.
            failure = self._use_winograd([net, *partners.values()])
            row = _with_winograd_memory(row, net)
        warnings = (failure,) if failure else ()
        for warning in warnings:
            log.warning("%s", warning)
        copied = dataclasses.replace(
            model, row=row, net=net, partners=partners, compiled_shapes=frozenset(shapes)
        )
        return copied, warnings

    def rewrite_partners(self, model: Model) -> tuple[dict[str, nn.Module], str]:
        """Return optimized copies of the partners only, and a warning if something failed."""
        partners = self._rewritten_partners(model)
        use_winograd = self.device.type == "cpu" and not self.compiles
        return partners, self._use_winograd([*partners.values()]) if use_winograd else ""

    def _rewritten_partners(self, model: Model) -> dict[str, nn.Module]:
        adapters = {
            role: adapter_for(model.partner_rows.get(role, model.row).architecture)
            for role in model.partners
        }
        return {
            role: rewritten_copy(net, adapters[role], self.device)
            for role, net in model.partners.items()
        }

    def _use_winograd(self, nets: Sequence[nn.Module]) -> str:
        """Replace convolutions in place; return a warning if the kernels do not work."""
        if reason := winograd.unavailable_reason():
            return f"convolutions use torch's slower implementation: {reason}"
        for net in nets:
            winograd.use_winograd(net)
        return ""

    def _compile(self, net: nn.Module, model: Model) -> tuple[list[Shape], str]:
        """Compile a network for its fixed shapes by running it on each.

        Returns:
            The shapes, and "". If it fails: no shapes, and a warning; the network is unchanged.
        """
        shapes = compiled_shapes_of(model)
        if not shapes:
            return [], ""
        if self.backend == CUDAGRAPHS and self.device.type != "cuda":
            reason = f"{model.variant} is not compiled: cudagraphs needs a CUDA device"
            return [], f"{reason}, this one is {self.device}"
        original, options = net.forward, model.adapter.call_options
        before = graphs_compiled()
        try:
            with compiler_settings():
                program = torch.compile(
                    original, backend=self.backend or NONE, dynamic=False, fullgraph=True
                )
                layout = memory_format_for(self.device)
                net.forward = FixedShapeForward(original, program, shapes, options, layout)
                for shape in shapes:
                    self._warm_up(net, original, shape, options)
        except Exception as error:  # noqa: BLE001 - any error: the network runs without compiler
            net.forward = original
            reason = f"{type(error).__name__}: {first_line(error)}"
            return [], f"{model.variant} could not be compiled with {self.backend}: {reason}"
        finally:
            self.compiled += graphs_compiled() - before
        return shapes, ""

    def _warm_up(
        self,
        net: nn.Module,
        original: Callable[..., Any],
        shape: Shape,
        options: Mapping[str, Any],
    ) -> None:
        """Call a compiled network on noise until it is warm, and compare it with the original.

        Raises:
            ArithmeticError: the outputs differ.
        """
        generator = torch.Generator().manual_seed(0)
        for _ in range(WARM_UP_CALLS):
            noise = torch.rand(shape, generator=generator).to(self.device)
            with torch.inference_mode():
                pairs = zip(
                    flatten_output(net(noise, **options)),
                    flatten_output(original(noise, **options)),
                    strict=True,
                )
                difference = max(
                    float((a - b).abs().max() / b.abs().max().clamp_min(1e-12)) for a, b in pairs
                )
            if not difference <= MAX_RELATIVE_DIFFERENCE:
                raise ArithmeticError(
                    f"its output differs by {difference:.1g} of the largest value"
                )


def _with_winograd_memory(row: Checkpoint, net: nn.Module) -> Checkpoint:
    """Return the row with the working memory of a network that uses Winograd convolutions."""
    has_many_channels = any(
        isinstance(module, winograd.WinogradConv2d) and module.has_many_channels
        for module in net.modules()
    )
    if not (has_many_channels and row.working_bytes_per_px):
        return row
    working_bytes = round(WINOGRAD_MEMORY_FACTOR * row.working_bytes_per_px)
    return row.model_copy(update={"working_bytes_per_px": working_bytes})


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, shortened."""
    lines = str(error).strip().splitlines()
    return lines[0][:MAX_REASON_CHARACTERS] if lines else "no reason given"


def graphs_compiled() -> int:
    """Return how many graphs torch has compiled in this process."""
    # Importing dynamo takes a second; without it nothing was compiled.
    dynamo = sys.modules.get("torch._dynamo.utils")
    return int(dynamo.counters["stats"]["unique_graphs"]) if dynamo else 0


@contextmanager
def compiler_settings() -> Iterator[None]:
    """Compile in this process: worker processes would outlive a server that is killed.

    Weights stay inputs of the program. If they were constants (freezing), the lite face network
    would compute wrong outputs from its second call on (torch 2.11).
    """
    from torch._inductor import config  # noqa: PLC0415 - takes seconds

    with config.patch(compile_threads=1):
        yield
