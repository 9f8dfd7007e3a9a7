"""Warnings about what was filled into holes, and the alpha of the fill."""

from collections.abc import Mapping

import numpy as np
import pytest
from inpaintfakes import (
    LITE_ROW,
    ROW,
    ConstantFill,
    LiteConstantFill,
    MeanFill,
    context_of,
    mask_of,
)
from torch import nn

from restore import Restorer
from restore.imaging.photo import Photo
from restore.models.catalog import Checkpoint
from restore.options import InpaintOptions
from restore.pipelines.inpaint import alpha_of_fill, run_inpaint
from restore.pipelines.inpaint_checks import MAX_EXCESS, fill_excesses, hole_width_px

HOLE = mask_of(40, 60, (10, 20, 12, 15))
RNG = np.random.default_rng(1)
MID_TONES = RNG.integers(90, 160, (40, 60, 3), np.uint8)


def warnings_of(
    pixels: np.ndarray, net: nn.Module, strength: float = 1.0, alpha: np.ndarray | None = None
) -> list[str]:
    context = context_of(net, HOLE)
    run_inpaint(Photo("a", pixels, alpha), InpaintOptions(strength=strength), context)
    return context.report.warnings


@pytest.mark.parametrize("rgb", [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.5, 0.5, 1.0)])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "grey"])
def test_absurd_fill_gives_a_warning(rgb: tuple[float, float, float], kind: str) -> None:
    pixels: Mapping[str, np.ndarray] = {
        "uint8": MID_TONES,
        "uint16": MID_TONES.astype(np.uint16) * np.uint16(257),
        "grey": MID_TONES[..., 0],
    }
    warnings = warnings_of(pixels[kind], ConstantFill(*rgb))
    is_absurd = kind != "grey" or rgb[0] != 0.5  # half grey with some blue is not in a grey photo
    assert any("may be wrong" in text for text in warnings) == is_absurd


def test_sensible_fill_gives_no_warning() -> None:
    assert warnings_of(MID_TONES, MeanFill(0, 0, 0)) == []
    dark = MID_TONES // 20
    assert warnings_of(dark, ConstantFill(0.0, 0.0, 0.0)) == []


def test_fill_is_compared_with_the_surroundings_of_its_own_hole() -> None:
    pixels = np.zeros((60, 200, 3), np.uint8)
    pixels[:, 100:] = 250
    holes = mask_of(60, 200, (20, 20, 12, 12), (20, 160, 12, 12), (5, 50, 3, 3))
    pixels[20:32, 20:32], pixels[20:32, 160:172] = 250, 0
    assert list(fill_excesses(pixels, holes)) == pytest.approx([250 / 255, 250 / 255])
    pixels[20:32, 20:32], pixels[20:32, 160:172] = 0, 250
    assert list(fill_excesses(pixels, holes)) == [0.0, 0.0]


def test_fill_is_not_compared_with_that_of_another_hole() -> None:
    pixels = np.full((60, 80, 3), 50, np.uint8)
    holes = mask_of(60, 80, (20, 20, 12, 12), (20, 34, 12, 12))
    pixels[holes] = 250
    assert list(fill_excesses(pixels, holes)) == pytest.approx([200 / 255, 200 / 255])


def test_unchanged_photo_gives_a_warning() -> None:
    white = np.full((40, 60, 3), 255, np.uint8)
    [warning] = warnings_of(white, ConstantFill(1.0, 1.0, 1.0))
    assert "the photo has not changed" in warning
    assert warnings_of(white, ConstantFill(1.0, 1.0, 1.0), strength=0.0) == []


def test_erased_hole_becomes_opaque() -> None:
    alpha = np.where(HOLE, 0, 255).astype(np.uint8)
    result = alpha_of_fill(alpha, HOLE)
    assert result is not None
    assert (result == 255).all()
    assert warnings_of(MID_TONES, MeanFill(0, 0, 0), alpha=alpha) == []


