"""old_photo_restore end to end around small stand-ins (oldphotofakes.py)."""

import cv2
import numpy as np
import pytest
import torch
from oldphotofakes import (
    MODES,
    ROLES,
    Mapping,
    context_of,
    face_at,
    model_of,
    restored,
    scratched,
    waves,
)
from skimage import transform
from torch import Tensor

from restore import RestoreError, Restorer
from restore.errors import Code
from restore.faces.face import Face
from restore.imaging.convert import to_8_bits
from restore.imaging.photo import Photo
from restore.nets.old_photo.mapping import (
    OldPhotoMapping,
    OldPhotoPatchMapping,
    OldPhotoScratchMapping,
)
from restore.nets.old_photo.vae import OldPhotoVae
from restore.pipelines.old_photo import MAX_LONG_SIDE_PX, MAX_SCRATCHED_LONG_SIDE_PX
from restore.pipelines.old_photo_alignment import TEMPLATE, cut_face, face_to_photo, five_landmarks


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["colour", "grey", "deep", "deep grey", "alpha"])
def test_the_result_is_of_the_photos_own_kind_and_size(mode, kind):
    pixels = waves(91, 67)
    pixels = pixels[..., 0].copy() if "grey" in kind else pixels
    pixels = pixels.astype(np.uint16) * 257 if "deep" in kind else pixels
    alpha = np.arange(67 * 91, dtype=np.uint8).reshape(67, 91) if kind == "alpha" else None
    before = pixels.copy()
    context = context_of(model_of(mode))
    result = restored(pixels, context, alpha=alpha, **MODES[mode])
    assert (result.pixels.shape, result.pixels.dtype) == (pixels.shape, pixels.dtype)
    levels = 257 if "deep" in kind else 1
    assert (
        np.abs(result.pixels.astype(int) - pixels)[4:-4, 4:-4].max() <= 10 * levels
    )  # resized twice, and nothing else
    assert (result.alpha is None) == (alpha is None)
    if alpha is not None:
        np.testing.assert_array_equal(result.alpha, alpha)
    np.testing.assert_array_equal(pixels, before)
    assert context.report.warnings == []


@pytest.mark.parametrize("unit", [np.uint8(1), np.uint16(257)])
@pytest.mark.parametrize("shape", [(64, 96, 3), (64, 96)])
def test_a_photo_of_suitable_sides_goes_through_without_loss(unit, shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8) * unit
    np.testing.assert_array_equal(restored(pixels, context_of(model_of())).pixels, pixels)


def test_sixteen_bits_are_rounded_not_cut():
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(to_8_bits(levels), np.rint(levels / 257.0).astype(np.uint8))


@pytest.mark.parametrize(("threshold", "found"), [(0.4, True), (0.7, True), (0.85, False)])
def test_scratches_are_what_the_detector_says_at_the_threshold_painted_white_and_handed_on(
    threshold, found
):
    model, pixels = model_of("scratch"), scratched(96, 64)
    context = context_of(model)
    restored(pixels, context, with_scratch=True, scratch_threshold=threshold)
    holes = model.net.holes[0][0, 0].numpy()
    assert set(np.unique(holes)) <= {0.0, 1.0}
    assert (holes[:, 41:43] == float(found)).all()
    assert not holes[:, :38].any()
    assert not holes[:, 46:].any()
    seen = model.partners["vae_a"].seen[0][0].numpy()
    assert (seen[:, holes > 0] == 1.0).all()
    kept = np.rint((seen + 1.0) * 127.5).transpose(1, 2, 0)[holes == 0]
    np.testing.assert_array_equal(kept, pixels[holes == 0])
    assert context.report.scratched_share == pytest.approx(holes.mean(), abs=1e-5)
    assert (context.report.scratched_share > 0.03) is found


def test_the_scratch_network_sees_grey_at_a_short_side_of_256():
    model = model_of("scratch")
    restored(scratched(96, 64), context_of(model), with_scratch=True)
    [seen] = model.partners["scratch_detector"].seen
    assert seen.shape == (1, 1, 256, 384)
    assert seen.max() == pytest.approx(200 / 127.5 - 1, abs=0.01)


def test_without_scratches_asked_for_none_are_looked_for():
    model = model_of()
    context = context_of(model)
    restored(scratched(96, 64), context)
    assert model.partners["scratch_detector"].seen == []
    assert not model.net.holes[0].any()
    assert context.report.scratched_share is None


