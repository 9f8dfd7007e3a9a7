"""Which outputs of a face network may be pasted."""

import cv2
import numpy as np
import pytest
from facefakes import ASTRONAUT, degrade, face_at
from skimage import data

from restore.faces.align import crop, estimate_similarity
from restore.faces.plausibility import measure_change

MATRIX = estimate_similarity(face_at(128, 110, 60).landmarks)
assert MATRIX is not None
FACE = crop(ASTRONAUT, MATRIX)
DEGRADED = crop(degrade(ASTRONAUT), MATRIX)
NOISE = np.random.default_rng(0).integers(0, 256, FACE.shape, np.uint8)


@pytest.mark.parametrize(
    "restored",
    [
        FACE,
        cv2.GaussianBlur(FACE, (0, 0), 6),
        np.clip(FACE.astype(np.float32) * 0.8 + 30, 0, 255),
        cv2.addWeighted(FACE, 2.5, cv2.GaussianBlur(FACE, (0, 0), 4), -1.5, 0),
        np.roll(FACE, 20, axis=1),
    ],
    ids=["same", "smooth", "paler", "sharp", "moved"],
)
def test_restored_face_may_be_pasted(restored: np.ndarray) -> None:
    assert measure_change(restored, FACE).reason_not_to_paste() == ""
    assert measure_change(restored, DEGRADED).reason_not_to_paste() == ""


@pytest.mark.parametrize(
    ("restored", "reason"),
    [
        (np.zeros_like(FACE), "brightness"),
        (np.full_like(FACE, int(FACE.mean())), "contrast"),
        (np.clip(FACE.astype(int) + 70, 0, 255), "brightness"),
        (NOISE, "contrast"),
        (np.clip(2 * FACE.mean() - FACE, 0, 255), "resemble"),
        (np.rot90(FACE, 2), "resemble"),
        (np.clip(FACE + (NOISE - 128.0), 0, 255), "noise"),
        (cv2.resize(data.chelsea(), (512, 512)), "resemble"),
    ],
    ids=["black", "flat", "bright", "noise", "negative", "upside down", "noisy", "cat"],
)
def test_damaged_face_may_not_be_pasted(restored: np.ndarray, reason: str) -> None:
    assert reason in measure_change(restored, FACE).reason_not_to_paste()


def test_flat_face_has_no_contrast_to_lose() -> None:
    flat = np.full_like(FACE, 90)
    assert measure_change(flat + 5, flat).reason_not_to_paste() == ""
