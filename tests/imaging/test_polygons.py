"""Polygons that mark the areas to fill."""

import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restore.errors import Code, RestoreError
from restore.imaging.polygons import MAX_POLYGONS, MAX_VERTICES, draw_polygons, parse_polygons

TRIANGLE = [[1, 2], [9, 2], [5, 8]]


def draw(polygons: Sequence[object], width: int = 40, height: int = 30) -> np.ndarray:
    return draw_polygons(parse_polygons(json.dumps(polygons)), width, height)


def test_one_polygon_and_a_list_of_polygons() -> None:
    [single] = parse_polygons("[[1, 2], [9.5, 2], [5, -8e1]]")
    assert single.dtype == np.float64
    assert single.tolist() == [[1, 2], [9.5, 2], [5, -80]]
    several = parse_polygons(json.dumps([TRIANGLE, [*TRIANGLE, [0, 0]]]))
    assert [polygon.shape for polygon in several] == [(3, 2), (4, 2)]


INVALID = [
    ("", "points is ''.*not JSON"),
    ("nope", "'nope'.*not JSON"),
    ("[[1,2],[3,4],[5,6]", "not JSON"),
    ("[" * 100_000, "not JSON"),
    ("[[1,2],[3,4],[5," + "9" * 5000 + "]]", "not JSON"),
    ("null", "points is 'null'.*not a polygon"),
    ("{}", "not a polygon"),
    ("[]", "not a polygon"),
    ('"a"', "not a polygon"),
    ("[[]]", "polygon 1 of points needs at least three vertices, not 0"),
    ("[[1,2],[3,4]]", "polygon 1 of points needs at least three vertices, not 2"),
    ("[[[1,2],[3,4],[5,6]],[[1,2],[3,4]]]", "polygon 2 of points needs at least three vertices"),
    ("[[[1,2],[3,4],[5,6]],7]", "polygon 2 of points is 7"),
    ("[1,2,3]", "vertex 1 of polygon 1 of points is 1,"),
    ("[[1,2],[3,4],5]", "vertex 3 of polygon 1"),
    ("[[1,2],[3,4],[5]]", r"vertex 3 of polygon 1 of points is \[5\]"),
    ("[[1,2],[3,4],[5,6,7]]", "vertex 3 of polygon 1"),
    ("[[1,2],[[3,4]],[5,6]]", "vertex 2 of polygon 1"),
    ("[[[[1,2]],[[3,4]],[[5,6]]]]", "vertex 1 of polygon 1"),
    ('[[1,2],[3,4],[5,"6"]]', "not a pair of numbers"),
    ("[[1,2],[3,4],[5,null]]", "not a pair of numbers"),
    ("[[1,2],[3,4],[5,true]]", "not a pair of numbers"),
    ("[[1,2],[3,4],[5,NaN]]", "vertex 3 of polygon 1 of points is .*nan.*too far from"),
    ("[[1,2],[3,4],[5,-Infinity]]", "too far from"),
    ("[[1,2],[3,4],[5,1e999]]", "too far from"),
    ("[[1,2],[3,4],[5,1e10]]", "too far from"),
    ("[[1,2],[3,4],[5," + "9" * 200 + "]]", "too far from"),
    ("[[1,2],[3,4],[5," + "9" * 4000 + "]]", "not a pair of numbers"),
    (json.dumps([TRIANGLE] * (MAX_POLYGONS + 1)), "1001 polygons"),
    (json.dumps([[0, 0]] * (MAX_VERTICES + 1)), "10001 vertices"),
    (" " * 500_001, "500001 characters"),
]


@pytest.mark.parametrize(("points", "reason"), INVALID, ids=[points[:24] for points, _ in INVALID])
def test_invalid_points_are_rejected_with_a_short_message(points: str, reason: str) -> None:
    with pytest.raises(RestoreError, match=reason) as caught:
        parse_polygons(points)
    assert caught.value.code is Code.MASK
    assert len(str(caught.value)) < 400


def test_deep_nesting_is_rejected() -> None:
    for depth in (500, 900, 980, 990, 1000, 5000):
        with pytest.raises(RestoreError) as caught:
            parse_polygons(f"[[1,2],[3,4],{'[' * depth}{']' * depth}]")
        assert caught.value.code is Code.MASK


