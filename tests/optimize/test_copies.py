"""Requests in low precision: which copies they use, their quality, reports and fallback.

RESTORE_CPU_PRECISION=cuda runs the precisions of the manifest for CUDA on the CPU.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from facefakes import ASTRONAUT
from torch import Tensor, nn

from benchmarks import modes
from benchmarks.networks import by_recipe, networks
from benchmarks.quality import psnr_db
from restore import Restorer
from restore.imaging.photo import Photo
from restore.models.catalog import NET, Catalog
from restore.models.loader import Model
from restore.models.precision import MIN_PSNR_DB
from restore.nets.low_precision.nafnet import LowPrecisionNafnet
from restore.optimize import copies as copies_module
from restore.optimize.compiler import Compiler
from restore.optimize.copies import Copies, CopyPlan
from restore.optimize.cpu_probe import CpuProbe
from restore.optimize.cuda_graphs import GraphedForward
from restore.runtime.device import Runtime, runtime_for

CATALOG = Catalog.load()
CPU = torch.device("cpu")
PORTRAIT = Photo("me.png", np.ascontiguousarray(ASTRONAUT[:256, 64:320]))
EYE = Photo("eye.png", np.ascontiguousarray(ASTRONAUT[60:156, 90:186]))
OTHER_OPTIONS: dict[str, dict[str, Any]] = {
    "colorize": {"render_factor": 18},  # the smallest input: float16 is slow on a CPU
    # Too narrow for texture, which may differ between profiles (docs/lite-weights.md).
    "inpaint": {"points": "[[10, 40], [90, 40], [90, 60], [10, 60]]"},
}
TASKS = {
    task: options | OTHER_OPTIONS.get(task, {})
    for task, options in modes.TASKS.items()
    if task not in {"pipeline", "colors"}  # the network of colors is always computed in float32
}


@pytest.fixture(scope="module")
def half() -> Iterator[Restorer]:
    """A Restorer that computes in the precisions for CUDA, on the CPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESTORE_CPU_PRECISION", "cuda")
        yield Restorer(weights="lite", device="cpu")


@pytest.mark.parametrize(
    "task",
    [
        # It consists of the networks of upscale and face_restore.
        pytest.param(task, marks=[pytest.mark.slow] if task == "enhance" else [])
        for task in TASKS
    ],
)
def test_request_in_low_precision_has_the_quality_of_its_profile(
    half: Restorer, lite: Restorer, task: str
) -> None:
    options = TASKS[task]
    photo = EYE if task in {"upscale", "restore", "colorize", "inpaint"} else PORTRAIT
    expected = lite.run(task, photo, **options, runtime_profile="fast")
    results = half.run(task, photo, **options, runtime_profile="fast")
    assert psnr_db(results.photos[0].pixels, expected.photos[0].pixels) >= MIN_PSNR_DB["fast"]
    [report] = results.reports
    assert report.precision == "float16"
    assert any("computes in float16" in effect for effect in report.profile_effects)
    assert report.warnings == expected.reports[0].warnings
    assert expected.reports[0].precision == "float32"


def test_baseline_is_the_same_with_and_without_low_precision(
    half: Restorer, lite: Restorer
) -> None:
    half.run("upscale", EYE, scale=2, runtime_profile="fast")
    result = half.run("upscale", EYE, scale=2)
    expected = lite.run("upscale", EYE, scale=2)
    np.testing.assert_array_equal(result.photos[0].pixels, expected.photos[0].pixels)
    assert result.reports[0].precision == "float32"
    assert result.reports[0].profile_effects == []


def test_copy_is_made_once_for_both_profiles(
    monkeypatch: pytest.MonkeyPatch, half: Restorer
) -> None:
    made = []
    real = copies_module.lowered_copy

    def count(*arguments: Any) -> nn.Module:
        made.append(arguments[1].id)
        return real(*arguments)

    monkeypatch.setattr(copies_module, "lowered_copy", count)
    monkeypatch.setattr(half.cache, "_copies", {})
    for profile in ("fast", "max_speed", "fast"):
        half.run("restore", EYE, runtime_profile=profile)
    assert made == ["lite-denoise"]


def test_grain_can_be_removed_from_a_copy(half: Restorer, lite: Restorer) -> None:
    options: dict[str, Any] = {"scale": 2, "grain": False, "runtime_profile": "fast"}
    result = half.run("upscale", EYE, **options)
    expected = lite.run("upscale", EYE, **options)
    assert psnr_db(result.photos[0].pixels, expected.photos[0].pixels) >= MIN_PSNR_DB["fast"]


class Overflows(nn.Module):
    """Returns values of the wrong kind."""

    def __init__(self, net: nn.Module, value: float) -> None:
        super().__init__()
        self.net, self.value = net, value

    def forward(self, *inputs: Tensor) -> Tensor:
        output: Tensor = self.net(*inputs)
        return torch.full_like(output, self.value)


