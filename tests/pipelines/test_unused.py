"""Tests of restore.pipelines.unused: options that have no effect are named in warnings."""

from typing import Any

import numpy as np
import pytest
from facefakes import ASTRONAUT

from restore import Restorer
from restore.imaging.photo import Photo
from restore.report import Report

SMALL = Photo("small", ASTRONAUT[:64, :64])


def unused(report: Report) -> dict[str, str]:
    """Return the reasons of the warnings about options without effect, by option."""
    marked = [warning for warning in report.warnings if " has no effect: " in warning]
    pairs = [warning.split(" has no effect: ", 1) for warning in marked]
    assert len({name for name, _ in pairs}) == len(pairs), "one warning per option"
    return dict(pairs)


def run(lite: Restorer, task: str, photo: Photo = SMALL, **inputs: Any) -> Report:
    return lite.run(task, [photo], **inputs).reports[0]


@pytest.mark.parametrize(
    ("task", "inputs", "reasons"),
    [
        ("restore", {}, {}),
        ("restore", {"strength": 0.5, "tile_size": 64, "output_quality": 80}, {}),
        ("upscale", {"scale": 2, "grain": False}, {"grain": "which adds no grain"}),
        ("upscale", {"scale": 3, "grain": True}, {}),
        ("upscale", {"scale": 2, "denoise_strength": 0.5}, {"denoise_strength": "general_x4v3"}),
        (
            "upscale",
            {"scale": 2, "face_upscale": 2, "codeformer_fidelity": 0.7},
            {
                "face_upscale": "it is an option of face_restore, not of upscale; use scale",
                "codeformer_fidelity": "face_enhance is not set",
            },
        ),
        (
            "upscale",
            {"scale": 1, "face_enhance": True, "codeformer_fidelity": 0.7},
            {"codeformer_fidelity": "the face network is lite, not codeformer"},
        ),
        (
            "enhance",
            {"scale": 1, "face_upscale": 2, "min_face_px": 10},
            {"face_upscale": "it is an option of face_restore, not of enhance; use scale"},
        ),
        (
            "face_restore",
            {"scale": 2, "codeformer_fidelity": 0.5, "grain": False, "tile_size": 100},
            {
                "scale": "not of face_restore; use face_upscale",
                "codeformer_fidelity": "the face network is lite, not codeformer",
                "grain": "background_enhance is not set",
                "tile_size": "background_enhance is not set",
            },
        ),
        ("face_restore", {"background_enhance": True, "tile_size": 100}, {}),
        (
            "face_restore",
            {"has_aligned": True, "only_center_face": True, "upscale_variant": "lite"},
            {"only_center_face": "has_aligned is set", "upscale_variant": "has_aligned is set"},
        ),
        ("colorize", {"tile_size": 0, "render_factor": 20}, {"tile_size": "does not use tiles"}),
        (
            "colorize",
            {"scale": 2, "with_scratch": False, "steps": "upscale"},
            {
                "scale": "it is an option of enhance, upscale, not of colorize",
                "with_scratch": "it is an option of old_photo_restore, not of colorize",
                "steps": "it is an option of pipeline, not of colorize",
            },
        ),
        (
            "old_photo_restore",
            {"with_scratch": False, "scratch_threshold": 0.9, "return_mask": True},
            {
                "scratch_threshold": "with_scratch is false",
                "return_mask": "with_scratch is false",
            },
        ),
        ("old_photo_restore", {"old_photo_hr": True, "tile_size": 64}, {"old_photo_hr": "lite"}),
        ("restore", {"output_format": "png", "output_quality": 50}, {"output_quality": "lossless"}),
        ("restore", {"compile_backend": "inductor"}, {"compile_backend inductor": "safe"}),
    ],
)
def test_option_without_effect_is_named_once(
    lite: Restorer, task: str, inputs: dict[str, Any], reasons: dict[str, str]
) -> None:
    found = unused(run(lite, task, **inputs))
    assert found.keys() == reasons.keys()
    for name, reason in reasons.items():
        assert reason in found[name]


