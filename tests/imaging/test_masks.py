"""Masks from polygons and from pictures: what is a hole, and what is refused."""

import json
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restore.errors import Code, RestoreError
from restore.imaging.masks import MAX_POLYGONS, MAX_VERTICES, filled, mask_from, polygons_of
from restore.imaging.photo import Photo

TRIANGLE = [[1, 2], [9, 2], [5, 8]]
unheard = mock.Mock(side_effect=AssertionError("no warning is due"))


def drawn(polygons, width=40, height=30) -> np.ndarray:
    return filled(polygons_of(json.dumps(polygons)), width, height)


def test_one_polygon_and_a_list_of_polygons():
    [one] = polygons_of("[[1, 2], [9.5, 2], [5, -8e1]]")
    assert one.dtype == np.float64
    assert one.tolist() == [[1, 2], [9.5, 2], [5, -80]]
    several = polygons_of(json.dumps([TRIANGLE, [*TRIANGLE, [0, 0]]]))
    assert [polygon.shape for polygon in several] == [(3, 2), (4, 2)]


REFUSED = [
    ("", "points is ''.*no JSON"),
    ("nope", "'nope'.*no JSON"),
    ("[[1,2],[3,4],[5,6]", "no JSON"),
    ("[" * 100_000, "no JSON"),
    ("[[1,2],[3,4],[5," + "9" * 5000 + "]]", "no JSON"),
    ("null", "points is 'null'.*no polygon"),
    ("{}", "no polygon"),
    ("[]", "no polygon"),
    ('"a"', "no polygon"),
    ("[[]]", "polygon 1 of points has 0 vertices"),
    ("[[1,2],[3,4]]", "polygon 1 of points has 2 vertices"),
    ("[[[1,2],[3,4],[5,6]],[[1,2],[3,4]]]", "polygon 2 of points has 2 vertices"),
    ("[[[1,2],[3,4],[5,6]],7]", "polygon 2 of points is 7"),
    ("[1,2,3]", "vertex 1 of polygon 1 of points is 1,"),
    ("[[1,2],[3,4],5]", "vertex 3 of polygon 1"),
    ("[[1,2],[3,4],[5]]", r"vertex 3 of polygon 1 of points is \[5\]"),
    ("[[1,2],[3,4],[5,6,7]]", "vertex 3 of polygon 1"),
    ("[[1,2],[[3,4]],[5,6]]", "vertex 2 of polygon 1"),
    ("[[[[1,2]],[[3,4]],[[5,6]]]]", "vertex 1 of polygon 1"),
    ('[[1,2],[3,4],[5,"6"]]', "no pair of numbers"),
    ("[[1,2],[3,4],[5,null]]", "no pair of numbers"),
    ("[[1,2],[3,4],[5,true]]", "no pair of numbers"),
    ("[[1,2],[3,4],[5,NaN]]", "vertex 3 of polygon 1 of points is .*nan.*no place"),
    ("[[1,2],[3,4],[5,-Infinity]]", "no place"),
    ("[[1,2],[3,4],[5,1e999]]", "no place"),
    ("[[1,2],[3,4],[5,1e10]]", "no place"),
    ("[[1,2],[3,4],[5," + "9" * 200 + "]]", "no place"),
    ("[[1,2],[3,4],[5," + "9" * 4000 + "]]", "no pair of numbers"),
    (json.dumps([TRIANGLE] * (MAX_POLYGONS + 1)), "1001 polygons"),
    (json.dumps([[0, 0]] * (MAX_VERTICES + 1)), "10001 vertices"),
    (" " * 500_001, "500001 characters"),
]


@pytest.mark.parametrize(("points", "named"), REFUSED, ids=[points[:24] for points, _ in REFUSED])
def test_what_is_no_polygon_is_refused_by_name_and_cut_short(points, named):
    with pytest.raises(RestoreError, match=named) as caught:
        polygons_of(points)
    assert caught.value.code is Code.MASK
    assert len(str(caught.value)) < 400


def test_nesting_that_python_can_only_just_read_is_refused():
    for depth in (500, 900, 980, 990, 1000, 5000):
        with pytest.raises(RestoreError) as caught:
            polygons_of(f"[[1,2],[3,4],{'[' * depth}{']' * depth}]")
        assert caught.value.code is Code.MASK


def test_edges_belong_to_a_polygon():
    mask = drawn([[10, 10], [20, 10], [20, 15], [10, 15]])
    expected = np.zeros((30, 40), np.bool_)
    expected[10:16, 10:21] = True
    np.testing.assert_array_equal(mask, expected)
    assert mask.dtype == np.bool_
    assert drawn([[3, 3], [8, 3], [5, 3]]).sum() == 6  # without any area
    assert drawn([[3.2, 3.1], [3.2, 3.1], [3.2, 3.1]]).sum() >= 1


def test_where_a_polygon_crosses_itself_it_is_even_odd():
    angles = np.pi / 2 + 4 * np.pi / 5 * np.arange(5)
    star = np.stack([100 + 90 * np.cos(angles), 100 - 90 * np.sin(angles)], axis=1).tolist()
    mask = drawn(star, 200, 200)
    assert not mask[100, 100]
    assert mask[25, 100]
    assert not drawn([[0, 0], [20, 0], [20, 20], [0, 20]] * 2)[10, 10]


