"""Areas of a mask as strips: their width and length, and the levels on both sides."""

import cv2
import numpy as np
import pytest

from restore.pipelines.old_photo_strips import (
    components,
    edge_distances,
    measure_sides,
    measure_strip,
)

Line = tuple[tuple[int, int], tuple[int, int]]


def draw(line: Line, width_px: int) -> np.ndarray:
    mask = np.zeros((120, 160), np.uint8)
    cv2.line(mask, *line, 1, width_px)
    return mask > 0


@pytest.mark.parametrize("width_px", [2, 3, 5, 9])
def test_width_and_length_of_a_strip(width_px: int) -> None:
    mask = np.zeros((120, 160), np.bool_)
    mask[50 : 50 + width_px, 20:140] = True
    for strip in (mask, mask.T):
        width, length = measure_strip(edge_distances(strip))
        assert width == pytest.approx(width_px, abs=1.2)
        assert width * length == pytest.approx(120 * width_px)


def test_components_have_their_window_with_a_margin() -> None:
    mask = np.zeros((120, 160), np.bool_)
    mask[59:62, 19:42] = mask[0, 150] = True
    found = dict(enumerate(components(mask, margin_px=4)))
    assert [window for window, _ in found.values()] == [
        (slice(0, 5), slice(146, 155)),
        (slice(55, 66), slice(15, 46)),
    ]
    for window, region in found.values():
        np.testing.assert_array_equal(region, mask[window])


@pytest.mark.parametrize(
    "line", [((20, 60), (140, 60)), ((80, 10), (80, 110)), ((40, 20), (110, 90))]
)
def test_sides_differ_by_the_step_between_them(line: Line) -> None:
    mask = draw(line, 5)
    (x1, y1), (x2, y2) = line
    y, x = np.mgrid[:120, :160]
    is_left = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1) > 0
    luminance = np.where(mask, 255, np.where(is_left, 40, 110)).astype(np.uint8)
    [(window, region)] = components(mask, margin_px=0)
    sides = measure_sides(luminance, window, region, 5.0)
    assert sides is not None
    assert sides.difference_levels == pytest.approx(70, abs=2)
    assert sides.roughness_px < 0.6
    flat = np.where(mask, np.uint8(255), np.uint8(40))
    sides = measure_sides(flat, window, region, 5.0)
    assert sides is not None
    assert sides.difference_levels == pytest.approx(0, abs=1)


def test_roughness_is_that_of_the_smoother_edge() -> None:
    wave = np.rint(4 * np.sin(np.arange(160) / 3)).astype(int)
    figures = []
    for below in (0, wave):
        y = np.arange(120)[:, None]
        mask = (y >= 50 + wave) & (y < 62 + below)
        [(window, region)] = components(mask, margin_px=0)
        sides = measure_sides(np.zeros((120, 160), np.uint8), window, region, 10.0)
        assert sides is not None
        figures.append(sides.roughness_px)
    assert figures[0] < 0.5
    assert figures[1] > 2


def test_short_area_and_network_of_cracks_have_no_sides() -> None:
    short = np.zeros((120, 160), np.bool_)
    short[50:53, 20:30] = True
    mask = draw(((20, 60), (140, 60)), 3)
    for x in (30, 60, 90, 120):
        mask |= draw(((x - 14, 20), (x + 14, 100)), 3)
    luminance = np.where(np.mgrid[:120, :160][0] < 60, 20, 200).astype(np.uint8)
    for area in (short, mask):
        [(window, region)] = components(area, margin_px=0)
        assert measure_sides(luminance, window, region, 3.0) is None
