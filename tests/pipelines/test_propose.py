"""The steps that are proposed for a photo."""

import numpy as np
import pytest
from facefakes import ASTRONAUT, FixedDetector, face_at
from oldphotofakes import WhiteIsScratched
from PIL import Image

from restore.imaging.photo import Photo
from restore.options import Step
from restore.pipelines.propose import assess_photo

GREY = np.asarray(Image.fromarray(ASTRONAUT).convert("L"))
# Without white, which the fake scratch network detects.
DIM, DIM_GREY = np.minimum(ASTRONAUT, 200), np.minimum(GREY, 200)
LARGE = np.tile(DIM, (4, 4, 1))
SEPIA = np.rint(DIM_GREY[..., None] * (1.0, 0.9, 0.7)).astype(np.uint8)


def with_white_dots(pixels: np.ndarray) -> np.ndarray:
    damaged = pixels.copy()
    damaged[4::32, 4::32] = 255
    return damaged


def with_white_line(pixels: np.ndarray) -> np.ndarray:
    damaged = pixels.copy()
    damaged[100:112] = 255
    return damaged


@pytest.mark.parametrize(
    ("pixels", "faces", "expected"),
    [
        (DIM_GREY, 0, ["colorize", "upscale"]),
        (DIM, 2, ["face_restore", "upscale"]),
        (LARGE, 1, ["face_restore"]),
        (LARGE, 0, []),
        (SEPIA, 0, ["colorize", "upscale"]),
        # Graphics in one colour, and a photo of which one channel is missing.
        (np.full_like(DIM, (190, 170, 20)), 0, ["upscale"]),
        (DIM * np.array([1, 1, 0], np.uint8), 0, ["upscale"]),
        (DIM_GREY.astype(np.uint16) * 257, 1, ["colorize", "face_restore", "upscale"]),
        (
            with_white_line(DIM_GREY),
            1,
            ["old_photo_restore", "colorize", "face_restore", "upscale"],
        ),
        (with_white_line(DIM), 0, ["old_photo_restore", "upscale"]),
        (with_white_dots(DIM), 0, ["upscale"]),
    ],
)
def test_steps_are_proposed_with_reasons(
    pixels: np.ndarray, faces: int, expected: list[Step]
) -> None:
    detector = FixedDetector(*[face_at(128, 110, 60)] * faces)
    assessment = assess_photo(Photo("p", pixels), detector, WhiteIsScratched())
    assert [step for step, _ in assessment.steps] == expected
    assert all(reason for _, reason in assessment.steps)
    assert len(assessment.faces) == min(faces, 1), "equal faces are one face"


@pytest.mark.parametrize(("height", "is_proposed"), [(40, True), (70, False)])
def test_no_scratches_are_proposed_that_would_not_be_filled(height: int, is_proposed: bool) -> None:
    pixels = DIM.copy()
    pixels[100 : 100 + height] = 255  # of 256 rows
    assessment = assess_photo(Photo("p", pixels), FixedDetector(), WhiteIsScratched())
    assert ("old_photo_restore" in [step for step, _ in assessment.steps]) is is_proposed


def test_inpaint_is_proposed_first_if_there_is_a_mask() -> None:
    detector, net = FixedDetector(), WhiteIsScratched()
    assessment = assess_photo(Photo("p", LARGE), detector, net, has_mask=True)
    assert [step for step, _ in assessment.steps] == ["inpaint"]
