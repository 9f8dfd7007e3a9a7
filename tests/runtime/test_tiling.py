"""Tile plans, and tiled results against untiled ones."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from restore.errors import Code, RestoreError
from restore.runtime.device import Runtime
from restore.runtime.tensors import quantise
from restore.runtime.tiling import (
    FEATHER_PX,
    axis_weights,
    plan_axis,
    run_tiled,
)

CPU = Runtime(torch.device("cpu"), torch.float32, "baseline")


def ignore_tile(done: int, total: int) -> None:
    pass


def convolution(scale: int, radius: int, seed: int = 0) -> nn.Module:
    """Return a nonlinear network with a receptive field of `radius` and this scale factor."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = [nn.Conv2d(3, 8, 3, padding=1), nn.PReLU(8)]
    for _ in range(radius - 2):
        layers += [nn.Conv2d(8, 8, 3, padding=1), nn.PReLU(8)]
    layers += [nn.Conv2d(8, 3 * scale * scale, 3, padding=1), nn.PixelShuffle(scale), nn.Sigmoid()]
    net = nn.Sequential(*layers).eval().requires_grad_(False)
    for layer in net:
        if isinstance(layer, nn.Conv2d):
            layer.weight *= 2.5  # distant pixels must influence the output, or seams would not show
    return net


def random_pixels(
    height: int, width: int, dtype: type[np.unsignedinteger] = np.uint8, grey: bool = False
) -> np.ndarray:
    shape = (height, width) if grey else (height, width, 3)
    largest = int(np.iinfo(dtype).max)
    return np.random.default_rng(5).integers(0, largest, shape, endpoint=True).astype(dtype)


@given(
    side=st.integers(8, 3000),
    tile=st.integers(64, 700),
    margin=st.integers(0, 64),
    multiple=st.sampled_from([1, 2, 4, 8, 16]),
    fixed=st.booleans(),
)
def test_plan_covers_the_side_and_weights_sum_to_one(
    side: int, tile: int, margin: int, multiple: int, fixed: bool
) -> None:
    axis = plan_axis(side, tile, margin, multiple, fixed=fixed)
    assert axis.padded_px % multiple == 0
    assert 0 <= axis.padded_px - side < multiple
    assert axis.tile_px % multiple == 0
    assert axis.starts[0] == 0
    assert axis.starts[-1] + axis.tile_px == axis.padded_px
    assert all(start % multiple == 0 for start in axis.starts)
    assert list(axis.starts) == sorted(set(axis.starts))
    total = np.zeros(axis.padded_px)
    for start, weight in zip(axis.starts, axis_weights(axis), strict=True):
        total[start : start + axis.tile_px] += weight
    np.testing.assert_allclose(total, 1.0, atol=1e-6)


@given(side=st.integers(600, 3000), multiple=st.sampled_from([1, 2, 8]))
def test_margins_of_inner_tile_ends_have_weight_zero(side: int, multiple: int) -> None:
    axis = plan_axis(side, 256, 24, multiple)
    assert axis.margin_px == 24
    for index, weight in enumerate(axis_weights(axis)):
        if index > 0:
            assert not weight[:23].any()
        if index < len(axis.starts) - 1:
            assert not weight[-23:].any()
    gaps = np.diff(axis.starts)
    assert (axis.tile_px - gaps >= 2 * 24 + FEATHER_PX).all()


