"""The tasks with faces, end to end with the embedded weights: what users get of every kind of photo."""

import dataclasses
import itertools

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from restore import RestoreError, Restorer
from restore.catalog import Catalog
from restore.errors import Code
from restore.faces.align import TEMPLATE, similarity
from restore.faces.face import Face
from restore.models import Model
from restore.options import DEFAULT_TASK, FaceRestoreOptions, choices_of
from restore.partial import UnusableSourceError
from restore.photo import Photo
from restore.pipelines import faces as module
from restore.pipelines.face_restore import face_restore
from restore.pipelines.job import Job
from restore.report import Report
from restore.runtime import runtime_for

ASTRONAUT = data.astronaut()[:256, 96:352]
CPU = torch.device("cpu")


class FixedDetector:
    """Finds the faces that it was given."""

    name = "fixed"
    weights = ()

    def __init__(self, *faces: Face) -> None:
        self.faces = list(faces)
        self.asked: list[tuple[int | None, float]] = []

    def find(self, pixels: np.ndarray, *, short_side_px: int | None, threshold: float) -> list[Face]:
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        self.asked.append((short_side_px, threshold))
        return self.faces


def face_at(x: float, y: float, size: float, tilt_deg: float = 0.0) -> Face:
    """A face whose crop would be a square of 3.2 times `size` around (x, y)."""
    turn = np.deg2rad(tilt_deg)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    landmarks = (TEMPLATE - 256) / 160 * size @ rotation.T + (x, y)
    return Face((x - size / 2, y - size / 2, x + size / 2, y + size / 2), 0.99, landmarks)


@pytest.fixture(scope="module")
def lite() -> Restorer:
    return Restorer(weights="lite", device="cpu", preload="face_restore,enhance")


@pytest.fixture(scope="module")
def face_net(lite) -> Model:
    return lite.shelf.model("face_restore", "lite")[0]


def jobs_of(model: Model, *detectors: FixedDetector, profile: str = "baseline") -> list[Job]:
    return [
        Job({"face_restore": model}, runtime_for(profile, CPU), Report(f"{i}.png", "face_restore"), detector=detector)
        for i, detector in enumerate(detectors)
    ]


def one(model: Model, pixels: np.ndarray, *faces: Face, alpha: np.ndarray | None = None, **options) -> tuple[Photo, Report]:
    [job] = jobs_of(model, FixedDetector(*faces))
    [photo] = face_restore([Photo("0.png", pixels, alpha)], FaceRestoreOptions(**options), [job])
    return photo, job.report


def degraded(pixels: np.ndarray, seed: int = 0) -> np.ndarray:
    soft = cv2.GaussianBlur(pixels, (0, 0), 1.2)
    return np.clip(soft + np.random.default_rng(seed).normal(0, 8, soft.shape), 0, 255).astype(np.uint8)


def mse(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean((a.astype(float) - b.astype(float)) ** 2))


def test_a_degraded_face_comes_nearer_to_the_clean_one_and_the_rest_is_untouched(lite):
    before = degraded(ASTRONAUT)
    results = lite.run("face_restore", [Photo("a", before)])
    after, report = results.photos[0].pixels, results.reports[0].to_dict()
    left, top, right, bottom = (int(side) for side in report["faces"][0]["box"])
    face = np.s_[top:bottom, left:right]
    assert mse(after[face], ASTRONAUT[face]) < 0.8 * mse(before[face], ASTRONAUT[face])
    np.testing.assert_array_equal(after[:, :8], before[:, :8])
    assert report["face_restoration_applied"] is True
    assert (report["variant"], report["face_detector"], report["warnings"]) == ("lite", "dlib", [])
    assert report["faces"][0]["restored"] is True
    assert 0 < report["faces"][0]["score"] <= 1
    assert report["faces"][0]["size_px"] > 40
    assert {"detect", "faces", "paste"} <= report["stages_ms"].keys()


def test_it_is_the_default_of_a_request_that_only_carries_photos():
    assert DEFAULT_TASK == "face_restore"


@pytest.mark.parametrize("scale", [1.0, 1.5, 4.0])
def test_a_photo_without_faces_is_resized_with_a_warning(lite, scale):
    pixels = data.chelsea()[:96, :128]
    results = lite.run("face_restore", [Photo("cat", pixels)], face_upscale=scale)
    report = results.reports[0]
    assert (results.photos[0].width, results.photos[0].height) == (int(128 * scale), int(96 * scale))
    assert any("no face was found" in warning for warning in report.warnings)
    assert report.face_restoration_applied is False
    assert report.faces == []
    if scale == 1:
        np.testing.assert_array_equal(results.photos[0].pixels, pixels)


