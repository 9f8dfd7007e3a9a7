"""Scratch detection with the embedded network: prints, thin structures, wide and dark damage."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from facefakes import ASTRONAUT
from oldphotofakes import WhiteIsScratched
from torch import nn

from restore import RestoreError, Restorer
from restore.errors import Code
from restore.imaging.photo import Photo
from restore.pipelines.old_photo_scratches import (
    MASK_MARGIN_PX,
    MAX_LONG_SIDE_PX,
    drop_objects,
    find_scratches_lite,
    keep_certain,
)
from restore.pipelines.old_photo_wide_damage import (
    MIN_COARSE_THRESHOLD,
    fit_to_levels,
    keep_wide_damage,
)
from training.scratch_negatives import dither, gravel, halftone, line_screen, silk, weave
from training.scratch_objects import lattice, text

THRESHOLD = 0.4
GREY = cv2.cvtColor(ASTRONAUT, cv2.COLOR_RGB2GRAY)
LARGE = cv2.resize(GREY, (480, 480), interpolation=cv2.INTER_CUBIC)
LEVELS = GREY.astype(np.float32)

PRINTS: dict[str, Callable[[], np.ndarray]] = {
    "halftone of 4 px": lambda: halftone(LEVELS, 4.0, 0.3, 0.6),
    "halftone of 8 px": lambda: halftone(LEVELS, 8.0, np.pi / 4, 1.2),
    "halftone of 12 px": lambda: halftone(LEVELS, 12.0, 1.2, 0.8),
    "line screen": lambda: line_screen(LEVELS, 6.0, 0.9, 0.8),
    "dither": lambda: dither(LEVELS),
    "silk": lambda: silk(LEVELS, 6.0, 25.0),
    "weave": lambda: weave(LEVELS, 7.0, 0.2, 25.0),
    "gravel": lambda: gravel(LEVELS, 4.0, 30.0, np.random.default_rng(0)),
    "text": lambda: text(np.full_like(LEVELS, 235.0), 14, 25.0, np.random.default_rng(0)),
    "lattice": lambda: lattice(LEVELS, 28.0, 0.1, 2, 225.0),
}


@pytest.fixture(scope="module")
def net(lite: Restorer) -> nn.Module:
    return lite.cache.get("old_photo_restore", "lite")[0].net


def find(pixels: np.ndarray, net: nn.Module) -> np.ndarray:
    return find_scratches_lite(Photo("a", pixels), net, THRESHOLD)


def draw_tear(pixels: np.ndarray, width_px: int, level: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the photo with a crooked tear from edge to edge, and the mask of the tear."""
    side = len(pixels)
    steps = np.linspace(0.0, 1.0, 20)
    wander = np.random.default_rng(0).normal(0.0, 3.0, (20, 2))
    path = np.stack([side * steps, side * (0.25 + 0.5 * steps)], 1) + wander
    mask = np.zeros_like(pixels)
    cv2.polylines(mask, [path.astype(np.int32)], False, 255, width_px)
    cover = cv2.GaussianBlur(mask, (0, 0), 0.8) / 255.0
    return (pixels * (1.0 - cover) + level * cover).astype(np.uint8), mask > 0


@pytest.mark.parametrize("kind", PRINTS)
def test_prints_and_textures_are_not_detected(net: nn.Module, kind: str) -> None:
    pixels = np.clip(PRINTS[kind](), 0, 255).astype(np.uint8)
    assert find(pixels, net).mean() < 0.07


@pytest.mark.parametrize(
    ("width_px", "level"), [(3, 20), (8, 20), (14, 20), (3, 235), (8, 235), (14, 235), (28, 235)]
)
def test_thin_and_wide_tears_are_found(net: nn.Module, width_px: int, level: int) -> None:
    """14 px are three percent of the long side."""
    flat = (90 + 0.3 * LARGE).astype(np.uint8)  # so that the tear can be seen everywhere
    pixels, tear = draw_tear(flat, width_px, level)
    found = find(pixels, net)
    assert found[tear].mean() > 0.85
    assert found[~tear].mean() < 0.06


def test_undamaged_photo_has_few_scratches(net: nn.Module) -> None:
    assert find(LARGE, net).mean() < 0.04


