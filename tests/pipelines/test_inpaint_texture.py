"""Texture for wide holes: how much is added, where, and from where."""

import numpy as np
import pytest
from inpaintfakes import LITE_ROW, ROW, ConstantFill, LiteConstantFill, context_of, mask_of

from restore.imaging.photo import Photo
from restore.models.catalog import Checkpoint
from restore.options import InpaintOptions
from restore.pipelines.inpaint import run_inpaint
from restore.pipelines.inpaint_texture import MIN_WIDTH_PX, add_texture
from restore.pipelines.texture_search import find_matches

MASK = mask_of(160, 150, (50, 45, 60, 60))
INNER = mask_of(160, 150, (55, 50, 50, 50))


def grainy(sigma: float = 0.05, full: int = 255, channels: tuple[int, ...] = (3,)) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0.5, sigma, (*MASK.shape, *channels))
    dtype = np.uint8 if full == 255 else np.uint16
    return np.rint(np.clip(noise, 0, 1) * full).astype(dtype)


def flat_like(pixels: np.ndarray) -> np.ndarray:
    return np.full(pixels.shape, 0.5, np.float32)


@pytest.mark.parametrize(
    "pixels",
    [grainy(), grainy(full=65535), grainy(channels=())],
    ids=["rgb", "16 bits", "grey"],
)
def test_grain_continues_through_a_wide_hole(pixels: np.ndarray) -> None:
    fill = flat_like(pixels)
    result = add_texture(fill, pixels, MASK, MASK)
    assert result.shape == fill.shape
    np.testing.assert_array_equal(result[~MASK], 0.5)
    assert 0.6 * 0.05 < result[INNER].std() < 1.05 * 0.05
    assert abs(result[INNER].mean() - 0.5) < 0.005
    np.testing.assert_array_equal(fill, 0.5)
    np.testing.assert_array_equal(result, add_texture(fill, pixels, MASK, MASK))


def test_sharp_fill_gets_no_more_detail() -> None:
    pixels = grainy()
    fill = (grainy()[::-1, ::-1] / 255).astype(np.float32)
    result = add_texture(fill, pixels, MASK, MASK)
    assert result[INNER].std() < 1.1 * pixels[~MASK].std() / 255


def test_objects_around_the_hole_are_not_copied() -> None:
    pixels = grainy(0.01)
    pixels[:, 118:150:8] = 250
    result = add_texture(flat_like(pixels), pixels, MASK, MASK)
    assert 0.001 < result[INNER].std() < 0.011


def test_outlines_around_the_hole_are_no_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outline of a low contrast has no more energy than the grain, but one direction."""
    seen: list[np.ndarray] = []

    def record(
        targets: np.ndarray,
        sources: np.ndarray,
        window: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
        seed: int,
    ) -> np.ndarray:
        seen.append(window[3])
        return find_matches(targets, sources, window, seed)

    monkeypatch.setattr("restore.pipelines.texture_search.find_matches", record)
    pixels = grainy(0.03)
    pixels[:, 20:] += 30
    add_texture(flat_like(pixels), pixels, MASK, MASK)
    [is_source] = seen
    known = is_source[~mask_of(160, 150, (40, 35, 80, 80))]
    assert not is_source[10:150, 18:22].any()
    assert known.mean() > 0.5


def test_texture_begins_softly_at_the_edge_of_the_hole() -> None:
    pixels = grainy()
    result = add_texture(flat_like(pixels), pixels, MASK, MASK)
    assert (result[50, 45:105] == 0.5).all()
    assert result[51, 50:100].std() < 0.5 * result[INNER].std()


def test_texture_is_that_of_the_quieter_surroundings() -> None:
    sigma = np.where(np.arange(150) < 75, 0.01, 0.03)[:, None]
    noise = np.random.default_rng(1).normal(0, 1, (160, 150, 3))
    pixels = np.rint(np.clip(0.5 + sigma * noise, 0, 1) * 255).astype(np.uint8)
    result = add_texture(flat_like(pixels), pixels, MASK, MASK)
    assert 0.003 < result[INNER].std() < 0.0075


def test_narrow_holes_are_left_to_the_network() -> None:
    mask, pixels = mask_of(160, 150, (50, 20, MIN_WIDTH_PX - 1, 110)), grainy()
    fill = flat_like(pixels)
    assert add_texture(fill, pixels, mask, mask) is fill


def test_only_the_asked_part_of_the_hole_changes() -> None:
    hole, pixels = MASK.copy(), grainy()
    hole[:, 75:] = False
    result = add_texture(flat_like(pixels), pixels, MASK, hole)
    assert (result[MASK & ~hole] == 0.5).all()
    assert result[INNER & hole].std() > 0.02


def test_without_surroundings_the_fill_is_returned() -> None:
    mask = np.ones(MASK.shape, np.bool_)
    mask[0, :8] = False
    pixels = grainy()
    result = add_texture(flat_like(pixels), pixels, mask, mask)
    np.testing.assert_array_equal(result, 0.5)


@pytest.mark.parametrize(("row", "is_textured"), [(LITE_ROW, True), (ROW, False)])
def test_only_the_fill_of_the_lite_network_gets_texture(row: Checkpoint, is_textured: bool) -> None:
    net = LiteConstantFill(0.5, 0.5, 0.5) if is_textured else ConstantFill(0.5, 0.5, 0.5)
    context, photo = context_of(net, MASK, row), Photo("a", grainy())
    result = run_inpaint(photo, InpaintOptions(), context).pixels
    assert bool(result[INNER].std() > 5) is is_textured
    np.testing.assert_array_equal(result[~MASK], photo.pixels[~MASK])


def test_matches_have_the_coarse_colour_and_the_detail_of_their_targets() -> None:
    coarse = np.zeros((40, 60, 3), np.float32)
    coarse[:, 30:] = 1.0
    fine = np.tile(np.array([0.0, 0.5, 1.0], np.float32), (40, 20))  # stripes with a period of 3 px
    is_target, is_source = np.zeros((2, 40, 60), np.bool_)
    is_target[20:26, 10:20], is_source[4:14, 4:56] = True, True
    stripes = fine.copy()
    fine[is_target] = 9.0
    window = (coarse, fine, ~is_target, is_source)
    matches = find_matches(np.argwhere(is_target), np.argwhere(is_source), window, 1)
    assert (matches[~is_target] == -1).all()
    rows, columns = matches[is_target].T
    assert is_source[rows, columns].all()
    assert (columns < 30).all()
    assert (stripes[rows, columns] == stripes[is_target]).mean() > 0.9
