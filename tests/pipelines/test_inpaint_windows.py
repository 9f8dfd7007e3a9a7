"""The windows in which holes are filled."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from inpaintfakes import ConstantFill, MeanFill, context_of, mask_of, random_pixels, run_on

from restore.pipelines.inpaint_windows import MIN_CONTEXT_PX, MIN_WINDOW_PX, plan_windows


def test_small_photo_is_one_window() -> None:
    net, mask = ConstantFill(0, 0, 0), mask_of(1280, 16, (3, 3, 2, 2), (1270, 3, 2, 2))
    run_on(random_pixels(1280, 16, 3), net, mask)
    assert [image.shape[2:] for image, _ in net.inputs] == [(1280, 16)]


def test_distant_holes_of_a_large_photo_get_two_windows() -> None:
    mask = mask_of(2000, 3000, (100, 150, 60, 40), (1500, 2500, 300, 250))
    net, pixels = MeanFill(0, 0, 0), np.zeros((2000, 3000, 3), np.uint8)
    pixels[:, :1500], pixels[:, 1500:] = 40, 200
    pixels[mask] = 255
    result = run_on(pixels, net, mask)
    assert sorted(tuple(image.shape[2:]) for image, _ in net.inputs) == [(512, 512), (800, 752)]
    assert (result[100:160, 150:190] == 40).all()
    assert (result[1500:1800, 2500:2750] == 200).all()
    np.testing.assert_array_equal(result[~mask], pixels[~mask])


def test_near_holes_share_a_window_and_other_holes_in_a_window_are_hidden() -> None:
    near = mask_of(1400, 3000, (200, 200, 20, 20), (260, 300, 15, 30))
    # Too distant for one window, but each window contains a part of the other hole.
    distant = mask_of(1400, 3000, (900, 1500, 20, 20), (900, 1750, 20, 30))
    for mask, count in ((near, 1), (distant, 2), (near | distant, 3)):
        net, pixels = MeanFill(0, 0, 0), np.full((1400, 3000), 60, np.uint8)
        pixels[mask] = 250
        assert (run_on(pixels, net, mask) == 60).all()
        assert len(net.inputs) == count
        assert all((hole.bool() == (image > 0.9)[:, :1]).all() for image, hole in net.inputs)


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 700), st.integers(0, 1390), st.integers(1, 200), st.integers(1, 200)
        ),
        min_size=1,
        max_size=12,
    )
)
def test_every_hole_is_filled_once_with_context(boxes: list[tuple[int, int, int, int]]) -> None:
    height, width = 900, 1400
    mask = mask_of(height, width, *boxes)
    filled = np.zeros(mask.shape, int)
    for item in plan_windows(mask, context_of(ConstantFill(0, 0, 0), mask)):
        rows, columns = item.window
        assert rows.stop - rows.start >= min(height, MIN_WINDOW_PX)
        assert columns.stop - columns.start >= MIN_WINDOW_PX
        assert item.hole.any()
        filled[item.window] += item.hole
        for axis, (window, length) in enumerate(((rows, height), (columns, width))):
            hole = np.flatnonzero(item.hole.any(axis=1 - axis)) + window.start
            assert hole[0] - window.start >= min(MIN_CONTEXT_PX, hole[0])
            assert window.stop - 1 - hole[-1] >= min(MIN_CONTEXT_PX, length - 1 - hole[-1])
    np.testing.assert_array_equal(filled, mask)


def test_many_small_holes_need_few_windows() -> None:
    mask = np.random.default_rng(0).random((2000, 3000)) < 0.002
    net = ConstantFill(0, 0, 0)
    run_on(np.zeros((2000, 3000), np.uint8), net, mask)
    assert len(net.inputs) <= 4 * 2000 * 3000 / MIN_WINDOW_PX**2
