"""Faces of photos on a device, with the rows of official networks, compared with the host path."""

import cv2
import numpy as np
import pytest
import torch
from facefakes import (
    ASTRONAUT,
    FixedDetector,
    RecordingNetwork,
    contexts_of,
    face_at,
    official_model,
)

from restore.imaging.device_photo import download_photo, upload_photo
from restore.imaging.photo import Photo
from restore.options import FaceRestoreOptions, RuntimeProfile
from restore.pipelines.device_faces import restore_faces_on_device
from restore.pipelines.face_restore import run_face_restore

CPU = torch.device("cpu")
PIXELS = cv2.resize(np.ascontiguousarray(ASTRONAUT), (300, 280))


class PatchyParser(torch.nn.Module):
    """Labels a disc as face and the rest as background."""

    def forward(self, faces: torch.Tensor) -> list[torch.Tensor]:
        rows, columns = torch.meshgrid(torch.arange(512), torch.arange(512), indexing="ij")
        disc = ((rows - 280) ** 2 + (columns - 256) ** 2 < 160**2).float()
        logits = torch.zeros(len(faces), 19, 512, 512)
        logits[:, 0], logits[:, 1] = 1 - disc, disc
        return [logits]


@pytest.mark.parametrize(
    ("variant", "profile", "kind"),
    [
        ("codeformer", "fast", "colour"),
        ("codeformer", "max_speed", "grey"),
        ("gfpgan_v1.4", "max_speed", "sepia"),
    ],
)
def test_result_equals_that_of_the_host(
    monkeypatch: pytest.MonkeyPatch, variant: str, profile: RuntimeProfile, kind: str
) -> None:
    monkeypatch.setattr("restore.pipelines.face_batches.restore_faces", RecordingNetwork())
    pixels = PIXELS
    if kind != "colour":
        pixels = cv2.cvtColor(PIXELS, cv2.COLOR_RGB2GRAY)
    if kind == "sepia":
        pixels = np.clip(pixels[..., None] * np.array([1.0, 0.8, 0.6]), 0, 255).astype(np.uint8)
    photos = [Photo("0.png", pixels), Photo("1.png", np.ascontiguousarray(pixels[:, ::-1]))]
    faces = [[face_at(150, 110, 60, 10), face_at(60, 240, 30)], [face_at(150, 110, 60)]]
    options = FaceRestoreOptions(face_upscale=1.5, strength=0.9)
    model = official_model(variant, PatchyParser())
    results = []
    for run_on_device in (False, True):
        contexts = contexts_of(model, *(FixedDetector(*each) for each in faces), profile=profile)
        if run_on_device:
            held = [upload_photo(photo, CPU) for photo in photos]
            restored = list(restore_faces_on_device(held, options, contexts))
            results.append([download_photo(photo) for photo in restored])
            areas = [context.changed_on_device[0][0, 0].numpy() for context in contexts]
        else:
            results.append(run_face_restore(photos, options, contexts))
            expected_areas = [context.changed_areas[0] for context in contexts]
            expected_reports = [context.report.to_dict() for context in contexts]
    for context, expected in zip(contexts, expected_reports, strict=True):
        assert {**context.report.to_dict(), "stages_ms": {}} == {**expected, "stages_ms": {}}
    for area, expected_area in zip(areas, expected_areas, strict=True):
        assert expected_area.any()
        assert (area ^ expected_area).mean() < 0.001
    for photo, wanted in zip(results[1], results[0], strict=True):
        assert photo.pixels.shape == wanted.pixels.shape
        near = np.abs(photo.pixels.astype(int) - wanted.pixels) <= 1
        assert near.mean() >= 0.999
