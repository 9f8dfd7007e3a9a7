"""Pasting faces: the region gives the bits of the whole frame, and the official result."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from restore.faces.align import crop
from restore.faces.convention import CODEFORMER, FACEXLIB
from restore.faces.masks import parse_mask
from restore.faces.paste import (
    BLOCK_PX,
    EMPTY_REGION,
    Frame,
    Region,
    crop_to_frame_transform,
    resize_background,
)
from restore.pipelines.official import OfficialFrame

RNG = np.random.default_rng(7)
FACE = cv2.GaussianBlur(RNG.integers(0, 256, (512, 512, 3)).astype(np.uint8), (0, 0), 1.5)
OTHER = cv2.GaussianBlur(RNG.integers(0, 256, (512, 512, 3)).astype(np.uint8), (0, 0), 1.5)
LABELS = np.zeros((512, 512), np.uint8)
LABELS[60:480, 100:410] = 1
MASK = parse_mask(LABELS)


def photo(
    height: int = 300, width: int = 420, dtype: type[np.unsignedinteger] = np.uint8
) -> np.ndarray:
    smooth = cv2.GaussianBlur(
        np.random.default_rng(9).integers(0, 256, (height, width, 3)).astype(np.uint8), (0, 0), 2
    )
    return smooth if dtype == np.uint8 else smooth.astype(np.uint16) * 257


def matrix_of(side_px: float, angle: float, x: float, y: float) -> np.ndarray:
    """Return the transform from photo to crop.

    Args:
        side_px: side of the square of the crop in the photo.
        angle: rotation of the square in radians.
        x: column of its centre.
        y: row of its centre.
    """
    factor = side_px / 512
    rotation = factor * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    to_photo = np.column_stack([rotation, np.array([x, y]) - rotation @ (255.5, 255.5)])
    return cv2.invertAffineTransform(to_photo)


def paste(
    canvas: np.ndarray,
    *arguments: Any,
    official: bool = False,
    whole_frame: bool = False,
    **options: Any,
) -> Region:
    """Paste one face into a canvas, in place."""
    frame = (
        OfficialFrame(canvas, truncates=official, whole_frame=whole_frame)
        if official or whole_frame
        else Frame(canvas)
    )
    region = frame.paste(*arguments, **options)
    frame.write_back()
    return region


def paste_by_region_and_whole(
    frame: np.ndarray, *arguments: Any, **options: Any
) -> tuple[np.ndarray, np.ndarray, Region]:
    """Return the frame with a face pasted by region, the same over the whole frame, the region."""
    by_region, whole = frame.copy(), frame.copy()
    region = paste(by_region, *arguments, **options)
    paste(whole, *arguments, **options, whole_frame=True)
    return by_region, whole, region


def paste_officially(
    frame: np.ndarray,
    face: np.ndarray,
    matrix: np.ndarray,
    scale: float,
    mask: np.ndarray | None,
    square: bool,
) -> np.ndarray:
    """Compute the official steps over the whole frame with OpenCV, without rounding."""
    size, inverse = (frame.shape[1], frame.shape[0]), crop_to_frame_transform(matrix, scale)
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
    pasted: np.ndarray = weight[..., None] * layer + (1 - weight[..., None]) * frame
    return pasted


@settings(max_examples=40)
@given(
    scale=st.sampled_from([1, 1.5, 2, 4]),
    side_px=st.floats(5, 900),
    angle=st.floats(-3.2, 3.2),
    x=st.floats(-150, 450),
    y=st.floats(-150, 360),
    kind=st.sampled_from(
        ["codeformer", "facexlib", "square", "difference", "official", "float", "16 bits"]
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
def test_region_gives_the_bits_of_the_whole_frame(
    scale: float, side_px: float, angle: float, x: float, y: float, kind: str
) -> None:
    frame = photo(210, 300, np.uint16 if kind == "16 bits" else np.uint8)
    frame = resize_background(frame, (int(300 * scale), int(210 * scale)), FACEXLIB)
    face = FACE.astype(np.float64) * 1.3 - 20 if kind in ("float", "official") else FACE
    by_region, whole, (x0, y0, x1, y1) = paste_by_region_and_whole(
        frame,
        face,
        matrix_of(side_px, angle, x, y),
        scale,
        mask=None if kind == "square" else MASK,
        square=kind in ("codeformer", "square", "official", "16 bits"),
        crop=OTHER if kind == "difference" else None,
        official=kind == "official",
    )
    np.testing.assert_array_equal(by_region, whole)
    outside = np.ones(frame.shape[:2], bool)
    outside[y0:y1, x0:x1] = False
    np.testing.assert_array_equal(by_region[outside], frame[outside])


@pytest.mark.parametrize("threads", [1, 2])
def test_region_of_a_large_frame_gives_the_bits_of_the_whole_frame(threads: int) -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(threads)
    try:
        by_region, whole, region = paste_by_region_and_whole(
            photo(1500, 1700), FACE, matrix_of(611, 0.3, 903.3, 640.7), 1, mask=MASK, square=True
        )
    finally:
        cv2.setNumThreads(before)
    np.testing.assert_array_equal(by_region, whole)
    assert (region[2] - region[0]) * (region[3] - region[1]) < 0.5 * 1500 * 1700


@pytest.mark.parametrize("square", [True, False])
@pytest.mark.parametrize("scale", [1, 3])
@pytest.mark.parametrize(
    "place", [(230, 0.2, 210.3, 160.9), (300, -2.0, 40, 290), (1300, 0.1, 210, 150)]
)
def test_result_equals_the_official_steps(
    place: tuple[float, float, float, float], scale: int, square: bool
) -> None:
    frame = resize_background(photo(), (420 * scale, 300 * scale), CODEFORMER)
    expected = np.trunc(paste_officially(frame, FACE, matrix_of(*place), scale, MASK, square))
    paste(frame, FACE, matrix_of(*place), scale, mask=MASK, square=square, official=True)
    difference = np.abs(frame - expected)
    assert (difference > 1).mean() < 1e-3
    assert difference.max() <= 3


def test_levels_are_rounded_and_clipped_but_officially_truncated_and_wrapped() -> None:
    matrix, face = matrix_of(512, 0, 255.5, 255.5), np.full((512, 512, 3), 99.7)
    face[:256], face[:100] = 260.0, -1.0
    for official, expected in ((False, (0, 255, 100)), (True, (255, 4, 99))):
        frame = photo(512, 512)
        paste(
            frame,
            face,
            matrix,
            1,
            mask=np.ones((512, 512), np.float32),
            square=False,
            official=official,
        )
        assert tuple(frame[(50, 200, 400), 300, 0]) == expected


@pytest.mark.parametrize("scale", [1, 1.5, 2, 3, 4])
def test_transform_maps_points_to_the_enlarged_photo(scale: float) -> None:
    matrix, point = matrix_of(256, 0.1, 200, 150), np.array([180.0, 140.0, 1.0])
    in_crop = np.append(matrix @ point, 1.0)
    np.testing.assert_allclose(
        crop_to_frame_transform(matrix, scale, exact=True) @ in_crop,
        scale * point[:2] + (scale - 1) / 2,
    )
    official = scale * point[:2] + (scale / 2 if scale > 1 else 0)
    np.testing.assert_allclose(crop_to_frame_transform(matrix, scale) @ in_crop, official)


@pytest.mark.parametrize("scale", [1, 1.5, 2, 3, 4])
def test_difference_is_aligned_with_the_edges_of_the_enlarged_photo(scale: float) -> None:
    blurred = cv2.GaussianBlur(photo(), (0, 0), 3)
    smooth = cv2.normalize(blurred, np.empty_like(blurred), 0, 255, cv2.NORM_MINMAX)
    matrix = matrix_of(256, 0.1, 200, 150)
    before = crop(smooth, matrix).astype(np.float32)
    frame = resize_background(smooth, (int(420 * scale), int(300 * scale)), CODEFORMER).copy()
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
    assert np.abs(frame[inner]).mean() < 1, "the photo minus itself is black"
    assert resized[inner].mean() > 50


def test_difference_keeps_detail_of_the_photo() -> None:
    frame = photo(1400, 1400)
    fine = frame.copy()
    fine[::2, ::2] += 10  # finer than a pixel of the crop
    matrix = matrix_of(1200, 0.1, 700, 700)
    before = crop(fine, matrix)
    same = fine.copy()
    paste(same, before, matrix, 1, mask=MASK, square=False, crop=before)
    np.testing.assert_array_equal(same, fine)
    paste(same, before.astype(np.float32) + 7, matrix, 1, mask=MASK, square=False, crop=before)
    np.testing.assert_array_equal(
        same[700, 600:800].astype(int), np.minimum(fine[700, 600:800].astype(int) + 7, 255)
    )


def test_16_bit_result_equals_the_8_bit_result() -> None:
    matrix = matrix_of(240, 0.2, 200, 140)
    eight, sixteen = photo(), photo(dtype=np.uint16)
    for frame in (eight, sixteen):
        paste(frame, FACE, matrix, 1, mask=MASK, square=True)
    assert np.abs(sixteen / 257 - eight).max() <= 0.502
    assert (sixteen % 257 != 0).any()  # all 16 bits are used


@pytest.mark.parametrize(
    "place", [(60, 0, -300, 100), (60, 0, 900, 100), (60, 0, 100, -300), (60, 0, 100, 900)]
)
@pytest.mark.parametrize("square", [True, False])
def test_face_outside_the_frame_changes_nothing(
    place: tuple[float, float, float, float], square: bool
) -> None:
    frame = photo()
    region = paste(frame, FACE, matrix_of(*place), 1, mask=MASK, square=square)
    assert region == EMPTY_REGION
    np.testing.assert_array_equal(frame, photo())


@pytest.mark.parametrize("side_px", [0.6, 3, 8, 19])
def test_tiny_faces_are_pasted(side_px: float) -> None:
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


def test_square_is_soft_at_its_edge_and_opaque_in_its_centre() -> None:
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


def test_region_consists_of_blocks_around_the_face() -> None:
    frame = photo(900, 1000)
    x0, y0, x1, y1 = paste(frame, FACE, matrix_of(150, 0.1, 500, 400), 1, mask=MASK, square=False)
    assert x0 % BLOCK_PX == y0 % BLOCK_PX == 0
    assert 0 < x0 < 425
    assert 575 < x1 < 1000
    assert 0 < y0 < 325
    assert 475 < y1 < 900
    assert (x1 - x0, y1 - y0) <= (4 * BLOCK_PX, 4 * BLOCK_PX)


def test_pasting_without_mask_and_square_is_rejected() -> None:
    with pytest.raises(ValueError, match="needs a mask or the square"):
        paste(photo(), FACE, matrix_of(150, 0, 200, 150), 1, mask=None, square=False)


def test_background_of_the_right_size_is_not_resized() -> None:
    frame = photo()
    assert resize_background(frame, (420, 300), CODEFORMER) is frame
    linear, lanczos = (
        resize_background(frame, (630, 450), convention) for convention in (CODEFORMER, FACEXLIB)
    )
    assert linear.shape == lanczos.shape == (450, 630, 3)
    assert (linear != lanczos).any()


@pytest.mark.parametrize("square", [False, True])
def test_overlapping_faces_are_rounded_once(square: bool) -> None:
    places = [(240, 0.1, 150, 150), (240, -0.2, 210, 140), (160, 0.0, 190, 170)]
    faces = [np.clip(FACE.astype(int) + shift, 0, 255).astype(np.uint8) for shift in (0, 40, -30)]
    expected = photo().astype(np.float64)
    frame = OfficialFrame(photo())
    for place, face in zip(places, faces, strict=True):
        expected = paste_officially(expected, face, matrix_of(*place), 1, MASK, square)
        frame.paste(face, matrix_of(*place), 1, mask=MASK, square=square)
    frame.write_back()
    difference = np.abs(frame.pixels.astype(int) - expected.astype(np.uint8))
    assert (difference > 1).mean() < 1e-3
    assert difference.max() <= 3
    whole = OfficialFrame(photo(), whole_frame=True)
    for place, face in zip(places, faces, strict=True):
        whole.paste(face, matrix_of(*place), 1, mask=MASK, square=square)
    whole.write_back()
    np.testing.assert_array_equal(frame.pixels, whole.pixels)
