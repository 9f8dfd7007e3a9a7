"""The task inpaint, with fake networks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inpaintfakes import (
    LITE_ROW,
    ROW,
    ConstantFill,
    LiteConstantFill,
    MeanFill,
    context_of,
    mask_of,
    random_pixels,
    run_on,
)
from torch import Tensor, nn

from restore.errors import Code, RestoreError
from restore.imaging.photo import Photo
from restore.models.catalog import Checkpoint
from restore.options import InpaintOptions
from restore.pipelines import inpaint
from restore.pipelines.inpaint import check_inpaint, run_inpaint
from restore.pipelines.official import OfficialRules
from restore.pipelines.rules import PixelRules

BOX = mask_of(20, 30, (5, 6, 7, 8))


@pytest.mark.parametrize(
    ("net", "row", "multiple"),
    [(ConstantFill(1.0, 0.0, 0.5), ROW, 8), (LiteConstantFill(1.0, 0.0, 0.5), LITE_ROW, 16)],
)
def test_network_gets_photo_and_mask_padded_to_its_multiple(
    net: ConstantFill, row: Checkpoint, multiple: int
) -> None:
    pixels = random_pixels(20, 30, 3)
    result = run_inpaint(Photo("a", pixels), InpaintOptions(), context_of(net, BOX, row)).pixels
    assert (result[BOX] == (255, 0, 128)).all()
    np.testing.assert_array_equal(result[~BOX], pixels[~BOX])
    [(image, mask)] = net.inputs
    height, width = -(-20 // multiple) * multiple, -(-30 // multiple) * multiple
    assert image.shape == (1, 3, height, width)
    assert mask.shape == (1, 1, height, width)
    assert image.dtype == mask.dtype == torch.float32
    padding = ((0, height - 20), (0, width - 30))
    expected_mask = np.pad(BOX, padding, "symmetric")
    expected = np.pad(pixels / 255, (*padding, (0, 0)), "symmetric").transpose(2, 0, 1)
    if row is LITE_ROW:  # LaMa's program blacks out the hole itself
        expected = expected * ~expected_mask
    np.testing.assert_allclose(image[0].numpy(), expected, atol=1e-6)
    np.testing.assert_array_equal(mask[0, 0].numpy(), expected_mask)


def test_sides_shorter_than_their_padding_are_mirrored_repeatedly() -> None:
    net, mask = ConstantFill(1.0, 1.0, 1.0), np.zeros((8, 3), np.bool_)
    mask[2, 1] = True
    pixels = random_pixels(8, 3, 3)
    assert run_on(pixels, net, mask).shape == (8, 3, 3)
    assert net.inputs[0][0].shape == (1, 3, 16, 16)


def random_alpha(
    kind: str, mask: np.ndarray, full: int, rng: np.random.Generator
) -> np.ndarray | None:
    dtype = np.uint8 if full == 255 else np.uint16
    alphas: dict[str, np.ndarray | None] = {
        "none": None,
        "opaque": np.full(mask.shape, full, dtype),
        "random": rng.integers(0, full, mask.shape, dtype, endpoint=True),
        "binary": np.where(rng.random(mask.shape) < 0.5, 0, full).astype(dtype),
        "erased": np.where(mask, 0, full).astype(dtype),
    }
    return alphas[kind]


@settings(max_examples=80)
@given(st.data())
def test_pixels_outside_of_the_mask_never_change(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 24)), data.draw(st.integers(2, 24))
    dtype = np.dtype(data.draw(st.sampled_from(["uint8", "uint16"])))
    channels: tuple[int, ...] = data.draw(st.sampled_from([(), (3,)]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    full = 255 if dtype == np.uint8 else 65535
    pixels = rng.integers(0, full, (height, width, *channels), dtype, endpoint=True)
    mask = rng.random((height, width)) < data.draw(st.sampled_from([0.02, 0.5, 0.98]))
    mask[0, :2] = False, True
    kind = data.draw(st.sampled_from(["none", "opaque", "random", "binary", "erased"]))
    alpha = random_alpha(kind, mask, full, rng)
    before = pixels.copy(), None if alpha is None else alpha.copy()
    result = run_inpaint(
        Photo("a", pixels, alpha, icc=b"profile"),
        InpaintOptions(strength=data.draw(st.sampled_from([0.0, 0.3, 1.0]))),
        context_of(ConstantFill(0.2, 0.9, 0.4), mask),
    )
    np.testing.assert_array_equal(pixels, before[0])
    np.testing.assert_array_equal(result.pixels[~mask], pixels[~mask])
    assert result.pixels.dtype == dtype
    assert result.icc == b"profile"
    if alpha is None or result.alpha is None:
        assert result.alpha is alpha
        return
    np.testing.assert_array_equal(alpha, before[1])
    np.testing.assert_array_equal(result.alpha[~mask], alpha[~mask])
    assert result.alpha.dtype == dtype
    assert (result.alpha == full).all() or kind != "erased"


def test_filled_area_is_what_the_harm_check_does_not_look_at() -> None:
    context = context_of(ConstantFill(1.0, 0.0, 0.5), BOX)
    run_inpaint(Photo("a", random_pixels(20, 30, 3)), InpaintOptions(), context)
    [area] = context.changed_areas
    np.testing.assert_array_equal(area, BOX)


def test_16_bit_photo_is_filled_with_16_bits() -> None:
    net = ConstantFill(0.3001, 0.60001, 2.0)
    result = run_on(random_pixels(20, 30, 3, dtype=np.uint16), net, BOX)
    assert (result[BOX] == (round(0.3001 * 65535), round(0.60001 * 65535), 65535)).all()


def test_grey_photo_becomes_rgb_and_gets_the_luminance_of_the_fill() -> None:
    pixels, net = random_pixels(20, 30), ConstantFill(1.0, 0.0, 0.5)
    result = run_on(pixels, net, BOX)
    assert result.shape == pixels.shape
    assert (result[BOX] == round((0.299 + 0.114 * 0.5) * 255)).all()
    image, _ = net.inputs[0]
    assert torch.equal(image[:, 0], image[:, 1])
    assert torch.equal(image[:, 0], image[:, 2])


def test_strength_blends_within_the_hole() -> None:
    pixels = random_pixels(20, 30, 3)
    none, third, full = (
        run_on(pixels, ConstantFill(0.5, 0.5, 0.5), BOX, strength) for strength in (0, 0.3, 1)
    )
    np.testing.assert_array_equal(none, pixels)
    assert (full[BOX] == 128).all()
    np.testing.assert_array_equal(third[BOX], np.rint(0.3 * 127.5 + 0.7 * pixels[BOX]))


@pytest.mark.parametrize(
    ("rules", "levels"), [(PixelRules(), (255, 128, 0)), (OfficialRules(), (254, 127, 0))]
)
def test_levels_are_rounded_and_officially_truncated(
    rules: PixelRules, levels: tuple[int, int, int]
) -> None:
    photo, net = Photo("a", random_pixels(20, 30, 3)), ConstantFill(0.999, 0.5, -3.0)
    result = run_inpaint(photo, InpaintOptions(), context_of(net, BOX, rules=rules))
    assert (result.pixels[BOX] == levels).all()


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (None, "no mask.*Send masks .*points"),
        (np.ones((20, 30), np.bool_), "covers all"),
        (np.zeros((20, 30), np.bool_), "is empty, so there is nothing to fill"),
        (np.eye(30, 20, dtype=np.bool_), "20x30.*30x20"),
    ],
)
def test_unusable_masks_are_refused(mask: np.ndarray | None, message: str) -> None:
    net, photo = ConstantFill(1.0, 1.0, 1.0), Photo("a.png", random_pixels(20, 30, 3))
    with pytest.raises(RestoreError, match=message) as caught:
        run_inpaint(photo, InpaintOptions(), context_of(net, mask))
    assert caught.value.code is Code.MASK
    assert net.inputs == []
    if mask is None or mask.all() or not mask.any():
        with pytest.raises(RestoreError, match=rf"'a\.png'.*{message}"):
            check_inpaint(photo, InpaintOptions(), "png", context_of(net, mask))


def test_result_that_the_format_cannot_hold_is_refused() -> None:
    photo, mask = Photo("a.png", np.zeros((8, 17000), np.uint8)), np.eye(8, 17000, dtype=np.bool_)
    with pytest.raises(RestoreError) as caught:
        check_inpaint(photo, InpaintOptions(), "webp", context_of(ConstantFill(0, 0, 0), mask))
    assert caught.value.code is Code.OUTPUT_TOO_LARGE


@pytest.mark.parametrize("rgb", [(float("nan"), 0.0, 0.0), (0.0, float("inf"), 0.0)])
def test_nan_and_infinity_are_refused(rgb: tuple[float, float, float]) -> None:
    with pytest.raises(RestoreError, match="NaN or infinity") as caught:
        run_on(random_pixels(20, 30, 3), ConstantFill(*rgb), BOX)
    assert caught.value.code is Code.BAD_NUMBERS


def test_too_large_window_is_reduced_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inpaint, "MAX_WINDOW_PX", 512)
    mask, net = mask_of(1300, 1400, (400, 450, 450, 500)), MeanFill(0, 0, 0)
    pixels = np.full((1300, 1400, 3), 90, np.uint8)
    pixels[mask] = 255
    context = context_of(net, mask)
    result = run_inpaint(Photo("a", pixels), InpaintOptions(), context).pixels
    # The white of the hole was not mixed into visible pixels.
    assert (result == 90).all()
    [(image, hole)] = net.inputs
    assert max(image.shape[2:]) == 512
    assert float(image[~hole.bool().expand_as(image)].max()) < 0.36
    warning = "a window of 1400x1300 pixels: it was filled at 512x475"
    assert any(warning in text for text in context.report.warnings)


def test_window_is_reduced_if_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inpaint, "free_memory_bytes", lambda device: 1000 * 400 * 400 / 0.8)
    net, mask = ConstantFill(0.5, 0.5, 0.5), mask_of(600, 800, (100, 100, 50, 50))
    context = context_of(net, mask, ROW.model_copy(update={"working_bytes_per_px": 1000}))
    pixels = random_pixels(600, 800, 3)
    result = run_inpaint(Photo("a", pixels), InpaintOptions(), context).pixels
    assert (result[mask] == 128).all()
    height, width = net.inputs[0][0].shape[2:]
    assert height * width <= 400 * 400
    assert any("800x600 pixels" in text for text in context.report.warnings)


def test_out_of_memory_becomes_an_error_with_the_name_of_the_photo() -> None:
    class OutOfMemory(nn.Module):
        def forward(self, image: Tensor, mask: Tensor) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory")

    context, photo = context_of(OutOfMemory(), BOX), Photo("a.png", random_pixels(20, 30, 3))
    with (
        pytest.raises(RestoreError, match=r"'a\.png'.*memory ran out") as caught,
        context.name_photo_in_errors(),
    ):
        run_inpaint(photo, InpaintOptions(), context)
    assert caught.value.code is Code.OUT_OF_MEMORY