def test_option_of_one_step_of_a_pipeline_has_an_effect(lite: Restorer) -> None:
    inputs: dict[str, Any] = {
        "steps": "restore,upscale",
        "scale": 2,
        "tile_size": 64,
        "render_factor": 20,
    }
    report = run(lite, "pipeline", **inputs)
    assert unused(report).keys() == {"render_factor"}
    assert all(not step.warnings for step in report.steps)


def test_proposed_steps_use_other_options_for_each_photo(lite: Restorer) -> None:
    waves = np.sin(np.arange(1100) / 40)[:, None] * np.ones((1, 80))
    noise = np.random.default_rng(0).normal(0, 12, waves.shape)
    noisy = np.rint(110 + 20 * waves + noise).astype(np.uint8)
    photos = [Photo("a", noisy), Photo("b", np.ascontiguousarray(ASTRONAUT[:40]))]
    results = lite.run("pipeline", photos, scale=1, restore_variant="lite")
    steps = [[step.task for step in report.steps] for report in results.reports]
    assert steps == [["restore"], ["upscale"]]
    unused_options = [unused(report).keys() for report in results.reports]
    assert unused_options == [{"scale"}, {"restore_variant"}]


def test_render_factor_without_effect_is_a_warning(lite: Restorer) -> None:
    photo = Photo("grey", ASTRONAUT[:64, :64, 0].copy())
    smallest = lite.run("colorize", [photo], render_factor=18)
    assert smallest.reports[0].warnings == []
    smaller = lite.run("colorize", [photo], render_factor=3)
    np.testing.assert_array_equal(smaller.photos[0].pixels, smallest.photos[0].pixels)
    [warning] = smaller.reports[0].warnings
    assert "render_factor 3 has the effect of 18" in warning


def test_tile_size_below_the_minimum_is_raised_with_a_warning(lite: Restorer) -> None:
    report = run(lite, "restore", tile_size=7)
    assert report.tiles[0]["height"] == 64
    assert report.warnings == ["tile_size was raised from 7 to 64, the smallest tile"]


def test_profile_effects_are_reported(lite: Restorer) -> None:
    two_faces = Photo("two", np.tile(ASTRONAUT, (1, 2, 1)))
    effects = {
        profile: run(lite, "face_restore", two_faces, runtime_profile=profile).profile_effects
        for profile in ("baseline", "fast", "max_speed")
    }
    assert effects["baseline"] == []
    assert effects["fast"] == effects["max_speed"] == ["2 faces were restored in one batch"]
    assert run(lite, "restore", runtime_profile="max_speed").profile_effects == []
    results = lite.run(
        "pipeline",
        [Photo("a", ASTRONAUT), Photo("b", ASTRONAUT)],
        steps="face_restore",
        runtime_profile="fast",
    )
    effect = "face_restore: 2 faces were restored in one batch, faces of 2 photos"
    assert [report.profile_effects for report in results.reports] == [[effect], [effect]]


def test_report_of_a_pipeline_lists_the_faces_of_its_steps(lite: Restorer) -> None:
    report = run(lite, "pipeline", Photo("a", ASTRONAUT), steps="face_restore,enhance", scale=1)
    assert report.face_detector == "centerface"
    assert [face["step"] for face in report.faces] == ["face_restore", "enhance"]
    for face, step in zip(report.faces, report.steps, strict=True):
        assert {"step": step.task, **step.faces[0]} == face


def test_older_option_names_are_noted(lite: Restorer) -> None:
    report = run(lite, "face_restore", upscale=2, face_restoration_weight=0.7)
    assert (report.output, len(report.notes)) == ({}, 2)
    assert "upscale is an older name of face_upscale, which was used" in report.notes
    assert "codeformer_fidelity" in unused(report)
