"""Tests of fixed input shapes: which are compiled, and how batches are split."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from restore.models.catalog import Catalog
from restore.models.loader import Model
from restore.optimize.fixed_shapes import (
    FixedShapeForward,
    compiled_shapes_of,
    concatenate_outputs,
    split_sizes,
)

CATALOG = Catalog.load()
TILE = (1, 3, 512, 512)


@pytest.mark.parametrize(
    ("task", "variant", "expected"),
    [
        ("upscale", "x4plus", [TILE]),
        ("face_restore", "codeformer", [(1, 3, 512, 512), (4, 3, 512, 512)]),
        ("restore", "denoise", []),  # needs the whole photo, so its input has no fixed size
        ("restore", "lite", []),
        ("colorize", "lite", [(1, 1, 256, 256)]),
        ("colorize", "modelscope", []),
        ("inpaint", "big", []),
    ],
)
def test_compiled_shapes(task: str, variant: str, expected: list[tuple[int, ...]]) -> None:
    model = Model(CATALOG.find(task, variant), variant, nn.Identity())
    assert compiled_shapes_of(model) == expected


def test_interpolated_weights_are_not_compiled() -> None:
    row = CATALOG.find("upscale", "lite")
    model = Model(row, "lite", nn.Identity(), partners={"denoise_partner": nn.Identity()})
    assert compiled_shapes_of(model) == []


def test_count_is_split_into_the_largest_batch_sizes() -> None:
    assert split_sizes(7, (1, 4)) == [4, 1, 1, 1]
    assert split_sizes(8, (4, 1)) == [4, 4]


def test_batches_of_other_sizes_are_split_and_their_outputs_joined() -> None:
    batch_sizes = []

    def program(faces: Tensor) -> tuple[Tensor, None, list[Tensor]]:
        batch_sizes.append(len(faces))
        return faces + 1, None, [faces * 2]

    def original(faces: Tensor) -> Any:
        pytest.fail("the program is compiled for this shape")

    faces = torch.arange(6.0).reshape(6, 1, 1, 1)
    shapes = [(1, 1, 1, 1), (4, 1, 1, 1)]
    forward = FixedShapeForward(original, program, shapes, {}, torch.channels_last)
    first, nothing, [second] = forward(faces)
    assert batch_sizes == [4, 1, 1]
    assert nothing is None
    torch.testing.assert_close(first, faces + 1)
    torch.testing.assert_close(second, faces * 2)


def test_values_that_are_not_tensors_are_those_of_the_first_output() -> None:
    assert concatenate_outputs([3, 4]) == 3
