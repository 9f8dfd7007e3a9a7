"""Bringing Old Photos Back to Life around its networks: sizes, masks, writing, faces; every golden of the official helpers."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from recipe import rebuild

from restore.models.adapters.old_photo import to_pixels
from restore.models.catalog import Catalog
from restore.models.loader import Model, load_net
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


def read(name: str) -> np.ndarray:
    return np.asarray(Image.open(GOLDENS / name).convert("RGB"))


def assert_within_one_level(result: np.ndarray, golden: np.ndarray) -> None:
    assert result.shape == golden.shape
    assert np.abs(result.astype(int) - golden.astype(int)).max() <= 1


@pytest.fixture(scope="module")
def detecting(tmp_path_factory) -> Model:
    path = tmp_path_factory.mktemp("net") / "FT_Epoch_latest.pt"
    torch.save(rebuild("OldPhoto_detection"), path)
    catalog = Catalog.load()
    net = load_net(path, catalog.find("old_photo_restore", "scratch", "scratch_detector"))
    return Model(
        catalog.find("old_photo_restore", "scratch"),
        "scratch",
        torch.nn.Identity(),
        {"scratch_detector": net},
    )


def test_the_photo_is_brought_to_multiples_of_sixteen_for_scratches():
    assert_within_one_level(
        to_working_size(read("in.png"), OldPhotoOptions(with_scratch=True), CONTEXT),
        read("det_input_rounded.png"),
    )


def test_the_photo_is_brought_to_multiples_of_four_without():
    assert_within_one_level(
        to_working_size(read("in.png"), OldPhotoOptions(), CONTEXT), read("test_full.png")
    )


def test_scratches_are_found_where_they_are_officially(detecting):
    pixels = read("det_input_rounded.png")
    with torch.inference_mode():
        probability = scratch_probability(pixels, detecting).numpy()
        mask = find_scratches(pixels, detecting, 0.4)
    golden = np.load(GOLDENS / "det_prob_256.npy")
    assert probability.reshape(golden.shape).shape == golden.shape
    assert np.abs(probability.reshape(golden.shape) - golden).max() < 1e-4
    expected = np.asarray(Image.open(GOLDENS / "det_mask.png").convert("L")) > 127
    assert (mask != expected).mean() < 1e-3
    assert mask.mean() == pytest.approx(CASES["detect"]["mask_fraction"], abs=1e-3)


def test_holes_are_white_and_high_resolution_widens_them():
    mask = np.asarray(Image.open(GOLDENS / "det_mask.png").convert("L"))
    wide = cv2.dilate((mask > 127).astype(np.uint8), np.ones((3, 3), np.uint8), iterations=3) * 255
    golden = np.asarray(Image.open(GOLDENS / "mask_dilated3.png").convert("L"))
    np.testing.assert_array_equal(wide, golden)


def test_results_are_written_stretched_by_the_official_code_and_plainly_by_ours():
    planes = torch.from_numpy(np.load(GOLDENS / "save_in.npy"))
    planes = planes[0] if planes.dim() == 4 else planes
    assert_within_one_level(to_pixels(planes, stretched=True), read("save_out_minmax.png"))
    assert_within_one_level(to_pixels(planes), read("save_out_face.png"))


def test_faces_are_aligned_matched_and_blended_in_as_officially():
    photo = read("face_in.png")
    canvas = photo.astype(np.float64)
    for index, landmarks in enumerate(CASES["landmarks"]):
        matrix = face_to_photo(np.array(landmarks, float), 256)
        np.testing.assert_allclose(
            matrix, np.array(CASES["affine"][index])[:2], atol=5e-5
        )  # theirs is computed from single precision
        upright = cut_face(photo, matrix, 256)
        aligned = np.rint(upright).astype(np.uint8)
        expected = read(f"face{index}_aligned.png")
        assert_within_one_level(aligned, expected)
        made = np.clip(expected * 0.7 + 60 + np.linspace(0, 30, 256)[None, :, None], 0, 255).astype(
            np.uint8
        )
        matched = match_histogram(made, upright.astype(np.uint8))
        assert_within_one_level(matched, read(f"face{index}_histmatched.png"))
        paste_face(canvas, matched, matrix)
    assert_within_one_level(np.rint(canvas).astype(np.uint8), read("face_blended.png"))