@given(
    side=st.integers(700, 5000), tile=st.integers(128, 600), multiple=st.sampled_from([1, 2, 16])
)
def test_plan_uses_the_fewest_and_shortest_tiles(side: int, tile: int, multiple: int) -> None:
    even = plan_axis(side, tile, 16, multiple)
    fixed = plan_axis(side, tile, 16, multiple, fixed=True)
    assert len(even.starts) == len(fixed.starts)
    assert fixed.tile_px == -(-tile // multiple) * multiple
    assert even.margin_px == fixed.margin_px
    needed = (even.padded_px + (len(even.starts) - 1) * (2 * 16 + FEATHER_PX)) / len(even.starts)
    assert needed <= even.tile_px <= min(fixed.tile_px, needed + 3 * multiple)
    overlaps = even.tile_px - np.diff(even.starts)
    assert (overlaps >= 2 * 16 + FEATHER_PX).all()


def test_tile_size_zero_plans_one_tile_of_the_padded_side() -> None:
    axis = plan_axis(101, 0, 32, 8)
    assert (axis.starts, axis.tile_px, axis.padded_px, axis.margin_px) == ((0,), 104, 104, 0)


def test_tile_is_not_longer_than_the_photo() -> None:
    assert plan_axis(100, 512, 16, 1).tile_px == 100


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiles_with_enough_margin_equal_the_untiled_result(
    scale: int, grey: bool, dtype: type[np.unsignedinteger]
) -> None:
    pixels, net = random_pixels(150, 203, dtype, grey), convolution(scale, radius=6)

    def run(tile_px: int) -> np.ndarray:
        rows, columns = plan_axis(150, tile_px, 8, 1), plan_axis(203, tile_px, 8, 1)
        return run_tiled(
            pixels, net, rows=rows, columns=columns, scale=scale, runtime=CPU, on_tile=ignore_tile
        )

    untiled = run(0)
    assert untiled.dtype == dtype
    assert untiled.shape == ((150 * scale, 203 * scale) if grey else (150 * scale, 203 * scale, 3))
    image = torch.from_numpy(pixels.astype(np.float32) / np.iinfo(dtype).max).reshape(150, 203, -1)
    expected = net(image.permute(2, 0, 1).expand(3, -1, -1)[None])
    np.testing.assert_array_equal(untiled, quantise(expected[0], pixels.dtype, grey=grey))
    one_level = 1 if dtype == np.uint8 else 2
    assert np.abs(run(64).astype(int) - untiled.astype(int)).max() <= one_level


def test_tiles_without_margin_differ_from_the_untiled_result() -> None:
    pixels, net = random_pixels(150, 203), convolution(1, radius=6)
    untiled = run_tiled(
        pixels,
        net,
        rows=plan_axis(150, 0, 0, 1),
        columns=plan_axis(203, 0, 0, 1),
        scale=1,
        runtime=CPU,
        on_tile=ignore_tile,
    )
    tiled = run_tiled(
        pixels,
        net,
        rows=plan_axis(150, 64, 0, 1),
        columns=plan_axis(203, 64, 0, 1),
        scale=1,
        runtime=CPU,
        on_tile=ignore_tile,
    )
    assert np.abs(tiled.astype(int) - untiled.astype(int)).max() > 1


def test_size_multiple_is_padded_by_reflection_and_cropped() -> None:
    shapes: list[tuple[int, ...]] = []

    def net(tiles: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(tiles.shape))
        return tiles

    pixels = random_pixels(101, 77)
    result = run_tiled(
        pixels,
        net,
        rows=plan_axis(101, 64, 8, 8),
        columns=plan_axis(77, 64, 8, 8),
        scale=1,
        runtime=CPU,
        on_tile=ignore_tile,
    )
    assert set(shapes) == {(1, 3, 64, 56)}
    np.testing.assert_array_equal(result, pixels)


def test_progress_counts_every_tile() -> None:
    calls: list[tuple[int, int]] = []
    axis = plan_axis(200, 64, 8, 1)
    run_tiled(
        random_pixels(200, 200),
        lambda x: x,
        rows=axis,
        columns=axis,
        scale=1,
        runtime=CPU,
        on_tile=lambda *counts: calls.append(counts),
    )
    assert calls == [(n, len(axis.starts) ** 2) for n in range(1, len(axis.starts) ** 2 + 1)]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_and_infinity_are_rejected(bad: float) -> None:
    axis = plan_axis(16, 0, 0, 1)
    with pytest.raises(RestoreError) as caught:
        run_tiled(
            random_pixels(16, 16),
            lambda x: x * bad,
            rows=axis,
            columns=axis,
            scale=1,
            runtime=CPU,
            on_tile=ignore_tile,
        )
    assert caught.value.code is Code.BAD_NUMBERS


class BatchNet:
    """A network that records the batches it gets; memory runs out above `limit` tiles."""

    def __init__(self, limit: int = 99) -> None:
        self.net, self.limit, self.batches = convolution(2, 3), limit, list[int]()

    def __call__(self, tiles: torch.Tensor) -> torch.Tensor:
        if len(tiles) > self.limit:
            raise torch.OutOfMemoryError("out of memory")
        self.batches.append(len(tiles))
        output: torch.Tensor = self.net(tiles)
        return output


def run_in_batches(net: BatchNet, batch: int) -> np.ndarray:
    """Run a photo of 100x83 pixels in 4x3 tiles, the last ones shifted inwards."""
    rows, columns = plan_axis(100, 40, 4, 4), plan_axis(83, 40, 4, 4)
    assert (len(rows.starts), len(columns.starts)) == (4, 3)
    pixels = random_pixels(100, 83)
    return run_tiled(
        pixels,
        net,
        rows=rows,
        columns=columns,
        scale=2,
        runtime=CPU,
        on_tile=ignore_tile,
        batch=batch,
    )


@pytest.mark.parametrize(
    ("batch", "limit", "batches"),
    [
        (5, 99, [5, 5, 2]),
        (12, 99, [12]),
        (8, 3, [2] * 6),  # 8, then 4 and 2 after memory ran out
        (8, 1, [1] * 12),
    ],
)
def test_batches_give_the_result_of_single_tiles(
    batch: int, limit: int, batches: list[int]
) -> None:
    single, batched = BatchNet(), BatchNet(limit)
    expected, result = run_in_batches(single, 1), run_in_batches(batched, batch)
    assert single.batches == [1] * 12
    assert batched.batches == batches
    assert np.abs(result.astype(int) - expected).max() <= 1
    assert (result != expected).mean() < 1e-3


def test_other_errors_and_a_single_tile_without_memory_are_raised() -> None:
    net = BatchNet(limit=0)
    with pytest.raises(torch.OutOfMemoryError):
        run_in_batches(net, 4)
    net.limit, net.net = 99, nn.Conv2d(4, 4, 1)
    with pytest.raises(RuntimeError, match="4 channels"):
        run_in_batches(net, 4)


def test_each_tile_of_a_batch_is_checked() -> None:
    net = BatchNet()
    net.net = nn.Module()
    net.net.forward = lambda tiles: torch.where(  # type: ignore[method-assign]
        torch.arange(len(tiles)).view(-1, 1, 1, 1) == 1, 0.5, tiles.repeat(1, 1, 2, 2)
    )
    with pytest.raises(RestoreError, match=r"0\.5 for every pixel"):
        run_in_batches(net, 4)
