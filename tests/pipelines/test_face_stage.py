"""What the tasks with faces hand to detector, network and parser, one by one and in batches, and where it is put back."""

import dataclasses
import itertools

import cv2
import numpy as np
import pytest
import torch
from facejobs import (
    ASTRONAUT,
    BrokenNet,
    FixedDetector,
    Parser,
    Recorder,
    contexts_of,
    face_at,
    official,
    one,
    refusing,
)
from skimage import data

from restore import RestoreError, Restorer
from restore.errors import Code
from restore.imaging.photo import Photo
from restore.models.catalog import Catalog
from restore.models.loader import Model
from restore.options import FaceRestoreOptions, choices_of
from restore.pipelines import face_batches as module
from restore.pipelines.face_restore import run_face_restore


def test_eight_faces_of_four_photos_in_a_batch_are_what_they_are_alone(face_net):
    """Issue figure: equal to 1e-4, in order."""
    rng = np.random.default_rng(3)
    crops = [
        [rng.integers(0, 256, (512, 512, 3), dtype=np.uint8) for _ in range(count)]
        for count in (3, 0, 1, 4)
    ]
    crops = [[cv2.GaussianBlur(crop, (0, 0), 5) for crop in several] for several in crops]
    detectors = [FixedDetector()] * 4
    alone = module.restore_crops(
        crops, ["colour"] * 4, FaceRestoreOptions(), contexts_of(face_net, *detectors)
    )
    together = module.restore_crops(
        crops,
        ["colour"] * 4,
        FaceRestoreOptions(),
        contexts_of(face_net, *detectors, profile="fast"),
    )
    assert [len(several) for several in together] == [3, 0, 1, 4]
    for one_by_one, batched in zip(
        itertools.chain(*alone), itertools.chain(*together), strict=True
    ):
        assert np.abs(one_by_one - batched).max() / 255 <= 1e-4
    assert np.abs(alone[0][0] - alone[0][1]).max() > 1  # or the order would not show


def test_fast_takes_all_faces_at_once_and_baseline_one_by_one(face_net, monkeypatch):
    sizes = []
    real = module.restore_faces
    monkeypatch.setattr(
        module,
        "restore_faces",
        lambda faces, **rest: sizes.append(len(faces)) or real(faces, **rest),
    )
    photos = [Photo(f"{i}.png", ASTRONAUT) for i in range(4)]
    detectors = [
        FixedDetector(face_at(128, 110, 60), face_at(60, 60, 30), face_at(200, 60, 30))
    ] * 4
    results = {}
    for profile in ("baseline", "fast"):
        sizes.clear()
        contexts = contexts_of(face_net, *detectors, profile=profile)
        results[profile] = run_face_restore(photos, FaceRestoreOptions(), contexts)
        assert sizes == ([1] * 12 if profile == "baseline" else [8, 4])
    for first, second in zip(*results.values(), strict=True):
        assert np.abs(first.pixels.astype(int) - second.pixels.astype(int)).max() <= 1


def test_a_batch_that_memory_does_not_hold_is_halved_and_said(face_net, monkeypatch):
    real = module.restore_faces

    def hungry(faces, **rest):
        if len(faces) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(faces, **rest)

    monkeypatch.setattr(module, "restore_faces", hungry)
    detector = FixedDetector(*[face_at(60 + 40 * i, 100, 30) for i in range(4)])
    [context] = contexts_of(face_net, detector, profile="fast")
    [photo] = run_face_restore([Photo("0.png", ASTRONAUT)], FaceRestoreOptions(), [context])
    assert any(
        "memory ran out with 4 faces at once; continued with 2" in warning
        for warning in context.report.warnings
    )
    [calm] = contexts_of(face_net, detector)
    monkeypatch.setattr(module, "restore_faces", real)
    [expected] = run_face_restore([Photo("0.png", ASTRONAUT)], FaceRestoreOptions(), [calm])
    assert np.abs(photo.pixels.astype(int) - expected.pixels.astype(int)).max() <= 1


def test_a_network_that_fails_fails_the_request_and_names_the_photo(face_net):
    broken = dataclasses.replace(face_net, net=BrokenNet())
    good, bad = FixedDetector(), FixedDetector(face_at(128, 110, 60))
    with pytest.raises(RestoreError, match=r"photo '1\.png'") as caught:
        run_face_restore(
            [Photo("0.png", ASTRONAUT), Photo("1.png", ASTRONAUT)],
            FaceRestoreOptions(),
            contexts_of(broken, good, bad),
        )
    assert caught.value.code is Code.BAD_NUMBERS


