"""The steps that are proposed for a photo, and how they join those of the request."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from facefakes import ASTRONAUT, FixedDetector, face_at
from oldphotofakes import WhiteIsScratched
from PIL import Image

from restore.errors import Code, RestoreError
from restore.faces.convention import CODEFORMER, FACEXLIB, Convention
from restore.imaging.photo import Photo
from restore.models.loader import Model
from restore.options import STEPS, Request, RestoreOptions, UpscaleOptions, choices_of
from restore.pipelines.assessment.colours import ColourChange
from restore.pipelines.assessment.findings import DEBLUR, DENOISE, Finding
from restore.pipelines.propose import (
    LITE_VARIANTS,
    RESTORE_WORKS,
    STEP_ORDER,
    VARIANTS,
    Judge,
    ProposedStep,
    add_further_steps,
    assess_photo,
    propose_steps,
)

GREY = np.asarray(Image.fromarray(ASTRONAUT).convert("L"))
# Without white, which the fake scratch network detects.
DIM, DIM_GREY = np.minimum(ASTRONAUT, 200), np.minimum(GREY, 200)
HOLE = np.zeros(DIM_GREY.shape, bool)
HOLE[64:128, 32:64] = True
LARGE = np.tile(DIM, (4, 4, 1))
NOISE = Finding("noise", 5.0, "levels", "it is noisy", "restore", DENOISE, {"strength": 0.75})
BLOCKS = Finding("jpeg", 9, "", "it has blocks", "restore", DENOISE, {"strength": 1.0})
BLUR = Finding("edges", 6.0, "px", "it is blurred", "restore", DEBLUR)
SCRATCHES = Finding("scratches", 1.0, "", "it is torn", "old_photo_restore")
SMALL = Finding("long_side", 300, "px", "it is small", "upscale", "", {"scale": 4})
PLAIN = Finding("tone", "grey", "", "it is grey")


def request_of(**inputs: Any) -> Request:
    return Request.from_inputs("pipeline", inputs)


def judge_of(model: Model, faces: int = 0, colour_change: float = 0.0) -> Judge:
    detector = FixedDetector(*[face_at(128, 110, 60)] * faces)
    return Judge(
        model,
        detector,
        WhiteIsScratched(),
        lambda photo: ColourChange(change=colour_change, darkening=20.0, tone="colour"),
        VARIANTS,
        (),
        lambda: False,
        lambda: None,
    )


def propose(*findings: Finding, **inputs: Any) -> list[ProposedStep]:
    return propose_steps(findings, request_of(**inputs), VARIANTS)


def with_white_line(pixels: np.ndarray) -> np.ndarray:
    damaged = pixels.copy()
    damaged[100:104] = 255
    return damaged


@pytest.mark.parametrize(
    ("pixels", "faces", "change", "expected"),
    [
        (DIM_GREY, 0, 0.0, ["upscale"]),
        (DIM_GREY, 2, 0.0, ["face_restore", "upscale"]),
        (DIM_GREY.astype(np.uint16) * 257, 1, 0.0, ["face_restore", "upscale"]),
        (DIM, 1, 0.0, ["upscale"]),
        (DIM, 0, 30.0, ["colors", "upscale"]),
        (LARGE, 1, 0.0, []),
        (with_white_line(DIM_GREY), 1, 0.0, ["old_photo_restore", "face_restore", "upscale"]),
        (with_white_line(DIM), 0, 0.0, ["old_photo_restore", "upscale"]),
    ],
)
def test_photo_gets_steps_in_order_with_reasons(
    face_net: Model, pixels: np.ndarray, faces: int, change: float, expected: list[str]
) -> None:
    judge = judge_of(face_net, faces, change)
    assessment = assess_photo(Photo("p", pixels), judge, request_of())
    assert [each.step for each in assessment.steps] == expected
    assert all(each.reason for each in assessment.steps)
    assert len(assessment.faces) == min(faces, 1), "equal faces are one face"


@pytest.mark.parametrize("convention", [CODEFORMER, FACEXLIB])
def test_faces_are_found_as_by_the_steps_of_the_face_network(
    face_net: Model, convention: Convention
) -> None:
    row = face_net.row.model_copy(update={"face_convention": convention.name})
    detector = FixedDetector(face_at(128, 110, 60))
    judge = dataclasses.replace(judge_of(dataclasses.replace(face_net, row=row)), detector=detector)
    assess_photo(Photo("a", DIM), judge, request_of())
    assert detector.calls == [(convention.detect_short_side_px, convention.score_threshold)]


def test_inpaint_is_proposed_first_if_there_is_a_mask(face_net: Model) -> None:
    photo = Photo("p", with_white_line(DIM_GREY))
    assessment = assess_photo(photo, judge_of(face_net), request_of(), HOLE)
    steps = [each.step for each in assessment.steps]
    assert steps == ["inpaint", "old_photo_restore", "upscale"]
    share, width = (finding.facts() for finding in assessment.findings[:2])
    assert (share["name"], share["value"], share["step"]) == ("hole_share", 3.125, "inpaint")
    assert (width["name"], width["value"], width["unit"]) == ("hole_width", 32, "px")
    assert width["reason"] == "its widest hole is about 32 pixels wide"


@pytest.mark.parametrize(("mask", "why"), [(HOLE & False, "is empty"), (HOLE | True, "covers all")])
def test_mask_that_cannot_be_filled_is_refused(face_net: Model, mask: np.ndarray, why: str) -> None:
    with pytest.raises(RestoreError, match=rf"photo 'a': the mask {why}") as caught:
        assess_photo(Photo("a", DIM), judge_of(face_net), request_of(), mask)
    assert caught.value.code == Code.MASK


def test_steps_are_left_out_by_task_or_work(
    face_net: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    findings = [NOISE, BLUR, SMALL]
    monkeypatch.setattr("restore.pipelines.propose.judge_measurements", lambda _: findings)

    def works(steps: str, *, mask: np.ndarray | None = None, **inputs: Any) -> list[str]:
        request = request_of(steps=steps, **inputs)
        photo = Photo("a", DIM)
        assessment = assess_photo(photo, judge_of(face_net), request, mask)
        return [each.work or each.step for each in assessment.steps]

    assert works("auto,-upscale") == [DENOISE, DEBLUR]
    assert works("auto,-denoise,colorize") == [DEBLUR, "colorize", "upscale"]
    assert works("auto,-restore,-inpaint", mask=HOLE) == ["upscale"]
    assert works("auto,-upscale,-restore", target_px=500) == []
    findings.append(SCRATCHES)
    assert works("auto,-old_photo_restore") == [DEBLUR, "upscale"]  # and no denoising in its place


@pytest.mark.parametrize(
    ("findings", "inputs", "is_lite", "expected"),
    [
        ((NOISE, SMALL), {}, True, {"scale": 4, "upscale_variant": "lite_fidelity"}),
        ((NOISE, SMALL), {"steps": "auto,-denoise"}, True, {"scale": 4, "strength": 0.5}),
        ((SMALL,), {}, True, {"scale": 4, "strength": 0.5}),
        ((SMALL,), {"strength": 0.9}, True, {"scale": 4}),
        ((SMALL,), {"upscale_variant": "lite"}, True, {"scale": 4}),
        ((SMALL,), {"scale": 4}, True, {"strength": 0.5}),
        ((SMALL,), {"scale": 2}, True, {}),
        ((SMALL,), {"target_px": 2000}, True, {"strength": 0.5}),
        ((), {"target_px": 2000}, True, {"strength": 0.5}),
        ((), {"steps": "auto,upscale"}, True, {}),
        ((SMALL,), {}, False, {"scale": 4}),
    ],
)
def test_lite_network_enlarges_without_painting(
    face_net: Model,
    monkeypatch: pytest.MonkeyPatch,
    findings: tuple[Finding, ...],
    inputs: dict[str, Any],
    is_lite: bool,
    expected: dict[str, object],
) -> None:
    monkeypatch.setattr("restore.pipelines.propose.judge_measurements", lambda _: findings)
    judge = dataclasses.replace(judge_of(face_net), enlarges_lite=lambda: is_lite)
    noisy = GREY.clip(0, 199) // 50 * 50
    assessment = assess_photo(Photo("a", noisy), judge, request_of(**inputs))
    assert dict(assessment.steps[-1].options) == expected


def test_findings_of_the_same_work_become_one_step() -> None:
    [denoise, deblur, upscale] = propose(NOISE, BLOCKS, PLAIN, BLUR, SMALL)
    assert denoise.reason == "it is noisy and it has blocks"
    assert dict(denoise.options) == {"strength": 1.0}
    assert dict(deblur.options) == {"restore_variant": "deblur"}
    assert dict(upscale.options) == {"scale": 4}


def test_restoring_old_photos_denoises_too() -> None:
    assert [each.step for each in propose(NOISE, SCRATCHES)] == ["old_photo_restore"]
    works = [(each.step, each.work) for each in propose(NOISE, BLUR, SCRATCHES)]
    assert sorted(works) == [("old_photo_restore", ""), ("restore", DEBLUR)]


def test_options_of_the_request_replace_proposed_ones() -> None:
    [upscale] = propose(SMALL, scale=3)
    options = upscale.task_options(request_of(scale=3))
    assert isinstance(options, UpscaleOptions)
    assert options.scale == 3
    [denoise] = propose(NOISE, strength=0.2)
    assert denoise.task_options(request_of(strength=0.2)).strength == 0.2
    fixed = dataclasses.replace(SCRATCHES, options={"with_face": False})
    [old] = propose(fixed, with_face=True)
    assert dict(old.options) == {"with_face": False}


def test_named_variant_of_restore_limits_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    for variant, work in RESTORE_WORKS.items():
        [step] = propose(NOISE, BLUR, restore_variant=variant)
        assert step.work == work
        options = step.task_options(request_of(restore_variant=variant))
        assert isinstance(options, RestoreOptions)
        assert options.restore_variant == variant
    monkeypatch.setenv("MODEL_RESTORE", "deblur")
    [denoise, deblur] = propose(NOISE, BLUR)
    assert denoise.options["restore_variant"] == "denoise"
    assert "restore_variant" not in deblur.options


def test_every_variant_of_restore_has_a_work() -> None:
    assert {"auto", *RESTORE_WORKS} == set(choices_of(RestoreOptions, "restore_variant"))


def test_variants_do_what_they_are_proposed_for() -> None:
    for variants in (VARIANTS, LITE_VARIANTS):
        assert {RESTORE_WORKS[variant]: work for work, variant in variants.items()} == {
            DENOISE: DENOISE,
            DEBLUR: DEBLUR,
        }


def test_steps_after_auto_join_the_proposed_ones_in_order() -> None:
    request = request_of(steps="auto,upscale,colorize")
    proposed = propose(BLUR, NOISE, SMALL)
    steps = add_further_steps(proposed, request)
    assert [(each.step, each.work, bool(each.reason)) for each in steps] == [
        ("restore", DENOISE, True),
        ("restore", DEBLUR, True),
        ("colorize", "", False),
        ("upscale", "", True),
    ]
    assert [each.step for each in add_further_steps([], request)] == ["colorize", "upscale"]


def test_every_step_has_a_place() -> None:
    assert {step for step, _ in STEP_ORDER} == set(STEPS)
