"""Tests of the choice between the embedded upscalers by the measured degradation of the photo."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data.degradation import PRESETS, Degradation, degrade
from restore import Restorer
from restore.pipelines.cleanness import BLOCK_PX, MAX_SIDE_PX, is_sharp_and_clean, middle_of

SMALL = {"blur": 0.5, "downscale": 4.0}
WORN: dict[str, dict[str, Any]] = {
    "noise": {**SMALL, "noise": 10},
    "jpeg": {**SMALL, "jpeg": 70},
    "blur": {"blur": 6.0, "downscale": 4.0},
    "aliasing": {"downscale": 4.0, "resampling": "bicubic"},
}


@pytest.fixture
def original(shared: Path) -> np.ndarray:
    return np.array(Image.open(shared / "photos/test/set5/baby.png").convert("RGB"))


@pytest.mark.shared
def test_small_clean_photo_is_clean(original: np.ndarray) -> None:
    small = degrade(original, PRESETS["small"], 0)
    assert is_sharp_and_clean(small)
    assert is_sharp_and_clean(small.astype(np.uint16) * 257)


@pytest.mark.shared
@pytest.mark.parametrize("kind", WORN)
def test_worn_photo_is_not_clean(original: np.ndarray, kind: str) -> None:
    assert not is_sharp_and_clean(degrade(original, Degradation(**WORN[kind]), 0))


@pytest.mark.parametrize("shape", [(4, 200), (64, 64), (64, 64, 3)])
def test_flat_and_tiny_photos_are_not_clean(shape: tuple[int, ...]) -> None:
    assert not is_sharp_and_clean(np.full(shape, 100, np.uint8))


def test_blocks_of_a_jpeg_stay_where_they_are_in_the_middle() -> None:
    rows, columns = middle_of(1101, 4002)
    for part, side_px in ((rows, 1101), (columns, 4002)):
        assert part.start % BLOCK_PX == 0
        assert part.stop - part.start == MAX_SIDE_PX
        assert abs(part.start - (side_px - part.stop)) <= 2 * BLOCK_PX
    assert middle_of(500, 700)[0].start == middle_of(500, 700)[1].start == 0


@pytest.mark.shared
@pytest.mark.parametrize(
    ("inputs", "variant"),
    [
        ({"scale": 4}, "lite_fidelity"),
        ({"scale": 4, "upscale_variant": "lite"}, "lite"),
        ({"scale": 2}, "lite"),
    ],
)
def test_network_of_a_clean_photo(
    original: np.ndarray,
    lite: Restorer,
    tmp_path: Path,
    inputs: dict[str, Any],
    variant: str,
) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(degrade(original, PRESETS["small"], 0)).save(path)
    (report,) = lite.run("upscale", [path], **inputs).reports
    assert report.variant == variant
    assert len(report.weights) == 1
    assert bool(report.notes) == (variant == "lite_fidelity")


def test_worn_photo_is_enlarged_by_lite(lite: Restorer, photo_file: Callable[..., Path]) -> None:
    (report,) = lite.run("upscale", [photo_file()], scale=4).reports
    assert (report.variant, report.notes) == ("lite", [])
