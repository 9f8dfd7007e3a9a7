"""Invalid network outputs are errors that name the photo, for the networks of every task."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from conftest import changed_lite_networks
from facefakes import (
    ASTRONAUT,
    FixedDetector,
    FullFaceParser,
    RecordingNetwork,
    contexts_of,
    face_at,
    official_model,
)
from torch import Tensor, nn

from restore import RestoreError, Restorer
from restore.errors import Code
from restore.faces.detect import RetinaFaceDetector
from restore.imaging.photo import Photo
from restore.models.catalog import LITE
from restore.models.loader import Model
from restore.optimize.compiler import Compiler
from restore.options import FaceRestoreOptions
from restore.pipelines.face_restore import run_face_restore
from restore.runtime.output_checks import checked_output

PORTRAIT, EYE = Photo("me.png", ASTRONAUT), Photo("me.png", ASTRONAUT[80:144, 90:154])
TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "upscale": ("upscale", {"scale": 1}),
    "restore": ("restore", {}),
    "face_restore": ("face_restore", {}),
    "colorize": ("colorize", {}),
    "old_photo_restore": ("old_photo_restore", {"with_scratch": True, "with_face": False}),
    "inpaint": ("inpaint", {"points": "[[20, 20], [50, 20], [50, 50]]"}),
}
"""One request for each embedded network."""

BAD = {"NaN": float("nan"), "infinity": float("inf"), "one value": 0.0}


class Scaled(nn.Module):
    """A network whose output is multiplied by `factor`: NaN, infinity or zero."""

    def __init__(self, net: nn.Module, factor: float) -> None:
        super().__init__()
        self.net, self.factor = net, factor

    def forward(self, *inputs: Tensor) -> Tensor:
        output: Tensor = self.net(*inputs)
        return output * self.factor


def test_valid_output_is_returned_unchanged() -> None:
    output, network_input = torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 4)
    assert checked_output(output, network_input, "net") is output


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("where", [0, 17, 47])
def test_single_nan_or_infinity_is_rejected(bad: float, where: int) -> None:
    output = torch.rand(48)
    output[where] = bad
    with pytest.raises(RestoreError, match=r"\[E503\] the network 'net' returned NaN or infinity"):
        checked_output(output, torch.rand(48), "net")


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_constant_output_is_rejected_for_varied_input(value: float) -> None:
    output, varied = torch.full((1, 3, 8, 8), value), torch.linspace(0.0, 1.0, 64)
    with pytest.raises(RestoreError, match=f"returned the value {value:g} for every pixel"):
        checked_output(output, varied, "net")


def test_constant_output_is_valid_for_uniform_input_and_for_scalars() -> None:
    output, varied = torch.full((1, 3, 8, 8), 1.0), torch.linspace(0.0, 1.0, 64)
    assert checked_output(output, torch.full((64,), 0.3), "net") is output
    assert checked_output(output, 0.98 + 0.02 * varied, "net") is output, "white paper with noise"
    assert checked_output(torch.ones(1), varied, "net").item() == 1.0, "a scalar is not a picture"


@pytest.fixture(scope="module")
def valid_results(lite: Restorer) -> dict[str, np.ndarray]:
    """The results of all tasks before any network was changed."""
    return {
        task: lite.run(name, [photo_for(task)], **options).photos[0].pixels
        for task, (name, options) in TASKS.items()
    }


def photo_for(task: str) -> Photo:
    return PORTRAIT if task == "face_restore" else EYE


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("task", TASKS)
def test_every_task_rejects_invalid_output_and_recovers(
    lite: Restorer, valid_results: dict[str, np.ndarray], task: str, bad: str
) -> None:
    name, options = TASKS[task]
    photo = photo_for(task)
    with (
        changed_lite_networks(lite, task, lambda net: Scaled(net, BAD[bad])),
        pytest.raises(RestoreError, match=r"photo 'me\.png'.*network '") as caught,
    ):
        lite.run(name, [photo], **options)
    assert caught.value.code is Code.BAD_NUMBERS
    after = lite.run(name, [photo], **options).photos[0].pixels
    np.testing.assert_array_equal(after, valid_results[task])


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("task", ["upscale", "face_restore", "colorize", "inpaint"])
def test_invalid_output_of_an_optimized_network_falls_back_to_the_plain_one(
    monkeypatch: pytest.MonkeyPatch, task: str, bad: str
) -> None:
    restorer = Restorer(weights=LITE, device="cpu")
    name, options = TASKS[task]
    photo = photo_for(task)
    plain = restorer.run(name, [photo], **options)
    real = Compiler.optimize

    def scaled(self: Compiler, model: Model) -> tuple[Model, Any]:
        faster, failures = real(self, model)
        partners = {role: Scaled(net, BAD[bad]) for role, net in faster.partners.items()}
        return dataclasses.replace(
            faster, net=Scaled(faster.net, BAD[bad]), partners=partners
        ), failures

    monkeypatch.setattr(Compiler, "optimize", scaled)
    results = restorer.run(name, [photo], **options, stability_mode="optimized")
    np.testing.assert_array_equal(results.photos[0].pixels, plain.photos[0].pixels)
    [report] = results.reports
    assert report.stability_mode == "safe"
    assert any(
        text.startswith("the optimized networks failed (the network '") for text in report.warnings
    )
    assert report.tiles == plain.reports[0].tiles, "tiles of the failed attempt are not counted"
    assert len(report.faces) == len(plain.reports[0].faces)


def test_invalid_output_of_the_plain_network_is_an_error_in_optimized_mode() -> None:
    restorer = Restorer(weights=LITE, device="cpu")
    with (
        changed_lite_networks(restorer, "upscale", lambda net: Scaled(net, float("nan"))),
        pytest.raises(RestoreError) as caught,
    ):
        restorer.run("upscale", [EYE], scale=1, stability_mode="optimized")
    assert (caught.value.code, caught.value.photo) == (Code.BAD_NUMBERS, "me.png")


def test_invalid_parser_output_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class FailingParser(FullFaceParser):
        def forward(self, faces: Tensor) -> list[Tensor]:
            return [super().forward(faces)[0] * float("nan")]

    monkeypatch.setattr("restore.pipelines.face_batches.restore_faces", RecordingNetwork())
    [context] = contexts_of(
        official_model("codeformer", FailingParser()), FixedDetector(face_at(128, 110, 60))
    )
    with pytest.raises(RestoreError, match=r"photo '0\.png'.*'parser' returned NaN"):
        run_face_restore([Photo("0.png", ASTRONAUT)], FaceRestoreOptions(), [context])


class FakeRetinaFace(nn.Module):
    """Has facexlib's interface, and detects no faces if its scores are NaN."""

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


def test_invalid_detector_output_is_an_error_and_not_zero_faces(face_net: Model) -> None:
    def detector(value: float) -> RetinaFaceDetector:
        return RetinaFaceDetector(dataclasses.replace(face_net, net=FakeRetinaFace(value)))

    assert detector(1.0).find(PORTRAIT.pixels, short_side_px=None, threshold=0.5) == []
    with pytest.raises(RestoreError, match=r"E503.*FakeRetinaFace"):
        detector(float("nan")).find(PORTRAIT.pixels, short_side_px=None, threshold=0.5)