@pytest.mark.parametrize("place", [(0, 90), (159, 90), (80, 0), (80, 119), (0, 0), (159, 119)])
@pytest.mark.parametrize("scale", [1, 2.5])
def test_a_face_at_the_border_is_restored_as_far_as_it_is_there(face_net, place, scale):
    pixels = degraded(np.ascontiguousarray(ASTRONAUT[40:160, 40:200]))
    photo, report = one(face_net, pixels, face_at(*place, 40), face_upscale=scale)
    assert photo.pixels.shape == (int(120 * scale), int(160 * scale), 3)
    assert report.face_restoration_applied
    plain, _ = one(face_net, pixels, face_upscale=scale)
    assert (photo.pixels != plain.pixels).any()


def test_a_face_of_20_pixels_is_restored_unless_it_is_too_small_to_ask_for(face_net):
    small = cv2.resize(ASTRONAUT, (48, 48), interpolation=cv2.INTER_AREA)
    _, report = one(face_net, small, face_at(24, 22, 20))
    assert report.faces[0]["restored"] is True
    photo, report = one(face_net, small, face_at(24, 22, 20), min_face_px=24)
    assert report.faces[0] == {
        "box": [14.0, 12.0, 34.0, 32.0],
        "score": 0.99,
        "size_px": 20.0,
        "restored": False,
        "reason": "its 20 pixels are less than min_face_px 24",
    }
    assert any("none of 1 faces was restored" in warning for warning in report.warnings)
    np.testing.assert_array_equal(photo.pixels, small)
    _, report = one(face_net, small, face_at(24, 22, 4))
    assert "less than 5" in str(report.faces[0]["reason"])


def test_a_face_whose_landmarks_are_no_face_is_left_alone_with_the_reason(face_net):
    line = Face((20, 20, 120, 120), 0.9, np.stack([np.linspace(20, 120, 5), np.linspace(20, 120, 5)], 1))
    photo, report = one(face_net, ASTRONAUT, line, face_at(120, 110, 60))
    assert [face["restored"] for face in report.faces] == [False, True]
    assert "no transform" in str(report.faces[0]["reason"])
    assert (photo.pixels != ASTRONAUT).any()


def test_a_profile_and_a_tilted_face_are_turned_upright(face_net):
    for tilt in (-170, -45, 30, 90):
        photo, report = one(face_net, degraded(ASTRONAUT), face_at(128, 110, 60, tilt))
        assert report.face_restoration_applied
        assert np.isfinite(photo.pixels).all()
        assert similarity(face_at(128, 110, 60, tilt).landmarks) is not None
    squeezed = face_at(128, 110, 60)
    profile = dataclasses.replace(squeezed, landmarks=(squeezed.landmarks - (128, 110)) * (0.3, 1) + (128, 110))
    assert one(face_net, ASTRONAUT, profile)[1].face_restoration_applied


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_photo_that_exif_turns_has_its_faces_found_upright(lite, tmp_path, orientation):
    turned = {3: 2, 6: 1, 8: 3}[orientation]
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(np.rot90(ASTRONAUT, turned))).save(path, exif=exif, quality=95)
    results = lite.run("face_restore", [path])
    assert len(results.reports[0].faces) == 1
    assert results.photos[0].pixels.shape == ASTRONAUT.shape


def test_forty_faces_are_all_found_and_restored(lite):
    face = degraded(cv2.resize(ASTRONAUT, (160, 160), interpolation=cv2.INTER_AREA))
    sheet = np.tile(face, (5, 8, 1))
    report = lite.run("face_restore", [Photo("sheet", sheet)], runtime_profile="fast").reports[0]
    assert len(report.faces) == 40
    assert all(face["restored"] for face in report.faces)


def test_only_the_face_nearest_to_the_centre(face_net):
    faces = [face_at(40, 40, 30), face_at(120, 118, 30), face_at(220, 200, 30)]
    _, report = one(face_net, ASTRONAUT, *faces, only_center_face=True)
    assert [face["restored"] for face in report.faces] == [False, True, False]
    assert "nearer to the centre" in str(report.faces[0]["reason"])