def test_cut_out_keeps_its_outline_and_hidden_fills_are_reported() -> None:
    alpha = np.where(np.indices(HOLE.shape)[1] < 30, 0, 255).astype(np.uint8)
    assert alpha_of_fill(alpha, HOLE) is alpha
    [warning] = warnings_of(MID_TONES, MeanFill(0, 0, 0), alpha=alpha)
    assert "the fill cannot be seen" in warning
    uniform = np.full(HOLE.shape, 128, np.uint8)
    assert alpha_of_fill(uniform, HOLE) is uniform
    assert alpha_of_fill(None, HOLE) is None


def test_lite_network_fills_a_photo_sensibly(lite: Restorer) -> None:
    y, x = np.mgrid[0:160, 0:200]
    waves = [110 + 50 * np.sin(x / (11 + c) + y / (17 - c)) for c in range(3)]
    pixels = np.stack(waves, axis=-1).astype(np.uint8)
    mask = mask_of(160, 200, (30, 40, 60, 50), (100, 150, 20, 30))
    result = lite.run(
        "inpaint", [Photo("a", pixels)], masks=[Photo("m", mask.astype(np.uint8) * 255)]
    )
    assert max(fill_excesses(result.photos[0].pixels, mask)) < MAX_EXCESS / 4
    assert not any("may be wrong" in text for text in result.reports[0].warnings)


@pytest.mark.parametrize("alpha_mode", ["none", "opaque", "cut-out", "soft", "erased"])
@pytest.mark.parametrize("colours", ["grey", "equal channels", "RGB"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_nothing_outside_of_the_hole_changes_from_request_to_result(
    lite: Restorer, dtype: type[np.unsignedinteger], colours: str, alpha_mode: str
) -> None:
    full = np.iinfo(dtype).max
    pixels = RNG.integers(0, full, (40, 60, 3), dtype, endpoint=True)
    if colours != "RGB":
        pixels = np.repeat(pixels[..., :1], 3, axis=2) if "equal" in colours else pixels[..., 0]
    columns = np.indices(HOLE.shape)[1]
    alphas = {
        "none": None,
        "opaque": np.full(HOLE.shape, full, dtype),
        "cut-out": np.where(columns < 25, 0, full).astype(dtype),
        "soft": (columns * (full // 59)).astype(dtype),
        "erased": np.where(HOLE, 0, full).astype(dtype),
    }
    photo = Photo("a", pixels, alphas[alpha_mode])
    mask = Photo("m", HOLE.astype(np.uint8) * 255)
    masks = None if alpha_mode == "erased" else [mask]
    result = lite.run("inpaint", [photo], masks=masks).photos[0]
    assert result.pixels.dtype == dtype
    assert result.pixels.shape == pixels.shape
    np.testing.assert_array_equal(result.pixels[~HOLE], pixels[~HOLE])
    assert (result.pixels[HOLE] != pixels[HOLE]).mean() > 0.8
    if photo.alpha is None:
        assert result.alpha is None
    else:
        assert result.alpha is not None
        expected = np.full_like(photo.alpha, full) if alpha_mode == "erased" else photo.alpha
        np.testing.assert_array_equal(result.alpha, expected)


@pytest.mark.parametrize(
    ("row", "net", "height", "is_smeared"),
    [
        (LITE_ROW, LiteConstantFill(0.5, 0.5, 0.5), 126, False),
        (LITE_ROW, LiteConstantFill(0.5, 0.5, 0.5), 132, True),
        (ROW, ConstantFill(0.5, 0.5, 0.5), 132, False),
    ],
)
def test_hole_that_is_too_wide_for_the_network_gives_a_warning(
    row: Checkpoint, net: nn.Module, height: int, is_smeared: bool
) -> None:
    context = context_of(net, mask_of(180, 240, (20, 20, height, 200)), row)
    pixels = RNG.integers(90, 160, (180, 240, 3), np.uint8)
    run_inpaint(Photo("a", pixels), InpaintOptions(), context)
    expected = [f"about {height} px wide"] if is_smeared else []
    found = [text for text in context.report.warnings if "smear" in text]
    assert len(found) == len(expected)
    assert all(part in text for part, text in zip(expected, found, strict=True))


def test_width_of_a_hole_is_that_of_its_widest_place() -> None:
    assert hole_width_px(mask_of(60, 90, (10, 10, 6, 60), (30, 20, 20, 40))) == 20
