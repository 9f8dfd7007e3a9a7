"""Batches of faces: order, sizes, memory errors, invalid outputs, colours and the parser."""

import dataclasses
import itertools
from collections.abc import Sequence

import cv2
import numpy as np
import pytest
import torch
from facefakes import (
    ASTRONAUT,
    FixedDetector,
    FullFaceParser,
    NanNetwork,
    RecordingNetwork,
    contexts_of,
    count_batches,
    face_at,
    official_model,
    restore_one,
)

from restore import RestoreError
from restore.errors import Code
from restore.imaging.photo import Photo
from restore.models.loader import Model
from restore.options import FaceRestoreOptions, RuntimeProfile
from restore.pipelines import face_batches
from restore.pipelines.face_restore import run_face_restore
from restore.runtime.memory import USABLE_MEMORY_FRACTION

FACE = face_at(128, 110, 60)


def photos(count: int) -> list[Photo]:
    return [Photo(f"{index}.png", ASTRONAUT) for index in range(count)]


def test_batched_faces_equal_single_faces_to_1e_4(face_net: Model) -> None:
    rng = np.random.default_rng(3)
    crops = [
        [
            cv2.GaussianBlur(rng.integers(0, 256, (512, 512, 3), dtype=np.uint8), (0, 0), 5)
            for _ in range(count)
        ]
        for count in (3, 0, 1, 4)
    ]
    detectors = [FixedDetector()] * 4
    single, batched = (
        face_batches.restore_crops(
            crops,
            ["colour"] * 4,
            FaceRestoreOptions(),
            contexts_of(face_net, *detectors, profile=profile),
            face_batches.HOST_CROPS,
        )
        for profile in ("baseline", "fast")
    )
    assert [len(faces) for faces in batched] == [3, 0, 1, 4]
    pairs = zip(itertools.chain(*single), itertools.chain(*batched), strict=True)
    for face, batched_face in pairs:
        assert np.abs(face - batched_face).max() / 255 <= 1e-4
    assert np.abs(single[0][0] - single[0][1]).max() > 1  # faces differ, so their order shows


@pytest.mark.parametrize(("profile", "sizes"), [("baseline", [1] * 12), ("fast", [8, 4])])
def test_batch_sizes_depend_on_the_profile(
    face_net: Model, monkeypatch: pytest.MonkeyPatch, profile: RuntimeProfile, sizes: list[int]
) -> None:
    recorded: list[int] = []
    counting = count_batches(face_batches.restore_faces, recorded)
    monkeypatch.setattr(face_batches, "restore_faces", counting)
    detector = FixedDetector(FACE, face_at(60, 60, 30), face_at(200, 60, 30))
    contexts = contexts_of(face_net, *[detector] * 4, profile=profile)
    run_face_restore(photos(4), FaceRestoreOptions(), contexts)
    assert recorded == sizes


def test_profiles_fast_and_baseline_give_the_same_photos(face_net: Model) -> None:
    detector = FixedDetector(FACE, face_at(60, 60, 30))
    results: list[Sequence[Photo]] = [
        run_face_restore(
            photos(2),
            FaceRestoreOptions(),
            contexts_of(face_net, detector, detector, profile=profile),
        )
        for profile in ("baseline", "fast")
    ]
    for baseline, fast in zip(*results, strict=True):
        assert np.abs(baseline.pixels.astype(int) - fast.pixels.astype(int)).max() <= 1


