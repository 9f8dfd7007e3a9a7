"""Copies below float32: TF32 while they run, and programs for fixed shapes, with a fake graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from restore.models.catalog import Catalog
from restore.optimize.cuda_graphs import GraphedForward
from restore.optimize.lowering import fixed_examples, lowered_copy, record_programs, with_tf32

CATALOG = Catalog.load()
CPU = torch.device("cpu")


class FakeGraph:
    """Replays like a CUDA graph: shapes are fixed, and each call overwrites the output."""

    def __init__(self, net: Callable[..., Any], inputs: Sequence[Tensor]) -> None:
        self.net, self.shapes = net, [each.shape for each in inputs]
        self.output: Tensor = net(*inputs)
        self.replays = 0

    def __call__(self, *inputs: Tensor) -> Tensor:
        assert [each.shape for each in inputs] == self.shapes
        self.replays += 1
        self.output.copy_(self.compute(*inputs))
        return self.output

    def compute(self, *inputs: Tensor) -> Tensor:
        return inputs[0] * inputs[1] if len(inputs) > 1 else inputs[0] * 2.0


class Product(nn.Module):
    """Multiplies a batch with a number."""

    def forward(self, x: Tensor, factor: Tensor) -> Tensor:
        return x * factor


EXAMPLES = [[torch.rand(batch, 3, 8, 8), torch.tensor(0.5)] for batch in (1, 4)]


def tf32() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


@pytest.fixture(autouse=True)
def without_tf32() -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def test_tf32_is_on_while_a_copy_runs_and_off_after_an_error() -> None:
    seen = []

    class Looks(nn.Module):
        def forward(self, fail: bool) -> None:
            seen.append(tf32())
            if fail:
                raise ValueError("failed")

    net = with_tf32(Looks())
    net(False)
    assert tf32() == (False, False)
    with pytest.raises(ValueError, match="failed"):
        net(True)
    assert tf32() == (False, False)
    assert seen == [(True, True)] * 2


@pytest.mark.parametrize(("precision", "allowed"), [("float16", True), ("float32+float16", False)])
def test_encoder_in_float32_excludes_tf32(precision: Any, allowed: bool) -> None:
    net = nn.Conv2d(3, 3, 1).requires_grad_(requires_grad=False)
    row = CATALOG.find("upscale", "lite_fidelity")
    copied = lowered_copy(net, row, precision)
    assert bool(copied._forward_pre_hooks) is allowed


def test_known_shapes_are_replayed_and_batches_are_split() -> None:
    graphs: list[FakeGraph] = []

    def capture(net: Callable[..., Any], inputs: Sequence[Tensor]) -> FakeGraph:
        graphs.append(FakeGraph(net, inputs))
        return graphs[-1]

    net = Product()
    record_programs(net, EXAMPLES, capture=capture)
    forward: Any = net.forward
    assert forward.shapes == {(1, 3, 8, 8), (4, 3, 8, 8)}
    before = [graph.replays for graph in graphs]
    x, factor = torch.rand(6, 3, 8, 8), torch.tensor(3.0)
    with torch.inference_mode():
        torch.testing.assert_close(net(x, factor), 3.0 * x)
    assert [graph.replays - n for graph, n in zip(graphs, before, strict=True)] == [2, 1]
    with torch.inference_mode():
        first = net(x[:1], factor)
        net(x[1:2], factor)
    torch.testing.assert_close(first, 3.0 * x[:1])  # not overwritten by the next call
    other = torch.rand(1, 3, 9, 9)
    torch.testing.assert_close(net(other, factor), 3.0 * other)
    assert net(x[:0], factor).shape == (0, 3, 8, 8)


def test_compiled_forward_is_recorded_and_others_stay_uncompiled() -> None:
    compiled: list[object] = []

    def compile_forward(forward: Callable[..., Any]) -> Callable[..., Any]:
        compiled.append(forward)
        return forward

    net = Product()
    original = net.forward
    record_programs(net, EXAMPLES, compile_forward, FakeGraph)
    assert compiled == [original]
    assert net.forward.original == original  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", [float("nan"), 5.0])
def test_wrong_program_is_not_used(value: float) -> None:
    class Wrong(FakeGraph):
        def compute(self, *inputs: Tensor) -> Tensor:
            return torch.full_like(inputs[0], value)

    net = Product()
    original = net.forward
    with pytest.raises(ArithmeticError, match="its output has"):
        record_programs(net, EXAMPLES, capture=Wrong)
    assert net.forward == original


def test_graph_of_an_unknown_second_shape_is_not_used() -> None:
    graphs = {GraphedForward.key(EXAMPLES[0]): FakeGraph(Product(), EXAMPLES[0])}
    forward = GraphedForward(Product(), graphs)
    x = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(forward(x, x), x * x)


@pytest.mark.parametrize(
    ("task", "variant", "shapes"),
    [
        ("face_restore", "codeformer", [(1, 3, 512, 512), (4, 3, 512, 512), (8, 3, 512, 512)]),
        ("upscale", "x4plus", [(1, 3, 512, 512)]),
        ("colorize", "modelscope", [(1, 3, 512, 512)]),
        ("restore", "denoise", []),
        ("inpaint", "big", []),
    ],
)
def test_fixed_examples(task: str, variant: str, shapes: list[tuple[int, ...]]) -> None:
    row = CATALOG.find(task, variant)
    assert [tuple(each[0].shape) for each in fixed_examples(row, CPU)] == shapes


def test_fixed_examples_of_codeformer_have_a_fidelity_and_detectors_common_shapes() -> None:
    faces = fixed_examples(CATALOG.find("face_restore", "codeformer"), CPU)
    assert all(inputs[1].shape == () for inputs in faces)
    photos = fixed_examples(CATALOG.find("face_detect", "retinaface_resnet50"), CPU)
    assert (1, 3, 640, 853) in [tuple(inputs[0].shape) for inputs in photos]
