"""The task inspect: what it finds in a photo."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from facefakes import ASTRONAUT, FixedDetector, face_at
from oldphotofakes import WhiteIsScratched
from PIL import Image

from restore import Restorer
from restore.faces.face import Face
from restore.imaging.photo import Photo
from restore.models.loader import Model
from restore.options import Request
from restore.pipelines.assessment.colours import ColourChange
from restore.pipelines.inspect import Inspection, inspect_photo
from restore.pipelines.propose import VARIANTS, Judge
from restore.pipelines.request_photos import RequestPhoto, decode_photos
from restore.runtime.device import runtime_for, select_device

SMALL = np.ascontiguousarray(ASTRONAUT[20:180, 50:210])
TWO_FACES = np.concatenate([SMALL, SMALL], axis=1)
WITHOUT_WHITE = np.minimum(ASTRONAUT, 200)


def inspect(model: Model, photo: Photo, *faces: Face, **inputs: object) -> Inspection:
    """Inspect a photo with these faces; white pixels are scratches."""
    [item] = decode_photos(Request.from_inputs("inspect", inputs), [photo], [])
    return inspect_item(model, item, *faces, **inputs)


def inspect_item(model: Model, item: RequestPhoto, *faces: Face, **inputs: object) -> Inspection:
    """Inspect a decoded photo with these faces, with a network for holes of up to 50 px."""
    request = Request.from_inputs("inspect", inputs)
    warnings = ("dlib is used instead",)
    detector, net = FixedDetector(*faces), WhiteIsScratched()
    judge = Judge(
        model,
        detector,
        net,
        lambda photo: ColourChange(change=0.0, darkening=0.0, tone="colour"),
        VARIANTS,
        warnings,
        lambda: False,
        lambda: 50,
    )
    return inspect_photo(item, request, judge, runtime_for("baseline", select_device("cpu")))


def test_faces_are_described_from_left_to_right_within_the_photo(face_net: Model) -> None:
    faces = [face_at(200, 110, 60), face_at(100, 110, 60), face_at(20, 240, 50)]
    found = inspect(face_net, Photo("a", WITHOUT_WHITE), *faces)
    assert [face["box"] for face in found.faces] == [
        [0.0, 215.0, 45.0, 256.0],
        [70.0, 80.0, 130.0, 140.0],
        [170.0, 80.0, 230.0, 140.0],
    ]
    assert found.faces[1] == {
        "index": 1,
        "box": [70.0, 80.0, 130.0, 140.0],
        "rotation": 0,
        "score": 0.99,
        "size_px": 60.0,
        "restorable": True,
        "reason": "",
    }


def test_face_that_face_restore_would_skip_is_not_restorable(face_net: Model) -> None:
    faces = [face_at(60, 110, 60), face_at(160, 110, 20), face_at(220, 110, 4)]
    found = inspect(face_net, Photo("a", WITHOUT_WHITE), *faces, min_face_px=10)
    assert [face["restorable"] for face in found.faces] == [True, True, False]
    assert [bool(face["reason"]) for face in found.faces] == [False, False, True]
    found = inspect(face_net, Photo("a", WITHOUT_WHITE), *faces, min_face_px=30)
    assert [face["restorable"] for face in found.faces] == [True, False, False]


def test_steps_have_their_options_and_reasons(face_net: Model) -> None:
    pixels = WITHOUT_WHITE.copy()
    pixels[100:112] = 255
    found = inspect(
        face_net, Photo("a", pixels), face_at(128, 110, 60), points=[[1, 1], [9, 1], [9, 9]]
    )
    assert [step["task"] for step in found.steps] == [
        "inpaint",
        "old_photo_restore",
        "face_restore",
        "upscale",
    ]
    options = [step["options"] for step in found.steps]
    assert options == [{}, {"with_scratch": True, "with_face": False}, {}, {"scale": 4}]
    assert [step["strength"] for step in found.steps] == [1.0] * 4
    assert found.steps[3]["reason"] == "its long side has 256 pixels, less than 1000"
    by_name = {finding["name"]: finding for finding in found.findings}
    assert by_name["scratches"]["step"] == "old_photo_restore"
    assert by_name["noise"]["step"] is None
    assert by_name["long_side"]["value"] == 256


@pytest.mark.parametrize(("width_px", "is_too_wide"), [(40, False), (60, True)])
def test_a_mask_gives_its_size_and_how_it_was_read(
    face_net: Model, width_px: int, is_too_wide: bool
) -> None:
    pixels = np.zeros((256, 256), np.uint8)
    pixels[100:200, 20 : 20 + width_px] = 255
    [item] = decode_photos(
        Request.from_inputs("inspect", {}), [Photo("a", WITHOUT_WHITE)], [Photo("m", pixels)]
    )
    assert item.mask is not None
    found = inspect_item(face_net, item)
    assert found.steps[0]["task"] == "inpaint"
    by_name = {finding["name"]: finding for finding in found.findings}
    assert by_name["hole_share"]["value"] == pytest.approx(100 * width_px / 256 * 100 / 256, 1e-3)
    assert by_name["hole_width"]["value"] == width_px
    [note] = found.notes
    assert note.startswith("the mask 'm' was read by its two values 0 and 255")
    assert [f"is about {width_px} px wide" in text for text in found.warnings] == (
        [False, True] if is_too_wide else [False]
    )


def test_the_embedded_network_says_how_wide_holes_may_be(lite: Restorer) -> None:
    points = [[10, 10], [150, 10], [150, 150], [10, 150]]
    photo = Photo("a", WITHOUT_WHITE)
    [found] = lite.run("inspect", photo, points=points).inspections
    assert [step["task"] for step in found.steps] == ["inpaint", "upscale"]
    assert "wider than 128 px with a smear" in found.warnings[0]


def test_strength_is_no_option_that_other_steps_would_use(face_net: Model) -> None:
    noise = np.random.default_rng(0).normal(0, 7, WITHOUT_WHITE.shape[:2])
    smooth = np.linspace(60, 180, WITHOUT_WHITE.shape[1])
    noisy = np.rint(smooth + noise).clip(0, 255).astype(np.uint8)
    [step, *_] = inspect(face_net, Photo("a", noisy)).steps
    assert (step["task"], step["options"], step["strength"]) == ("restore", {}, 1.0)
    assert step["work"] == "denoise"
    fainter = np.rint(smooth + 0.7 * noise).clip(0, 255).astype(np.uint8)
    [step, *_] = inspect(face_net, Photo("a", fainter)).steps
    assert (step["task"], step["options"], step["strength"]) == ("restore", {}, 0.75)


def test_warnings_of_photo_options_and_models_are_collected(face_net: Model) -> None:
    photo = Photo("a", WITHOUT_WHITE, warnings=("its end is missing",))
    found = inspect(face_net, photo, scale=2)
    assert set(found.warnings) == {
        "its end is missing",
        "dlib is used instead",
        "scale has no effect: it is not an option of inspect",
    }
    assert "warnings" not in found.photo
    assert found.faces == ()


def test_photo_whose_faces_are_turned_gives_a_warning(face_net: Model) -> None:
    found = inspect(face_net, Photo("a", WITHOUT_WHITE), face_at(128, 110, 60, tilt_deg=-90))
    assert [face["rotation"] for face in found.faces] == [90]
    assert "turned by 90 degrees clockwise" in found.warnings[-1]


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_photos_of_every_mode_are_inspected(lite: Restorer, tmp_path: Path, mode: str) -> None:
    path = tmp_path / "two.png"
    image = Image.fromarray(TWO_FACES).convert(mode)
    if mode == "RGBA":
        image.putalpha(128)
    image.save(path)
    results = lite.run("inspect", path)
    [found] = results.inspections
    tasks = [step["task"] for step in found.steps]
    assert tasks == [*(["face_restore"] if mode == "L" else []), "upscale"]
    lefts: list[Any] = [face["box"] for face in found.faces]
    assert len(lefts) == 2
    assert lefts[1][0] - lefts[0][0] == pytest.approx(160, abs=20)
    assert (found.photo["grey"], found.photo["alpha"]) == (mode == "L", mode == "RGBA")
    assert results.reports[0].warnings == list(found.warnings) == []


def test_boxes_are_those_of_the_upright_photo(lite: Restorer, tmp_path: Path) -> None:
    upright, turned = tmp_path / "upright.jpg", tmp_path / "turned.jpg"
    image = Image.fromarray(TWO_FACES[:, 40:])
    image.save(upright, quality=100, subsampling=0)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    image.transpose(Image.Transpose.ROTATE_90).save(turned, quality=100, subsampling=0, exif=exif)
    first, second = (lite.run("inspect", path).inspections[0] for path in (upright, turned))
    assert (second.photo["width"], second.photo["height"]) == (280, 160)
    assert second.photo["orientation"] == 6
    assert len(first.faces) == len(second.faces) > 0
    for one, other in zip(first.faces, second.faces, strict=True):
        assert other["box"] == pytest.approx(one["box"], abs=2)


def test_hidden_colours_do_not_count(face_net: Model) -> None:
    pixels, alpha = WITHOUT_WHITE.copy(), np.full((256, 256), 255, np.uint8)
    pixels[100:112] = 255
    tasks = [step["task"] for step in inspect(face_net, Photo("a", pixels)).steps]
    assert "old_photo_restore" in tasks
    alpha[96:116] = 0
    tasks = [step["task"] for step in inspect(face_net, Photo("a", pixels, alpha)).steps]
    assert "old_photo_restore" not in tasks


def test_photo_that_needs_nothing_has_no_steps(face_net: Model) -> None:
    found = inspect(face_net, Photo("a", np.tile(WITHOUT_WHITE, (4, 4, 1))))
    assert (found.steps, found.faces) == ((), ())


def test_each_photo_gets_a_json_file(
    lite: Restorer, tmp_path: Path, photo_file: Callable[..., Path]
) -> None:
    results = lite.run("inspect", [photo_file("a.png"), photo_file("b.jpg")])
    paths = results.save(tmp_path / "out", "x-", with_reports=True)
    assert [path.name for path in paths] == ["x-1-a.json", "x-2-b.json"]
    assert sorted((tmp_path / "out").iterdir()) == paths
    for path, found in zip(paths, results.inspections, strict=True):
        assert json.loads(path.read_text()) == json.loads(json.dumps(found.to_dict()))
        assert path.read_text().startswith('{\n  "photo": {\n    "name": ')


def test_steps_are_those_of_a_pipeline_with_auto(lite: Restorer) -> None:
    photo = Photo("a", SMALL.mean(axis=2).astype(np.uint8))
    [found] = lite.run("inspect", photo).inspections
    report = lite.run("pipeline", photo, scale=1, strength=0).reports[0]
    assert [step["task"] for step in found.steps] == ["face_restore", "upscale"]
    assert [(step["task"], step["reason"]) for step in found.steps] == [
        (step.task, step.why) for step in report.steps
    ]
    assert list(found.findings) == report.findings
