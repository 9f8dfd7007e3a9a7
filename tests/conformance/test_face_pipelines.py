"""Face pipelines against the FaceRestoreHelper of CodeFormer and of facexlib: every golden.

For the goldens, landmarks were given instead of detected, the parser returned fixed labels, and a
formula replaced the network.
"""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from checkpoints import read_rgb

from restore.faces.align import crop, estimate_similarity
from restore.faces.colour import is_grey, match_grey
from restore.faces.convention import CONVENTIONS, Convention
from restore.faces.face import Face
from restore.faces.masks import parse_mask
from restore.faces.paste import Frame, crop_to_frame_transform, resize_background
from restore.imaging.photo import Photo
from restore.models.catalog import Catalog
from restore.models.loader import Model
from restore.options import FaceRestoreOptions
from restore.pipelines.context import StepContext
from restore.pipelines.face_restore import run_face_restore
from restore.pipelines.official import OfficialFrame, OfficialRules, enlarge_small_photo
from restore.report import Report
from restore.runtime.device import runtime_for

GOLDENS = Path(__file__).parent / "goldens"
FACTS: dict[str, dict[str, Any]] = {
    name: json.loads((GOLDENS / f"pipe_face_{name}" / "cases.json").read_text())
    for name in CONVENTIONS
}
CASES = [
    (name, case) for name, cases in FACTS.items() for case in cases if case != "landmarks_small"
]


def input_of(name: str, case: str) -> np.ndarray:
    file = "in_gray.png" if "gray" in case else "in_small.png"
    return read_rgb(GOLDENS / f"pipe_face_{name}" / file)