def test_large_photo_is_reduced_and_its_mask_enlarged() -> None:
    net = WhiteIsScratched()
    pixels = np.zeros((800, 2 * MAX_LONG_SIDE_PX), np.uint8)
    pixels[300:308] = 255
    mask = find_scratches_lite(Photo("wide", pixels), net, 0.5)
    # Each size is detected upright and turned.
    assert net.sizes[::4] == [(400, MAX_LONG_SIDE_PX), (100, 320), (50, 160)]
    assert net.sizes[1::4] == [(MAX_LONG_SIDE_PX, 400), (320, 100), (160, 50)]
    rows = np.flatnonzero(mask.all(axis=1))
    assert (rows[0], rows[-1]) == (300 - 2 * MASK_MARGIN_PX, 307 + 2 * MASK_MARGIN_PX)
    assert not mask[: rows[0]].any()


@pytest.mark.parametrize(("long_side_px", "sizes"), [(200, 1), (230, 2), (440, 2), (460, 3)])
def test_coarse_sizes_are_used_where_they_differ(long_side_px: int, sizes: int) -> None:
    net = WhiteIsScratched()
    find_scratches_lite(Photo("a", np.zeros((64, long_side_px), np.uint8)), net, 0.5)
    assert len(set(net.sizes)) == 2 * sizes


def strip(top: int, height: int, *, level: int = 250, spread: int = 0) -> np.ndarray:
    """Return a grey picture of 100x160 px with a horizontal strip."""
    pixels = np.full((100, 160), 120, np.uint8)
    noise = np.random.default_rng(0).integers(-spread, spread + 1, (height, 120))
    pixels[top : top + height, 20:140] = np.clip(level + noise, 0, 255)
    return pixels


@pytest.mark.parametrize(
    ("pixels", "found", "is_damage"),
    [
        (strip(50, 6), (50, 6), True),
        (strip(50, 6, level=10), (50, 6), True),
        (strip(50, 6, level=130), (50, 6), False),  # hardly differs from the photo
        (strip(50, 6, level=230, spread=5), (50, 6), True),
        (strip(50, 6, level=230, spread=10), (50, 6), False),  # not flat
        (strip(50, 30), (50, 30), False),  # too wide
        (strip(50, 30), (50, 6), False),  # the edge of an area, not a strip
        (strip(0, 4), (0, 4), False),  # the frame of a print
    ],
)
def test_wide_damage_is_flat_long_and_distinct(
    pixels: np.ndarray, found: tuple[int, int], is_damage: bool
) -> None:
    mask = np.zeros(pixels.shape, bool)
    mask[found[0] : sum(found), 20:140] = True
    kept = keep_wide_damage(pixels, mask.astype(np.float32), THRESHOLD)
    np.testing.assert_array_equal(kept, mask & is_damage)


def test_short_areas_are_not_wide_damage() -> None:
    pixels = np.full((100, 160), 120, np.uint8)
    pixels[40:48, 60:70] = 250
    assert not keep_wide_damage(pixels, (pixels > 200).astype(np.float32), THRESHOLD).any()


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
def test_wide_areas_that_are_detected_without_certainty_are_objects(threshold: float) -> None:
    pixels = strip(50, 6)
    mask = np.zeros(pixels.shape, bool)
    mask[50:56, 20:140] = True
    lowest = max(threshold, MIN_COARSE_THRESHOLD)

    def check(certainty: float, *, is_damage: bool) -> None:
        probability = np.where(mask, lowest + certainty * (1.0 - lowest), 0.0)
        kept = keep_wide_damage(pixels, probability, threshold)
        np.testing.assert_array_equal(kept, mask & is_damage)

    check(0.78, is_damage=False)
    check(0.85, is_damage=True)
    pixels[50:56], mask[50:56] = 250, True  # from side to side
    check(0.55, is_damage=False)
    check(0.65, is_damage=True)


def test_wide_damage_is_fitted_to_its_levels_unless_it_is_filled_already() -> None:
    luminance = np.full((160, 320), 90, np.uint8)
    luminance[78:87] = 230
    line = luminance == 230
    coarse = np.zeros((40, 80), np.bool_)
    coarse[19:22] = True  # rows 76 to 87
    nothing = np.zeros_like(line)
    np.testing.assert_array_equal(fit_to_levels(luminance, coarse, nothing), line)
    half = line & (np.arange(320) < 160)
    np.testing.assert_array_equal(fit_to_levels(luminance, coarse, half), line)
    assert not fit_to_levels(luminance, coarse, line).any()
    # Pixels of other levels inside of the damage are a part of it.
    luminance[82, 100] = 20
    np.testing.assert_array_equal(fit_to_levels(luminance, coarse, nothing), line)


def test_nan_is_an_error() -> None:
    net = WhiteIsScratched()
    net.level.fill_(float("nan"))
    with pytest.raises(RestoreError) as caught:
        find_scratches_lite(Photo("a", GREY), net, 0.4)
    assert caught.value.code is Code.BAD_NUMBERS