@pytest.mark.parametrize("keep", [None, True, False])
def test_grey_stays_grey(face_net, keep):
    grey = cv2.cvtColor(degraded(ASTRONAUT), cv2.COLOR_RGB2GRAY)
    photo, _ = one(face_net, grey, face_at(128, 110, 60), keep_color=keep)
    assert photo.pixels.shape == grey.shape
    assert (photo.pixels != grey).any()
    as_colour, _ = one(face_net, np.repeat(grey[..., None], 3, 2), face_at(128, 110, 60), keep_color=keep)
    spread = as_colour.pixels.astype(int).max(axis=2) - as_colour.pixels.astype(int).min(axis=2)
    assert (spread.max() <= 1) if keep is not False else (spread.max() > 0)


def test_sepia_keeps_its_tone_unless_colour_is_asked_for(face_net, monkeypatch):
    grey = cv2.cvtColor(degraded(ASTRONAUT), cv2.COLOR_RGB2GRAY)[..., None].astype(float)
    sepia = np.rint(grey * (1.0, 0.88, 0.7)).astype(np.uint8)
    red = torch.tensor([1.0, 0.0, 0.0])[None, :, None, None]
    monkeypatch.setattr(module, "restored", lambda faces, model, fidelity: 0.5 * faces + 0.5 * red)
    tones = {}
    for keep in (None, True, False):
        pixels = one(face_net, sepia, face_at(128, 110, 60), keep_color=keep)[0].pixels[90:130, 110:150].astype(float)
        tones[keep] = pixels[..., 0].mean() - pixels[..., 2].mean()
    face = sepia[90:130, 110:150].astype(float)
    assert tones[None] == tones[True] == pytest.approx(face[..., 0].mean() - face[..., 2].mean(), abs=6)
    assert tones[False] > tones[None] + 40
    coloured = one(face_net, ASTRONAUT, face_at(128, 110, 60))[0].pixels
    assert coloured[90:130, 110:150, 0].mean() > ASTRONAUT[90:130, 110:150, 0].mean() + 20


def test_alpha_and_sixteen_bits_are_kept(face_net):
    alpha = np.tile(np.linspace(0, 255, 256).astype(np.uint8), (256, 1))
    photo, _ = one(face_net, degraded(ASTRONAUT), face_at(128, 110, 60), alpha=alpha)
    np.testing.assert_array_equal(photo.alpha, alpha)
    doubled, _ = one(face_net, degraded(ASTRONAUT), face_at(128, 110, 60), alpha=alpha, face_upscale=2)
    assert doubled.alpha.shape == (512, 512)
    deep = degraded(ASTRONAUT).astype(np.uint16) * 257
    photo, _ = one(face_net, deep, face_at(128, 110, 60))
    assert photo.pixels.dtype == np.uint16
    assert len(np.unique(photo.pixels[90:130, 110:150] % 257)) > 50  # more than 8 bits where the face is
    shallow, _ = one(face_net, degraded(ASTRONAUT), face_at(128, 110, 60))
    assert np.abs(photo.pixels / 257.0 - shallow.pixels).max() <= 1


@pytest.mark.parametrize(("side", "scale"), [(256, 1), (300, 2), (512, 1), (64, 4)])
def test_an_aligned_face_of_any_size_keeps_its_size(lite, side, scale):
    face = degraded(cv2.resize(ASTRONAUT, (side, side), interpolation=cv2.INTER_AREA))
    results = lite.run("face_restore", [Photo("face", face)], has_aligned=True, face_upscale=scale)
    assert results.photos[0].pixels.shape == (side * scale, side * scale, 3)
    assert results.reports[0].face_restoration_applied
    if scale == 1:
        assert (results.photos[0].pixels != face).any()


def test_an_aligned_face_that_is_not_square_is_a_warning(lite):
    results = lite.run("face_restore", [Photo("face", ASTRONAUT[:200])], has_aligned=True)
    assert results.photos[0].pixels.shape == (200, 256, 3)
    assert any("256x200" in warning for warning in results.reports[0].warnings)


