"""Tests of optimized copies: compiled shapes, one backend per process, safe requests unchanged."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from facefakes import ASTRONAUT
from torch import Tensor, nn

from restore import RestoreError, Restorer
from restore.errors import Code
from restore.imaging.photo import Photo
from restore.models.catalog import Catalog
from restore.models.loader import Model
from restore.optimize import compiler as compiler_module
from restore.optimize.compiler import Compiler, graphs_compiled

CPU = torch.device("cpu")
CATALOG = Catalog.load()
TILE = (1, 3, 512, 512)


class Doubler(nn.Module):
    """Doubles its input with a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1, bias=False)
        self.conv.weight.data = 2.0 * torch.eye(3)[..., None, None]
        self.requires_grad_(requires_grad=False)

    def forward(self, photos: Tensor) -> Any:
        return self.conv(photos)


class BreaksGraph(Doubler):
    """Cannot be compiled as one graph."""

    def forward(self, photos: Tensor) -> Tensor:
        torch._dynamo.graph_break()
        output: Tensor = self.conv(photos)
        return output


class WeightedDoubler(Doubler):
    """Has the signature of CodeFormer."""

    def forward(self, faces: Tensor, weight: float = 0.5) -> tuple[Tensor, None]:  # type: ignore[override]
        return self.conv(faces) * weight, None


def tile_model(net: nn.Module | None = None) -> Model:
    return Model(CATALOG.find("upscale", "lite"), "lite", net or Doubler())


def compiler_with(backend: str) -> Compiler:
    return Compiler(CPU, {"RESTORE_COMPILE_BACKEND": backend})


