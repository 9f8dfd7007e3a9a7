"""Tests of what both engines do with a photo."""

import io
import os
from pathlib import Path

import cv2
import pytest
import torch
from photofiles import file_of, picture
from PIL import Image

from restore.batch.processing import BatchJob, Processor, Work, limit_threads
from restore.errors import Code, RestoreError
from restore.restorer import Restorer

JOB = BatchJob("upscale", {"scale": 2, "output_format": "png"}, "lite", "cpu")
GOOD = Work("sub/a.png", file_of(picture(24, 32), "PNG"))
BAD = Work("b.png", b"no photo")


def test_result_is_the_file_of_the_same_request_for_one_photo(lite: Restorer) -> None:
    [outcome] = Processor(JOB, lite).restore([GOOD])
    assert outcome.name == "sub/a.png"
    assert outcome.format == "png"
    assert outcome.error is None
    assert outcome.content is not None
    assert Image.open(io.BytesIO(outcome.content)).size == (64, 48)
    assert outcome.report["photo"] == "a.png"
    assert outcome.seconds > 0


def test_broken_photo_does_not_stop_the_others_of_its_group(lite: Restorer) -> None:
    first, broken, last = Processor(JOB, lite).restore([GOOD, BAD, GOOD])
    assert first.content == last.content
    assert first.content is not None
    assert broken.content is None
    assert broken.error is not None
    assert broken.error["code"] == Code.PHOTO_FORMAT
    assert "'b.png'" in broken.error["message"]


def test_unexpected_error_is_logged_and_hides_its_text(
    lite: Restorer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("internal text")

    monkeypatch.setattr(lite, "run", fail)
    [outcome] = Processor(JOB, lite).restore([GOOD])
    assert outcome.error is not None
    assert outcome.error["code"] == Code.UNEXPECTED
    assert "internal text" not in outcome.error["message"]
    assert "internal text" in caplog.text


@pytest.mark.parametrize(("place", "shown"), [("", "away. Fetch"), ("on b", "away (on b). Fetch")])
def test_error_about_weights_says_where_and_what_to_do_afterwards(
    place: str, shown: str, lite: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RestoreError(Code.WEIGHTS_MISSING, "they are away", "Fetch them.")

    monkeypatch.setattr(lite, "run", fail)
    [outcome] = Processor(JOB, lite, place=place).restore([GOOD])
    assert outcome.error is not None
    assert outcome.error["code"] == Code.WEIGHTS_MISSING
    assert f"they are {shown} them. Then run with --retry-failed." in outcome.error["message"]


def test_masks_are_returned_on_request(lite: Restorer) -> None:
    options = {"return_mask": True, "with_face": False, "output_format": "png"}
    [outcome] = Processor(BatchJob("old_photo_restore", options, "lite"), lite).restore([GOOD])
    [mask] = outcome.masks
    assert Image.open(io.BytesIO(mask)).size == (32, 24)


@pytest.mark.parametrize(
    "other",
    [
        BatchJob("upscale", {"scale": 4, "output_format": "png"}, "lite"),
        BatchJob("enhance", {"scale": 2, "output_format": "png"}, "lite"),
        BatchJob("upscale", {"scale": 2, "output_format": "png"}, "official"),
        BatchJob("upscale", {"scale": 2}, "lite"),
        BatchJob("pipeline", {}, "lite"),
    ],
)
def test_fingerprint_depends_on_task_options_and_weights(other: BatchJob) -> None:
    assert JOB.fingerprint() != other.fingerprint()


def test_fingerprint_depends_on_steps_beside_proposed_ones() -> None:
    jobs = [BatchJob("pipeline", {"steps": steps}, "lite") for steps in ("auto", "auto,colorize")]
    assert jobs[0].fingerprint() != jobs[1].fingerprint()


def test_fingerprint_does_not_depend_on_how_a_default_is_written() -> None:
    explicit = BatchJob("upscale", {**JOB.options, "harm_check": True}, "lite", "cuda:1")
    assert JOB.fingerprint() == explicit.fingerprint()


def test_invalid_options_are_refused_before_any_work() -> None:
    with pytest.raises(RestoreError, match="scale"):
        BatchJob("upscale", {"scale": 99}, "lite").fingerprint()


def test_threads_of_all_libraries_are_limited_though_torch_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = torch.get_num_threads(), cv2.getNumThreads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    try:
        limit_threads(3)
        assert torch.get_num_threads() == cv2.getNumThreads() == 3
        assert os.environ["OMP_NUM_THREADS"] == "3"
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def test_substitutes_for_official_weights_are_told(tmp_path: Path) -> None:
    restorer = Restorer(weights="local", weights_dir=tmp_path, device="cpu")
    [outcome] = Processor(JOB, restorer).restore([GOOD])
    assert outcome.substitutes == ("upscale x4plus: lite weights",)
