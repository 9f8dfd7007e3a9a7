"""The old-photo pipeline around its networks against the official helpers: every golden."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from checkpoints import load_official_file, read_rgb, rebuild
from PIL import Image

from restore.models.adapters.old_photo import to_pixels
from restore.models.catalog import Catalog
from restore.models.loader import Model
from restore.options import OldPhotoOptions
from restore.pipelines.context import StepContext
from restore.pipelines.official import OfficialRules
from restore.pipelines.old_photo import find_scratches, scratch_probability, to_working_size
from restore.pipelines.old_photo_alignment import (
    cut_face,
    face_to_photo,
    match_histogram,
    paste_face,
)
from restore.report import Report
from restore.runtime.device import runtime_for

GOLDENS = Path(__file__).parent / "goldens" / "pipe_oldphoto"
CASES = json.loads((GOLDENS / "cases.json").read_text())
CONTEXT = StepContext(
    {},
    runtime_for("baseline", torch.device("cpu")),
    Report("in", "old_photo_restore"),
    rules=OfficialRules(),
)


def assert_within_one_level(result: np.ndarray, golden: str) -> None:
    expected = read_rgb(GOLDENS / golden)
    assert result.shape == expected.shape
    assert np.abs(result.astype(int) - expected.astype(int)).max() <= 1


def read_mask(name: str) -> np.ndarray:
    with Image.open(GOLDENS / name) as image:
        return np.asarray(image.convert("L")) > 127


@pytest.fixture(scope="module")
def scratch_model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    catalog = Catalog.load()
    net = load_official_file(
        rebuild("OldPhoto_detection"),
        tmp_path_factory.mktemp("net") / "FT_Epoch_latest.pt",
        catalog.find("old_photo_restore", "scratch", "scratch_detector"),
    )
    row = catalog.find("old_photo_restore", "scratch")
    return Model(row, "scratch", torch.nn.Identity(), {"scratch_detector": net})


def test_with_scratches_sides_become_multiples_of_16() -> None:
    options = OldPhotoOptions(with_scratch=True)
    result = to_working_size(read_rgb(GOLDENS / "in.png"), options, CONTEXT)
    assert_within_one_level(result, "det_input_rounded.png")


def test_without_scratches_sides_become_multiples_of_4() -> None:
    options = OldPhotoOptions(with_scratch=False)
    result = to_working_size(read_rgb(GOLDENS / "in.png"), options, CONTEXT)
    assert_within_one_level(result, "test_full.png")


def test_scratch_probability_and_mask_match(scratch_model: Model) -> None:
    pixels = read_rgb(GOLDENS / "det_input_rounded.png")
    with torch.inference_mode():
        probability = scratch_probability(pixels, scratch_model).numpy()
        mask = find_scratches(pixels, scratch_model, 0.4)
    expected = np.load(GOLDENS / "det_prob_256.npy")
    assert probability.size == expected.size
    assert np.abs(probability.reshape(expected.shape) - expected).max() < 1e-4
    assert (mask != read_mask("det_mask.png")).mean() < 1e-3
    assert mask.mean() == pytest.approx(CASES["detect"]["mask_fraction"], abs=1e-3)


def test_high_resolution_dilates_the_mask_by_three_pixels() -> None:
    mask = read_mask("det_mask.png").astype(np.uint8)
    dilated = cv2.dilate(mask, np.ones((3, 3), np.uint8), iterations=3) > 0
    np.testing.assert_array_equal(dilated, read_mask("mask_dilated3.png"))


def test_official_results_are_stretched_and_faces_are_not() -> None:
    planes = torch.from_numpy(np.load(GOLDENS / "save_in.npy"))
    planes = planes[0] if planes.dim() == 4 else planes
    assert_within_one_level(to_pixels(planes, stretched=True), "save_out_minmax.png")
    assert_within_one_level(to_pixels(planes), "save_out_face.png")


def test_faces_are_aligned_matched_and_pasted_as_officially() -> None:
    photo = read_rgb(GOLDENS / "face_in.png")
    canvas = photo.astype(np.float64)
    ramp = np.linspace(0, 30, 256)[None, :, None]
    for index, landmarks in enumerate(CASES["landmarks"]):
        matrix = face_to_photo(np.array(landmarks, float), 256)
        assert matrix is not None
        # The official transform is computed in single precision.
        np.testing.assert_allclose(matrix, np.array(CASES["affine"][index])[:2], atol=5e-5)
        crop = cut_face(photo, matrix, 256)
        assert_within_one_level(np.rint(crop).astype(np.uint8), f"face{index}_aligned.png")
        # The goldens were made with this formula instead of the network.
        official_crop = read_rgb(GOLDENS / f"face{index}_aligned.png")
        restored = np.clip(official_crop * 0.7 + 60 + ramp, 0, 255).astype(np.uint8)
        matched = match_histogram(restored, crop.astype(np.uint8))
        assert_within_one_level(matched, f"face{index}_histmatched.png")
        paste_face(canvas, matched, matrix)
    assert_within_one_level(np.rint(canvas).astype(np.uint8), "face_blended.png")
