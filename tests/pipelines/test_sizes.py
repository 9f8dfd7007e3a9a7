"""Output sizes and size checks."""

import numpy as np
import pytest
import torch

from restore import RestoreError, Restorer
from restore.errors import Code
from restore.imaging.photo import Photo
from restore.options import ColorizeOptions
from restore.pipelines.context import StepContext
from restore.pipelines.official import OfficialRules
from restore.pipelines.sizes import (
    check_network_output_size,
    check_same_size,
    check_scaled_size,
    output_size,
)
from restore.pipelines.upscale import network_for_scale
from restore.report import Report
from restore.runtime.device import runtime_for


@pytest.mark.parametrize(
    ("side", "scale", "expected", "official"),
    [
        (300, 2.3, 690, 690),
        (60, 1.37, 82, 82),
        (37, 2.5, 93, 92),
        (48, 8, 384, 384),
        (133, 7.99, 1063, 1062),
    ],
)
def test_output_size_is_rounded_and_officially_rounded_down(
    side: int, scale: float, expected: int, official: int
) -> None:
    photo = Photo("a", np.zeros((side, side), np.uint8))
    assert output_size(photo, scale) == (expected, expected)
    assert output_size(photo, scale, OfficialRules()) == (official, official)


def test_result_that_the_format_cannot_hold_is_refused() -> None:
    wide = Photo("a.png", np.zeros((8, 17_000), np.uint8))
    context = StepContext({}, runtime_for("baseline", torch.device("cpu")), Report("a", "colorize"))
    with pytest.raises(RestoreError) as caught:
        check_same_size(wide, ColorizeOptions(), "webp", context)
    assert caught.value.code is Code.OUTPUT_TOO_LARGE
    check_same_size(wide, ColorizeOptions(), "png", context)


def test_too_large_result_is_refused_with_the_largest_allowed_factor() -> None:
    photo = Photo("big.png", np.zeros((4000, 5000), np.uint8))
    with pytest.raises(RestoreError, match=r"Use a scale of at most 2\.23") as caught:
        check_scaled_size(photo, 8, "scale", "png")
    assert caught.value.code is Code.OUTPUT_TOO_LARGE
    check_scaled_size(photo, 2.23, "scale", "png")


def test_network_output_far_above_the_requested_size_is_refused(lite: Restorer) -> None:
    model, _ = lite.cache.get("upscale", "lite")
    photo = Photo("big.png", np.zeros((6000, 8000), np.uint8))
    with pytest.raises(RestoreError, match="works at 4 times") as caught:
        check_network_output_size(photo, model)
    assert caught.value.code is Code.OUTPUT_TOO_LARGE
    check_network_output_size(photo, network_for_scale(model, 1.0))
