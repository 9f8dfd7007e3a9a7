"""Figures of the harm check, and its bounds."""

import math
from collections.abc import Iterator

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from places import PROJECT

from restore.imaging.photo import Photo
from restore.imaging.resize import resize_photo
from restore.pipelines.harm import CELL_PX, Expected, Harm, measure_harm
from restore.pipelines.harm_bounds import BOUNDS, Bounds


def gradient(height: int = 96, width: int = 128, *, grey: bool = False) -> Photo:
    y, x = np.mgrid[:height, :width]
    levels = [40 + 150 * x / width, 40 + 150 * y / height, 60 + 100 * (x + y) / (height + width)]
    rgb = np.rint(np.stack(levels, axis=-1)).astype(np.uint8)
    return Photo("a.png", rgb[..., 0] if grey else rgb)


def shifted(photo: Photo, levels: int, area: tuple[slice, slice]) -> Photo:
    pixels = photo.pixels.copy()
    pixels[area] += np.uint8(levels)
    return photo.with_pixels(pixels, photo.alpha)


def test_equal_photos_have_no_harm() -> None:
    photo = gradient()
    assert measure_harm(photo, photo.with_pixels(photo.pixels.copy()), Expected.DETAIL) == Harm()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("grey", [False, True])
def test_shift_of_one_area_is_measured_in_levels_of_8_bits(dtype: type, grey: bool) -> None:
    photo = gradient(grey=grey)
    damaged = shifted(photo, 30, np.s_[32:80, 32:80])
    if dtype == np.uint16:
        photo, damaged = (
            item.with_pixels(item.pixels.astype(np.uint16) * np.uint16(257))
            for item in (photo, damaged)
        )
    harm = measure_harm(photo, damaged, Expected.DETAIL)
    assert harm.cell_shift == pytest.approx(30, abs=0.1)
    assert harm.mean_shift == pytest.approx(30 * 48 * 48 / (96 * 128), abs=0.1)
    assert harm.changed_share == 0.0


def test_shift_of_one_channel_is_measured() -> None:
    photo = gradient()
    pixels = photo.pixels.copy()
    pixels[..., 2] += np.uint8(20)
    harm = measure_harm(photo, photo.with_pixels(pixels), Expected.DETAIL)
    assert harm.mean_shift == pytest.approx(20, abs=0.01)
    assert BOUNDS[Expected.DETAIL].exceeded(harm)