def test_eight_faces_of_four_photos_in_a_batch_are_what_they_are_alone(face_net):
    """Issue figure: equal to 1e-4, in order."""
    rng = np.random.default_rng(3)
    crops = [[rng.integers(0, 256, (512, 512, 3), dtype=np.uint8) for _ in range(count)] for count in (3, 0, 1, 4)]
    crops = [[cv2.GaussianBlur(crop, (0, 0), 5) for crop in several] for several in crops]
    detectors = [FixedDetector()] * 4
    alone = module.restored_crops(crops, ["colour"] * 4, FaceRestoreOptions(), jobs_of(face_net, *detectors))
    together = module.restored_crops(crops, ["colour"] * 4, FaceRestoreOptions(), jobs_of(face_net, *detectors, profile="fast"))
    assert [len(several) for several in together] == [3, 0, 1, 4]
    for one_by_one, batched in zip(itertools.chain(*alone), itertools.chain(*together), strict=True):
        assert np.abs(one_by_one - batched).max() / 255 <= 1e-4
    assert np.abs(alone[0][0] - alone[0][1]).max() > 1  # or the order would not show


def test_fast_takes_all_faces_at_once_and_baseline_one_by_one(face_net, monkeypatch):
    sizes = []
    real = module.restored
    monkeypatch.setattr(module, "restored", lambda faces, **rest: sizes.append(len(faces)) or real(faces, **rest))
    photos = [Photo(f"{i}.png", ASTRONAUT) for i in range(4)]
    detectors = [FixedDetector(face_at(128, 110, 60), face_at(60, 60, 30), face_at(200, 60, 30))] * 4
    results = {}
    for profile in ("baseline", "fast"):
        sizes.clear()
        jobs = jobs_of(face_net, *detectors, profile=profile)
        results[profile] = face_restore(photos, FaceRestoreOptions(), jobs)
        assert sizes == ([1] * 12 if profile == "baseline" else [8, 4])
    for first, second in zip(*results.values(), strict=True):
        assert np.abs(first.pixels.astype(int) - second.pixels.astype(int)).max() <= 1


def test_a_batch_that_memory_does_not_hold_is_halved_and_said(face_net, monkeypatch):
    real = module.restored

    def hungry(faces, **rest):
        if len(faces) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(faces, **rest)

    monkeypatch.setattr(module, "restored", hungry)
    detector = FixedDetector(*[face_at(60 + 40 * i, 100, 30) for i in range(4)])
    [job] = jobs_of(face_net, detector, profile="fast")
    [photo] = face_restore([Photo("0.png", ASTRONAUT)], FaceRestoreOptions(), [job])
    assert any("memory ran out with 4 faces at once; continued with 2" in warning for warning in job.report.warnings)
    [calm] = jobs_of(face_net, detector)
    monkeypatch.setattr(module, "restored", real)
    [expected] = face_restore([Photo("0.png", ASTRONAUT)], FaceRestoreOptions(), [calm])
    assert np.abs(photo.pixels.astype(int) - expected.pixels.astype(int)).max() <= 1


def test_a_network_that_fails_fails_the_request_and_names_the_photo(face_net):
    broken = dataclasses.replace(face_net, net=BrokenNet())
    good, bad = FixedDetector(), FixedDetector(face_at(128, 110, 60))
    with pytest.raises(RestoreError, match=r"photo '1\.png'") as caught:
        face_restore([Photo("0.png", ASTRONAUT), Photo("1.png", ASTRONAUT)], FaceRestoreOptions(), jobs_of(broken, good, bad))
    assert caught.value.code is Code.BAD_NUMBERS


class BrokenNet(torch.nn.Module):
    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        return faces * float("nan")


def test_strength_blends_with_the_original(face_net):
    pixels = degraded(ASTRONAUT)
    full, none, half = (one(face_net, pixels, face_at(128, 110, 60), strength=s)[0].pixels.astype(float) for s in (1, 0, 0.5))
    np.testing.assert_array_equal(none, pixels)
    assert np.abs(half - (full + none) / 2).max() <= 1


def test_a_face_finer_than_the_lite_network_keeps_its_detail(face_net):
    """The network's change is added: what is finer than its pixels stays; a face with too many pixels is left alone."""
    large = cv2.resize(ASTRONAUT, (1600, 1600), interpolation=cv2.INTER_LANCZOS4)
    texture = np.random.default_rng(5).integers(-12, 13, large.shape)
    large = np.clip(large.astype(int) + texture, 0, 255).astype(np.uint8)
    photo, report = one(face_net, large, face_at(800, 690, 150))
    assert report.face_restoration_applied
    inner = np.s_[640:740, 750:850]
    fine = [float(np.abs(cv2.Laplacian(p[inner].astype(np.float32), -1)).mean()) for p in (large, photo.pixels)]
    assert fine[1] > 0.85 * fine[0]
    photo, report = one(face_net, large, face_at(800, 690, 400))
    assert "finer than what could be added" in str(report.faces[0]["reason"])
    np.testing.assert_array_equal(photo.pixels, large)