def test_in_a_batch_too_the_photo_whose_face_fails_is_named(face_net):
    class Fails(torch.nn.Module):
        def forward(self, faces: torch.Tensor) -> torch.Tensor:
            bright = faces.mean(dim=(1, 2, 3), keepdim=True) > 0.9
            return torch.where(bright, torch.full_like(faces, torch.nan), faces)

    detectors = [FixedDetector(face_at(128, 110, 60))] * 3
    contexts = contexts_of(dataclasses.replace(face_net, net=Fails()), *detectors, profile="fast")
    photos = [
        Photo("0.png", ASTRONAUT),
        Photo("1.png", np.full_like(ASTRONAUT, 255)),
        Photo("2.png", ASTRONAUT),
    ]
    with pytest.raises(RestoreError, match=r"photo '1\.png'"):
        run_face_restore(photos, FaceRestoreOptions(), contexts)


@pytest.mark.parametrize("profile", ["baseline", "fast", "max_speed"])
def test_every_face_is_put_back_where_it_was_found(monkeypatch, profile):
    """Faces are told apart by what they show: a network that shows each its own crop, brighter."""
    recorder = Recorder(0.2)
    monkeypatch.setattr(module, "restore_faces", recorder)
    pixels = np.zeros((300, 600, 3), np.uint8)
    pixels[:, :200], pixels[:, 200:400], pixels[:, 400:] = (40, 0, 0), (0, 80, 0), (0, 0, 120)
    detectors = [
        FixedDetector(face_at(500, 150, 30), face_at(100, 150, 30)),
        FixedDetector(face_at(300, 150, 30)),
    ]
    contexts = contexts_of(official("gfpgan_v1.4"), *detectors, profile=profile)
    photos = run_face_restore(
        [Photo("0", pixels), Photo("1", pixels)],
        FaceRestoreOptions(codeformer_fidelity=0.8),
        contexts,
    )
    expected = [
        {500: (51, 51, 171), 100: (91, 51, 51), 300: (0, 80, 0)},
        {500: (0, 0, 120), 100: (40, 0, 0), 300: (51, 131, 51)},
    ]
    for photo, colours in zip(photos, expected, strict=True):
        for x, colour in colours.items():
            np.testing.assert_allclose(photo.pixels[150, x], colour, atol=1)
    assert set(recorder.fidelities) == {0.8}
    assert [face.shape for face in recorder.seen] == [(3, 512, 512)] * 3


@pytest.mark.parametrize(
    ("variant", "asked"),
    [("codeformer", (640, 0.8)), ("gfpgan_v1.4", (None, 0.97)), ("restoreformer", (None, 0.97))],
)
def test_the_detector_is_asked_as_each_official_helper_asks(monkeypatch, variant, asked):
    monkeypatch.setattr(module, "restore_faces", Recorder())
    [context] = contexts_of(official(variant), FixedDetector(face_at(128, 110, 60)))
    run_face_restore([Photo("0", ASTRONAUT)], FaceRestoreOptions(), [context])
    assert context.detector.asked == [asked]


def test_the_parser_sees_the_restored_face_in_its_own_range_and_not_at_all_at_max_speed(
    monkeypatch,
):
    monkeypatch.setattr(module, "restore_faces", Recorder(0.2))
    pixels = np.full((256, 256, 3), 51, np.uint8)
    results = {}
    for profile in ("baseline", "max_speed"):
        parser = Parser()
        [context] = contexts_of(
            official("codeformer", parser), FixedDetector(face_at(128, 110, 60)), profile=profile
        )
        [photo] = run_face_restore(
            [Photo("0", pixels)], FaceRestoreOptions(keep_color=False), [context]
        )
        results[profile] = photo.pixels
        assert len(parser.seen) == (1 if profile == "baseline" else 0)
        for face in parser.seen:
            inside = face[
                :, 200:300, 200:300
            ]  # grey photos: CodeFormer's face takes the crop's own mean
            assert inside.mean() == pytest.approx(2 * 51 / 255 - 1, abs=0.02)
    assert results["baseline"].shape == results["max_speed"].shape


def test_a_face_much_larger_than_the_networks_crop_is_a_warning(monkeypatch):
    monkeypatch.setattr(module, "restore_faces", Recorder())
    large = cv2.resize(ASTRONAUT, (1200, 1200))
    for size, warned in ((100, False), (400, True)):
        _, report = one(official("gfpgan_v1.4"), large, face_at(600, 515, size))
        assert any("may lose fine detail" in warning for warning in report.warnings) is warned


