"""Optimized requests: faster copies of networks, compiled for fixed shapes by one backend a process, and safe requests untouched."""

import dataclasses
import threading

import numpy as np
import pytest
import torch
from facejobs import ASTRONAUT
from torch import nn

from restore import RestoreError, Restorer
from restore.errors import Code
from restore.imaging.photo import Photo
from restore.models.catalog import Catalog
from restore.models.loader import Model
from restore.optimize import compiler as compilation
from restore.optimize.compiler import (
    Compiler,
    OnlyThese,
    cut,
    fixed_shapes,
    graphs_compiled,
    joined,
    rearranged,
)

CPU = torch.device("cpu")
CATALOG = Catalog.load()
TILE = (1, 3, 512, 512)


class Doubler(nn.Module):
    """Twice what it sees, by a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1, bias=False)
        self.conv.weight.data = 2.0 * torch.eye(3)[..., None, None]
        self.requires_grad_(requires_grad=False)

    def forward(self, photos):
        return self.conv(photos)


class Breaks(Doubler):
    """Cannot be compiled as one graph."""

    def forward(self, photos):
        torch._dynamo.graph_break()
        return self.conv(photos)


def tile_model(net: nn.Module | None = None) -> Model:
    return Model(CATALOG.find("upscale", "lite"), "lite", net or Doubler())


def compiler(backend: str) -> Compiler:
    return Compiler(CPU, {"RESTORE_COMPILE_BACKEND": backend})


def test_an_optimized_network_is_a_copy_in_another_layout():
    model = tile_model(nn.Sequential(nn.Conv2d(3, 8, 3)))
    faster, warnings = compiler("none").optimized(model)
    assert warnings == ()
    assert faster.net is not model.net
    assert model.net[0].weight.is_contiguous()
    assert faster.net[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(model.net[0].weight, faster.net[0].weight)


def test_filters_keep_their_layout_for_a_gpu():
    assert rearranged(nn.Conv2d(3, 8, 3), torch.device("cuda")).weight.is_contiguous()


def test_known_shapes_are_compiled_beforehand_and_others_never():
    made = compiler("aot_eager")
    faster, warnings = made.optimized(tile_model())
    assert warnings == ()
    assert made.compiled == 1
    before = graphs_compiled()
    with torch.inference_mode():
        views = torch.rand(512, 512, 3).permute(2, 0, 1)[None]  # of other strides
        for photos in (
            torch.rand(TILE),
            views,
            torch.rand(1, 3, 100, 70),
            torch.rand(2, 3, 512, 512),
        ):
            torch.testing.assert_close(faster.net(photos), 2.0 * photos)
    assert graphs_compiled() == before
    assert made.recompiles == 0


def test_a_program_with_another_answer_is_not_used(monkeypatch):
    calls = []

    def wrong_from_the_second_call(forward, **options):
        return lambda photos: calls.append(1) or forward(photos) * (1.0 if len(calls) < 2 else 1.01)

    monkeypatch.setattr(torch, "compile", wrong_from_the_second_call)
    faster, [warning] = compiler("aot_eager").optimized(tile_model())
    assert "answers differently" in warning
    assert faster.compiled_shapes == frozenset()
    torch.testing.assert_close(faster.net(torch.ones(TILE)), torch.full(TILE, 2.0))


def test_what_torch_compiles_unasked_is_counted():
    made = compiler("none")
    torch.compile(Doubler(), backend="eager")(torch.zeros(1, 3, 4, 4))
    assert made.recompiles == 1


def test_a_network_that_cannot_be_compiled_runs_without_and_says_so():
    made = compiler("aot_eager")
    faster, [warning] = made.optimized(tile_model(Breaks()))
    assert "lite could not be compiled with aot_eager" in warning
    photos = torch.rand(TILE)
    torch.testing.assert_close(faster.net(photos), 2.0 * photos)
    assert made.recompiles == 0


@pytest.mark.parametrize(
    ("task", "variant", "expected"),
    [
        ("upscale", "x4plus", [TILE]),
        ("face_restore", "codeformer", [(1, 3, 512, 512), (4, 3, 512, 512)]),
        ("restore", "denoise", []),  # averages over the whole photo: there is no usual shape
        ("colorize", "lite", [(1, 1, 256, 256)]),
        ("colorize", "modelscope", []),
        ("inpaint", "big", []),
    ],
)
def test_the_shapes_that_are_known_beforehand(task, variant, expected):
    assert fixed_shapes(Model(CATALOG.find(task, variant), variant, Doubler())) == expected


def test_weights_that_a_request_may_mix_are_not_compiled():
    model = dataclasses.replace(tile_model(), partners={"denoise_partner": Doubler()})
    assert fixed_shapes(model) == []


def test_a_batch_is_cut_into_known_sizes():
    assert cut(7, (1, 4)) == [4, 1, 1, 1]
    assert cut(8, (4, 1)) == [4, 4]
    seen = []

    def program(faces):
        seen.append(len(faces))
        return faces + 1, None, [faces * 2]

    faces = torch.arange(6.0).reshape(6, 1, 1, 1)
    first, nothing, [second] = OnlyThese(
        lambda faces: None, program, [(1, 1, 1, 1), (4, 1, 1, 1)], {}, torch.channels_last
    )(faces)
    assert seen == [4, 1, 1]
    assert nothing is None
    torch.testing.assert_close(first, faces + 1)
    torch.testing.assert_close(second, faces * 2)
    assert joined([3, 4]) == 3


def test_the_first_backend_is_the_processs_own():
    made = Compiler(CPU, {})
    assert made.backend_for("auto") == "none"
    assert made.backend_for("eager") == "eager"  # asking settles nothing
    made.backend = "none"
    with pytest.raises(
        RestoreError,
        match=r"compile_backend is eager, and this process .* none.*RESTORE_COMPILE_BACKEND=eager",
    ) as caught:
        made.backend_for("eager")
    assert caught.value.code is Code.OPTION_INVALID
    fixed = Compiler(CPU, {"RESTORE_COMPILE_BACKEND": " aot_eager "})
    assert fixed.backend_for("auto") == "aot_eager"
    with pytest.raises(RestoreError, match="aot_eager"):
        fixed.backend_for("none")
    with pytest.raises(RestoreError, match="RESTORE_COMPILE_BACKEND is 'tensorrt'"):
        Compiler(CPU, {"RESTORE_COMPILE_BACKEND": "tensorrt"})
    with pytest.raises(RestoreError, match=r"cudagraphs.*\(cpu\)"):
        Compiler(CPU, {}).backend_for("cudagraphs")


def test_a_refused_request_settles_no_backend(tmp_path):
    restorer = Restorer(weights="lite", weights_dir=tmp_path, device="cpu")
    photo = Photo("a", ASTRONAUT)
    with pytest.raises(RestoreError, match="mask"):
        restorer.run("inpaint", [photo], stability_mode="optimized", compile_backend="eager")
    assert restorer.compiler.backend is None
    assert (
        restorer.run("restore", [photo], stability_mode="optimized").reports[0].compile_backend
        == "none"
    )
    with pytest.raises(RestoreError, match="compiles with none"):
        restorer.run("restore", [photo], stability_mode="optimized", compile_backend="eager")


class Weighted(Doubler):
    """Called as CodeFormer is."""

    def forward(self, faces, weight=0.5):
        return self.conv(faces) * weight, None


def test_another_fidelity_is_no_new_program():
    made = compiler("aot_eager")
    model = Model(CATALOG.find("face_restore", "codeformer"), "codeformer", Weighted())
    faster, warnings = made.optimized(model)
    assert warnings == ()
    assert made.compiled == 2
    faces = torch.rand(3, 3, 512, 512)
    with torch.inference_mode():
        for fidelity in (0.5, *np.linspace(0, 1, 12)):
            torch.testing.assert_close(
                faster.net(faces, weight=float(fidelity))[0], 2.0 * faces * float(fidelity)
            )
    assert made.recompiles == 0


def test_a_program_made_in_one_thread_serves_another():
    made = compiler("aot_eager")
    faster, _ = made.optimized(tile_model())
    answers = []

    def asks():
        with torch.inference_mode():
            answers.append(faster.net(torch.ones(TILE)))

    thread = threading.Thread(target=asks)
    thread.start()
    thread.join()
    torch.testing.assert_close(answers[0], torch.full(TILE, 2.0))
    assert made.recompiles == 0


def test_safe_requests_are_the_same_before_and_after_optimized_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(
        compilation, "CALLS_UNTIL_WARM", 1
    )  # more are for CUDA graphs, and take this test's time
    restorer = Restorer(weights="lite", weights_dir=tmp_path, device="cpu")
    photo = Photo(
        "a", np.tile(ASTRONAUT, (3, 3, 1))[:520, :512]
    )  # tiles are of the compiled size, which the whole photo is not
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


def test_a_backend_in_safe_mode_is_refused_before_any_work(lite):
    with pytest.raises(
        RestoreError, match=r"compile_backend is inductor, and stability_mode safe.*optimized"
    ) as caught:
        lite.run("upscale", [Photo("a", ASTRONAUT)], compile_backend="inductor")
    assert caught.value.code is Code.OPTION_INVALID