def test_high_resolution_widens_scratches_by_three_pixels_but_reports_them_as_found():
    plain, wide = model_of("scratch"), model_of("scratch_hr")
    contexts = [context_of(plain), context_of(wide)]
    for context, mode in zip(contexts, ("scratch", "scratch_hr"), strict=True):
        restored(scratched(96, 64), context, return_mask=True, **MODES[mode])
    narrow = plain.net.holes[0][0, 0].numpy()
    np.testing.assert_array_equal(
        wide.net.holes[0][0, 0].numpy(), cv2.dilate(narrow, np.ones((7, 7), np.uint8))
    )
    assert contexts[0].report.scratched_share == contexts[1].report.scratched_share
    np.testing.assert_array_equal(
        contexts[0].found_masks[0].pixels, contexts[1].found_masks[0].pixels
    )


@pytest.mark.parametrize(
    ("mode", "quirks", "size"),
    [
        ("quality", False, (112, 76)),
        ("scratch", False, (112, 80)),
        ("scratch_hr", False, (96, 64)),
        ("scratch_hr", True, (112, 80)),
    ],
)
def test_each_mode_works_at_multiples_of_its_own(mode, quirks, size):
    model = model_of(mode)
    restored(waves(110, 75), context_of(model, quirks=quirks), **MODES[mode])
    assert model.partners["vae_a"].seen[0].shape[:-3:-1] == size


@pytest.mark.parametrize("option", ["old_photo_hr", "return_mask"])
def test_what_is_nothing_without_scratches_is_a_warning(option):
    context = context_of(model_of())
    plain = restored(waves(64, 48), context_of(model_of())).pixels
    np.testing.assert_array_equal(restored(waves(64, 48), context, **{option: True}).pixels, plain)
    [warning] = context.report.warnings
    assert option in warning
    assert "with_scratch" in warning
    assert context.found_masks == []


@pytest.mark.parametrize("mode", ["scratch", "scratch_hr"])
def test_a_photo_that_is_all_scratch_is_refused(mode):
    model = model_of(mode)
    with pytest.raises(RestoreError, match=r"photo 'grandma\.png': .* scratch_threshold") as caught:
        restored(np.full((48, 64, 3), 250, np.uint8), context_of(model), **MODES[mode])
    assert caught.value.code is Code.MASK
    assert model.net.seen == []


@pytest.mark.parametrize("mode", ["scratch", "scratch_hr"])
def test_scratches_that_touch_every_feature_are_refused_though_half_of_the_photo_is_visible(mode):
    pixels = waves(64, 64, low=5, high=10)
    for first in (1, 2):
        pixels[:, first::4] = 250
    context = context_of(model_of(mode))
    with pytest.raises(
        RestoreError, match=r"photo 'grandma\.png': .*nothing is left to fill them from"
    ) as caught:
        restored(pixels, context, **MODES[mode])
    assert caught.value.code is Code.MASK


def test_patches_that_are_all_masked_are_an_error_about_the_mask():
    class NoPatch(Mapping):
        def forward(self, features: Tensor, holes: Tensor) -> Tensor:
            raise ValueError("every patch of 8 x 8 features is masked")

    with pytest.raises(
        RestoreError, match=r"photo 'grandma\.png': .*every patch of 8 x 8"
    ) as caught:
        restored(
            scratched(96, 64), context_of(model_of("scratch_hr", NoPatch())), **MODES["scratch_hr"]
        )
    assert caught.value.code is Code.MASK


