from functools import partial

import numpy as np
import pytest

from restore.errors import Code, RestoreError
from restore.imaging.photo import Photo
from restore.pipelines.context import StepContext
from restore.pipelines.harm import Expected
from restore.pipelines.harm_check import check_harm
from restore.report import Report
from restore.runtime.device import runtime_for, select_device

BEFORE = Photo("a.png", np.full((64, 64, 3), 120, np.uint8))


def a_context() -> StepContext:
    runtime = runtime_for("baseline", select_device("cpu"))
    return StepContext({}, runtime, Report(photo="a.png", task="restore"))


def darker_by(levels: int) -> Photo:
    return BEFORE.with_pixels(BEFORE.pixels - np.uint8(levels))


named = partial(check_harm, is_proposed=False, corrects=True)
proposed = partial(check_harm, is_proposed=True, corrects=True)


def test_harmless_result_is_kept_as_it_is() -> None:
    context, after = a_context(), darker_by(1)
    assert named(BEFORE, after, Expected.DETAIL, context) is after
    assert context.report.status == "done"
    assert context.report.harm["mean_shift"] == 1.0
    assert not context.report.warnings


def test_harmful_result_is_blended_with_the_input() -> None:
    context = a_context()
    result = named(BEFORE, darker_by(10), Expected.DETAIL, context)
    assert np.unique(result.pixels).tolist() == [115]
    assert context.report.status == "reduced"
    assert context.report.harm["strength"] == 0.5
    assert "10 levels (limit 8)" in context.report.warnings[0]


def test_named_step_that_ruins_the_photo_is_refused() -> None:
    with pytest.raises(RestoreError, match="restore would damage it") as caught:
        named(BEFORE, darker_by(100), Expected.DETAIL, a_context())
    assert caught.value.code is Code.HARM
    assert caught.value.photo == "a.png"
    assert "harm_check" in caught.value.remedy


def test_proposed_step_that_ruins_the_photo_is_skipped() -> None:
    context = a_context()
    assert proposed(BEFORE, darker_by(100), Expected.DETAIL, context) is BEFORE
    assert context.report.status == "skipped"
    assert "would damage the photo" in context.report.warnings[0]


def test_result_is_kept_with_a_warning_if_the_check_is_off() -> None:
    context, after = a_context(), darker_by(100)
    result = check_harm(BEFORE, after, Expected.DETAIL, context, is_proposed=False, corrects=False)
    assert result is after
    assert "harm_check is off" in context.report.warnings[0]


@pytest.mark.parametrize("channels", [(), (3,)])
def test_pixels_outside_of_a_hole_are_taken_back(channels: tuple[int, ...]) -> None:
    context, hole = a_context(), np.zeros((64, 64), np.bool_)
    hole[20:30, 20:30] = True
    context.changed_areas.append(hole)
    before = Photo("a.png", np.full((64, 64, *channels), 120, np.uint8))
    after = before.with_pixels(before.pixels - np.uint8(50))
    result = named(before, after, Expected.NOTHING, context)
    assert result.pixels.shape == before.pixels.shape
    assert (result.pixels[hole] == 70).all()
    assert np.array_equal(result.pixels[~hole], before.pixels[~hole])
    assert context.report.status == "reduced"


def test_changed_areas_keep_the_whole_result_when_the_rest_is_reduced() -> None:
    context, face = a_context(), np.zeros((64, 64), np.bool_)
    face[16:48, 16:48] = True
    context.changed_areas.append(face)
    result = named(BEFORE, darker_by(12), Expected.DETAIL, context)
    assert (result.pixels[24:40, 24:40] == 108).all()
    assert (result.pixels[:4] == 114).all()


def test_coloured_result_of_a_grey_photo_can_be_reduced() -> None:
    context = a_context()
    grey = Photo("a.png", np.full((64, 64), 120, np.uint8))
    after = grey.with_pixels(np.full((64, 64, 3), 135, np.uint8))
    result = named(grey, after, Expected.COLOUR, context)
    assert result.pixels.shape == (64, 64, 3)
    assert context.report.status == "reduced"
