"""Decides which copies of the networks a request uses, and makes them.

A network runs as it was loaded, as an optimized copy in float32 (`restore.optimize.compiler`), or
as a copy below float32 (`restore.optimize.lowering`) in the precision that its manifest row states
for profile and device. On CUDA, optimized copies below float32 run as CUDA graphs.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from restore.models.catalog import DENOISE_PARTNER, NET, Checkpoint
from restore.models.loader import Model
from restore.models.precision import FLOAT32, PrecisionName
from restore.optimize.compiler import (
    CUDAGRAPHS,
    NONE,
    Compiler,
    compiler_settings,
    first_line,
    graphs_compiled,
)
from restore.optimize.cpu_probe import CpuProbe
from restore.optimize.cuda_graphs import GraphedForward
from restore.optimize.lowering import (
    Capture,
    fixed_examples,
    in_fastest_layout,
    kernel_copy,
    lowered_copy,
    pooled_capture,
    record_programs,
)
from restore.optimize.triton_copies import FASTER_THAN_COMPILER
from restore.runtime.device import Runtime

log = logging.getLogger("restore")


@dataclass(frozen=True)
class CopyPlan:
    """How the networks of a model run.

    Attributes:
        optimized: whether they are optimized.
        precisions: role and precision of each network below float32.
    """

    optimized: bool = False
    precisions: tuple[tuple[str, PrecisionName], ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to copy."""
        return self.optimized or bool(self.precisions)


@dataclass
class Copies:
    """Makes the copies of models.

    Attributes:
        compiler: makes optimized copies in float32 and knows the compile backend.
        probe: decides whether networks run below float32 on a CPU.
        capture: records CUDA graphs; None for the real one.
    """

    compiler: Compiler
    probe: CpuProbe
    capture: Capture | None = None

    @property
    def device(self) -> torch.device:
        """The device of all networks."""
        return self.compiler.device

    def plan(self, model: Model, runtime: Runtime) -> CopyPlan:
        """Decide how the networks of a model run in a request."""
        precisions: dict[str, PrecisionName] = {}
        if runtime.low_precision:
            allowed = self._allowed(model, runtime.profile)
            precisions = {role: name for role, name in allowed.items() if name != FLOAT32}
        return CopyPlan(runtime.optimized, tuple(precisions.items()))

    def probe_all(self, models: Iterable[Model]) -> None:
        """Ask the CPU probe for all networks at once, so that requests need not wait for it."""
        if self.device.type == "cpu":
            self.probe.run(
                [
                    (row, model.files[role])
                    for model in models
                    for role, row in model.rows.items()
                    if role in model.files
                ]
            )

    def copy(self, model: Model, plan: CopyPlan) -> tuple[Model, tuple[str, ...]]:
        """Return a copy of a model, and a warning for each network that could not be copied."""
        warnings: list[str] = []
        lowered = self._lowered(model, plan, warnings)
        kept = {role: net for role, net in model.partners.items() if role not in lowered}
        base = dataclasses.replace(model, partners=kept)
        if plan.optimized and NET not in lowered:
            base, failures = self.compiler.optimize(base)
            warnings += failures
        elif plan.optimized:
            partners, failure = self.compiler.rewrite_partners(base)
            base = dataclasses.replace(base, partners=partners)
            warnings += [failure] if failure else []
        shapes = base.compiled_shapes
        if plan.optimized and self.device.type == "cuda":
            shapes |= self._record(model, lowered, warnings)
        # The order of the partners is that of their weights.
        partners = {role: (lowered | dict(base.partners))[role] for role in model.partners}
        copied = dataclasses.replace(
            base,
            net=lowered.get(NET, base.net),
            partners=partners,
            compiled_shapes=shapes,
            precisions={role: name for role, name in plan.precisions if role in lowered},
        )
        return copied, tuple(warnings)

    def _allowed(self, model: Model, profile: str) -> dict[str, PrecisionName]:
        """Return the precision of each network by role."""
        if self.device.type == "cpu":
            self.probe_all([model])  # in one child process
            return {
                role: self.probe.precision(row, profile, model.files.get(role))
                for role, row in model.rows.items()
            }
        return {
            role: row.precision_for(profile, self.device.type) for role, row in model.rows.items()
        }

    def _lowered(self, model: Model, plan: CopyPlan, warnings: list[str]) -> dict[str, nn.Module]:
        """Return the copies below float32 by role; add a warning for each that failed."""
        copied: dict[str, nn.Module] = {}
        for role, precision in plan.precisions:
            row, net = model.rows[role], model.net if role == NET else model.partners[role]
            try:
                made = self._kernel_copy(net, row, precision) if plan.optimized else None
                copied[role] = in_fastest_layout(
                    lowered_copy(net, row, precision) if made is None else made,
                    self.device,
                    optimized=plan.optimized,
                )
            except (ValueError, RuntimeError) as error:
                reason = f"{row.file} computes in float32: no copy in {precision} could be made"
                warnings.append(f"{reason} ({first_line(error)})")
                log.warning("%s", warnings[-1])
        return copied

    def _kernel_copy(
        self, net: nn.Module, row: Checkpoint, precision: PrecisionName
    ) -> nn.Module | None:
        needed = not self.compiler.compiles or row.architecture in FASTER_THAN_COMPILER
        if self.device.type != "cuda" or not needed:
            return None
        return kernel_copy(net, row, precision, self.device)

    def _record(
        self, model: Model, lowered: Mapping[str, nn.Module], warnings: list[str]
    ) -> frozenset[tuple[int, ...]]:
        """Record CUDA graphs of lowered copies; return the input shapes of the model's network."""
        if DENOISE_PARTNER in model.partners:  # its weights are interpolated in each request
            return frozenset()
        self.capture = self.capture or pooled_capture()
        for role, net in lowered.items():
            row = model.rows[role]
            if role != NET and not row.input_px:
                continue  # only the model's own network gets tiles of one fixed size
            compiles = self._compiles(net)
            before = graphs_compiled()
            try:
                record_programs(
                    net,
                    fixed_examples(row, self.device),
                    self._compile if compiles else None,
                    self.capture,
                )
            except Exception as error:  # noqa: BLE001 - any error: the copy runs without graphs
                reason = f"{type(error).__name__}: {first_line(error)}"
                warnings.append(f"{row.file} could not be recorded as CUDA graphs: {reason}")
                log.warning("%s", warnings[-1])
            finally:
                self.compiler.compiled += graphs_compiled() - before
        forward = lowered[NET].forward if NET in lowered else None
        return forward.shapes if isinstance(forward, GraphedForward) else frozenset()

    def _compiles(self, net: nn.Module) -> bool:
        """Whether a copy is compiled before it is recorded; Triton kernels are compiled already."""
        return self.compiler.compiles and not hasattr(net, "autotune")

    def _compile(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        backend = self.compiler.backend
        if backend == CUDAGRAPHS:  # torch's own would record graphs of graphs
            return forward
        with compiler_settings():
            program: Callable[..., Any] = torch.compile(
                forward, backend=backend or NONE, dynamic=False, fullgraph=True
            )
        return program