def test_enhance_enlarges_and_restores_in_one_pass(lite):
    before = degraded(ASTRONAUT)
    enhanced = lite.run("enhance", [Photo("a", before)], scale=2)
    plain = lite.run("upscale", [Photo("a", before)], scale=2)
    asked = lite.run("upscale", [Photo("a", before)], scale=2, face_enhance=True)
    assert enhanced.photos[0].pixels.shape == (512, 512, 3)
    np.testing.assert_array_equal(enhanced.photos[0].pixels, asked.photos[0].pixels)
    changed = (enhanced.photos[0].pixels != plain.photos[0].pixels).any(axis=2)
    left, top, right, bottom = (2 * int(side) for side in enhanced.reports[0].faces[0]["box"])
    assert changed[top:bottom, left:right].mean() > 0.5
    assert not changed[:16].any()
    files = [facts["file"] for facts in enhanced.reports[0].weights]
    assert files == ["lite_upscale_x4.safetensors", "lite_faces.safetensors"]
    assert enhanced.reports[0].tiles
    assert plain.reports[0].faces == []


def test_the_background_is_enhanced_where_asked(lite):
    pixels = degraded(ASTRONAUT)
    plain = lite.run("face_restore", [Photo("a", pixels)], face_upscale=2).photos[0].pixels
    both = lite.run("face_restore", [Photo("a", pixels)], face_upscale=2, background_enhance=True)
    assert both.photos[0].pixels.shape == plain.shape
    assert (both.photos[0].pixels[:16] != plain[:16]).any()
    assert both.reports[0].tiles


@pytest.mark.parametrize("task", ["face_restore", "enhance"])
def test_a_result_that_would_be_too_large_is_refused_before_any_work(lite, monkeypatch, task):
    monkeypatch.setattr(module, "aligned_faces", None)
    named = {"face_restore": "face_upscale", "enhance": "scale"}[task]
    with pytest.raises(RestoreError, match=f"Use a {named} of at most 2.23") as caught:
        lite.run(task, [Photo("big.png", np.zeros((4000, 5000), np.uint8))], **{named: 4})
    assert caught.value.code is Code.OUTPUT_TOO_LARGE


def test_every_face_model_has_its_convention_and_its_parser_in_the_manifest():
    catalog = Catalog.load()
    for variant in set(choices_of(FaceRestoreOptions, "face_model")) - {"auto"}:
        row, *partners = catalog.group("face_restore", variant)
        assert row.face_convention == ("codeformer" if variant == "codeformer" else "facexlib")
        assert row.difference is (variant == "lite")
        assert [partner.role for partner in partners] == ([] if variant == "lite" else ["parser"])


def test_a_detector_that_cannot_be_had_is_stood_in_for_by_dlib_with_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr("restore.download.Downloader.fetch", refusing)
    restorer = Restorer(weights="auto", weights_dir=tmp_path, device="cpu")
    report = restorer.run("face_restore", [Photo("a", ASTRONAUT)], face_model="lite", face_detector="retinaface_resnet50").reports[0]
    assert report.face_detector == "dlib"
    assert any("dlib stands in for the detector retinaface_resnet50" in warning for warning in report.warnings)
    with pytest.raises(RestoreError, match=r"detection_Resnet50_Final\.pth"):
        Restorer(weights="official", weights_dir=tmp_path).run(
            "face_restore", [Photo("a", ASTRONAUT)], face_model="lite", face_detector="retinaface_resnet50"
        )
    lite = Restorer(weights="lite", weights_dir=tmp_path, device="cpu")
    report = lite.run("face_restore", [Photo("a", ASTRONAUT)], face_detector="retinaface_mobile0.25").reports[0]
    assert any("answers with dlib" in warning for warning in report.warnings)


def refusing(self, wanted, url):
    raise UnusableSourceError("no network in tests")


