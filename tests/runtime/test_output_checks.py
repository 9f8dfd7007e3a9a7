"""Networks' answers that are none: found for every task's network, said with the photo's name, and not brought into any photo."""

import dataclasses

import numpy as np
import pytest
import torch
from conftest import lite_with
from facejobs import ASTRONAUT, FixedDetector, Parser, Recorder, face_at, jobs_of, official
from torch import Tensor, nn

from restore import RestoreError, Restorer
from restore.errors import Code
from restore.faces.detect import RetinaFaceDetector
from restore.imaging.photo import Photo
from restore.models.catalog import LITE
from restore.optimize.compiler import Compiler
from restore.options import FaceRestoreOptions
from restore.pipelines.face_restore import face_restore
from restore.runtime.output_checks import sound

PORTRAIT, EYE = Photo("me.png", ASTRONAUT), Photo("me.png", ASTRONAUT[80:144, 90:154])
TASKS = {
    "upscale": ("upscale", {"scale": 1}),
    "restore": ("restore", {}),
    "face_restore": ("face_restore", {}),
    "colorize": ("colorize", {}),
    "old_photo_restore": ("old_photo_restore", {"with_scratch": True, "with_face": False}),
    "inpaint": ("inpaint", {"points": "[[20, 20], [50, 20], [50, 50]]"}),
}
"""For each network of the shelf, a request that needs it."""

BAD = {"NaN": float("nan"), "infinity": float("inf"), "one value": 0.0}


class Spoilt(nn.Module):
    """Answers as `net` does, times `factor`: with NaN, infinity, or nothing but zeros."""

    def __init__(self, net: nn.Module, factor: float) -> None:
        super().__init__()
        self.net, self.factor = net, factor

    def forward(self, *seen: Tensor) -> Tensor:
        answer: Tensor = self.net(*seen)
        return answer * self.factor


def test_a_sound_answer_comes_back_as_it_is():
    answer, seen = torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 4)
    assert sound(answer, seen, "net") is answer


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("where", [0, 17, 47])
def test_one_number_that_is_none_is_found_wherever_it_is(bad, where):
    answer = torch.rand(48)
    answer[where] = bad
    with pytest.raises(
        RestoreError, match=r"\[E503\] the network 'net' answered with NaN or infinity"
    ):
        sound(answer, torch.rand(48), "net")


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_one_value_everywhere_is_refused_unless_the_network_saw_one_value(value):
    answer, varied = torch.full((1, 3, 8, 8), value), torch.linspace(0.0, 1.0, 64)
    with pytest.raises(RestoreError, match=f"answered with {value:g} everywhere"):
        sound(answer, varied, "net")
    assert sound(answer, torch.full((64,), 0.3), "net") is answer
    assert sound(answer, 0.98 + 0.02 * varied, "net") is answer, (
        "white paper with noise may become white"
    )
    assert sound(torch.ones(1), varied, "net").item() == 1.0, "one number is no picture"


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("task", TASKS)
def test_every_tasks_network_is_looked_at_and_the_next_request_is_right(lite, task, bad):
    name, options = TASKS[task]
    photo = PORTRAIT if task == "face_restore" else EYE
    before = lite.run(name, [photo], **options).photos[0].pixels
    with (
        lite_with(lite, task, lambda net: Spoilt(net, BAD[bad])),
        pytest.raises(RestoreError, match=r"photo 'me\.png'.*network '") as caught,
    ):
        lite.run(name, [photo], **options)
    assert caught.value.code is Code.BAD_NUMBERS
    np.testing.assert_array_equal(lite.run(name, [photo], **options).photos[0].pixels, before)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("task", ["upscale", "face_restore", "colorize", "inpaint"])
def test_what_only_the_faster_copy_gets_wrong_is_done_without_it_with_a_warning(
    monkeypatch, task, bad
):
    restorer = Restorer(weights=LITE, device="cpu")
    name, options = TASKS[task]
    photo = PORTRAIT if task == "face_restore" else EYE
    plain = restorer.run(name, [photo], **options)
    real = Compiler.optimized

    def spoilt(self, model):
        faster, failures = real(self, model)
        partners = {role: Spoilt(net, BAD[bad]) for role, net in faster.partners.items()}
        return dataclasses.replace(
            faster, net=Spoilt(faster.net, BAD[bad]), partners=partners
        ), failures

    monkeypatch.setattr(Compiler, "optimized", spoilt)
    results = restorer.run(name, [photo], **options, stability_mode="optimized")
    np.testing.assert_array_equal(results.photos[0].pixels, plain.photos[0].pixels)
    [report] = results.reports
    assert report.stability_mode == "safe"
    assert any(
        text.startswith("faster copies of the networks failed (the network '")
        for text in report.warnings
    )
    assert report.tiles == plain.reports[0].tiles, "the failed attempt is not counted"
    assert len(report.faces) == len(plain.reports[0].faces)


def test_what_the_plain_network_gets_wrong_too_is_an_error_in_optimized_mode(monkeypatch):
    restorer = Restorer(weights=LITE, device="cpu")
    with (
        lite_with(restorer, "upscale", lambda net: Spoilt(net, float("nan"))),
        pytest.raises(RestoreError) as caught,
    ):
        restorer.run("upscale", [EYE], scale=1, stability_mode="optimized")
    assert (caught.value.code, caught.value.photo) == (Code.BAD_NUMBERS, "me.png")


def test_a_parser_that_fails_hides_no_face(monkeypatch):
    class Blind(Parser):
        def forward(self, faces: Tensor) -> list[Tensor]:
            return [super().forward(faces)[0] * float("nan")]

    monkeypatch.setattr("restore.pipelines.face_stage.restored", Recorder())
    [job] = jobs_of(official("codeformer", Blind()), FixedDetector(face_at(128, 110, 60)))
    with pytest.raises(RestoreError, match=r"photo '0\.png'.*'parser' answered with NaN"):
        face_restore([Photo("0.png", ASTRONAUT)], FaceRestoreOptions(), [job])


class Boxes(nn.Module):
    """Stands in for RetinaFace: calls itself as facexlib does, and sees no face where it answers with NaN."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.mean_tensor, self.value = torch.zeros(1), value

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        noise = torch.rand(1, 4, 4)
        return noise, noise * self.value, noise

    def detect_faces(self, image: np.ndarray, threshold: float, overlap: float) -> np.ndarray:
        _, scores, _ = self(torch.from_numpy(image.astype(np.float32)))
        return np.zeros((int((scores > 2).sum()), 15))


def test_a_detector_whose_network_fails_does_not_see_no_faces(face_net):
    def detector(value: float) -> RetinaFaceDetector:
        return RetinaFaceDetector(dataclasses.replace(face_net, net=Boxes(value)))

    assert detector(1.0).find(PORTRAIT.pixels, short_side_px=None, threshold=0.5) == []
    with pytest.raises(RestoreError, match=r"E503.*Boxes"):
        detector(float("nan")).find(PORTRAIT.pixels, short_side_px=None, threshold=0.5)
