"""Tests of restore.options.foreign: given options that no step of a request has."""

import pytest

from restore.options import Request, foreign_option_warnings


@pytest.mark.parametrize(
    ("task", "inputs", "reasons"),
    [
        (
            "colors",
            {"target_px": 900},
            ["target_px has no effect: it is an option of enhance"],
        ),
        ("face_restore", {"scale": 2}, ["not of face_restore; use face_upscale"]),
        ("upscale", {"target_px": 900}, []),
        ("colors", {"output_quality": 80}, []),
        ("pipeline", {"steps": "colors,upscale", "scale": 2}, []),
        ("pipeline", {"steps": "colors,restore", "scale": 2}, ["scale has no effect"]),
        ("pipeline", {"steps": "auto", "scale": 2}, []),
    ],
)
def test_options_that_no_step_has_are_named(
    task: str, inputs: dict[str, object], reasons: list[str]
) -> None:
    warnings = list(foreign_option_warnings(Request.from_inputs(task, inputs)))
    assert len(warnings) == len(reasons)
    assert all(reason in warning for reason, warning in zip(reasons, warnings, strict=True))
