"""Tests of substitutes for official weights: what is recorded, and when there are better ones."""

from pathlib import Path

import numpy as np
import pytest
from weightrows import OTHER, lite_row, put, row, store_in

from restore import Restorer
from restore.imaging.photo import Photo
from restore.models.catalog import Checkpoint
from restore.models.store import WeightStore
from restore.models.substitutes import BetterWeights, Substitute

URL = "https://example.org/x4.pth"
LITE_USED = "upscale x4: lite weights"
COPY_USED = "upscale x4: copies"


def rows() -> tuple[Checkpoint, Checkpoint]:
    return row("x4", URL), row("partner", URL, variant="x4", role="denoise_partner")


@pytest.fixture
def store(tmp_path: Path) -> WeightStore:
    return store_in(tmp_path, *rows(), lite_row(), offline=True)


@pytest.mark.parametrize("used", ["lite weights", "copies"])
def test_text_of_a_substitute_can_be_read_again(used: str) -> None:
    one = Substitute("face_detect", "retinaface_mobile0.25", used)
    assert Substitute.from_text(one.to_text()) == one


@pytest.mark.parametrize("text", ["", "upscale", "upscale x4: other", "x4: copies"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="does not name weights"):
        Substitute.from_text(text)


def test_official_weights_are_better_once_all_their_files_are_there(store: WeightStore) -> None:
    for file in rows():
        assert BetterWeights(store).than([LITE_USED]) == ""
        put(store, file)
    assert BetterWeights(store).than([LITE_USED]) == "official weights of upscale x4"
    assert BetterWeights(store).than([COPY_USED]) == "official weights of upscale x4"
    assert BetterWeights(store).than([]) == ""


def test_damaged_files_are_not_better(store: WeightStore) -> None:
    for file in rows():
        put(store, file, OTHER)
    assert BetterWeights(store).than([LITE_USED]) == ""


def test_variant_that_the_manifest_has_no_more_is_left_out(store: WeightStore) -> None:
    assert BetterWeights(store).than(["upscale older: lite weights"]) == ""


def test_policies_without_substitutes_need_no_search() -> None:
    for policy in ("official", "lite"):
        assert BetterWeights.for_policy(policy) is None
    for policy in ("local", "auto"):
        assert BetterWeights.for_policy(policy) is not None


@pytest.mark.parametrize(
    ("policy", "recorded"),
    [("local", {Substitute("upscale", "x4plus", "lite weights")}), ("lite", set())],
)
def test_request_tells_its_substitutes(
    policy: str, recorded: set[Substitute], tmp_path: Path
) -> None:
    photo = Photo("a", np.full((24, 24, 3), 128, np.uint8))
    restorer = Restorer(weights=policy, weights_dir=tmp_path, device="cpu")
    restorer.run("restore", [photo])  # those of an earlier request do not count
    assert restorer.run("upscale", [photo], scale=2).substitutes == recorded
    assert restorer.run("colors", [photo]).substitutes == set()