class Recorder:
    """Stands in for `restored`: brightens faces by what a test asks, and keeps what it was handed."""

    def __init__(self, change: float = 0.2) -> None:
        self.change, self.seen, self.fidelities = change, [], []

    def __call__(self, faces: torch.Tensor, model: Model, fidelity: float) -> torch.Tensor:
        self.seen += list(faces.clone())
        self.fidelities.append(fidelity)
        return (faces + self.change).clamp(0, 1)


class Parser(torch.nn.Module):
    """Sees a face everywhere, and keeps what it was handed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, faces: torch.Tensor) -> list[torch.Tensor]:
        self.seen += list(faces.clone())
        logits = torch.zeros(len(faces), 19, 512, 512)
        logits[:, 1] = 1
        return [logits]


def official(variant: str, parser: torch.nn.Module | None = None) -> Model:
    """An official network's facts around no network: tests stand in for `restored`."""
    return Model(Catalog.load().find("face_restore", variant), variant, torch.nn.Identity(), {"parser": parser or Parser()})


@pytest.mark.parametrize("profile", ["baseline", "fast", "max_speed"])
def test_every_face_is_put_back_where_it_was_found(monkeypatch, profile):
    """Faces are told apart by what they show: a network that shows each its own crop, brighter."""
    recorder = Recorder(0.2)
    monkeypatch.setattr(module, "restored", recorder)
    pixels = np.zeros((300, 600, 3), np.uint8)
    pixels[:, :200], pixels[:, 200:400], pixels[:, 400:] = (40, 0, 0), (0, 80, 0), (0, 0, 120)
    detectors = [FixedDetector(face_at(500, 150, 30), face_at(100, 150, 30)), FixedDetector(face_at(300, 150, 30))]
    jobs = jobs_of(official("gfpgan_v1.4"), *detectors, profile=profile)
    photos = face_restore([Photo("0", pixels), Photo("1", pixels)], FaceRestoreOptions(codeformer_fidelity=0.8), jobs)
    expected = [{500: (51, 51, 171), 100: (91, 51, 51), 300: (0, 80, 0)}, {500: (0, 0, 120), 100: (40, 0, 0), 300: (51, 131, 51)}]
    for photo, colours in zip(photos, expected, strict=True):
        for x, colour in colours.items():
            np.testing.assert_allclose(photo.pixels[150, x], colour, atol=1)
    assert set(recorder.fidelities) == {0.8}
    assert [face.shape for face in recorder.seen] == [(3, 512, 512)] * 3


@pytest.mark.parametrize(("variant", "asked"), [("codeformer", (640, 0.8)), ("gfpgan_v1.4", (None, 0.97)), ("restoreformer", (None, 0.97))])
def test_the_detector_is_asked_as_each_official_helper_asks(monkeypatch, variant, asked):
    monkeypatch.setattr(module, "restored", Recorder())
    [job] = jobs_of(official(variant), FixedDetector(face_at(128, 110, 60)))
    face_restore([Photo("0", ASTRONAUT)], FaceRestoreOptions(), [job])
    assert job.detector.asked == [asked]


def test_the_parser_sees_the_restored_face_in_its_own_range_and_not_at_all_at_max_speed(monkeypatch):
    monkeypatch.setattr(module, "restored", Recorder(0.2))
    pixels = np.full((256, 256, 3), 51, np.uint8)
    results = {}
    for profile in ("baseline", "max_speed"):
        parser = Parser()
        [job] = jobs_of(official("codeformer", parser), FixedDetector(face_at(128, 110, 60)), profile=profile)
        [photo] = face_restore([Photo("0", pixels)], FaceRestoreOptions(keep_color=False), [job])
        results[profile] = photo.pixels
        assert len(parser.seen) == (1 if profile == "baseline" else 0)
        for face in parser.seen:
            inside = face[:, 200:300, 200:300]  # grey photos: CodeFormer's face takes the crop's own mean
            assert inside.mean() == pytest.approx(2 * 51 / 255 - 1, abs=0.02)
    assert results["baseline"].shape == results["max_speed"].shape


def test_a_face_much_larger_than_the_networks_crop_is_a_warning(monkeypatch):
    monkeypatch.setattr(module, "restored", Recorder())
    large = cv2.resize(ASTRONAUT, (1200, 1200))
    for size, warned in ((100, False), (400, True)):
        _, report = one(official("gfpgan_v1.4"), large, face_at(600, 515, size))
        assert any("may lose fine detail" in warning for warning in report.warnings) is warned