def test_photos_of_one_request_keep_their_own_tones(monkeypatch):
    def reddened(faces: torch.Tensor, model: Model, fidelity: float) -> torch.Tensor:
        return (faces + torch.tensor([0.3, 0.0, 0.0])[None, :, None, None]).clamp(0, 1)

    monkeypatch.setattr(module, "restore_faces", reddened)
    grey = np.repeat(cv2.cvtColor(ASTRONAUT, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    detectors = [FixedDetector(face_at(128, 110, 60))] * 3
    contexts = contexts_of(official("gfpgan_v1.4"), *detectors)
    photos = run_face_restore(
        [Photo("0", grey), Photo("1", ASTRONAUT), Photo("2", grey)], FaceRestoreOptions(), contexts
    )
    middle = np.s_[100:120, 118:138]
    spread = [float(np.ptp(photo.pixels[middle].astype(int), axis=2).mean()) for photo in photos]
    assert max(spread[0], spread[2]) <= 1
    assert (
        np.abs(photos[1].pixels[middle][..., 0].astype(int) - ASTRONAUT[middle][..., 0]).mean() > 20
    )


def test_colour_is_kept_from_the_faces_own_crop(monkeypatch):
    monkeypatch.setattr(
        module, "restore_faces", lambda faces, model, fidelity: torch.full_like(faces, 0.5)
    )
    pixels = np.zeros((300, 600, 3), np.uint8)
    pixels[:, :300], pixels[:, 300:] = (120, 60, 60), (60, 60, 120)
    photo, _ = one(
        official("gfpgan_v1.4"),
        pixels,
        face_at(150, 150, 40),
        face_at(450, 150, 40),
        keep_color=True,
    )
    assert photo.pixels[150, 150, 0] > photo.pixels[150, 150, 2] + 40
    assert photo.pixels[150, 450, 2] > photo.pixels[150, 450, 0] + 40


def test_every_face_model_has_its_convention_and_its_parser_in_the_manifest():
    catalog = Catalog.load()
    for variant in set(choices_of(FaceRestoreOptions, "face_model")) - {"auto"}:
        row, *partners = catalog.group("face_restore", variant)
        assert row.face_convention == ("codeformer" if variant == "codeformer" else "facexlib")
        assert row.difference is (variant == "lite")
        assert [partner.role for partner in partners] == ([] if variant == "lite" else ["parser"])


def test_a_detector_that_cannot_be_had_is_stood_in_for_by_dlib_with_a_warning(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("restore.models.download.Downloader.fetch", refusing)
    restorer = Restorer(weights="auto", weights_dir=tmp_path, device="cpu")
    report = restorer.run(
        "face_restore",
        [Photo("a", ASTRONAUT)],
        face_model="lite",
        face_detector="retinaface_resnet50",
    ).reports[0]
    assert report.face_detector == "dlib"
    assert any(
        "dlib is used instead of retinaface_resnet50" in warning for warning in report.warnings
    )
    with pytest.raises(RestoreError, match=r"detection_Resnet50_Final\.pth"):
        Restorer(weights="official", weights_dir=tmp_path).run(
            "face_restore",
            [Photo("a", ASTRONAUT)],
            face_model="lite",
            face_detector="retinaface_resnet50",
        )
    lite = Restorer(weights="lite", weights_dir=tmp_path, device="cpu")
    report = lite.run(
        "face_restore", [Photo("a", ASTRONAUT)], face_detector="retinaface_mobile0.25"
    ).reports[0]
    assert any("dlib is used instead of" in warning for warning in report.warnings)


def test_a_missing_detector_is_looked_for_once(tmp_path, monkeypatch):
    fetched = []

    def counting(self, wanted, url):
        fetched.append(url)
        refusing(self, wanted, url)

    monkeypatch.setattr("restore.models.download.Downloader.fetch", counting)
    restorer = Restorer(weights="auto", weights_dir=tmp_path, device="cpu")
    for _ in range(3):
        inputs = {"face_model": "lite", "face_detector": "retinaface_mobile0.25"}
        report = restorer.run("face_restore", [Photo("a", ASTRONAUT)], **inputs).reports[0]
        assert any("dlib is used instead of" in warning for warning in report.warnings)
    assert len(fetched) == 1


@pytest.mark.shared
def test_the_report_names_the_detectors_weights_too(tmp_path, shared):
    folder = tmp_path / "face_detect"
    folder.mkdir()
    name = "detection_mobilenet0.25_Final.pth"
    (folder / name).write_bytes((shared / "weights" / name).read_bytes())
    restorer = Restorer(weights="auto", weights_dir=tmp_path, device="cpu")
    inputs = {"face_model": "lite", "face_detector": "retinaface_mobile0.25"}
    report = restorer.run("face_restore", [Photo("a", data.astronaut())], **inputs).reports[0]
    assert [facts["file"] for facts in report.weights] == ["lite_faces.safetensors", name]
    assert report.face_detector == "retinaface_mobile0.25"
    assert report.face_restoration_applied