def test_masks_come_after_the_photos_at_their_sizes(tmp_path, monkeypatch):
    restorer = Restorer(weights="lite", weights_dir=tmp_path / "weights", device="cpu")
    asked = []
    monkeypatch.setattr(
        restorer.cache,
        "get",
        lambda task, variant: asked.append((task, variant)) or (model_of(variant), ()),
    )
    monkeypatch.setattr(restorer.detectors, "get", None)  # without faces there is none to ask
    photos = [Photo("a b.jpg", scratched(91, 67)), Photo("c.png", waves(50, 60))]
    inputs = {"with_scratch": True, "with_face": False, "output_format": "png"}
    results = restorer.run("old_photo_restore", photos, return_mask=True, **inputs)
    assert asked == [("old_photo_restore", "scratch")]
    assert [(mask.width, mask.height) for _, mask in sorted(results.masks.items())] == [
        (91, 67),
        (50, 60),
    ]
    paths = results.save(tmp_path / "out")
    assert [path.name for path in paths] == [
        "1-a_b.png",
        "2-c.png",
        "1-a_b-mask.png",
        "2-c-mask.png",
    ]
    mask = cv2.imread(str(paths[2]), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (67, 91)
    assert (mask[:, 41:43] == 255).all()
    assert not mask[:, :37].any()
    assert not mask[:, 47:].any()
    assert not cv2.imread(str(paths[3]), cv2.IMREAD_UNCHANGED).any()
    shares = [report.to_dict()["scratched_share"] for report in results.reports]
    assert shares == [pytest.approx((mask > 0).mean(), abs=0.01), 0.0]
    assert restorer.run("old_photo_restore", photos, **inputs).masks == {}


@pytest.mark.parametrize("mode", MODES)
def test_a_face_is_restored_in_its_place_and_nowhere_else(mode):
    pixels = (
        np.repeat(np.linspace(10, 90, 160)[None, :, None], 128, 0).repeat(3, 2).astype(np.uint8)
    )
    before = restored(pixels, context_of(model_of(mode)), **MODES[mode]).pixels
    model = model_of(mode)
    context = context_of(model, face_at(60, 64, 80))
    after = restored(pixels, context, with_face=True, **MODES[mode]).pixels
    outside = np.ones((128, 160), bool)
    outside[24:104, 20:100] = False
    np.testing.assert_array_equal(after[outside], before[outside])
    np.testing.assert_allclose(
        after[64, 40:81].astype(int), before[64, 80:39:-1], atol=2
    )  # mirrored, in the levels of before
    [seen] = model.partners["face_generator"].seen
    assert seen.shape == ((1, 3, 512, 512) if mode == "scratch_hr" else (1, 3, 256, 256))
    report = context.report
    assert (report.face_detector, report.face_restoration_applied, report.warnings) == (
        "fixed",
        True,
        [],
    )
    assert report.faces == [
        {
            "box": [20.0, 24.0, 100.0, 104.0],
            "score": 0.9,
            "size_px": 80.0,
            "restored": True,
            "reason": "",
        }
    ]


def test_every_face_is_restored_and_one_at_the_border_as_far_as_it_is_there():
    pixels = waves(200, 120)
    before = restored(pixels, context_of(model_of())).pixels
    context = context_of(model_of(), face_at(0, 60, 80), face_at(150, 119, 80))
    after = restored(pixels, context, with_face=True).pixels
    assert (after[40:80, :20] != before[40:80, :20]).any()
    assert (after[100:, 140:160] != before[100:, 140:160]).any()
    np.testing.assert_array_equal(after[:78, 41:], before[:78, 41:])
    assert [face["restored"] for face in context.report.faces] == [True, True]


def test_faces_are_reported_in_the_photos_own_pixels():
    context = context_of(model_of(), face_at(1536, 16, 30))
    restored(waves(6144, 64), context, with_face=True)
    assert context.detector.asked == [(32, 3072, 3)]
    assert context.report.faces[0]["box"] == [3042.0, 2.0, 3102.0, 62.0]
    assert context.report.faces[0]["size_px"] == 60.0


SPOT = Face((10.0, 10.0, 50.0, 50.0), 0.9, np.full((5, 2), 30.0))
NOWHERE = Face((10.0, 10.0, 50.0, 50.0), 0.9, np.full((5, 2), np.nan))


@pytest.mark.parametrize(
    ("face", "reason"),
    [
        (SPOT, "no transform"),
        (NOWHERE, "no transform"),
        (face_at(900, 60, 80), "outside"),
        (face_at(60, -90, 80), "outside"),
    ],
)
def test_a_face_that_is_none_is_left_alone_and_said_to_be(face, reason):
    model, pixels = model_of(), waves(160, 128)
    context = context_of(model, face)
    np.testing.assert_array_equal(restored(pixels, context, with_face=True).pixels, pixels)
    assert model.partners["face_generator"].seen == []
    assert context.report.faces[0]["restored"] is False
    assert reason in context.report.faces[0]["reason"]
    assert context.report.face_restoration_applied is False
    assert any("none of 1 faces was restored" in warning for warning in context.report.warnings)


def test_without_faces_asked_for_none_are_looked_for():
    context = context_of(model_of(), face_at(60, 64, 80))
    np.testing.assert_array_equal(
        restored(waves(160, 128), context, with_face=False).pixels, waves(160, 128)
    )
    assert context.detector.asked == []
    assert (context.report.faces, context.report.face_detector) == ([], "")


def test_a_photo_without_faces_is_restored_as_a_whole_with_a_warning():
    context = context_of(model_of())
    np.testing.assert_array_equal(
        restored(waves(160, 128), context, with_face=True).pixels, waves(160, 128)
    )
    assert context.report.warnings == ["no face was found"]
    assert context.report.face_restoration_applied is False


@pytest.mark.parametrize(
    ("place", "side_px"),
    [((200, 150), 90.0), ((20, 30), 130.0), ((390, 280), 300.0), ((210.3, 149.6), 30.5)],
)
def test_a_face_is_aligned_from_its_own_region_as_from_the_whole_photo(place, side_px):
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    turned = (face_at(0, 0, side_px).landmarks @ np.array([[0.9, 0.4], [-0.4, 0.9]])) + place
    matrix = face_to_photo(turned, 256)
    whole = transform.AffineTransform(np.vstack([matrix, (0.0, 0.0, 1.0)]))
    expected = transform.warp(pixels, whole, output_shape=(256, 256), order=1, preserve_range=True)
    np.testing.assert_allclose(cut_face(pixels, matrix, 256), expected, atol=1e-8)


def test_the_corners_of_the_eyes_decide_where_the_outline_is_known():
    outline = np.stack([np.arange(68.0), np.arange(68.0) ** 2 / 8], axis=1)
    corners = five_landmarks(Face((0.0, 0.0, 9.0, 9.0), 0.9, TEMPLATE, outline))
    expected = [
        (37, (36**2 + 39**2) / 16),
        (43, (42**2 + 45**2) / 16),
        (30, 30**2 / 8),
        (48, 48**2 / 8),
        (54, 54**2 / 8),
    ]
    np.testing.assert_array_equal(corners, np.floor(expected))
    np.testing.assert_array_equal(
        five_landmarks(Face((0.0, 0.0, 9.0, 9.0), 0.9, TEMPLATE)), TEMPLATE
    )


@pytest.mark.parametrize("role", ["net", *ROLES])
def test_numbers_that_are_none_are_an_error_about_the_photo(role):
    model = model_of("scratch")
    (model.net if role == "net" else model.partners[role]).broken = True
    with pytest.raises(RestoreError, match=r"photo 'grandma\.png': .* NaN") as caught:
        restored(
            scratched(160, 128),
            context_of(model, face_at(60, 64, 80)),
            with_face=True,
            with_scratch=True,
        )
    assert caught.value.code is Code.BAD_NUMBERS


@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0])
def test_strength_blends_with_the_photo(strength):
    pixels = waves(64, 48)
    result = restored(pixels, context_of(model_of(net=Mapping(0.2))), strength=strength).pixels
    np.testing.assert_allclose(result, pixels + strength * 51.0, atol=0.0 if strength == 0 else 1.0)


