"""The task `pipeline`: any sequence of tasks in one request, or the one that each photo seems to need."""

import json

import numpy as np
import pytest
import torch
from oldphotofakes import WhiteIsScratched
from PIL import Image
from skimage import data

from restore import RestoreError
from restore.errors import Code
from restore.imaging.photo import Photo
from restore.pipelines import propose as module
from restore.pipelines.propose import propose_steps

ASTRONAUT = np.ascontiguousarray(data.astronaut()[:256, 96:352])
GREY = np.asarray(Image.fromarray(ASTRONAUT).convert("L"))
DIM, DIM_GREY = (
    np.minimum(ASTRONAUT, 200),
    np.minimum(GREY, 200),
)  # nothing white, which the stand-in takes for scratches


def specks(pixels):
    """As much white, in specks."""
    damaged = pixels.copy()
    damaged[4::32, 4::32] = 255
    return damaged


def scratched(pixels):
    """A picture with a broad white line across."""
    damaged = pixels.copy()
    damaged[100:112] = 255
    return damaged


class Sees:
    """A detector that finds as many faces as it is told."""

    name = "told"

    def __init__(self, count: int) -> None:
        self.count = count

    def find(self, pixels, *, short_side_px, threshold):
        assert pixels.dtype == np.uint8
        return [None] * self.count