def test_compact_areas_wider_than_spots_are_objects() -> None:
    damage = np.zeros((200, 320), np.uint8)
    cv2.circle(damage, (40, 40), 4, 1, -1)
    cv2.line(damage, (0, 150), (319, 170), 1, 14)
    objects = np.zeros_like(damage)
    cv2.circle(objects, (120, 60), 9, 1, -1)
    cv2.line(objects, (180, 30), (200, 80), 1, 16)
    kept = drop_objects(np.full_like(damage, 90), (damage | objects) > 0)
    np.testing.assert_array_equal(kept, damage > 0)


@pytest.mark.parametrize(("width", "are_filled"), [(319, False), (320, True)])
def test_spots_of_a_small_photo_are_filled_only_beside_other_damage(
    width: int, *, are_filled: bool
) -> None:
    spots = np.zeros((200, width), np.uint8)
    for x in (40, 60):
        cv2.circle(spots, (x, 40), 2, 1, -1)
    grey = np.full_like(spots, 90)
    assert drop_objects(grey, spots > 0).any() == are_filled
    cv2.line(spots, (150, 150), (200, 160), 1, 2)
    np.testing.assert_array_equal(drop_objects(grey, spots > 0), spots > 0)


@pytest.mark.parametrize("threshold", [0.2, 0.4, 0.8, 1.0])
def test_areas_that_hardly_reach_the_threshold_are_uncertain(threshold: float) -> None:
    probability = np.zeros((60, 80), np.float32)
    probability[10:13, 5:75] = threshold + 0.5 * (1 - threshold)
    probability[40:43, 5:75] = threshold + 0.3 * (1 - threshold)
    probability[42, 5] = 1.0
    certain = keep_certain(probability, threshold)
    assert certain[10:13, 5:75].all()
    # At 1, both areas are certain.
    assert certain[40:43].any() == (threshold == 1.0)
    probability[10:13, 5:75], probability[25:28, 5:75] = probability[40, 6], 1.0
    certain = keep_certain(probability, threshold)
    # All three are a group now, which is certain in the mean.
    assert certain[[11, 26, 41], 40].tolist() == [True, True, True]


@pytest.mark.parametrize("level", [20, 250])
def test_rim_between_two_areas_is_an_object_and_a_scratch_across_them_is_not(level: int) -> None:
    y, x = np.mgrid[:200, :240]
    radius = np.hypot(y - 240, x - 120)
    pixels = np.where(radius < 150, 60, 160).astype(np.uint8)
    rim = ((radius > 145) & (radius < 155)).astype(np.uint8)
    scratch = np.zeros_like(rim)
    cv2.line(scratch, (100, 10), (115, 190), 1, 10)
    wave = 6 * np.sin(np.arctan2(y - 240, x - 120) * 60)
    crack = (np.abs(radius - 150 + wave) < 5).astype(np.uint8)
    for mask, is_kept in ((rim, False), (scratch, True), (crack, True)):
        luminance = np.where(mask > 0, np.uint8(level), pixels)
        kept = drop_objects(luminance, mask > 0)
        np.testing.assert_array_equal(kept, (mask > 0) & is_kept)


def test_dots_of_a_drawing_are_kept(net: nn.Module) -> None:
    pixels = np.full((200, 200), 205, np.uint8)
    cv2.circle(pixels, (100, 100), 80, 0, 3)
    for x in (70, 130):
        cv2.circle(pixels, (x, 75), 10, 0, -1)
    assert not find(pixels, net).any()


@pytest.mark.parametrize(
    ("lines", "is_kept"),
    [
        ([[(20, 20), (80, 20), (80, 70), (20, 70), (20, 20)]], False),  # a closed outline
        ([[(20, 20), (80, 20), (80, 70), (20, 70)]], True),  # an open one
        (
            [[(5, 20), (95, 20)], [(20, 5), (20, 95)], [(5, 70), (95, 75)], [(80, 5), (80, 95)]],
            True,
        ),
        ([[(10, 10), (90, 80)]], True),
    ],
)
def test_closed_convex_outline_is_an_object_and_crossing_cracks_are_not(
    lines: list[list[tuple[int, int]]], *, is_kept: bool
) -> None:
    mask = np.zeros((100, 100), np.uint8)
    cv2.polylines(mask, [np.array(line) for line in lines], False, 1, 3)
    kept = drop_objects(np.full((100, 100), 90, np.uint8), mask > 0)
    np.testing.assert_array_equal(kept, (mask > 0) & is_kept)
