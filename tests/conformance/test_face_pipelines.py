"""Face pipelines against the official helpers' outputs: FaceRestoreHelper of CodeFormer and of facexlib, every case.

Their detector was bypassed (landmarks are given), their parser gave fixed labels, and a formula stood in for the network.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

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
FACTS = {
    name: json.loads((GOLDENS / f"pipe_face_{name}" / "cases.json").read_text())
    for name in CONVENTIONS
}
CASES = [
    (name, case) for name, cases in FACTS.items() for case in cases if case != "landmarks_small"
]


def read(path: Path) -> np.ndarray:
    return np.ascontiguousarray(cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1])


def source(name: str, case: str) -> np.ndarray:
    return read(
        GOLDENS / f"pipe_face_{name}" / ("in_gray.png" if "gray" in case else "in_small.png")
    )


def matrix_of(name: str, photo: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    factor = np.float32(
        min(pixels.shape[:2]) / min(photo.shape[:2])
    )  # the goldens' maker moved its landmarks in single precision
    matrix = estimate_similarity(np.array(FACTS[name]["landmarks_small"]) * factor)
    assert matrix is not None
    return matrix


def restored(face: np.ndarray) -> np.ndarray:
    """What stood in for the network."""
    return np.clip(255 - face * 0.5 + np.linspace(0, 40, 512)[None, :, None], 0, 255).astype(
        np.uint8
    )


def labels() -> np.ndarray:
    """What stood in for the parser: a face, and a class that counts as background in its middle."""
    y, x = np.mgrid[0:512, 0:512]
    found = (((y - 260) / 200) ** 2 + ((x - 256) / 160) ** 2 < 1).astype(np.uint8)
    found[400:430, 200:300] = 14
    return found


def frame_of(
    case: str, photo: np.ndarray, pixels: np.ndarray, size: tuple[int, int], convention: Convention
) -> np.ndarray:
    if case.endswith(
        "_bg"
    ):  # the background was the photo at twice its size, bicubic, brought to size by the helper
        twice = cv2.resize(photo, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        return cv2.resize(twice, size, interpolation=cv2.INTER_LANCZOS4)
    return resize_background(pixels, size, convention).copy()


def made(name: str, case: str, *, whole_frame: bool = False, quirks: bool = True) -> np.ndarray:
    """Our parts in the helper's order."""
    convention, facts, photo = CONVENTIONS[name], FACTS[name][case], source(name, case)
    pixels = enlarge_small_photo(photo, convention)
    scale = 2 if "up2" in case else 1
    matrix = matrix_of(name, photo, pixels)
    before = crop(pixels, matrix)
    face = restored(before)
    if convention.matches_grey and is_grey(photo):
        face = match_grey(face, before, clip=False)
    frame = frame_of(
        case, photo, pixels, (pixels.shape[1] * scale, pixels.shape[0] * scale), convention
    )
    pasting: Frame = Frame(frame)
    if quirks:
        pasting = OfficialFrame(frame, whole_frame=whole_frame)
    pasting.paste(
        face,
        matrix,
        scale,
        mask=parse_mask(labels()),
        square=convention.square_mask,
    )
    pasting.write_back()
    assert list(frame.shape) == facts["out_shape"]
    return frame


def golden(name: str, case: str) -> tuple[np.ndarray | None, int]:
    """The helper's result in RGB and the step by which it was thinned out; None where none was kept."""
    folder = GOLDENS / f"pipe_face_{name}"
    if (folder / f"out_{case}.png").exists():
        return read(folder / f"out_{case}.png"), 1
    if (folder / f"out_{case}_s3.npy").exists():
        return np.load(folder / f"out_{case}_s3.npy")[..., ::-1], 3
    return None, 1


@pytest.mark.parametrize(("name", "case"), CASES)
def test_transforms(name, case):
    facts, photo = FACTS[name][case], source(name, case)
    pixels = enlarge_small_photo(photo, CONVENTIONS[name])
    assert list(pixels.shape) == facts["input_img_shape"]
    matrix = matrix_of(name, photo, pixels)
    np.testing.assert_allclose(matrix, facts["affine"], atol=1e-6)
    np.testing.assert_allclose(
        crop_to_frame_transform(matrix, 2 if "up2" in case else 1), facts["inv_after"], atol=1e-6
    )
    assert crop(pixels, matrix).mean() == pytest.approx(facts["crop_mean"], abs=1e-3)
    if facts["is_gray"] is not None:
        assert is_grey(photo) == facts["is_gray"]


