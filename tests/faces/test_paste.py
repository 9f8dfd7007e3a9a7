"""A face pasted on its region is the face pasted over the whole frame, to the last bit; and is where and what it should be."""

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from restore.faces.align import crop
from restore.faces.convention import CODEFORMER, FACEXLIB
from restore.faces.masks import parse_mask
from restore.faces.paste import BLOCK_PX, Frame, background, placement
from restore.pipelines.official import OfficialFrame

RNG = np.random.default_rng(7)
FACE = cv2.GaussianBlur(RNG.integers(0, 256, (512, 512, 3)).astype(np.uint8), (0, 0), 1.5)
OTHER = cv2.GaussianBlur(RNG.integers(0, 256, (512, 512, 3)).astype(np.uint8), (0, 0), 1.5)
LABELS = np.zeros((512, 512), np.uint8)
LABELS[60:480, 100:410] = 1
MASK = parse_mask(LABELS)
NOWHERE = (0, 0, 0, 0)


def photo(height: int = 300, width: int = 420, dtype: type = np.uint8) -> np.ndarray:
    smooth = cv2.GaussianBlur(
        np.random.default_rng(9).integers(0, 256, (height, width, 3)).astype(np.uint8), (0, 0), 2
    )
    return smooth if dtype == np.uint8 else smooth.astype(np.uint16) * 257


def matrix_of(side_px: float, angle: float, x: float, y: float) -> np.ndarray:
    """Photo to crop, for a crop whose square has this side in the photo, turned, and its middle at x, y."""
    factor = side_px / 512
    turned = factor * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    to_photo = np.column_stack([turned, np.array([x, y]) - turned @ (255.5, 255.5)])
    return cv2.invertAffineTransform(to_photo)


def paste(
    canvas: np.ndarray, *arguments, quirks: bool = False, whole_frame: bool = False, **settings
) -> tuple[int, int, int, int]:
    """A single face into a canvas, in place."""
    frame = (
        OfficialFrame(canvas, truncates=quirks, whole_frame=whole_frame)
        if quirks or whole_frame
        else Frame(canvas)
    )
    region = frame.paste(*arguments, **settings)
    frame.settle()
    return region


def both_ways(
    frame: np.ndarray, *arguments, **settings
) -> tuple[np.ndarray, np.ndarray, tuple[int, int, int, int]]:
    """The frame pasted into by region and as a whole, and the region."""
    regional, whole = frame.copy(), frame.copy()
    region = paste(regional, *arguments, **settings)
    paste(whole, *arguments, **settings, whole_frame=True)
    return regional, whole, region


def plainly(
    frame: np.ndarray,
    face: np.ndarray,
    matrix: np.ndarray,
    scale: float,
    mask: np.ndarray | None,
    square: bool,
) -> np.ndarray:
    """The official steps one after the other, over the whole frame, by OpenCV's own warp; not rounded."""
    size, inverse = (frame.shape[1], frame.shape[0]), placement(matrix, scale)
    layer = cv2.warpAffine(face, inverse, size).astype(np.float64)
    weight = (
        np.ones(frame.shape[:2])
        if mask is None
        else cv2.warpAffine(mask, inverse, size).astype(np.float64)
    )
    if square:
        eroded = cv2.warpAffine(np.ones((512, 512), np.float32), inverse, size)
        eroded = cv2.erode(eroded, np.ones((int(2 * scale), int(2 * scale)), np.uint8))
        layer *= eroded[..., None]
        edge = int(np.sum(eroded) ** 0.5) // 20
        soft = cv2.erode(eroded, np.ones((2 * edge, 2 * edge), np.uint8))
        weight = np.minimum(weight, cv2.GaussianBlur(soft, (2 * edge + 1, 2 * edge + 1), 0))
    return weight[..., None] * layer + (1 - weight[..., None]) * frame


@settings(max_examples=40)
@given(
    scale=st.sampled_from([1, 1.5, 2, 4]),
    side_px=st.floats(5, 900),
    angle=st.floats(-3.2, 3.2),
    x=st.floats(-150, 450),
    y=st.floats(-150, 360),
    kind=st.sampled_from(
        ["codeformer", "facexlib", "square", "difference", "quirks", "float", "16 bits"]
    ),
)
@example(scale=1, side_px=20, angle=0.3, x=130.0, y=128.0, kind="codeformer")
@example(scale=2, side_px=200, angle=0.0, x=0.0, y=0.0, kind="codeformer")
@example(scale=2, side_px=200, angle=0.0, x=300.0, y=0.0, kind="codeformer")
@example(scale=1.5, side_px=200, angle=0.0, x=0.0, y=210.0, kind="codeformer")
@example(scale=1, side_px=200, angle=0.0, x=300.0, y=210.0, kind="codeformer")
@example(scale=1, side_px=200, angle=0.2, x=-60.0, y=150.0, kind="codeformer")
@example(scale=1, side_px=900, angle=0.2, x=200.0, y=150.0, kind="codeformer")
@example(scale=1, side_px=126, angle=0.0, x=192.0, y=192.0, kind="square")
def test_a_region_gives_what_the_whole_frame_gives(scale, side_px, angle, x, y, kind):
    frame = photo(210, 300, np.uint16 if kind == "16 bits" else np.uint8)
    frame = background(frame, (int(300 * scale), int(210 * scale)), FACEXLIB)
    face = FACE.astype(np.float64) * 1.3 - 20 if kind in ("float", "quirks") else FACE
    regional, whole, (x0, y0, x1, y1) = both_ways(
        frame,
        face,
        matrix_of(side_px, angle, x, y),
        scale,
        mask=None if kind == "square" else MASK,
        square=kind in ("codeformer", "square", "quirks", "16 bits"),
        crop=OTHER if kind == "difference" else None,
        quirks=kind == "quirks",
    )
    np.testing.assert_array_equal(regional, whole)
    outside = np.ones(frame.shape[:2], bool)
    outside[y0:y1, x0:x1] = False
    np.testing.assert_array_equal(regional[outside], frame[outside])


