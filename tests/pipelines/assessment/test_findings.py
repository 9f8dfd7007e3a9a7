"""What measurements mean: the steps that they lead to, with strengths and reasons."""

import dataclasses
from typing import Any

import pytest

from restore.imaging.fading import FadingEstimate
from restore.pipelines.assessment.blur import EdgeWidths
from restore.pipelines.assessment.colours import ColourChange
from restore.pipelines.assessment.findings import Finding, judge_measurements
from restore.pipelines.assessment.jpeg import Blocks
from restore.pipelines.assessment.limits import LIMITS
from restore.pipelines.assessment.measurements import FaceCondition, Measurements
from restore.pipelines.assessment.noise import Noise

FADING = FadingEstimate((0.01,) * 3, (0.9,) * 3, 5.0, 1.8, 4.0, is_faded=False, reason="")
CLEAN = Measurements(
    width_px=1200,
    height_px=900,
    tone="colour",
    noise=Noise(0.5, 0.3),
    jpeg_quality=None,
    blocks=Blocks(0.2, 0.5),
    edges=EdgeWidths(2.3, 2.1),
    scratch_length=0.05,
    scratched_share=0.001,
    fading=FADING,
    colour_change=ColourChange(change=0.7, darkening=0.0, tone="colour"),
    faces=(),
)
SHARP, SMALL = FaceCondition(160.0, 2.3), FaceCondition(40.0, None)
NOISY = Noise(5.0, 0.0)
FADED = ColourChange(change=20.0, darkening=20.0, tone="colour")
FLAT_FADING = dataclasses.replace(FADING, density_range=0.3)


def steps_of(**changes: Any) -> list[tuple[str, str]]:
    """Return (name, step) of the findings that lead to steps in a clean photo with changes."""
    findings = judge_measurements(dataclasses.replace(CLEAN, **changes))
    return [(finding.name, finding.step) for finding in findings if finding.step]