def test_several_polygons_are_united_even_where_they_overlap():
    squares = [[[2, 2], [12, 2], [12, 12], [2, 12]], [[8, 8], [20, 8], [20, 20], [8, 20]]]
    np.testing.assert_array_equal(drawn(squares), drawn(squares[0]) | drawn(squares[1]))
    assert drawn([squares[0], squares[0]])[5, 5]


@pytest.mark.parametrize("far", [50, 1e4, 1e6, 1e9])
def test_what_reaches_beyond_the_photo_is_cut_off(far):
    y, x = np.mgrid[0:30, 0:40]
    assert drawn([[-far, -far], [far, -far], [far, far], [-far, far]]).all()
    np.testing.assert_array_equal(drawn([[-far, -far], [far, far], [-far, far]]), y >= x)
    np.testing.assert_array_equal(drawn([[20, -far], [far, -far], [far, far], [20, far]]), x >= 20)
    np.testing.assert_array_equal(
        drawn([[-far, 10], [far, 10], [far, 12], [-far, 12]]), (y >= 10) & (y <= 12)
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
def test_a_polygon_that_covers_no_pixel_is_refused_by_number_and_size(outside):
    with pytest.raises(
        RestoreError, match=r"polygon 2 .*photo, which is 40x30.*x from 0 to 39 and y from 0 to 29"
    ) as caught:
        drawn([TRIANGLE, outside])
    assert caught.value.code is Code.MASK


coordinates = st.one_of(st.floats(-20, 40), st.floats(-1e9, 1e9), st.integers(-5, 30))


@settings(max_examples=300)
@given(st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=7))
def test_pixels_are_inside_by_counting_edges_but_for_those_on_an_edge(vertices):
    """Against the definition: a ray from the pixel's centre crosses the polygon an odd number of times."""
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
        mask = filled((polygon,), width, height)
    except RestoreError:
        mask = np.zeros((height, width), np.bool_)
    np.testing.assert_array_equal(mask[~near], inside[~near])


def test_a_thousand_polygons_or_ten_thousand_vertices_of_one_outline_are_quick():
    angles = np.linspace(0, 2 * np.pi, MAX_VERTICES, endpoint=False)
    disc = np.stack([500 + 400 * np.cos(angles), 500 + 400 * np.sin(angles)], axis=1).tolist()
    assert drawn(disc, 1000, 1000).mean() == pytest.approx(np.pi * 0.16, abs=0.01)
    dots = [[[x, y], [x + 3, y], [x, y + 3]] for x in range(0, 800, 20) for y in range(0, 500, 20)]
    assert len(dots) == MAX_POLYGONS
    assert drawn(dots, 1000, 1000).sum() == MAX_POLYGONS * 10


def test_white_is_what_is_filled():
    levels = np.array([[0, 8, 127, 128, 200, 255]] * 2, np.uint8)
    for pixels in (levels, np.repeat(levels[..., None], 3, axis=2), levels.astype(np.uint16) * 257):
        mask = mask_from(Photo("m.png", pixels), 6, 2, [].append)
        assert mask.dtype == np.bool_
        assert mask.tolist() == [[False, False, False, True, True, True]] * 2


def test_the_ringing_of_a_jpeg_mask_makes_no_holes():
    cv2 = pytest.importorskip("cv2")
    clean = np.zeros((64, 64), np.uint8)
    clean[20:40, 22:45] = 255
    _, data = cv2.imencode(".jpg", clean, [cv2.IMWRITE_JPEG_QUALITY, 60])
    rung = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    assert ((rung > 0) & (clean == 0)).sum() > 20
    np.testing.assert_array_equal(mask_from(Photo("m.jpg", rung), 64, 64, unheard), clean > 0)


def test_what_is_transparent_in_a_mask_is_no_hole():
    white, alpha = np.full((2, 4), 255, np.uint8), np.array([[0, 127, 128, 255]] * 2, np.uint8)
    assert mask_from(Photo("m.png", white, alpha), 4, 2, unheard)[0].tolist() == [
        False,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(("width", "height"), [(80, 60), (20, 15), (41, 31)])
def test_a_mask_of_the_same_aspect_is_resized_with_a_warning(width, height):
    pixels = np.zeros((30, 40), np.uint8)
    pixels[:15] = 255
    said = []
    mask = mask_from(Photo("m.png", pixels), width, height, said.append)
    assert mask.shape == (height, width)
    assert mask.dtype == np.bool_
    assert mask[: height // 2].all()
    assert not mask[height // 2 + 1 :].any()
    [warning] = said
    assert "'m.png' has 40x30" in warning
    assert f"{width}x{height}" in warning


@pytest.mark.parametrize(("width", "height"), [(30, 40), (40, 31), (400, 304), (40, 29)])
def test_a_mask_of_another_aspect_is_refused_with_both_sizes(width, height):
    with pytest.raises(
        RestoreError, match=rf"'m\.png' has 40x30 pixels, the photo {width}x{height}"
    ) as caught:
        mask_from(Photo("m.png", np.zeros((30, 40), np.uint8)), width, height, unheard)
    assert caught.value.code is Code.MASK