def test_a_chain_is_its_steps_one_after_the_other_without_a_file_in_between(lite):
    photos = [Photo("a", ASTRONAUT), Photo("b", GREY)]
    chained = lite.run(
        "pipeline", photos, steps="restore,face_restore,upscale", scale=2, strength=0.9
    )
    by_hand = photos
    for task in ("restore", "face_restore", "upscale"):
        by_hand = list(lite.run(task, by_hand, scale=2, strength=0.9).photos)
    for one, other in zip(chained.photos, by_hand, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
    for report in chained.reports:
        shown = json.loads(json.dumps(report.to_dict()))
        assert shown["task"] == "pipeline"
        assert [step["task"] for step in shown["steps"]] == ["restore", "face_restore", "upscale"]
        assert [step["weights"][0]["file"] for step in shown["steps"]] == [
            "lite_denoise.safetensors",
            "lite_faces.safetensors",
            "lite_upscale_x2.safetensors",
        ]
        assert shown["steps"][1]["face_restoration_applied"]
        assert all(step["stages_ms"] for step in shown["steps"])


def test_each_step_takes_its_own_parameters_and_a_step_may_come_twice(lite):
    result = lite.run(
        "pipeline", [Photo("a", ASTRONAUT[:64, :64])], steps="upscale,upscale", scale=1.5
    )
    assert result.photos[0].pixels.shape == (144, 144, 3)


def test_a_chain_that_would_grow_too_large_is_refused_before_any_work(lite, monkeypatch):
    monkeypatch.setattr("restore.pipelines.tiles.run_tiled", None)
    big = Photo("big.png", np.zeros((1500, 2000, 3), np.uint8))
    with pytest.raises(
        RestoreError,
        match=r"photo 'big\.png': in step 2 \(upscale\), 8 times 8000x6000.*Enlarge less",
    ) as caught:
        lite.run("pipeline", [big], steps="face_restore,upscale,upscale", scale=8, face_upscale=4)
    assert caught.value.code is Code.OUTPUT_TOO_LARGE


def test_a_step_that_lacks_its_mask_is_refused_before_any_work(lite, monkeypatch):
    monkeypatch.setattr("restore.pipelines.tiles.run_tiled", None)
    with pytest.raises(RestoreError, match="mask") as caught:
        lite.run("pipeline", [Photo("a", ASTRONAUT)], steps="upscale,inpaint", scale=1)
    assert caught.value.code is Code.MASK


def test_a_mask_follows_the_photo_to_its_new_size(lite):
    polygon = "[[100, 100], [140, 100], [140, 140], [100, 140]]"
    result = lite.run(
        "pipeline", [Photo("a", ASTRONAUT)], steps="upscale,inpaint", scale=2, points=polygon
    )
    plain = lite.run("upscale", [Photo("a", ASTRONAUT)], scale=2).photos[0].pixels
    changed = np.argwhere((result.photos[0].pixels != plain).any(axis=2))
    assert changed.min() >= 199
    assert changed.max() <= 282
    assert len(changed) > 4000


@pytest.mark.parametrize(
    ("pixels", "faces", "expected"),
    [
        (DIM_GREY, 0, ["colorize", "upscale"]),
        (DIM, 2, ["face_restore", "upscale"]),
        (np.tile(DIM, (4, 4, 1)), 1, ["face_restore"]),
        (np.tile(DIM, (4, 4, 1)), 0, []),
        (
            np.rint(DIM_GREY[..., None] * (1.0, 0.9, 0.7)).astype(np.uint8),
            0,
            ["colorize", "upscale"],
        ),
        (DIM_GREY.astype(np.uint16) * 257, 1, ["colorize", "face_restore", "upscale"]),
        (scratched(DIM_GREY), 1, ["old_photo_restore", "colorize", "face_restore", "upscale"]),
        (scratched(DIM), 0, ["old_photo_restore", "upscale"]),
        (specks(DIM), 0, ["upscale"]),
    ],
)
def test_auto_proposes_what_it_sees_and_says_why(pixels, faces, expected):
    proposed = propose_steps(Photo("p", pixels), Sees(faces), WhiteIsScratched())
    assert [step for step, _ in proposed] == expected
    assert all(why for _, why in proposed)


def test_auto_gives_each_photo_its_own_steps(lite):
    photos = [Photo("colour", ASTRONAUT), Photo("cat", data.chelsea()[:96, :96])]
    results = lite.run("pipeline", photos, scale=2)
    assert [[step.task for step in report.steps] for report in results.reports] == [
        ["face_restore", "upscale"],
        ["upscale"],
    ]
    assert "dlib found" in results.reports[0].steps[0].why
    assert [photo.pixels.shape for photo in results.photos] == [(512, 512, 3), (192, 192, 3)]


def test_a_photo_that_needs_nothing_comes_back_with_a_warning(lite, monkeypatch):
    monkeypatch.setattr(module, "MIN_LONG_SIDE_PX", 10)
    cat = data.chelsea()[:96, :96]
    results = lite.run("pipeline", [Photo("cat", cat)])
    np.testing.assert_array_equal(results.photos[0].pixels, cat)
    assert any("needs" in warning or "need" in warning for warning in results.reports[0].warnings)


def test_a_mask_is_used_by_inpaint_alone_and_proposed_where_there_is_one(lite):
    mask = Photo("m", np.zeros((256, 256), np.uint8))
    mask.pixels[100:140, 100:140] = 255
    unused = lite.run("upscale", [Photo("a", ASTRONAUT)], scale=1, masks=[mask]).reports[0]
    assert any("only used by inpaint" in warning for warning in unused.warnings)
    proposed = lite.run("pipeline", [Photo("a", ASTRONAUT)], scale=1, masks=[mask]).reports[0]
    assert proposed.steps[0].task == "inpaint"
    assert proposed.face_restoration_applied
    assert "lite_inpaint.safetensors" in [facts["file"] for facts in proposed.weights]
    with pytest.raises(RestoreError, match=r"m4\.png \(a mask\)"):
        lite.run("inpaint", [Photo("a", ASTRONAUT)], masks=["m4.png"])
    photo_as_mask = lite.run(
        "inpaint", [Photo("a", ASTRONAUT)], masks=[Photo("a", ASTRONAUT)]
    ).reports[0]
    assert any("looks like a photo" in warning for warning in photo_as_mask.warnings)


def test_what_fails_while_a_photo_is_looked_at_names_the_photo(lite, monkeypatch):
    def fails(*arguments, **options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("restore.engine.propose_steps", fails)
    with pytest.raises(RestoreError, match=r"photo 'a\.png'.*memory") as caught:
        lite.run("pipeline", [Photo("a.png", ASTRONAUT)])
    assert caught.value.code is Code.OUT_OF_MEMORY


def test_the_mask_of_proposed_scratches_is_returned(lite, monkeypatch):
    monkeypatch.setattr(
        "restore.engine.propose_steps",
        lambda *arguments, **options: [("old_photo_restore", "it looks scratched")],
    )
    photos = [
        Photo("clean", np.full((64, 64), 90, np.uint8)),
        Photo("scratched", scratched(DIM_GREY)),
    ]
    results = lite.run("pipeline", photos, return_mask=True)
    assert sorted(results.masks) == [0, 1]
    assert results.masks[1].name == "scratched"
    assert results.reports[1].steps[0].why == "it looks scratched"
