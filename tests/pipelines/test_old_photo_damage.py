"""Torn corners, which are reported but not filled."""

import cv2
import numpy as np
import pytest
from facefakes import ASTRONAUT
from oldphotofakes import context_of, model_of, restore_old_photo

from restore.pipelines.old_photo_damage import find_torn_corners, select_filled

GREY = (60 + 0.5 * cv2.cvtColor(ASTRONAUT, cv2.COLOR_RGB2GRAY)).astype(np.uint8)
SIDE = len(GREY)
CORNER = np.array([[0, 0], [70, 0], [40, 30], [0, 60]], np.int32)
TURNS = {"top left": 0, "bottom left": 1, "bottom right": 2, "top right": 3}


def tear_off(pixels: np.ndarray, turns: int = 0, level: int = 247) -> np.ndarray:
    """Return the photo without one corner, which is the top left one turned to the left."""
    turned = np.rot90(pixels, -turns).copy()
    cv2.fillPoly(turned, [CORNER], (level,) * 3)
    return np.ascontiguousarray(np.rot90(turned, turns))


@pytest.mark.parametrize("name", TURNS)
def test_torn_corner_is_found(name: str) -> None:
    assert find_torn_corners(tear_off(GREY, TURNS[name])) == [name]


def test_torn_corner_of_a_photo_with_a_white_frame_is_found() -> None:
    framed = np.pad(tear_off(GREY), 4, constant_values=250)
    assert find_torn_corners(framed) == ["top left"]


@pytest.mark.parametrize("kind", ["untouched", "white frame", "sky", "strip", "dark", "tiny"])
def test_undamaged_corners_are_not_reported(kind: str) -> None:
    pixels = GREY.copy()
    if kind == "white frame":
        pixels = np.pad(pixels, 20, constant_values=250)
    elif kind == "sky":  # white at the corner, but fading towards the horizon
        y, x = np.mgrid[0:SIDE, 0:SIDE]
        pixels = np.clip(255 - 0.4 * (x + y), 60, 255).astype(np.uint8)
    elif kind == "strip":
        pixels[:, :40] = 250
    elif kind == "dark":
        pixels = tear_off(pixels, level=10)
    elif kind == "tiny":
        pixels = np.full((4, 4), 250, np.uint8)
    assert find_torn_corners(pixels) == []


@pytest.mark.parametrize("with_scratch", [True, False])
def test_torn_corner_is_a_warning_if_scratches_are_looked_for(with_scratch: bool) -> None:
    mode = "scratch" if with_scratch else "quality"
    context = context_of(model_of(mode))
    rgb = np.repeat(tear_off(GREY)[..., None], 3, axis=2)
    restore_old_photo(rgb, context, with_scratch=with_scratch, scratch_threshold=0.999)
    warnings = [text for text in context.report.warnings if "(top left)" in text]
    assert len(warnings) == (1 if with_scratch else 0)


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (
            [10],
            "1 area of 1 % of the photo was filled as a scratch; return_mask shows where",
        ),
        (
            [10, 40],
            "2 areas of 2 % of the photo in total were filled as scratches; return_mask shows"
            " where",
        ),
        ([], "no clear scratches were found; a lower scratch_threshold fills fainter ones"),
    ],
)
def test_filled_scratches_are_a_note_with_their_number_and_share(
    rows: list[int], text: str
) -> None:
    context = context_of(model_of())
    mask = np.zeros((100, 100), np.bool_)
    for row in rows:
        mask[row : row + 2, 10:60] = True
    assert select_filled(mask, context) is mask
    assert context.report.notes == [text]
    assert not context.report.warnings
    assert context.report.status == "done"