@pytest.mark.parametrize("threads", [1, 2])
def test_a_region_of_a_large_frame_gives_what_the_whole_frame_gives(threads):
    before = cv2.getNumThreads()
    cv2.setNumThreads(threads)
    try:
        regional, whole, region = both_ways(
            photo(1500, 1700), FACE, matrix_of(611, 0.3, 903.3, 640.7), 1, mask=MASK, square=True
        )
    finally:
        cv2.setNumThreads(before)
    np.testing.assert_array_equal(regional, whole)
    assert (region[2] - region[0]) * (region[3] - region[1]) < 0.5 * 1500 * 1700


@pytest.mark.parametrize("square", [True, False])
@pytest.mark.parametrize("scale", [1, 3])
@pytest.mark.parametrize(
    "place", [(230, 0.2, 210.3, 160.9), (300, -2.0, 40, 290), (1300, 0.1, 210, 150)]
)
def test_it_is_what_the_official_steps_give(place, scale, square):
    frame = background(photo(), (420 * scale, 300 * scale), CODEFORMER)
    expected = np.trunc(plainly(frame, FACE, matrix_of(*place), scale, MASK, square))
    paste(frame, FACE, matrix_of(*place), scale, mask=MASK, square=square, quirks=True)
    difference = np.abs(frame - expected)
    assert (difference > 1).mean() < 1e-3
    assert difference.max() <= 3


def test_our_own_way_rounds_and_keeps_the_range_where_quirks_truncate_and_wrap():
    matrix, face = matrix_of(512, 0, 255.5, 255.5), np.full((512, 512, 3), 99.7)
    face[:256], face[:100] = 260.0, -1.0
    for quirks, expected in ((False, (0, 255, 100)), (True, (255, 4, 99))):
        frame = photo(512, 512)
        paste(
            frame,
            face,
            matrix,
            1,
            mask=np.ones((512, 512), np.float32),
            square=False,
            quirks=quirks,
        )
        assert tuple(frame[(50, 200, 400), 300, 0]) == expected


@pytest.mark.parametrize("scale", [1, 1.5, 2, 3, 4])
def test_a_point_of_the_photo_goes_through_the_crop_to_where_the_enlarged_photo_has_it(scale):
    matrix, point = matrix_of(256, 0.1, 200, 150), np.array([180.0, 140.0, 1.0])
    in_crop = np.append(matrix @ point, 1.0)
    np.testing.assert_allclose(
        placement(matrix, scale, exact=True) @ in_crop, scale * point[:2] + (scale - 1) / 2
    )
    official = scale * point[:2] + (scale / 2 if scale > 1 else 0)
    np.testing.assert_allclose(placement(matrix, scale) @ in_crop, official)