def matrix_of(name: str, photo: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    # The landmarks of the goldens were scaled in single precision.
    factor = np.float32(min(pixels.shape[:2]) / min(photo.shape[:2]))
    matrix = estimate_similarity(np.array(FACTS[name]["landmarks_small"]) * factor)
    assert matrix is not None
    return matrix


def restore_by_formula(face: np.ndarray) -> np.ndarray:
    """Return what the goldens have instead of the network's output."""
    ramp = np.linspace(0, 40, 512)[None, :, None]
    return np.clip(255 - face * 0.5 + ramp, 0, 255).astype(np.uint8)


def fixed_labels() -> np.ndarray:
    """Return the labels of the goldens: a face with a part that counts as background."""
    y, x = np.mgrid[0:512, 0:512]
    labels = (((y - 260) / 200) ** 2 + ((x - 256) / 160) ** 2 < 1).astype(np.uint8)
    labels[400:430, 200:300] = 14
    return labels


def background_of(
    case: str, photo: np.ndarray, pixels: np.ndarray, size: tuple[int, int], convention: Convention
) -> np.ndarray:
    if not case.endswith("_bg"):
        return resize_background(pixels, size, convention).copy()
    # The background was the bicubic photo at twice its size, resized by the helper.
    twice = cv2.resize(photo, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    return cv2.resize(twice, size, interpolation=cv2.INTER_LANCZOS4)


def paste_result(
    name: str, case: str, *, whole_frame: bool = False, official: bool = True
) -> np.ndarray:
    """Run the functions of this project in the order of the helper."""
    convention, facts, photo = CONVENTIONS[name], FACTS[name][case], input_of(name, case)
    pixels = enlarge_small_photo(photo, convention)
    scale = 2 if "up2" in case else 1
    matrix = matrix_of(name, photo, pixels)
    face_crop = crop(pixels, matrix)
    face = restore_by_formula(face_crop)
    if convention.matches_grey and is_grey(photo):
        face = match_grey(face, face_crop, clip=False)
    size = (pixels.shape[1] * scale, pixels.shape[0] * scale)
    result = background_of(case, photo, pixels, size, convention)
    frame = OfficialFrame(result, whole_frame=whole_frame) if official else Frame(result)
    mask = parse_mask(fixed_labels())
    frame.paste(face, matrix, scale, mask=mask, square=convention.square_mask)
    frame.write_back()
    assert list(result.shape) == facts["out_shape"]
    return result


def read_golden(name: str, case: str) -> tuple[np.ndarray | None, int]:
    """Return the RGB result of the helper, if stored, and its stride."""
    folder = GOLDENS / f"pipe_face_{name}"
    if (folder / f"out_{case}.png").exists():
        return read_rgb(folder / f"out_{case}.png"), 1
    if (folder / f"out_{case}_s3.npy").exists():
        return np.load(folder / f"out_{case}_s3.npy")[..., ::-1], 3
    return None, 1


STORED_CASES = [pair for pair in CASES if read_golden(*pair)[0] is not None]


def assert_equals_golden(result: np.ndarray, name: str, case: str) -> None:
    golden, stride = read_golden(name, case)
    assert golden is not None
    difference = np.abs(result[::stride, ::stride].astype(int) - golden)
    assert (difference <= 1).mean() >= 0.999
    assert difference.max() <= 3


@pytest.mark.parametrize(("name", "case"), CASES)
def test_transforms_match(name: str, case: str) -> None:
    facts, photo = FACTS[name][case], input_of(name, case)
    pixels = enlarge_small_photo(photo, CONVENTIONS[name])
    assert list(pixels.shape) == facts["input_img_shape"]
    matrix = matrix_of(name, photo, pixels)
    np.testing.assert_allclose(matrix, facts["affine"], atol=1e-6)
    inverse = crop_to_frame_transform(matrix, 2 if "up2" in case else 1)
    np.testing.assert_allclose(inverse, facts["inv_after"], atol=1e-6)
    assert crop(pixels, matrix).mean() == pytest.approx(facts["crop_mean"], abs=1e-3)
    if facts["is_gray"] is not None:
        assert is_grey(photo) == facts["is_gray"]


@pytest.mark.parametrize(("name", "case"), [pair for pair in CASES if "up1" in pair[1]])
def test_crops_are_identical(name: str, case: str) -> None:
    photo = input_of(name, case)
    pixels = enlarge_small_photo(photo, CONVENTIONS[name])
    expected = read_rgb(GOLDENS / f"pipe_face_{name}" / f"crop_{case}.png")
    np.testing.assert_array_equal(crop(pixels, matrix_of(name, photo, pixels)), expected)


@pytest.mark.parametrize(("name", "case"), STORED_CASES)
def test_pasted_photos_match(name: str, case: str) -> None:
    assert_equals_golden(paste_result(name, case), name, case)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_pasting_a_region_equals_pasting_the_whole_frame(name: str, case: str) -> None:
    np.testing.assert_array_equal(
        paste_result(name, case), paste_result(name, case, whole_frame=True)
    )


class FixedDetector:
    """Returns the landmarks of the goldens."""

    name = "fixed"
    weights: tuple[dict[str, object], ...] = ()

    def __init__(self, name: str, photo: np.ndarray) -> None:
        self.landmarks = np.array(FACTS[name]["landmarks_small"])
        self.short_side_px = min(photo.shape[:2])

    def find(
        self, pixels: np.ndarray, *, short_side_px: int | None, threshold: float
    ) -> list[Face]:
        points = self.landmarks * np.float32(min(pixels.shape[:2]) / self.short_side_px)
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        return [Face((left, top, right, bottom), 1.0, points)]


class FixedParser(torch.nn.Module):
    """Returns the labels of the goldens as logits."""

    def forward(self, faces: torch.Tensor) -> list[torch.Tensor]:
        assert faces.shape[1:] == (3, 512, 512)
        labels = torch.from_numpy(fixed_labels()).long()
        return [torch.nn.functional.one_hot(labels, 19).permute(2, 0, 1)[None].float()]


@pytest.mark.parametrize(("name", "case"), [pair for pair in STORED_CASES if "bg" not in pair[1]])
def test_the_task_face_restore_matches(
    name: str, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipeline of requests with official rules; only the network is replaced."""

    def run_formula(faces: torch.Tensor, model: Model, fidelity: float) -> torch.Tensor:
        crop_rgb = faces[0].permute(1, 2, 0).mul(255).round().numpy().astype(np.uint8)
        return torch.from_numpy(restore_by_formula(crop_rgb)).permute(2, 0, 1)[None] / 255

    monkeypatch.setattr("restore.pipelines.face_batches.restore_faces", run_formula)
    variant = {"codeformer": "codeformer", "facexlib": "gfpgan_v1.4"}[name]
    row = Catalog.load().find("face_restore", variant)
    photo = input_of(name, case)
    context = StepContext(
        {"face_restore": Model(row, variant, torch.nn.Identity(), {"parser": FixedParser()})},
        runtime_for("baseline", torch.device("cpu")),
        Report(case, "face_restore"),
        detector=FixedDetector(name, photo),
        rules=OfficialRules(),
    )
    options = FaceRestoreOptions(face_upscale=2 if "up2" in case else 1)
    [result] = run_face_restore([Photo(case, photo)], options, [context])
    assert_equals_golden(result.pixels, name, case)


@pytest.mark.parametrize("case", ["small_up1", "small_up2"])
def test_product_rules_differ_from_facexlib_by_rounding_only(case: str) -> None:
    golden, _ = read_golden("facexlib", case)
    assert golden is not None
    result = paste_result("facexlib", case, official=False)
    assert np.abs(result.astype(int) - golden).max() <= 1


def test_every_golden_is_used() -> None:
    used = {
        f"out_{case}{'_s3.npy' if read_golden(name, case)[1] == 3 else '.png'}"
        for name, case in CASES
    }
    stored = {
        path.name for name in CONVENTIONS for path in (GOLDENS / f"pipe_face_{name}").glob("out_*")
    }
    assert stored <= used
