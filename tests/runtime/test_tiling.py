"""Tile plans as pure functions; tiled results against whole ones; Real-ESRGAN's own rule."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from restore.errors import Code, RestoreError
from restore.runtime.device import Runtime
from restore.runtime.tiling import (
    FEATHER_PX,
    axis_weights,
    plan_axis,
    quantise,
    run_official_tiles,
    run_tiled,
)

CPU = Runtime(torch.device("cpu"), torch.float32, "baseline", tile_batch=1)


def nothing(done: int, total: int) -> None:
    pass


def convolution(scale: int, radius: int, seed: int = 0) -> torch.nn.Module:
    """A nonlinear net that sees `radius` pixels and enlarges by `scale`."""
    torch.manual_seed(seed)
    layers = [torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.PReLU(8)]
    for _ in range(radius - 2):
        layers += [torch.nn.Conv2d(8, 8, 3, padding=1), torch.nn.PReLU(8)]
    layers += [
        torch.nn.Conv2d(8, 3 * scale * scale, 3, padding=1),
        torch.nn.PixelShuffle(scale),
        torch.nn.Sigmoid(),
    ]
    net = torch.nn.Sequential(*layers).eval().requires_grad_(False)
    for layer in net:
        if isinstance(layer, torch.nn.Conv2d):
            layer.weight *= 2.5  # far pixels must matter, or no seam could be seen
    return net


def picture(height: int, width: int, dtype: type = np.uint8, grey: bool = False) -> np.ndarray:
    shape = (height, width) if grey else (height, width, 3)
    return (
        np.random.default_rng(5)
        .integers(0, np.iinfo(dtype).max, shape, endpoint=True)
        .astype(dtype)
    )


@given(
    side=st.integers(8, 3000),
    tile=st.integers(64, 700),
    margin=st.integers(0, 64),
    multiple=st.sampled_from([1, 2, 4, 8, 16]),
    fixed=st.booleans(),
)
def test_a_plan_covers_the_side_with_equal_aligned_tiles_whose_weights_add_up_to_one(
    side, tile, margin, multiple, fixed
):
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
def test_the_margin_of_an_inner_tile_end_counts_nothing(side, multiple):
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
def test_tiles_are_no_more_and_no_longer_than_they_need_be(side, tile, multiple):
    even, fixed = (
        plan_axis(side, tile, 16, multiple),
        plan_axis(side, tile, 16, multiple, fixed=True),
    )
    assert len(even.starts) == len(fixed.starts)
    assert fixed.tile_px == -(-tile // multiple) * multiple
    assert even.margin_px == fixed.margin_px
    needed = (even.padded_px + (len(even.starts) - 1) * (2 * 16 + FEATHER_PX)) / len(even.starts)
    assert needed <= even.tile_px <= min(fixed.tile_px, needed + 3 * multiple)
    overlaps = even.tile_px - np.diff(even.starts)
    assert (overlaps >= 2 * 16 + FEATHER_PX).all()


def test_no_tiles_means_one_tile_of_the_padded_side():
    axis = plan_axis(101, 0, 32, 8)
    assert (axis.starts, axis.tile_px, axis.padded_px, axis.margin_px) == ((0,), 104, 104, 0)


def test_a_photo_smaller_than_a_tile_is_not_padded_up_to_it():
    assert plan_axis(100, 512, 16, 1).tile_px == 100


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiles_that_see_enough_context_equal_the_whole(scale, grey, dtype):
    pixels, net = picture(150, 203, dtype, grey), convolution(scale, radius=6)

    def run(tile_px: int, batch: int = 1) -> np.ndarray:
        runtime = Runtime(CPU.device, CPU.dtype, "baseline", tile_batch=batch)
        rows, columns = plan_axis(150, tile_px, 8, 1), plan_axis(203, tile_px, 8, 1)
        return run_tiled(
            pixels, net, rows=rows, columns=columns, scale=scale, runtime=runtime, on_tile=nothing
        )

    whole = run(0)
    assert whole.dtype == dtype
    assert whole.shape == ((150 * scale, 203 * scale) if grey else (150 * scale, 203 * scale, 3))
    image = torch.from_numpy(pixels.astype(np.float32) / np.iinfo(dtype).max).reshape(150, 203, -1)
    direct = net(image.permute(2, 0, 1).expand(3, -1, -1)[None])
    np.testing.assert_array_equal(whole, quantise(direct[0], pixels.dtype, grey=grey))
    one_level = 1 if dtype == np.uint8 else 2
    assert np.abs(run(64).astype(int) - whole.astype(int)).max() <= one_level
    assert np.abs(run(64, batch=3).astype(int) - whole.astype(int)).max() <= one_level


def test_without_context_the_seams_show_so_the_comparison_above_can_fail():
    pixels, net = picture(150, 203), convolution(1, radius=6)
    whole = run_tiled(
        pixels,
        net,
        rows=plan_axis(150, 0, 0, 1),
        columns=plan_axis(203, 0, 0, 1),
        scale=1,
        runtime=CPU,
        on_tile=nothing,
    )
    cut = run_tiled(
        pixels,
        net,
        rows=plan_axis(150, 64, 0, 1),
        columns=plan_axis(203, 64, 0, 1),
        scale=1,
        runtime=CPU,
        on_tile=nothing,
    )
    assert np.abs(cut.astype(int) - whole.astype(int)).max() > 1


def test_a_size_multiple_is_met_by_reflection_and_cropped_again():
    shapes = []

    def net(tiles: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(tiles.shape))
        return tiles

    pixels = picture(101, 77)
    result = run_tiled(
        pixels,
        net,
        rows=plan_axis(101, 64, 8, 8),
        columns=plan_axis(77, 64, 8, 8),
        scale=1,
        runtime=CPU,
        on_tile=nothing,
    )
    assert set(shapes) == {(1, 3, 64, 56)}
    np.testing.assert_array_equal(result, pixels)


def test_progress_counts_every_tile():
    seen = []
    axis = plan_axis(200, 64, 8, 1)
    run_tiled(
        picture(200, 200),
        lambda x: x,
        rows=axis,
        columns=axis,
        scale=1,
        runtime=CPU,
        on_tile=lambda *n: seen.append(n),
    )
    assert seen == [(n, len(axis.starts) ** 2) for n in range(1, len(axis.starts) ** 2 + 1)]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(bad):
    axis = plan_axis(16, 0, 0, 1)
    with pytest.raises(RestoreError) as caught:
        run_tiled(
            picture(16, 16),
            lambda x: x * bad,
            rows=axis,
            columns=axis,
            scale=1,
            runtime=CPU,
            on_tile=nothing,
        )
    assert caught.value.code is Code.BAD_NUMBERS


def test_quantise_clamps_and_rounds_half_to_even():
    planes = torch.tensor([-1.0, 0.5 / 255, 1.5 / 255, 2.0]).repeat(3, 1, 1)
    np.testing.assert_array_equal(
        quantise(planes, np.dtype(np.uint8), grey=False)[0, :, 0], [0, 0, 2, 255]
    )


def test_the_official_rule_refuses_tiles_that_break_the_multiple():
    with pytest.raises(RestoreError, match="multiple of 2"):
        run_official_tiles(
            picture(40, 40), convolution(2, 3), scale=2, multiple=2, runtime=CPU, tile_px=15
        )