@pytest.mark.parametrize("scale", [1, 1.5, 2, 3, 4])
def test_a_difference_meets_the_edges_of_the_enlarged_photo(scale):
    """What sharpens at scale 1 sharpens when enlarged: the change is where the edges are, not half a pixel beside them."""
    smooth = cv2.normalize(cv2.GaussianBlur(photo(), (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    matrix = matrix_of(256, 0.1, 200, 150)
    before = crop(smooth, matrix).astype(np.float32)
    frame = background(smooth, (int(420 * scale), int(300 * scale)), CODEFORMER).copy()
    resized = frame.astype(float)
    paste(
        frame,
        np.zeros_like(before),
        matrix,
        scale,
        mask=np.ones((512, 512), np.float32),
        square=False,
        crop=before,
    )
    inner = np.s_[int(110 * scale) : int(190 * scale), int(160 * scale) : int(240 * scale)]
    assert np.abs(frame[inner]).mean() < 1  # the photo less itself is black
    assert resized[inner].mean() > 50


def test_a_difference_is_added_and_the_photo_s_own_detail_stays():
    frame = photo(1400, 1400)
    fine = frame.copy()
    fine[::2, ::2] += 10  # detail that a crop of a face this large cannot hold
    matrix = matrix_of(1200, 0.1, 700, 700)
    before = crop(fine, matrix)
    same = fine.copy()
    paste(same, before, matrix, 1, mask=MASK, square=False, crop=before)
    np.testing.assert_array_equal(same, fine)
    paste(same, before.astype(np.float32) + 7, matrix, 1, mask=MASK, square=False, crop=before)
    np.testing.assert_array_equal(
        same[700, 600:800].astype(int), np.minimum(fine[700, 600:800].astype(int) + 7, 255)
    )


def test_sixteen_bits_are_pasted_as_eight():
    matrix = matrix_of(240, 0.2, 200, 140)
    eight, sixteen = photo(), photo(dtype=np.uint16)
    for frame in (eight, sixteen):
        paste(frame, FACE, matrix, 1, mask=MASK, square=True)
    assert np.abs(sixteen / 257 - eight).max() <= 0.502
    assert (sixteen % 257 != 0).any()  # its own levels are used


@pytest.mark.parametrize(
    "place", [(60, 0, -300, 100), (60, 0, 900, 100), (60, 0, 100, -300), (60, 0, 100, 900)]
)
@pytest.mark.parametrize("square", [True, False])
def test_a_face_outside_the_frame_changes_nothing(place, square):
    frame = photo()
    region = paste(frame, FACE, matrix_of(*place), 1, mask=MASK, square=square)
    assert region == NOWHERE
    np.testing.assert_array_equal(frame, photo())


@pytest.mark.parametrize("side_px", [0.6, 3, 8, 19])
def test_faces_too_small_for_a_margin_are_pasted_all_the_same(side_px):
    frame = photo()
    paste(
        frame,
        np.full((512, 512, 3), 255, np.uint8),
        matrix_of(side_px, 0, 200, 150),
        1,
        mask=None,
        square=True,
    )
    changed = (frame != photo()).any(axis=2)
    assert changed.sum() <= (side_px + 2) ** 2
    if side_px >= 8:
        assert changed.sum() > (side_px - 2) ** 2


def test_the_square_is_soft_at_its_edge_and_full_in_its_middle():
    frame = np.zeros((400, 400, 3), np.uint8)
    paste(
        frame,
        np.full((512, 512, 3), 200, np.uint8),
        matrix_of(200, 0, 200, 200),
        1,
        mask=None,
        square=True,
    )
    profile = frame[200, :, 0].astype(int)
    assert profile[200] == 200
    assert profile[100] == profile[300] == 0
    assert np.abs(np.diff(profile)).max() < 60
    assert (np.diff(profile[:200]) >= 0).all()


def test_a_region_is_blocks_around_the_face_within_the_frame():
    frame = photo(900, 1000)
    x0, y0, x1, y1 = paste(frame, FACE, matrix_of(150, 0.1, 500, 400), 1, mask=MASK, square=False)
    assert x0 % BLOCK_PX == y0 % BLOCK_PX == 0
    assert 0 < x0 < 425
    assert 575 < x1 < 1000
    assert 0 < y0 < 325
    assert 475 < y1 < 900
    assert (x1 - x0, y1 - y0) <= (4 * BLOCK_PX, 4 * BLOCK_PX)


def test_a_face_needs_a_mask_or_a_square():
    with pytest.raises(ValueError, match="not by neither"):
        paste(photo(), FACE, matrix_of(150, 0, 200, 150), 1, mask=None, square=False)


def test_a_background_of_the_right_size_is_not_touched():
    frame = photo()
    assert background(frame, (420, 300), CODEFORMER) is frame
    linear, lanczos = (
        background(frame, (630, 450), convention) for convention in (CODEFORMER, FACEXLIB)
    )
    assert linear.shape == lanczos.shape == (450, 630, 3)
    assert (linear != lanczos).any()


@pytest.mark.parametrize("square", [False, True])
def test_overlapping_faces_are_rounded_once(square):
    """As officially: one face after the other in floats, over the whole frame, and one cast at the end."""
    places = [(240, 0.1, 150, 150), (240, -0.2, 210, 140), (160, 0.0, 190, 170)]
    faces = [np.clip(FACE.astype(int) + shift, 0, 255).astype(np.uint8) for shift in (0, 40, -30)]
    expected = photo().astype(np.float64)
    frame = OfficialFrame(photo())
    for place, face in zip(places, faces, strict=True):
        expected = plainly(expected, face, matrix_of(*place), 1, MASK, square)
        frame.paste(face, matrix_of(*place), 1, mask=MASK, square=square)
    frame.settle()
    difference = np.abs(frame.pixels.astype(int) - expected.astype(np.uint8))
    assert (difference > 1).mean() < 1e-3
    assert difference.max() <= 3
    whole = OfficialFrame(photo(), whole_frame=True)
    for place, face in zip(places, faces, strict=True):
        whole.paste(face, matrix_of(*place), 1, mask=MASK, square=square)
    whole.settle()
    np.testing.assert_array_equal(frame.pixels, whole.pixels)