def find(name: str, **changes: Any) -> Finding:
    findings = judge_measurements(dataclasses.replace(CLEAN, **changes))
    return next(finding for finding in findings if finding.name == name)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"noise": NOISY}, [("noise", "restore")]),
        ({"noise": Noise(2.8, 0.0)}, []),
        ({"noise": Noise(2.8, 0.0, is_white=True)}, [("noise", "restore")]),
        ({"noise": Noise(1.9, 0.0, is_white=True)}, []),
        ({"noise": Noise(0.0, 5.0)}, [("colour_noise", "restore")]),
        ({"noise": Noise(25.0, 0.2)}, []),
        ({"noise": Noise(25.0, 0.2), "tone": "grey"}, [("noise", "restore")]),
        ({"noise": Noise(25.0, 9.0)}, [("noise", "restore"), ("colour_noise", "restore")]),
        ({"noise": Noise(16.0, 0.2)}, [("noise", "restore")]),
        ({"jpeg_quality": 30}, [("jpeg_quality", "restore")]),
        ({"jpeg_quality": 75}, []),
        ({"jpeg_quality": 30, "blocks": Blocks(3.0, 0.05)}, []),
        ({"blocks": Blocks(3.0, 0.5)}, [("jpeg_blocks", "restore")]),
        ({"blocks": Blocks(1.2, 0.5)}, []),
        ({"jpeg_quality": 90, "blocks": Blocks(1.2, 0.5)}, []),
        ({"jpeg_quality": 75, "blocks": Blocks(1.2, 0.5)}, [("jpeg_blocks", "restore")]),
        ({"jpeg_quality": 75, "blocks": Blocks(1.2, 0.05)}, []),
        ({"edges": EdgeWidths(5.0, 2.0)}, [("edge_width", "restore")]),
        ({"edges": None}, []),
        ({"tone": "grey", "scratch_length": 0.3}, [("scratches", "old_photo_restore")]),
        ({"tone": "colour", "scratch_length": 0.3}, []),
        ({"tone": "colour", "scratch_length": 0.5}, [("scratches", "old_photo_restore")]),
        ({"colour_change": FADED}, [("fading", "colors")]),
        ({"colour_change": FADED, "tone": "toned"}, [("fading", "colors")]),
        ({"colour_change": ColourChange(change=20.0, darkening=20.0, tone="toned")}, []),
        ({"colour_change": FADED, "fading": FLAT_FADING}, []),
        ({"colour_change": dataclasses.replace(FADED, darkening=5.0)}, []),
        ({"colour_change": dataclasses.replace(FADED, change=8.0)}, []),
        ({"tone": "grey"}, []),
        ({"faces": [SHARP]}, []),
        ({"faces": [SHARP], "tone": "grey"}, []),
        ({"faces": [SMALL]}, []),
        ({"faces": [SHARP, SMALL], "tone": "grey"}, [("faces", "face_restore")]),
        ({"faces": [FaceCondition(160.0, 3.2)]}, [("faces", "face_restore")]),
        ({"faces": [SHARP], "noise": NOISY}, [("noise", "restore"), ("faces", "face_restore")]),
    ],
)
def test_measurements_lead_to_steps(
    changes: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert steps_of(**changes) == expected


@pytest.mark.parametrize(
    ("long_side_px", "is_noisy", "scale"),
    [
        (200, False, 4),
        (659, False, 4),
        (660, False, None),
        (660, True, 4),
        (799, True, 4),
        (800, True, 2),
        (999, True, 2),
        (1000, True, None),
    ],
)
def test_small_photos_are_enlarged_by_the_smallest_sufficient_factor(
    long_side_px: int, is_noisy: bool, scale: int | None
) -> None:
    changes = {"width_px": long_side_px // 2, "height_px": long_side_px}
    finding = find("long_side", noise=NOISY if is_noisy else CLEAN.noise, **changes)
    assert finding.step == ("upscale" if scale else None)
    assert dict(finding.options) == ({"scale": scale} if scale else {})
    assert f"{long_side_px} pixels" in finding.reason


def test_strength_grows_with_noise() -> None:
    levels = (LIMITS.noise_levels, LIMITS.strong_noise_levels)
    found = [find("noise", noise=Noise(level, 0.0)).options["strength"] for level in levels]
    assert found == [0.75, 1.0]


def test_weak_blocks_are_removed_at_reduced_strength() -> None:
    steps = (LIMITS.weak_block_levels, LIMITS.block_levels)
    found = [
        find("jpeg_blocks", jpeg_quality=75, blocks=Blocks(step, 0.5)).options["strength"]
        for step in steps
    ]
    assert found == [0.75, 1.0]


def test_every_measured_value_has_a_finding_with_a_reason() -> None:
    clean = judge_measurements(CLEAN)
    worn = judge_measurements(
        dataclasses.replace(CLEAN, noise=NOISY, jpeg_quality=10, faces=[SMALL], colour_change=FADED)
    )
    assert [finding.name for finding in clean] == [finding.name for finding in worn]
    assert len({finding.name for finding in clean}) == len(clean) == 12
    assert all(finding.reason for finding in (*clean, *worn))
    assert clean[1].facts() == {
        "name": "noise",
        "value": 0.5,
        "unit": "levels",
        "step": None,
        "options": {},
        "reason": "it has no visible noise or grain",
    }


def test_reason_names_the_faces_that_need_restoration() -> None:
    faces = [SHARP, SMALL, FaceCondition(52.0, None)]
    assert find("faces", faces=faces, tone="grey").reason == (
        "it has 2 small faces of 40 to 52 pixels in a photo without colour"
    )
    assert find("faces", faces=[SHARP]).reason == "it has 1 face of 160 pixels, sharp enough"
    blurred = [SHARP, FaceCondition(90.0, 4.0)]
    assert find("faces", faces=blurred).reason == "it has 1 blurred face of 90 pixels"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tone": "grey"}, "it is grey; steps=auto,colorize adds colours"),
        (
            {"tone": "toned"},
            "it is of one tone; steps=auto,colorize replaces the tone by natural colours",
        ),
        ({"tone": "toned", "edges": None}, "it is of one tone"),
        ({"tone": "grey", "edges": None}, "it is grey"),
        ({"tone": "colour"}, "it is in colour"),
    ],
)
def test_colorize_is_suggested_for_pictures_that_show_something_without_colour(
    changes: dict[str, Any], reason: str
) -> None:
    assert find("tone", **changes).reason == reason
