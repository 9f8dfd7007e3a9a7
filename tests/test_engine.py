"""The task pipeline: named steps, proposed steps, masks and errors."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from facefakes import ASTRONAUT
from PIL import Image
from skimage import data

from restore import RestoreError, Restorer
from restore.errors import Code
from restore.imaging.photo import Photo
from restore.pipelines import propose
from restore.pipelines.propose import Assessment, ProposedStep

GREY = np.asarray(Image.fromarray(ASTRONAUT).convert("L"))
CAT = data.chelsea()[:96, :96]
STEPS = ("restore", "face_restore", "upscale")
OPTIONS: dict[str, Any] = {"scale": 2, "strength": 0.9}


def mask_photo() -> Photo:
    """Return a mask for the astronaut, white in a square."""
    pixels = np.zeros((256, 256), np.uint8)
    pixels[100:140, 100:140] = 255
    return Photo("m", pixels)


class TestNamedSteps:
    def test_pipeline_equals_its_steps_run_one_by_one(self, lite: Restorer) -> None:
        photos = [Photo("a", ASTRONAUT), Photo("b", GREY)]
        results = lite.run("pipeline", photos, steps=",".join(STEPS), **OPTIONS)
        expected = photos
        for step in STEPS:
            expected = list(lite.run(step, expected, **OPTIONS).photos)
        for photo, expected_photo in zip(results.photos, expected, strict=True):
            np.testing.assert_array_equal(photo.pixels, expected_photo.pixels)

    def test_report_has_a_part_for_each_step(self, lite: Restorer) -> None:
        photos = [Photo("a", ASTRONAUT)]
        results = lite.run("pipeline", photos, steps=",".join(STEPS), **OPTIONS)
        report = json.loads(json.dumps(results.reports[0].to_dict()))
        assert report["task"] == "pipeline"
        assert [step["task"] for step in report["steps"]] == list(STEPS)
        assert [step["weights"][0]["file"] for step in report["steps"]] == [
            "lite_denoise.safetensors",
            "lite_faces.safetensors",
            "lite_upscale_x2.safetensors",
        ]
        assert report["steps"][1]["face_restoration_applied"]
        assert all(step["stages_ms"] for step in report["steps"])

    def test_a_step_may_occur_twice(self, lite: Restorer) -> None:
        photo = Photo("a", ASTRONAUT[:64, :64])
        result = lite.run("pipeline", [photo], steps="upscale,upscale", scale=1.5)
        assert result.photos[0].pixels.shape == (144, 144, 3)

    def test_too_large_result_is_refused_before_any_work(
        self, lite: Restorer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("restore.pipelines.tiles.run_tiled", None)
        big = Photo("big.png", np.zeros((1500, 2000, 3), np.uint8))
        steps = "face_restore,upscale,upscale"
        message = r"photo 'big\.png': in step 2 \(upscale\), 8 times 8000x6000.*Enlarge less"
        with pytest.raises(RestoreError, match=message) as caught:
            lite.run("pipeline", [big], steps=steps, scale=8, face_upscale=4)
        assert caught.value.code is Code.OUTPUT_TOO_LARGE

    def test_missing_mask_is_refused_before_any_work(
        self, lite: Restorer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("restore.pipelines.tiles.run_tiled", None)
        with pytest.raises(RestoreError, match="mask") as caught:
            lite.run("pipeline", [Photo("a", ASTRONAUT)], steps="upscale,inpaint", scale=1)
        assert caught.value.code is Code.MASK


class TestMasks:
    def test_mask_is_resized_with_the_photo(self, lite: Restorer) -> None:
        photo, polygon = Photo("a", ASTRONAUT), "[[100, 100], [140, 100], [140, 140], [100, 140]]"
        options: dict[str, Any] = {"steps": "upscale,inpaint", "scale": 2, "points": polygon}
        filled = lite.run("pipeline", [photo], **options).photos[0].pixels
        upscaled = lite.run("upscale", [photo], scale=2).photos[0].pixels
        changed = np.argwhere((filled != upscaled).any(axis=2))
        assert changed.min() >= 199
        assert changed.max() <= 282
        assert len(changed) > 4000

    def test_unused_mask_gives_a_warning(self, lite: Restorer) -> None:
        photo = Photo("a", ASTRONAUT)
        report = lite.run("upscale", [photo], scale=1, masks=[mask_photo()]).reports[0]
        assert any("only used by inpaint" in warning for warning in report.warnings)

    def test_photo_as_mask_is_refused(self, lite: Restorer) -> None:
        photo = Photo("a", ASTRONAUT)
        with pytest.raises(RestoreError, match=r"the mask 'a' .*looks like a photo") as caught:
            lite.run("inpaint", [photo], masks=[photo])
        assert caught.value.code is Code.MASK

    def test_erased_area_is_the_hole_if_there_is_no_mask(self, lite: Restorer) -> None:
        hole = mask_photo().pixels > 0
        alpha = np.where(hole, 0, 255).astype(np.uint8)
        results = lite.run("inpaint", [Photo("a", ASTRONAUT * ~hole[..., None], alpha)])
        expected = lite.run("inpaint", [Photo("a", ASTRONAUT)], masks=[mask_photo()])
        [filled], [with_mask] = results.photos, expected.photos
        np.testing.assert_array_equal(filled.pixels, with_mask.pixels)
        assert filled.alpha is not None
        assert (filled.alpha == 255).all()
        assert any("transparent part" in note for note in results.reports[0].notes)

    def test_cut_out_is_not_filled_by_proposed_steps(self, lite: Restorer) -> None:
        alpha = np.where(mask_photo().pixels > 0, 0, 255).astype(np.uint8)
        report = lite.run("pipeline", [Photo("a", ASTRONAUT, alpha)], scale=1).reports[0]
        assert "inpaint" not in [step.task for step in report.steps]

    def test_error_about_a_mask_says_that_it_is_a_mask(self, lite: Restorer) -> None:
        with pytest.raises(RestoreError, match=r"m4\.png \(a mask\)"):
            lite.run("inpaint", [Photo("a", ASTRONAUT)], masks=["m4.png"])


class TestProposedSteps:
    def test_each_photo_gets_its_own_steps(self, lite: Restorer) -> None:
        photos = [Photo("grey", GREY), Photo("cat", CAT)]
        results = lite.run("pipeline", photos, scale=2)
        steps = [[step.task for step in report.steps] for report in results.reports]
        assert steps == [["face_restore", "upscale"], ["upscale"]]
        assert "1 small face of" in results.reports[0].steps[0].why
        shapes = [photo.pixels.shape for photo in results.photos]
        assert shapes == [(512, 512), (192, 192, 3)]

    def test_steps_after_auto_run_beside_the_proposed_ones(self, lite: Restorer) -> None:
        photos = [Photo("grey", np.asarray(Image.fromarray(CAT).convert("L")))]
        [report] = lite.run("pipeline", photos, steps="auto,colorize", scale=1).reports
        assert [(step.task, bool(step.why)) for step in report.steps] == [
            ("colorize", False),
            ("upscale", True),
        ]
        assert {"noise", "tone", "long_side"} <= {finding["name"] for finding in report.findings}

    def test_proposed_scale_reaches_the_size_of_a_screen(self, lite: Restorer) -> None:
        results = lite.run("pipeline", [Photo("cat", CAT)])
        assert results.photos[0].width == 4 * CAT.shape[1]

    def test_photo_that_needs_nothing_is_returned_with_a_warning(
        self, lite: Restorer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(propose, "judge_measurements", lambda measured: [])
        results = lite.run("pipeline", [Photo("cat", CAT)])
        np.testing.assert_array_equal(results.photos[0].pixels, CAT)
        assert any("seems to need no step" in text for text in results.reports[0].warnings)

    def test_mask_makes_inpaint_the_first_step(self, lite: Restorer) -> None:
        photo = Photo("a", GREY)
        report = lite.run("pipeline", [photo], scale=1, masks=[mask_photo()]).reports[0]
        assert report.steps[0].task == "inpaint"
        assert report.face_restoration_applied
        assert "lite_inpaint.safetensors" in [facts["file"] for facts in report.weights]

    def test_error_while_proposing_names_the_photo(
        self, lite: Restorer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*args: object, **options: object) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory")

        monkeypatch.setattr("restore.pipelines.propose.assess_photo", fail)
        with pytest.raises(RestoreError, match=r"photo 'a\.png'.*memory") as caught:
            lite.run("pipeline", [Photo("a.png", ASTRONAUT)])
        assert caught.value.code is Code.OUT_OF_MEMORY

    def test_masks_of_scratches_are_returned_for_each_photo(
        self, lite: Restorer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            "restore.pipelines.propose.assess_photo",
            lambda *args, **options: Assessment(
                [ProposedStep("old_photo_restore", reason="it looks scratched")], []
            ),
        )
        scratched = np.minimum(GREY, 200)
        scratched[100:112] = 255
        photos = [Photo("clean", np.full((64, 64), 90, np.uint8)), Photo("scratched", scratched)]
        results = lite.run("pipeline", photos, return_mask=True)
        assert sorted(results.masks) == [0, 1]
        assert results.masks[1].name == "scratched"
        assert results.reports[1].steps[0].why == "it looks scratched"