@pytest.mark.parametrize("mode", MODES)
def test_a_large_photo_is_worked_on_reduced_with_a_warning(mode):
    longest = MAX_SCRATCHED_LONG_SIDE_PX if "with_scratch" in MODES[mode] else MAX_LONG_SIDE_PX
    model = model_of(mode)
    context = context_of(model)
    result = restored(waves(4000, 100), context, **MODES[mode])
    assert (result.width, result.height) == (4000, 100)
    assert model.partners["vae_a"].seen[0].shape[-1] == longest
    [warning] = context.report.warnings
    assert "4000x100" in warning
    assert str(longest) in warning


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "size", [(8, 8), (31, 9), (9, 31), (2000, 16), (16, 2000), (5000, 8), (8, 5000)]
)
def test_no_shape_of_a_photo_is_too_much_or_too_little(mode, size):
    model = model_of(mode)
    result = restored(waves(*size), context_of(model), return_mask=mode != "quality", **MODES[mode])
    assert (result.width, result.height) == size
    for seen in model.partners["scratch_detector"].seen:
        assert max(seen.shape) <= MAX_SCRATCHED_LONG_SIDE_PX
    assert max(model.partners["vae_a"].seen[0].shape) <= MAX_LONG_SIDE_PX


def test_official_quirks_stretch_the_contrast_and_leave_the_rounded_size():
    pixels, alpha = waves(91, 67, low=100, high=150), np.full((67, 91), 9, np.uint8)
    official = restored(
        pixels, context_of(model_of(), quirks=True), alpha=alpha, strength=0.999
    ).pixels
    assert official.shape == (68, 92, 3)
    assert (official.min(), official.max()) == (0, 255)
    ours = restored(pixels, context_of(model_of()), alpha=alpha).pixels
    assert 90 < ours.min() < ours.max() < 160


@pytest.mark.parametrize(
    ("mode", "mapping"),
    [
        ("quality", OldPhotoMapping),
        ("scratch", OldPhotoScratchMapping),
        ("scratch_hr", OldPhotoPatchMapping),
    ],
)
def test_the_real_architectures_fit_together_and_the_same_photo_gives_the_same_result(
    mode, mapping
):
    torch.manual_seed(0)
    model = model_of(mode, mapping().eval())
    model.partners.update(vae_a=OldPhotoVae().eval(), vae_b=OldPhotoVae().eval())
    results = [
        restored(scratched(75, 67), context_of(model), **MODES[mode]).pixels for _ in range(2)
    ]
    assert results[0].shape == (67, 75, 3)
    assert np.ptp(results[0]) > 0
    np.testing.assert_array_equal(*results)


def test_two_requests_give_the_same_faces_and_masks():
    results = []
    for _ in range(2):
        context = context_of(model_of("scratch"), face_at(60, 64, 80))
        photo = restored(
            scratched(160, 128), context, with_face=True, with_scratch=True, return_mask=True
        )
        results.append((photo.pixels, context.found_masks[0].pixels))
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)