def test_enlarged_result_is_compared_at_the_size_of_the_input() -> None:
    photo = gradient()
    enlarged = photo.with_pixels(np.repeat(np.repeat(photo.pixels, 2, axis=0), 2, axis=1))
    assert measure_harm(photo, enlarged, Expected.DETAIL).cell_shift < 0.01
    dark = enlarged.with_pixels(enlarged.pixels // 2)
    assert BOUNDS[Expected.DETAIL].exceeded(measure_harm(photo, dark, Expected.DETAIL))


def test_changed_areas_and_transparent_pixels_are_not_compared() -> None:
    photo = gradient()
    hole = np.zeros((96, 128), np.bool_)
    hole[32:64, 32:64] = True
    damaged = shifted(photo, 60, np.s_[32:64, 32:64])
    assert measure_harm(photo, damaged, Expected.NOTHING, hole) == Harm()
    alpha = np.where(hole, 0, 255).astype(np.uint8)
    transparent = photo.with_pixels(photo.pixels, alpha)
    assert measure_harm(transparent, damaged, Expected.NOTHING) == Harm()


@pytest.mark.parametrize(("visible_px", "counts"), [(3, False), (6, True)])
def test_cell_counts_if_a_quarter_of_it_is_visible(visible_px: int, counts: bool) -> None:
    photo = gradient()
    alpha = np.full((96, 128), 255, np.uint8)
    alpha[:CELL_PX, visible_px:CELL_PX] = 0
    transparent = photo.with_pixels(photo.pixels, alpha)
    damaged = shifted(transparent, 60, np.s_[:CELL_PX, :visible_px])
    harm = measure_harm(transparent, damaged, Expected.DETAIL)
    # The mean of a cell is blended with those of its neighbours, which changes these a little.
    assert (harm.cell_shift > 20) == counts
    assert counts or harm.cell_shift < 5


def test_contrast_does_not_depend_on_one_cell() -> None:
    pixels = np.repeat(np.linspace(100, 140, 128).astype(np.uint8)[None], 96, axis=0)
    pixels[32:48, 32:48] = 255
    flat = np.where(pixels == 255, pixels, 120).astype(np.uint8)
    before = Photo("a", pixels)
    assert measure_harm(before, before.with_pixels(flat), Expected.DETAIL).contrast < 0.5


def test_documented_bounds_are_those_of_the_check() -> None:
    """`-` is no bound."""
    text = (PROJECT / "docs" / "harm.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    documented = {cells[0]: cells[2:] for cells in rows if cells[0] in set(Expected)}
    assert documented == {expected: list(as_cells(bounds)) for expected, bounds in BOUNDS.items()}
    cast = BOUNDS[Expected.CAST]
    assert f"at most {100 * cast.max_clipped_share:g} % of the samples may become black" in text
    assert f"keep a correlation of {cast.min_structure:g} " in text


def test_each_figure_beyond_its_bound_is_named() -> None:
    bounds = Bounds(12, 8, 0.05, 0.8, 0.2, 0.95)
    at_bounds = Harm(12, 8, 0.05, 0.8, 0.2, 0.95)
    assert bounds.exceeded(at_bounds) == []
    beyond = Harm(13, 9, 0.06, 0.79, 0.21, 0.94)
    texts = bounds.exceeded(beyond)
    expected = ("13 levels (limit 12)", "9 levels (limit 8)", "6 % of the pixels", "79 %", "21 %")
    for text, part in zip(texts, (*expected, "94 %"), strict=True):
        assert part in text


def as_cells(bounds: Bounds) -> Iterator[str]:
    for levels in (bounds.max_cell_shift, bounds.max_mean_shift):
        yield "-" if levels == math.inf else f"{levels:g}"
    share = bounds.max_changed_share
    yield "-" if share == 1 else f"{100 * share:g} %" if share else "0"
    yield f"{bounds.min_contrast:g}" if bounds.min_contrast else "-"


def test_single_changed_pixel_is_harm_where_nothing_may_change() -> None:
    photo = gradient()
    damaged = shifted(photo, 3, np.s_[50:51, 50:51])
    harm = measure_harm(photo, damaged, Expected.NOTHING)
    assert BOUNDS[Expected.NOTHING].exceeded(harm)


def test_new_colours_of_the_same_lightness_are_no_harm() -> None:
    grey = Photo("a.png", np.full((64, 64), 120, np.uint8))
    reddish = grey.with_pixels(np.full((64, 64, 3), (167, 103, 100), np.uint8))
    assert not BOUNDS[Expected.COLOUR].exceeded(measure_harm(grey, reddish, Expected.COLOUR))
    dark = grey.with_pixels(np.full((64, 64, 3), (60, 20, 20), np.uint8))
    assert BOUNDS[Expected.COLOUR].exceeded(measure_harm(grey, dark, Expected.COLOUR))


def test_flat_result_has_lost_its_contrast() -> None:
    photo = gradient(grey=True)
    flat = photo.with_pixels(np.full_like(photo.pixels, photo.pixels.mean()))
    harm = measure_harm(photo, flat, Expected.DETAIL)
    assert harm.contrast == 0.0
    assert any("contrast" in text for text in BOUNDS[Expected.DETAIL].exceeded(harm))


@hypothesis.given(seed=st.integers(0, 2**16), height=st.integers(1, 70), width=st.integers(1, 70))
def test_noise_around_the_same_mean_stays_within_the_bounds(
    seed: int, height: int, width: int
) -> None:
    generator = np.random.default_rng(seed)
    photo = Photo("a.png", np.full((height + CELL_PX, width + CELL_PX), 128, np.uint8))
    noise = generator.normal(0, 8, photo.pixels.shape)
    noisy = photo.with_pixels(np.rint(128 + noise - noise.mean()).astype(np.uint8))
    assert not BOUNDS[Expected.DETAIL].exceeded(measure_harm(noisy, photo, Expected.DETAIL))


@hypothesis.given(shift=st.integers(20, 100), seed=st.integers(0, 2**16))
def test_darkened_area_always_exceeds_the_bounds(shift: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    photo = Photo("a.png", generator.integers(100, 156, (64, 80, 3), np.uint8))
    top, left = (int(generator.integers(0, limit)) for limit in (16, 32))
    pixels = photo.pixels.copy()
    pixels[top : top + 48, left : left + 48] -= np.uint8(shift)
    harm = measure_harm(photo, photo.with_pixels(pixels), Expected.DETAIL)
    assert BOUNDS[Expected.DETAIL].exceeded(harm)


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("grey", [False, True])
def test_removal_of_clipped_noise_is_no_harm(level: int, grey: bool) -> None:
    photo = gradient(grey=grey)
    clean = np.abs(level - photo.pixels.astype(float) * 0.2)
    noise = np.random.default_rng(0).normal(0, 40, clean.shape)
    noisy = photo.with_pixels(np.clip(clean + noise, 0, 255).astype(np.uint8))
    denoised = photo.with_pixels(clean.astype(np.uint8))
    assert abs(noisy.pixels.mean() - denoised.pixels.mean()) > 4
    assert not BOUNDS[Expected.DETAIL].exceeded(measure_harm(noisy, denoised, Expected.DETAIL))
    # What noise does not explain is harm in a noisy photo too.
    grey_cloth = photo.with_pixels(np.full_like(photo.pixels, abs(level - 60)))
    assert BOUNDS[Expected.DETAIL].exceeded(measure_harm(noisy, grey_cloth, Expected.DETAIL))


def test_plain_enlargement_of_a_dither_is_no_harm() -> None:
    """Overshoots of the Lanczos filter are clipped, which changes means by up to 6 levels."""
    thresholds = np.array([[8, 136, 40, 168], [200, 72, 232, 104], [56, 184, 24, 152]])
    thresholds = np.vstack([thresholds, [248, 120, 216, 88]])
    levels = np.linspace(30, 80, 128)[None, :, None] * (1.0, 1.1, 1.3)
    dither = np.where(levels > np.tile(thresholds, (24, 32))[..., None], 255, 0).astype(np.uint8)
    photo = Photo("a.png", dither)
    harm = measure_harm(photo, resize_photo(photo, (256, 192)), Expected.DETAIL)
    assert harm.mean_shift > 4
    assert not BOUNDS[Expected.DETAIL].exceeded(harm)


class TestCast:
    """colors may change brightness and colour, but not clip the photo or invert it."""

    def test_change_of_all_colours_is_no_harm(self) -> None:
        photo = gradient()
        stretched = photo.with_pixels(np.rint(photo.pixels * (1.3, 1.1, 0.8)).astype(np.uint8))
        harm = measure_harm(photo, stretched, Expected.CAST)
        assert harm.mean_shift > 20
        assert harm.structure is not None
        assert harm.structure > 0.9
        assert not BOUNDS[Expected.CAST].exceeded(harm)
        assert measure_harm(photo, stretched, Expected.DETAIL).structure is None

    def test_inverted_photo_is_harm(self) -> None:
        photo = gradient()
        [problem] = BOUNDS[Expected.CAST].exceeded(
            measure_harm(photo, photo.with_pixels(255 - photo.pixels), Expected.CAST)
        )
        assert "relation" in problem

    @pytest.mark.parametrize("end", [0, 255])
    def test_clipped_samples_are_harm_unless_they_were_clipped_before(self, end: int) -> None:
        photo = gradient()
        pixels = photo.pixels.copy()
        pixels[:48, :64] = end
        clipped = photo.with_pixels(pixels)
        harm = measure_harm(photo, clipped, Expected.CAST)
        assert harm.clipped_share == pytest.approx(0.25, abs=0.01)
        assert any("black or full" in each for each in BOUNDS[Expected.CAST].exceeded(harm))
        again = clipped.with_pixels(pixels.copy())
        assert measure_harm(clipped, again, Expected.CAST).clipped_share == 0

    def test_hidden_samples_may_be_clipped(self) -> None:
        alpha = np.full((96, 128), 255, np.uint8)
        alpha[:48] = 0
        photo = gradient()
        photo = photo.with_pixels(photo.pixels, alpha)
        pixels = photo.pixels.copy()
        pixels[:48] = 0
        harm = measure_harm(photo, photo.with_pixels(pixels, alpha), Expected.CAST)
        assert harm.clipped_share == 0

    def test_lost_contrast_is_harm(self) -> None:
        photo = gradient()
        flat = photo.with_pixels((128 + (photo.pixels.astype(float) - 128) / 2).astype(np.uint8))
        assert BOUNDS[Expected.CAST].exceeded(measure_harm(photo, flat, Expected.CAST))