def test_optimized_network_is_a_copy_in_channels_last_layout() -> None:
    net: Any = nn.Sequential(nn.Conv2d(3, 8, 3))
    optimized, warnings = compiler_with("none").optimize(tile_model(net))
    copied: Any = optimized.net
    assert warnings == ()
    assert copied is not net
    assert net[0].weight.is_contiguous()
    assert copied[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(net[0].weight, copied[0].weight)


def test_known_shapes_are_compiled_in_advance_and_others_never() -> None:
    compiler = compiler_with("aot_eager")
    optimized, warnings = compiler.optimize(tile_model())
    assert warnings == ()
    assert compiler.compiled == 1
    before = graphs_compiled()
    with torch.inference_mode():
        view_with_other_strides = torch.rand(512, 512, 3).permute(2, 0, 1)[None]
        for photos in (
            torch.rand(TILE),
            view_with_other_strides,
            torch.rand(1, 3, 100, 70),
            torch.rand(2, 3, 512, 512),
        ):
            torch.testing.assert_close(optimized.net(photos), 2.0 * photos)
    assert graphs_compiled() == before
    assert compiler.recompiles == 0


def test_program_with_wrong_output_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def wrong_from_second_call(forward: Callable[..., Tensor], **_: object) -> object:
        def program(photos: Tensor) -> Tensor:
            calls.append(1)
            return forward(photos) * (1.0 if len(calls) < 2 else 1.01)

        return program

    monkeypatch.setattr(torch, "compile", wrong_from_second_call)
    optimized, [warning] = compiler_with("aot_eager").optimize(tile_model())
    assert "output differs" in warning
    assert optimized.compiled_shapes == frozenset()
    torch.testing.assert_close(optimized.net(torch.ones(TILE)), torch.full(TILE, 2.0))


def test_graphs_compiled_elsewhere_count_as_recompiles() -> None:
    compiler = compiler_with("none")
    torch.compile(Doubler(), backend="eager")(torch.zeros(1, 3, 4, 4))
    assert compiler.recompiles == 1


def test_network_that_cannot_be_compiled_runs_uncompiled_with_a_warning() -> None:
    compiler = compiler_with("aot_eager")
    optimized, [warning] = compiler.optimize(tile_model(BreaksGraph()))
    assert "lite could not be compiled with aot_eager" in warning
    photos = torch.rand(TILE)
    torch.testing.assert_close(optimized.net(photos), 2.0 * photos)
    assert compiler.recompiles == 0


def test_process_has_one_backend() -> None:
    compiler = Compiler(CPU, {})
    assert compiler.backend_for("auto") == "none"
    assert compiler.backend_for("eager") == "eager"  # does not set the backend
    compiler.backend = "none"
    with pytest.raises(
        RestoreError,
        match=r"compile_backend is eager, but this process .* none.*RESTORE_COMPILE_BACKEND=eager",
    ) as caught:
        compiler.backend_for("eager")
    assert caught.value.code is Code.OPTION_INVALID


def test_environment_sets_the_backend() -> None:
    compiler = compiler_with(" aot_eager ")
    assert compiler.backend_for("auto") == "aot_eager"
    with pytest.raises(RestoreError, match="aot_eager"):
        compiler.backend_for("none")
    with pytest.raises(RestoreError, match="RESTORE_COMPILE_BACKEND is 'tensorrt'"):
        compiler_with("tensorrt")


def test_cudagraphs_without_a_cuda_device_is_a_warning() -> None:
    compiler = compiler_with("cudagraphs")
    optimized, warnings = compiler.optimize(tile_model())
    assert warnings == ("lite is not compiled: cudagraphs needs a CUDA device, this one is cpu",)
    assert optimized.compiled_shapes == frozenset()
    assert compiler.compiled == compiler.recompiles == 0


def test_refused_request_does_not_set_the_backend(tmp_path: Any) -> None:
    restorer = Restorer(weights="lite", weights_dir=tmp_path, device="cpu")
    photo = Photo("a", ASTRONAUT)
    with pytest.raises(RestoreError, match="mask"):
        restorer.run("inpaint", [photo], stability_mode="optimized", compile_backend="eager")
    assert restorer.compiler.backend is None
    results = restorer.run("restore", [photo], stability_mode="optimized")
    assert results.reports[0].compile_backend == "none"
    with pytest.raises(RestoreError, match="compiles with none"):
        restorer.run("restore", [photo], stability_mode="optimized", compile_backend="eager")


def test_other_fidelity_does_not_recompile() -> None:
    compiler = compiler_with("aot_eager")
    model = Model(CATALOG.find("face_restore", "codeformer"), "codeformer", WeightedDoubler())
    optimized, warnings = compiler.optimize(model)
    assert warnings == ()
    assert compiler.compiled == 2
    faces = torch.rand(3, 3, 512, 512)
    with torch.inference_mode():
        for fidelity in (0.5, *np.linspace(0, 1, 12)):
            torch.testing.assert_close(
                optimized.net(faces, weight=float(fidelity))[0], 2.0 * faces * float(fidelity)
            )
    assert compiler.recompiles == 0


def test_program_compiled_in_one_thread_runs_in_another() -> None:
    compiler = compiler_with("aot_eager")
    optimized, _ = compiler.optimize(tile_model())
    outputs = []

    def run() -> None:
        with torch.inference_mode():
            outputs.append(optimized.net(torch.ones(TILE)))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    torch.testing.assert_close(outputs[0], torch.full(TILE, 2.0))
    assert compiler.recompiles == 0


@pytest.mark.slow
def test_safe_requests_give_the_same_before_and_after_optimized_ones(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # More calls are only needed for CUDA graphs.
    monkeypatch.setattr(compiler_module, "WARM_UP_CALLS", 1)
    restorer = Restorer(weights="lite", weights_dir=tmp_path, device="cpu")
    # Its tiles have the compiled size; the whole photo does not.
    photo = Photo("a", np.tile(ASTRONAUT, (3, 3, 1))[:520, :512])
    before = restorer.run("upscale", [photo], scale=3)
    optimized = restorer.run(
        "upscale", [photo], scale=3, stability_mode="optimized", compile_backend="aot_eager"
    )
    assert [tile["height"] for tile in optimized.reports[0].tiles] == [512]
    assert (before.reports[0].tiles[0]["height"], before.reports[0].tiles[0]["count"]) == (520, 1)
    after = restorer.run("upscale", [photo], scale=3)
    np.testing.assert_array_equal(before.photos[0].pixels, after.photos[0].pixels)
    assert np.abs(before.photos[0].pixels.astype(int) - optimized.photos[0].pixels).max() <= 1
    modes = [
        (report.stability_mode, report.compile_backend)
        for results in (before, optimized)
        for report in results.reports
    ]
    assert modes == [("safe", None), ("optimized", "aot_eager")]
    assert optimized.reports[0].to_dict()["recompiles"] == 0
    assert "optimize" in optimized.reports[0].stages_ms


def test_backend_in_safe_mode_is_a_warning(lite: Restorer) -> None:
    before = lite.compiler.backend  # other tests may have chosen it
    for backend in ("eager", "inductor", "cudagraphs", "aot_eager"):
        results = lite.run("restore", [Photo("a", ASTRONAUT[:32, :32])], compile_backend=backend)
        [warning] = results.reports[0].warnings
        assert warning == f"compile_backend {backend} has no effect: stability_mode is safe"
    assert lite.compiler.backend == before