def test_batch_is_halved_with_a_warning_if_memory_runs_out(
    face_net: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore_faces = face_batches.restore_faces

    def fail_for_large_batches(faces: torch.Tensor, model: Model, fidelity: float) -> torch.Tensor:
        if len(faces) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return restore_faces(faces, model=model, fidelity=fidelity)

    monkeypatch.setattr(face_batches, "restore_faces", fail_for_large_batches)
    detector = FixedDetector(*[face_at(60 + 40 * index, 100, 30) for index in range(4)])
    [context] = contexts_of(face_net, detector, profile="fast")
    [photo] = run_face_restore(photos(1), FaceRestoreOptions(), [context])
    warning = "memory ran out with 4 faces at once; continued with 2"
    assert any(warning in text for text in context.report.warnings)
    monkeypatch.setattr(face_batches, "restore_faces", restore_faces)
    [expected] = run_face_restore(photos(1), FaceRestoreOptions(), contexts_of(face_net, detector))
    assert np.abs(photo.pixels.astype(int) - expected.pixels.astype(int)).max() <= 1


def test_batch_that_did_not_fit_is_not_tried_again(
    face_net: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def fail_for_large_batches(faces: torch.Tensor, model: Model, fidelity: float) -> torch.Tensor:
        tried.append(len(faces))
        if len(faces) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return faces

    monkeypatch.setattr(face_batches, "restore_faces", fail_for_large_batches)
    detector = FixedDetector(*[face_at(60 + 40 * index, 100, 30) for index in range(4)])
    run_face_restore(
        photos(2), FaceRestoreOptions(), contexts_of(face_net, detector, detector, profile="fast")
    )
    assert tried == [8, 4, 2, 2, 2, 2]


def test_batch_fits_into_free_memory(face_net: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    row = face_net.row.model_copy(update={"working_bytes_per_px": 1000})
    assert row.input_px
    free_bytes = int(3.5 * 1000 * row.input_px**2 / USABLE_MEMORY_FRACTION)
    monkeypatch.setattr(face_batches, "free_memory_bytes", lambda device: free_bytes)
    model = dataclasses.replace(face_net, row=row)
    sizes: list[int] = []
    counting = count_batches(face_batches.restore_faces, sizes)
    monkeypatch.setattr(face_batches, "restore_faces", counting)
    detector = FixedDetector(*[face_at(60 + 40 * index, 100, 30) for index in range(4)])
    run_face_restore(photos(1), FaceRestoreOptions(), contexts_of(model, detector, profile="fast"))
    assert sizes == [3, 1]


def test_invalid_output_is_an_error_that_names_the_photo(face_net: Model) -> None:
    model = dataclasses.replace(face_net, net=NanNetwork())
    contexts = contexts_of(model, FixedDetector(), FixedDetector(FACE))
    with pytest.raises(RestoreError, match=r"photo '1\.png'") as caught:
        run_face_restore(photos(2), FaceRestoreOptions(), contexts)
    assert caught.value.code is Code.BAD_NUMBERS


def test_invalid_output_in_a_batch_names_the_photo_of_the_face(face_net: Model) -> None:
    class NanForBrightFaces(torch.nn.Module):
        def forward(self, faces: torch.Tensor) -> torch.Tensor:
            bright = faces.mean(dim=(1, 2, 3), keepdim=True) > 0.9
            return torch.where(bright, torch.full_like(faces, torch.nan), faces)

    model = dataclasses.replace(face_net, net=NanForBrightFaces())
    contexts = contexts_of(model, *[FixedDetector(FACE)] * 3, profile="fast")
    white = Photo("1.png", np.full_like(ASTRONAUT, 255))
    batch = [photos(1)[0], white, Photo("2.png", ASTRONAUT)]
    with pytest.raises(RestoreError, match=r"photo '1\.png'"):
        run_face_restore(batch, FaceRestoreOptions(), contexts)


@pytest.mark.parametrize(("profile", "count"), [("baseline", 1), ("max_speed", 0)])
def test_parser_gets_the_restored_face_in_its_range_unless_max_speed(
    monkeypatch: pytest.MonkeyPatch, profile: RuntimeProfile, count: int
) -> None:
    monkeypatch.setattr(face_batches, "restore_faces", RecordingNetwork(0.2))
    pixels, parser = np.full((256, 256, 3), 51, np.uint8), FullFaceParser()
    contexts = contexts_of(
        official_model("codeformer", parser), FixedDetector(FACE), profile=profile
    )
    run_face_restore([Photo("0", pixels)], FaceRestoreOptions(keep_color=False), contexts)
    assert len(parser.inputs) == count
    effects = contexts[0].report.profile_effects
    assert effects == (
        [] if count else ["faces were pasted with a fixed mask instead of a parsed one"]
    )
    for face in parser.inputs:
        # The photo is grey, so CodeFormer's face gets the mean of its crop, 51 of 255.
        center = float(face[:, 200:300, 200:300].mean())
        assert center == pytest.approx(2 * 51 / 255 - 1, abs=0.02)


def test_each_photo_of_a_request_has_its_own_tone(monkeypatch: pytest.MonkeyPatch) -> None:
    def redden(faces: torch.Tensor, model: Model, fidelity: float) -> torch.Tensor:
        return (faces + torch.tensor([0.3, 0.0, 0.0])[None, :, None, None]).clamp(0, 1)

    monkeypatch.setattr(face_batches, "restore_faces", redden)
    grey = np.repeat(cv2.cvtColor(ASTRONAUT, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    results = run_face_restore(
        [Photo("0", grey), Photo("1", ASTRONAUT), Photo("2", grey)],
        FaceRestoreOptions(),
        contexts_of(official_model("gfpgan_v1.4"), *[FixedDetector(FACE)] * 3),
    )
    center = np.s_[100:120, 118:138]
    for index in (0, 2):
        spread = np.ptp(results[index].pixels[center].astype(int), axis=2)
        assert spread.mean() <= 1
    change = results[1].pixels[center][..., 0].astype(int) - ASTRONAUT[center][..., 0]
    assert np.abs(change).mean() > 20


def test_keep_color_uses_the_colours_of_each_face(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        face_batches, "restore_faces", lambda faces, model, fidelity: torch.full_like(faces, 0.5)
    )
    pixels = np.zeros((300, 600, 3), np.uint8)
    pixels[:, :300], pixels[:, 300:] = (120, 60, 60), (60, 60, 120)
    photo, _ = restore_one(
        official_model("gfpgan_v1.4"),
        pixels,
        face_at(150, 150, 40),
        face_at(450, 150, 40),
        keep_color=True,
    )
    assert photo.pixels[150, 150, 0] > photo.pixels[150, 150, 2] + 40
    assert photo.pixels[150, 450, 2] > photo.pixels[150, 450, 0] + 40