@pytest.mark.parametrize(("name", "case"), [pair for pair in CASES if "up1" in pair[1]])
def test_crops_are_equal(name, case):
    photo = source(name, case)
    pixels = enlarge_small_photo(photo, CONVENTIONS[name])
    expected = read(GOLDENS / f"pipe_face_{name}" / f"crop_{case}.png")
    np.testing.assert_array_equal(crop(pixels, matrix_of(name, photo, pixels)), expected)


@pytest.mark.parametrize(("name", "case"), [pair for pair in CASES if golden(*pair)[0] is not None])
def test_pasted_photos(name, case):
    expected, step = golden(name, case)
    difference = np.abs(made(name, case)[::step, ::step].astype(int) - expected)
    assert (difference <= 1).mean() >= 0.999
    assert difference.max() <= 3


@pytest.mark.parametrize(("name", "case"), CASES)
def test_a_region_gives_what_the_whole_frame_gives(name, case):
    np.testing.assert_array_equal(made(name, case), made(name, case, whole_frame=True))


class Finder:
    """Stands in for the detector as in the goldens: landmarks are given."""

    name = "given"

    def __init__(self, name: str, photo: np.ndarray) -> None:
        self.landmarks, self.short_px = (
            np.array(FACTS[name]["landmarks_small"]),
            min(photo.shape[:2]),
        )

    def find(
        self, pixels: np.ndarray, *, short_side_px: int | None, threshold: float
    ) -> list[Face]:
        landmarks = self.landmarks * np.float32(min(pixels.shape[:2]) / self.short_px)
        return [Face((*landmarks.min(axis=0), *landmarks.max(axis=0)), 1.0, landmarks)]


class Parser(torch.nn.Module):
    def forward(self, faces: torch.Tensor) -> list[torch.Tensor]:
        assert faces.shape[1:] == (3, 512, 512)
        one_hot = torch.nn.functional.one_hot(torch.from_numpy(labels()).long(), 19)
        return [one_hot.permute(2, 0, 1)[None].float()]


@pytest.mark.parametrize(
    ("name", "case"),
    [pair for pair in CASES if golden(*pair)[0] is not None and "bg" not in pair[1]],
)
def test_the_task_face_restore_gives_what_the_helpers_give(name, case, monkeypatch):
    """The pipeline that users get, with the official faults left in; the network alone is stood in for, as in the goldens."""

    def formula(faces: torch.Tensor, model: Model, fidelity: float) -> torch.Tensor:
        crop_rgb = faces[0].permute(1, 2, 0).mul(255).round().numpy().astype(np.uint8)
        return torch.from_numpy(restored(crop_rgb)).permute(2, 0, 1)[None] / 255

    monkeypatch.setattr("restore.pipelines.face_batches.restore_faces", formula)
    row = Catalog.load().find(
        "face_restore", {"codeformer": "codeformer", "facexlib": "gfpgan_v1.4"}[name]
    )
    model = Model(row, row.variant, torch.nn.Identity(), {"parser": Parser()})
    runtime = runtime_for("baseline", torch.device("cpu"))
    photo = source(name, case)
    context = StepContext(
        {"face_restore": model},
        runtime,
        Report(case, "face_restore"),
        detector=Finder(name, photo),
        rules=OfficialRules(),
    )
    [result] = run_face_restore(
        [Photo(case, photo)], FaceRestoreOptions(face_upscale=2 if "up2" in case else 1), [context]
    )
    expected, step = golden(name, case)
    difference = np.abs(result.pixels[::step, ::step].astype(int) - expected)
    assert (difference <= 1).mean() >= 0.999
    assert difference.max() <= 3


@pytest.mark.parametrize("case", ["small_up1", "small_up2"])
def test_without_the_faults_a_colour_photo_is_still_the_same_to_one_level(case):
    """facexlib's helper has no fault that moves pixels but truncation: what users get is the golden, rounded."""
    expected, _ = golden("facexlib", case)
    difference = np.abs(made("facexlib", case, quirks=False).astype(int) - expected)
    assert difference.max() <= 1


def test_every_golden_is_used():
    used = {
        f"out_{case}{'_s3.npy' if golden(name, case)[1] == 3 else '.png'}" for name, case in CASES
    }
    kept = {
        path.name for name in CONVENTIONS for path in (GOLDENS / f"pipe_face_{name}").glob("out_*")
    }
    assert kept <= used