@pytest.mark.parametrize(
    ("task", "value"),
    [
        ("face_restore", float("nan")),
        ("upscale", float("nan")),
        ("colorize", 0.5),
        ("inpaint", float("inf")),
    ],
)
def test_invalid_output_in_low_precision_is_computed_again_in_float32(
    monkeypatch: pytest.MonkeyPatch, half: Restorer, lite: Restorer, task: str, value: float
) -> None:
    real = Copies.copy

    def overflowing(self: Copies, model: Model, plan: CopyPlan) -> tuple[Model, tuple[str, ...]]:
        copied, warnings = real(self, model, plan)
        partners = {role: Overflows(net, value) for role, net in copied.partners.items()}
        wrong = dataclasses.replace(copied, net=Overflows(copied.net, value), partners=partners)
        return wrong, warnings

    monkeypatch.setattr(Copies, "copy", overflowing)
    monkeypatch.setattr(half.cache, "_copies", {})
    options = TASKS[task]
    photo = PORTRAIT if task == "face_restore" else EYE
    result = half.run(task, photo, **options, runtime_profile="fast")
    expected = lite.run(task, photo, **options, runtime_profile="fast")
    np.testing.assert_array_equal(result.photos[0].pixels, expected.photos[0].pixels)
    [report] = result.reports
    assert report.precision == "float32"
    assert any(
        text.startswith("the low-precision networks failed (the network '")
        and text.endswith("in float32")
        for text in report.warnings
    )


def copies_with(choice: str, device: torch.device = CPU) -> Copies:
    compiler = Compiler(CPU, {"RESTORE_COMPILE_BACKEND": "none"})
    compiler.device = device
    return Copies(compiler, CpuProbe({"RESTORE_CPU_PRECISION": choice}), fake_capture)


def fake_capture(net: Any, inputs: Sequence[Tensor]) -> Callable[..., Any]:
    """Record nothing: replay by calling the network's own forward."""
    del inputs
    forward: Callable[..., Any] = net.forward
    return forward


LOW, LOW_OPTIMIZED = (
    runtime_for("fast", CPU, backend, low_precision=True) for backend in (None, "none")
)


def nafnet_model() -> Model:
    row = networks(["nafnet-gopro-width64@32"])[0].row
    return Model(row, row.variant, by_recipe(row))


def test_plan_names_the_networks_below_float32() -> None:
    model, copies = nafnet_model(), copies_with("cuda")
    assert copies.plan(model, LOW) == CopyPlan(False, ((NET, "float16"),))
    assert not copies.plan(model, runtime_for("fast", CPU))
    assert not copies_with("float32").plan(model, LOW)
    assert copies.plan(model, LOW_OPTIMIZED).optimized


def test_library_network_is_copied_and_the_original_is_unchanged() -> None:
    model, copies = nafnet_model(), copies_with("cuda")
    copied, warnings = copies.copy(model, copies.plan(model, LOW))
    assert warnings == ()
    assert copied.precision_of() == "float16"
    assert isinstance(copied.net, LowPrecisionNafnet)
    assert {parameter.dtype for parameter in model.net.parameters()} == {torch.float32}


def test_network_that_cannot_be_copied_stays_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> nn.Module:
        raise ValueError("unknown layers")

    monkeypatch.setattr(copies_module, "lowered_copy", fail)
    model, copies = nafnet_model(), copies_with("cuda")
    copied, [warning] = copies.copy(model, copies.plan(model, LOW))
    assert copied.net is model.net
    assert copied.precision_of() == "float32"
    assert "float16" in warning
    assert "unknown layers" in warning


@pytest.fixture
def as_cuda(monkeypatch: pytest.MonkeyPatch) -> Copies:
    """Copies on a CPU that counts as CUDA, with fake graphs of two small batches."""
    examples = [[torch.rand(batch, 3, 16, 16)] for batch in (1, 4)]
    monkeypatch.setattr(copies_module, "fixed_examples", lambda *_: examples)
    return copies_with("cuda", torch.device("cuda"))


def test_graphs_are_recorded_only_in_optimized_requests(as_cuda: Copies, lite: Restorer) -> None:
    model, _ = lite.cache.get("upscale", "lite_fidelity")
    safe = Runtime(as_cuda.device, torch.float32, "fast", low_precision=True)
    optimized = dataclasses.replace(safe, compile_backend="none")
    assert (safe.uses_fixed_shapes, optimized.uses_fixed_shapes) == (False, True)
    plain, _ = as_cuda.copy(model, as_cuda.plan(model, safe))
    assert not isinstance(plain.net.forward, GraphedForward)
    assert plain.compiled_shapes == frozenset()
    recorded, warnings = as_cuda.copy(model, as_cuda.plan(model, optimized))
    assert warnings == ()
    assert isinstance(recorded.net.forward, GraphedForward)
    assert recorded.compiled_shapes == {(1, 3, 16, 16), (4, 3, 16, 16)}
    photos = torch.rand(3, 3, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(recorded.net(photos), plain.net(photos), rtol=1e-2, atol=1e-2)


def test_failed_recording_is_a_warning(as_cuda: Copies, lite: Restorer) -> None:
    def fail(*_: object) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing")

    as_cuda.capture = fail
    model, _ = lite.cache.get("upscale", "lite_fidelity")
    copied, [warning] = as_cuda.copy(model, CopyPlan(True, ((NET, "float16"),)))
    assert "could not be recorded as CUDA graphs: RuntimeError: operation not permitted" in warning
    assert copied.compiled_shapes == frozenset()
    assert not isinstance(copied.net.forward, GraphedForward)