def test_edge_pixels_are_included() -> None:
    mask = draw([[10, 10], [20, 10], [20, 15], [10, 15]])
    expected = np.zeros((30, 40), np.bool_)
    expected[10:16, 10:21] = True
    np.testing.assert_array_equal(mask, expected)
    assert mask.dtype == np.bool_
    assert draw([[3, 3], [8, 3], [5, 3]]).sum() == 6  # a polygon without area
    assert draw([[3.2, 3.1], [3.2, 3.1], [3.2, 3.1]]).sum() >= 1


def test_self_crossing_polygon_is_filled_by_the_even_odd_rule() -> None:
    angles = np.pi / 2 + 4 * np.pi / 5 * np.arange(5)
    star = np.stack([100 + 90 * np.cos(angles), 100 - 90 * np.sin(angles)], axis=1).tolist()
    mask = draw(star, 200, 200)
    assert not mask[100, 100]
    assert mask[25, 100]
    assert not draw([[0, 0], [20, 0], [20, 20], [0, 20]] * 2)[10, 10]


def test_overlapping_polygons_are_united() -> None:
    squares = [[[2, 2], [12, 2], [12, 12], [2, 12]], [[8, 8], [20, 8], [20, 20], [8, 20]]]
    np.testing.assert_array_equal(draw(squares), draw(squares[0]) | draw(squares[1]))
    assert draw([squares[0], squares[0]])[5, 5]


@pytest.mark.parametrize("far", [50, 1e4, 1e6, 1e9])
def test_polygon_is_clipped_to_the_photo(far: float) -> None:
    y, x = np.mgrid[0:30, 0:40]
    assert draw([[-far, -far], [far, -far], [far, far], [-far, far]]).all()
    np.testing.assert_array_equal(draw([[-far, -far], [far, far], [-far, far]]), y >= x)
    np.testing.assert_array_equal(draw([[20, -far], [far, -far], [far, far], [20, far]]), x >= 20)
    np.testing.assert_array_equal(
        draw([[-far, 10], [far, 10], [far, 12], [-far, 12]]), (y >= 10) & (y <= 12)
    )


@pytest.mark.parametrize(
    "outside",
    [
        [[50, 0], [60, 0], [60, 10]],
        [[-9, -9], [-3, -9], [-3, -3]],
        [[-1e9, 1e9], [0, 1e8], [1e9, 1e9]],
        [[-30, 40], [60, 31.9], [60, 60]],
        [[-5, -5], [45, -5], [45, 35], [-5, 35]] * 2,
    ],
)
def test_polygon_outside_the_photo_is_rejected(outside: list[list[float]]) -> None:
    with pytest.raises(
        RestoreError, match=r"polygon 2 .*photo, which is 40x30.*x from 0 to 39 and y from 0 to 29"
    ) as caught:
        draw([TRIANGLE, outside])
    assert caught.value.code is Code.MASK


coordinates = st.one_of(st.floats(-20, 40), st.floats(-1e9, 1e9), st.integers(-5, 30))


@settings(max_examples=300)
@given(st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=7))
def test_drawing_matches_ray_casting_away_from_edges(
    vertices: list[tuple[float, float]],
) -> None:
    width, height = 24, 17
    polygon = np.array(vertices, float)
    y, x = np.mgrid[0:height, 0:width].astype(float)
    inside, near = np.zeros((height, width), np.bool_), np.zeros((height, width), np.bool_)
    for start, end in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        along = end - start
        with np.errstate(all="ignore"):
            crossing = start[0] + (y - start[1]) / along[1] * along[0]
            inside ^= ((start[1] > y) != (end[1] > y)) & (x < crossing)
            share = np.clip(
                np.nan_to_num(
                    ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / (along @ along)
                ),
                0,
                1,
            )
            near |= np.hypot(start[0] + share * along[0] - x, start[1] + share * along[1] - y) < 1.1
    try:
        mask = draw_polygons((polygon,), width, height)
    except RestoreError:
        mask = np.zeros((height, width), np.bool_)
    np.testing.assert_array_equal(mask[~near], inside[~near])


def test_the_most_polygons_and_vertices_are_drawn_quickly() -> None:
    angles = np.linspace(0, 2 * np.pi, MAX_VERTICES, endpoint=False)
    disc = np.stack([500 + 400 * np.cos(angles), 500 + 400 * np.sin(angles)], axis=1).tolist()
    assert draw(disc, 1000, 1000).mean() == pytest.approx(np.pi * 0.16, abs=0.01)
    dots = [[[x, y], [x + 3, y], [x, y + 3]] for x in range(0, 800, 20) for y in range(0, 500, 20)]
    assert len(dots) == MAX_POLYGONS
    assert draw(dots, 1000, 1000).sum() == MAX_POLYGONS * 10