def test_photos_of_one_request_keep_their_own_tones(monkeypatch):
    def reddened(faces: torch.Tensor, model: Model, fidelity: float) -> torch.Tensor:
        return (faces + torch.tensor([0.3, 0.0, 0.0])[None, :, None, None]).clamp(0, 1)

    monkeypatch.setattr(module, "restored", reddened)
    grey = np.repeat(cv2.cvtColor(ASTRONAUT, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    detectors = [FixedDetector(face_at(128, 110, 60))] * 3
    jobs = jobs_of(official("gfpgan_v1.4"), *detectors)
    photos = face_restore([Photo("0", grey), Photo("1", ASTRONAUT), Photo("2", grey)], FaceRestoreOptions(), jobs)
    middle = np.s_[100:120, 118:138]
    spread = [float(np.ptp(photo.pixels[middle].astype(int), axis=2).mean()) for photo in photos]
    assert max(spread[0], spread[2]) <= 1
    assert np.abs(photos[1].pixels[middle][..., 0].astype(int) - ASTRONAUT[middle][..., 0]).mean() > 20


def test_colour_is_kept_from_the_faces_own_crop(monkeypatch):
    monkeypatch.setattr(module, "restored", lambda faces, model, fidelity: torch.full_like(faces, 0.5))
    pixels = np.zeros((300, 600, 3), np.uint8)
    pixels[:, :300], pixels[:, 300:] = (120, 60, 60), (60, 60, 120)
    photo, _ = one(official("gfpgan_v1.4"), pixels, face_at(150, 150, 40), face_at(450, 150, 40), keep_color=True)
    assert photo.pixels[150, 150, 0] > photo.pixels[150, 150, 2] + 40
    assert photo.pixels[150, 450, 2] > photo.pixels[150, 450, 0] + 40


def test_the_nearest_face_that_can_be_restored_is_the_centre_face(face_net):
    line = Face((100, 100, 150, 150), 0.99, np.stack([np.linspace(100, 150, 5), np.linspace(100, 150, 5)], 1))
    _, report = one(face_net, ASTRONAUT, line, face_at(60, 60, 40), face_at(5, 5, 40), only_center_face=True)
    assert [face["restored"] for face in report.faces] == [False, True, False]


def test_a_face_outside_of_the_photo_and_one_that_is_no_number_are_not_restored(face_net):
    nowhere = face_at(900, 900, 40)
    broken = Face((np.nan, 0, 10, 10), 0.9, face_at(100, 100, 30).landmarks)
    photo, report = one(face_net, ASTRONAUT, nowhere, broken)
    assert [face["reason"] for face in report.faces] == ["it lies outside of the photo"]
    assert report.face_restoration_applied is False
    np.testing.assert_array_equal(photo.pixels, ASTRONAUT)


def test_in_a_batch_too_the_photo_whose_face_fails_is_named(face_net):
    class Fails(torch.nn.Module):
        def forward(self, faces: torch.Tensor) -> torch.Tensor:
            bright = faces.mean(dim=(1, 2, 3), keepdim=True) > 0.9
            return torch.where(bright, torch.full_like(faces, torch.nan), faces)

    detectors = [FixedDetector(face_at(128, 110, 60))] * 3
    jobs = jobs_of(dataclasses.replace(face_net, net=Fails()), *detectors, profile="fast")
    photos = [Photo("0.png", ASTRONAUT), Photo("1.png", np.full_like(ASTRONAUT, 255)), Photo("2.png", ASTRONAUT)]
    with pytest.raises(RestoreError, match=r"photo '1\.png'"):
        face_restore(photos, FaceRestoreOptions(), jobs)


@pytest.mark.parametrize("noise", [0, 25])
@pytest.mark.parametrize("side", [300, 500, 700, 3000])
def test_the_lite_network_does_not_make_a_large_face_worse(lite, side, noise):
    """Beyond two pixels of the photo for one of the network's there is nothing to add; below, noise is averaged, not sampled."""
    clean = cv2.GaussianBlur(cv2.resize(ASTRONAUT[40:170, 70:190], (side, side), interpolation=cv2.INTER_CUBIC), (0, 0), side / 400)
    before = np.clip(clean + np.random.default_rng(1).normal(0, noise, clean.shape), 0, 255).astype(np.uint8)
    results = lite.run("face_restore", [Photo("face", before)], has_aligned=True)
    after = results.photos[0].pixels
    if side > 512:
        assert "finer than what could be added" in results.reports[0].warnings[0]
        assert results.reports[0].face_restoration_applied is False
        np.testing.assert_array_equal(after, before)
    elif noise:
        assert mse(after, clean) < 0.95 * mse(before, clean)
    else:
        assert mse(after, clean) < 5.0**2  # what a face with nothing wrong loses of its finest detail


@pytest.mark.parametrize("kind", ["colour", "grey", "deep", "alpha"])
@pytest.mark.parametrize("variant", ["gfpgan_v1.4", "lite"])
def test_an_aligned_face_is_what_the_network_makes_of_it(monkeypatch, face_net, variant, kind):
    recorder = Recorder(0.1)
    monkeypatch.setattr(module, "restored", recorder)
    model = face_net if variant == "lite" else official(variant)
    side = 256 if variant == "lite" else 512
    pixels = np.clip(cv2.GaussianBlur(cv2.resize(ASTRONAUT, (side, side)), (0, 0), 2), 0, 220)
    pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if kind == "grey" else pixels
    pixels = pixels.astype(np.uint16) * 257 if kind == "deep" else pixels
    alpha = np.full((side, side), 77, np.uint8) if kind == "alpha" else None
    full = np.iinfo(pixels.dtype).max
    [job] = jobs_of(model, FixedDetector())
    [photo] = face_restore([Photo("0", pixels, alpha)], FaceRestoreOptions(has_aligned=True), [job])
    np.testing.assert_allclose(photo.pixels / full, pixels / full + 0.1, atol=1.01 / 255)
    assert photo.pixels.dtype == pixels.dtype
    if alpha is not None:
        np.testing.assert_array_equal(photo.alpha, alpha)
    [half] = face_restore([Photo("0", pixels, alpha)], FaceRestoreOptions(has_aligned=True, strength=0.5), [job])
    np.testing.assert_allclose(half.pixels / full, pixels / full + 0.05, atol=1.51 / 255)
    assert job.detector.asked == []


def test_aligned_faces_go_through_the_network_together_where_faces_do(monkeypatch, face_net):
    sizes = []
    real = module.restored
    monkeypatch.setattr(module, "restored", lambda faces, **rest: sizes.append(len(faces)) or real(faces, **rest))
    photos = [Photo(str(i), cv2.resize(ASTRONAUT, (100 + i, 100 + i))) for i in range(4)]
    face_restore(photos, FaceRestoreOptions(has_aligned=True), jobs_of(face_net, *[FixedDetector()] * 4, profile="fast"))
    assert sizes == [4]


def test_has_aligned_asks_for_no_detector_and_no_background(tmp_path, monkeypatch):
    monkeypatch.setattr("restore.download.Downloader.fetch", refusing)
    restorer = Restorer(weights="official", weights_dir=tmp_path, device="cpu")
    inputs = {"face_model": "lite", "face_detector": "retinaface_resnet50", "background_enhance": True, "min_face_px": 9}
    report = restorer.run("face_restore", [Photo("a", ASTRONAUT)], has_aligned=True, **inputs).reports[0]
    assert report.face_restoration_applied
    assert [warning.split()[0] for warning in report.warnings] == ["background_enhance", "min_face_px"]


def test_a_missing_detector_is_looked_for_once(tmp_path, monkeypatch):
    fetched = []

    def counting(self, wanted, url):
        fetched.append(url)
        refusing(self, wanted, url)

    monkeypatch.setattr("restore.download.Downloader.fetch", counting)
    restorer = Restorer(weights="auto", weights_dir=tmp_path, device="cpu")
    for _ in range(3):
        inputs = {"face_model": "lite", "face_detector": "retinaface_mobile0.25"}
        report = restorer.run("face_restore", [Photo("a", ASTRONAUT)], **inputs).reports[0]
        assert any("dlib stands in" in warning for warning in report.warnings)
    assert len(fetched) == 1


def test_alpha_of_an_enlarged_photo_is_the_photos_own(face_net):
    alpha = np.zeros((256, 256), np.uint8)
    alpha[64:192, 64:192] = 200
    photo, _ = one(face_net, ASTRONAUT, face_at(128, 110, 60), alpha=alpha, face_upscale=2)
    assert photo.alpha[256, 256] == 200
    assert photo.alpha[20, 20] == 0


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
