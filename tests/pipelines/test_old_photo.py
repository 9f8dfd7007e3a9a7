"""The task old_photo_restore with fake official networks: sizes, scratches and results."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from oldphotofakes import (
    MODES,
    PARTNER_ROLES,
    BrighteningMapping,
    context_of,
    face_at,
    fake,
    model_of,
    restore_old_photo,
    scratched,
    waves,
)
from torch import Tensor

from restore import RestoreError, Restorer
from restore.errors import Code
from restore.imaging.photo import Photo
from restore.models.loader import Model
from restore.nets.old_photo.mapping import (
    OldPhotoMapping,
    OldPhotoPatchMapping,
    OldPhotoScratchMapping,
)
from restore.nets.old_photo.vae import OldPhotoVae
from restore.pipelines.official import OfficialRules
from restore.pipelines.old_photo import (
    MAX_LONG_SIDE_PX,
    MAX_SCRATCHED_LONG_SIDE_PX,
    NOTHING_LEFT_WARNING,
)
from restore.pipelines.rules import PixelRules


def holes_of(model: Model) -> np.ndarray:
    """Return the HxW holes that the mapping got."""
    holes: Tensor = fake(model, "net").holes[0]
    return holes[0, 0].numpy()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["colour", "grey", "16 bits", "16 bits grey", "alpha"])
def test_result_has_the_size_depth_and_channels_of_the_photo(mode: str, kind: str) -> None:
    pixels = waves(91, 67)
    pixels = pixels[..., 0].copy() if "grey" in kind else pixels
    pixels = pixels.astype(np.uint16) * 257 if "16 bits" in kind else pixels
    alpha = np.arange(67 * 91, dtype=np.uint8).reshape(67, 91) if kind == "alpha" else None
    before = pixels.copy()
    context = context_of(model_of(mode))
    result = restore_old_photo(pixels, context, alpha=alpha, **MODES[mode])
    assert (result.pixels.shape, result.pixels.dtype) == (pixels.shape, pixels.dtype)
    # The photo was resized twice, and not changed otherwise.
    difference = np.abs(result.pixels.astype(int) - pixels)[4:-4, 4:-4]
    assert difference.max() <= 10 * (257 if "16 bits" in kind else 1)
    assert (result.alpha is None) == (alpha is None)
    if alpha is not None:
        np.testing.assert_array_equal(result.alpha, alpha)
    np.testing.assert_array_equal(pixels, before)
    assert context.report.warnings == []


@pytest.mark.parametrize("unit", [np.uint8(1), np.uint16(257)])
@pytest.mark.parametrize("shape", [(64, 96, 3), (64, 96)])
def test_photo_of_suitable_size_is_not_resized(unit: Any, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8) * unit
    result = restore_old_photo(pixels, context_of(model_of())).pixels
    np.testing.assert_array_equal(result, pixels)


@pytest.mark.parametrize(("threshold", "found"), [(0.4, True), (0.7, True), (0.85, False)])
def test_scratches_above_the_threshold_are_painted_white_and_passed_as_holes(
    threshold: float, found: bool
) -> None:
    model, pixels = model_of("scratch"), scratched(96, 64)
    context = context_of(model)
    restore_old_photo(pixels, context, with_scratch=True, scratch_threshold=threshold)
    holes = holes_of(model)
    assert set(np.unique(holes)) <= {0.0, 1.0}
    assert (holes[:, 41:43] == float(found)).all()
    assert not holes[:, :38].any()
    assert not holes[:, 46:].any()
    encoded = fake(model, "vae_a").inputs[0][0].numpy()
    assert (encoded[:, holes > 0] == 1.0).all()
    visible = np.rint((encoded + 1.0) * 127.5).transpose(1, 2, 0)[holes == 0]
    np.testing.assert_array_equal(visible, pixels[holes == 0])
    share = context.report.scratched_share
    assert share == pytest.approx(holes.mean(), abs=1e-5)
    assert share is not None
    assert (share > 0.03) is found


def test_scratch_network_gets_grey_at_a_short_side_of_256() -> None:
    model = model_of("scratch")
    restore_old_photo(scratched(96, 64), context_of(model), with_scratch=True)
    [grey] = fake(model, "scratch_detector").inputs
    assert grey.shape == (1, 1, 256, 384)
    assert grey.max() == pytest.approx(200 / 127.5 - 1, abs=0.01)


def test_without_with_scratch_none_are_detected() -> None:
    model = model_of()
    context = context_of(model)
    restore_old_photo(scratched(96, 64), context)
    assert fake(model, "scratch_detector").inputs == []
    assert not holes_of(model).any()
    assert context.report.scratched_share is None


def test_high_resolution_dilates_the_holes_but_not_the_reported_mask() -> None:
    plain, high = model_of("scratch"), model_of("scratch_hr")
    contexts = [context_of(plain), context_of(high)]
    for context, mode in zip(contexts, ("scratch", "scratch_hr"), strict=True):
        restore_old_photo(scratched(96, 64), context, return_mask=True, **MODES[mode])
    dilated = cv2.dilate(holes_of(plain), np.ones((7, 7), np.uint8))
    np.testing.assert_array_equal(holes_of(high), dilated)
    assert contexts[0].report.scratched_share == contexts[1].report.scratched_share
    first, second = (context.found_masks[0].pixels for context in contexts)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("mode", "rules", "size"),
    [
        ("quality", PixelRules(), (112, 76)),
        ("scratch", PixelRules(), (112, 80)),
        ("scratch_hr", PixelRules(), (96, 64)),
        ("scratch_hr", OfficialRules(), (112, 80)),
    ],
)
def test_each_mode_has_its_size_multiple(
    mode: str, rules: PixelRules, size: tuple[int, int]
) -> None:
    model = model_of(mode)
    restore_old_photo(waves(110, 75), context_of(model, rules=rules), **MODES[mode])
    assert tuple(fake(model, "vae_a").inputs[0].shape[:-3:-1]) == size


@pytest.mark.parametrize("mode", ["scratch", "scratch_hr"])
@pytest.mark.parametrize("period", [1, 3])
def test_scratches_over_more_than_a_quarter_of_the_photo_are_not_filled(
    mode: str, period: int
) -> None:
    """As the dots of a print are detected."""
    pixels = waves(64, 48)
    pixels[:, ::period] = 250
    model = model_of(mode)
    context = context_of(model)
    result = restore_old_photo(pixels, context, **MODES[mode])
    [warning] = context.report.warnings
    share = context.report.scratched_share
    assert share is not None
    assert share > 0.25
    assert f"{100 * share:.0f}%" in warning
    assert context.report.status == "reduced"
    assert not holes_of(model).any()
    if mode == "scratch":  # old_photo_hr resizes the photo
        np.testing.assert_array_equal(result.pixels, pixels)


def test_scratches_over_less_than_a_quarter_of_the_photo_are_filled() -> None:
    pixels = waves(96, 64)
    pixels[:, 24:40] = 250
    model = model_of("scratch")
    context = context_of(model)
    restore_old_photo(pixels, context, **MODES["scratch"])
    assert 0.16 < holes_of(model).mean() < 0.25
    assert (context.report.status, context.report.warnings) == ("done", [])


@pytest.mark.parametrize("mode", ["scratch", "scratch_hr"])
def test_official_rules_fill_as_much_as_was_detected(mode: str) -> None:
    pixels = waves(64, 64)
    pixels[:, :40] = 250
    model = model_of(mode)
    context = context_of(model, rules=OfficialRules())
    restore_old_photo(pixels, context, **MODES[mode])
    assert holes_of(model).mean() > 0.6
    assert (context.report.status, context.report.warnings) == ("done", [])


@pytest.mark.parametrize("mode", ["scratch", "scratch_hr"])
@pytest.mark.parametrize("free", [False, True])
def test_official_rules_need_a_feature_without_scratches(mode: str, free: bool) -> None:
    """Half of the photo is visible, but no feature of it is free of scratches."""
    pixels = waves(64, 64, low=5, high=10)
    for first in (1, 2):
        pixels[:, first : 32 if free else None : 4] = 250
    model = model_of(mode)
    context = context_of(model, rules=OfficialRules())
    restore_old_photo(pixels, context, **MODES[mode])
    assert (NOTHING_LEFT_WARNING in context.report.warnings) is not free
    assert (context.report.status == "reduced") is not free
    assert holes_of(model).any() == free


def test_scratches_without_a_visible_patch_are_not_filled() -> None:
    class NoVisiblePatch(BrighteningMapping):
        def forward(self, features: Tensor, holes: Tensor) -> Tensor:
            if holes.any():
                raise ValueError("every patch of 8 x 8 features is masked")
            return super().forward(features, holes)

    context = context_of(model_of("scratch_hr", NoVisiblePatch()))
    restore_old_photo(scratched(96, 64), context, **MODES["scratch_hr"])
    assert NOTHING_LEFT_WARNING in context.report.warnings
    assert context.report.status == "reduced"


def test_masks_are_saved_after_the_photos_at_their_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restorer = Restorer(weights="lite", weights_dir=tmp_path / "weights", device="cpu")
    requested = []

    def get(task: str, variant: str) -> tuple[Model, tuple[str, ...]]:
        requested.append((task, variant))
        return model_of(variant), ()

    monkeypatch.setattr(restorer.cache, "get", get)
    monkeypatch.setattr(restorer.detectors, "get", None)  # not needed without faces
    photos = [Photo("a b.jpg", scratched(91, 67)), Photo("c.png", waves(50, 60))]
    options: dict[str, Any] = {"with_scratch": True, "with_face": False, "output_format": "png"}
    results = restorer.run("old_photo_restore", photos, return_mask=True, **options)
    assert requested == [("old_photo_restore", "scratch")]
    sizes = [(mask.width, mask.height) for _, mask in sorted(results.masks.items())]
    assert sizes == [(91, 67), (50, 60)]
    paths = results.save(tmp_path / "out")
    names = [path.name for path in paths]
    assert names == ["1-a_b.png", "2-c.png", "1-a_b-mask.png", "2-c-mask.png"]
    mask, empty_mask = (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in paths[2:])
    assert mask is not None
    assert empty_mask is not None
    assert mask.shape == (67, 91)
    assert (mask[:, 41:43] == 255).all()
    assert not mask[:, :37].any()
    assert not mask[:, 47:].any()
    assert not empty_mask.any()
    shares = [report.to_dict()["scratched_share"] for report in results.reports]
    assert shares == [pytest.approx((mask > 0).mean(), abs=0.01), 0.0]
    assert restorer.run("old_photo_restore", photos, **options).masks == {}


@pytest.mark.parametrize("role", ["net", *PARTNER_ROLES])
def test_nan_of_any_network_is_an_error_that_names_the_photo(role: str) -> None:
    model = model_of("scratch")
    fake(model, role).fails = True
    context = context_of(model, face_at(60, 64, 80))
    with pytest.raises(RestoreError, match=r"photo 'grandma\.png': .* NaN") as caught:
        restore_old_photo(scratched(160, 128), context, with_face=True, with_scratch=True)
    assert caught.value.code is Code.BAD_NUMBERS


@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0])
def test_strength_blends_with_the_original(strength: float) -> None:
    pixels = waves(64, 48)
    context = context_of(model_of(net=BrighteningMapping(0.2)))
    result = restore_old_photo(pixels, context, strength=strength).pixels
    tolerance = 0.0 if strength == 0 else 1.0
    np.testing.assert_allclose(result, pixels + strength * 51.0, atol=tolerance)


@pytest.mark.parametrize("mode", MODES)
def test_large_photo_is_reduced_with_a_warning(mode: str) -> None:
    max_px = MAX_LONG_SIDE_PX if mode == "quality" else MAX_SCRATCHED_LONG_SIDE_PX
    model = model_of(mode)
    context = context_of(model)
    result = restore_old_photo(waves(4000, 100), context, **MODES[mode])
    assert (result.width, result.height) == (4000, 100)
    assert fake(model, "vae_a").inputs[0].shape[-1] == max_px
    [warning] = context.report.warnings
    assert "4000x100" in warning
    assert str(max_px) in warning


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "size", [(8, 8), (31, 9), (9, 31), (2000, 16), (16, 2000), (5000, 8), (8, 5000)]
)
def test_extreme_sizes_are_accepted(mode: str, size: tuple[int, int]) -> None:
    model = model_of(mode)
    returns_mask = mode != "quality"
    result = restore_old_photo(
        waves(*size), context_of(model), return_mask=returns_mask, **MODES[mode]
    )
    assert (result.width, result.height) == size
    for grey in fake(model, "scratch_detector").inputs:
        assert max(grey.shape) <= MAX_SCRATCHED_LONG_SIDE_PX
    assert max(fake(model, "vae_a").inputs[0].shape) <= MAX_LONG_SIDE_PX


def test_official_rules_stretch_the_contrast_and_keep_the_rounded_size() -> None:
    pixels, alpha = waves(91, 67, low=100, high=150), np.full((67, 91), 9, np.uint8)
    context = context_of(model_of(), rules=OfficialRules())
    official = restore_old_photo(pixels, context, alpha=alpha, strength=0.999).pixels
    assert official.shape == (68, 92, 3)
    assert (official.min(), official.max()) == (0, 255)
    product = restore_old_photo(pixels, context_of(model_of()), alpha=alpha).pixels
    assert 90 < product.min() < product.max() < 160


@pytest.mark.parametrize(
    ("mode", "mapping"),
    [
        ("quality", OldPhotoMapping),
        ("scratch", OldPhotoScratchMapping),
        ("scratch_hr", OldPhotoPatchMapping),
    ],
)
def test_real_architectures_fit_together_and_are_deterministic(
    mode: str, mapping: type[torch.nn.Module]
) -> None:
    torch.manual_seed(0)
    model = model_of(mode, mapping().eval())
    partners = {**model.partners, "vae_a": OldPhotoVae().eval(), "vae_b": OldPhotoVae().eval()}
    model = Model(model.row, model.variant, model.net, partners)
    first, second = (
        restore_old_photo(scratched(75, 67), context_of(model), **MODES[mode]).pixels
        for _ in range(2)
    )
    assert first.shape == (67, 75, 3)
    assert np.ptp(first) > 0
    np.testing.assert_array_equal(first, second)


def test_repeated_requests_give_the_same_photo_and_mask() -> None:
    results = []
    for _ in range(2):
        context = context_of(model_of("scratch"), face_at(60, 64, 80))
        photo = restore_old_photo(
            scratched(160, 128), context, with_face=True, with_scratch=True, return_mask=True
        )
        results.append((photo.pixels, context.found_masks[0].pixels))
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)
