"""Noise, blocks of JPEGs, edges and scratches, on pictures whose values are known."""

import io

import cv2
import numpy as np
import pytest
from facefakes import FixedDetector, face_at
from oldphotofakes import WhiteIsScratched
from PIL import Image
from torch import Tensor

from restore.faces.convention import CONVENTIONS
from restore.faces.fit import CheckedFace
from restore.imaging.convert import to_grey
from restore.imaging.photo import Photo, decode
from restore.pipelines.assessment.blur import measure_edges
from restore.pipelines.assessment.colours import ColourChange
from restore.pipelines.assessment.jpeg import measure_blocks, table_quality
from restore.pipelines.assessment.measurements import (
    MEASURED_LONG_SIDE_PX,
    Measurements,
    measure_face,
    measure_photo,
)
from restore.pipelines.assessment.noise import measure_noise
from restore.pipelines.assessment.scratches import DARK_WEIGHT, measure_scratches

SIDE_PX = 192
DIAGONAL_PX = SIDE_PX * 2**0.5
RNG = np.random.default_rng(7)
ACROSS, DOWN = np.meshgrid(np.arange(SIDE_PX), np.arange(SIDE_PX))
SMOOTH = (110 + 60 * np.sin(ACROSS / 31) * np.cos(DOWN / 23)).astype(np.float32)
WHITE_NOISE = RNG.normal(0, 1, (SIDE_PX, SIDE_PX)).astype(np.float32)

# As strong in the reduced photo, as in foliage.
ALL_SCALES = sum(
    cv2.resize(
        RNG.normal(0, 1, (SIDE_PX // size, SIDE_PX // size)).astype(np.float32),
        (SIDE_PX, SIDE_PX),
        interpolation=cv2.INTER_CUBIC,
    )
    * 4.0
    * size
    for size in (1, 2, 4, 8)
)


def rgb_of(*planes: np.ndarray) -> np.ndarray:
    """Return HxWx3 uint8 of one plane, or of three."""
    stack = np.dstack(planes if len(planes) == 3 else planes * 3)
    return np.rint(stack.clip(0, 255)).astype(np.uint8)


def jpeg(pixels: np.ndarray, quality: int) -> Photo:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return decode(buffer.getvalue(), "a.jpg")


@pytest.mark.parametrize("sigma", [4.0, 8.0, 16.0])
def test_white_noise_is_measured_in_levels(sigma: float) -> None:
    found = measure_noise(rgb_of(SMOOTH + sigma * WHITE_NOISE))
    # The smoothest tenth of the blocks is a little below the mean.
    assert found.luminance_levels == pytest.approx(0.8 * sigma, rel=0.15)
    assert found.colour_levels == pytest.approx(0.0, abs=1e-3)
    assert found.is_white


@pytest.mark.parametrize("level", [0, 255])
def test_clipped_areas_have_no_say_in_the_noise(level: int) -> None:
    pixels = rgb_of(SMOOTH + 8.0 * WHITE_NOISE)
    whole = measure_noise(pixels)
    pixels[: SIDE_PX // 2] = level  # as in an overexposed sky or a black background
    assert measure_noise(pixels).luminance_levels == pytest.approx(whole.luminance_levels, rel=0.1)


def test_noise_and_edges_are_measured_at_the_size_of_a_screen() -> None:
    around = (2 * MEASURED_LONG_SIDE_PX, SIDE_PX)
    rng = np.random.default_rng(8)
    pixels = rgb_of(128 + 8.0 * rng.normal(0, 1, around).astype(np.float32))
    pixels[:, : SIDE_PX // 2] //= 2

    def measure(photo: np.ndarray) -> Measurements:
        change = ColourChange(change=0.0, darkening=0.0, tone="colour")
        return measure_photo(
            Photo("a", photo),
            FixedDetector(),
            CONVENTIONS["codeformer"],
            WhiteIsScratched(),
            lambda _: change,
        )[0]

    seen = measure(pixels)
    reduced = cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    assert (seen.width_px, seen.height_px) == around[::-1]
    assert seen.noise == measure_noise(reduced)
    assert seen.noise.luminance_levels < 0.6 * measure_noise(pixels).luminance_levels
    assert seen.edges == measure_edges(to_grey(reduced))
    assert seen.edges is not None
    small = pixels[:SIDE_PX]
    assert measure(small).noise == measure_noise(small)


def test_grain_of_two_pixels_counts_twice() -> None:
    half = cv2.resize(WHITE_NOISE, (96, 96), interpolation=cv2.INTER_NEAREST)
    grain = cv2.resize(half, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_NEAREST)
    found = measure_noise(rgb_of(SMOOTH + 4.0 * grain))
    assert found.luminance_levels == pytest.approx(2 * 0.8 * 4.0, rel=0.25)
    assert not found.is_white


def test_coarse_noise_counts_if_it_is_colour_noise() -> None:
    uneven = np.where(ACROSS > 90, ALL_SCALES, 0.1 * ALL_SCALES)
    for noise, is_found in ((ALL_SCALES, True), (uneven, False)):
        blue = SMOOTH - noise * 0.299 / 0.114  # the luminance stays the same
        found = measure_noise(rgb_of(SMOOTH + noise, SMOOTH, blue))
        assert (found.colour_levels > 3.6) is is_found


def test_colour_noise_is_told_from_luminance_noise() -> None:
    red = SMOOTH + 12.0 * WHITE_NOISE
    blue = SMOOTH - 12.0 * WHITE_NOISE * 0.299 / 0.114  # the luminance stays the same
    found = measure_noise(rgb_of(red, SMOOTH, blue))
    assert found.colour_levels > 6.0
    assert found.luminance_levels < 1.0


def test_texture_is_no_noise() -> None:
    assert measure_noise(rgb_of(SMOOTH + ALL_SCALES)).luminance_levels == 0.0
    # A part of the photo is rough, the rest smooth.
    rough = SMOOTH + np.where(ACROSS > 90, 12.0 * WHITE_NOISE, 0.4 * WHITE_NOISE)
    assert measure_noise(rgb_of(rough)).luminance_levels < 1.0


@pytest.mark.parametrize("quality", [20, 35, 75, 95])
def test_quality_of_a_jpeg_is_read_from_its_tables(quality: int) -> None:
    photo = jpeg(rgb_of(SMOOTH), quality)
    assert table_quality(photo) == pytest.approx(quality, abs=1)
    assert table_quality(Photo("a", photo.pixels)) is None


def test_quality_of_a_cmyk_jpeg_is_read_from_its_tables() -> None:
    buffer = io.BytesIO()
    Image.fromarray(rgb_of(SMOOTH)).convert("CMYK").save(buffer, "JPEG", quality=35)
    assert table_quality(decode(buffer.getvalue(), "a")) == pytest.approx(35, abs=1)


def test_blocks_show_in_smooth_areas_on_any_grid() -> None:
    picture = rgb_of(SMOOTH + 6.0 * WHITE_NOISE)
    steps = [measure_blocks(jpeg(picture, quality).pixels[..., 0]) for quality in (8, 30, 95)]
    assert steps[0].step_levels > steps[1].step_levels > 1.0 > steps[2].step_levels
    shifted = measure_blocks(np.ascontiguousarray(jpeg(picture, 8).pixels[3:, 5:, 0]))
    assert shifted.step_levels == pytest.approx(steps[0].step_levels, rel=0.1)
    assert steps[0].smooth_share > 0.5
    rough = measure_blocks(rgb_of(SMOOTH + 40.0 * WHITE_NOISE)[..., 0])
    assert rough.smooth_share < 0.02


@pytest.mark.parametrize("side_px", [12, 16])
def test_squares_of_a_picture_are_no_blocks_of_a_jpeg(side_px: int) -> None:
    modules = np.random.default_rng(1).integers(0, 2, (20, 20)) * 255
    picture = np.kron(modules, np.ones((side_px, side_px))).astype(np.uint8)
    assert measure_blocks(picture).step_levels == 0.0


def test_blocks_of_the_coarsest_jpeg_are_found() -> None:
    picture = rgb_of(SMOOTH + 6.0 * WHITE_NOISE)
    assert measure_blocks(jpeg(picture, 3).pixels[..., 0]).step_levels > 3.0


def squares(sigma_px: float, sigma_down_px: float = 0.0) -> np.ndarray:
    picture: np.ndarray = np.where((ACROSS // 32 + DOWN // 32) % 2, 200, 60).astype(np.float32)
    if not sigma_px:
        return rgb_of(picture)[..., 0]
    blurred = cv2.GaussianBlur(picture, (0, 0), sigma_px, sigmaY=sigma_down_px or sigma_px)
    return rgb_of(blurred)[..., 0]


def test_edge_widths_grow_with_blur() -> None:
    widths = []
    for sigma_px in (0.0, 1.5, 2.5):
        edges = measure_edges(squares(sigma_px))
        assert edges is not None
        widths.append(edges.widest_px)
    assert widths[0] < 2.8
    assert widths[1:] == [pytest.approx(1.7 * 2.5, rel=0.1), pytest.approx(2.6 * 2.5, rel=0.1)]


def test_shake_widens_the_edges_across_it() -> None:
    edges = measure_edges(squares(3.0, 0.3))
    assert edges is not None
    assert edges.widest_px > 2 * edges.narrowest_px


def test_weak_edges_of_soft_objects_do_not_count() -> None:
    picture = squares(3.0) // 3 + 60
    picture[:36] = squares(0.0)[:36]
    edges, sharp, soft = (measure_edges(each) for each in (picture, squares(0.0), squares(3.0)))
    assert edges is not None
    assert sharp is not None
    assert soft is not None
    assert edges.widest_px == pytest.approx(sharp.widest_px, abs=0.2)
    assert soft.widest_px > 2.5 * sharp.widest_px


def test_edges_of_a_face_are_those_of_its_box_and_a_margin() -> None:
    face = CheckedFace(face_at(300, 300, 400), "")
    rows, columns = np.mgrid[:600, :600]
    edges = rgb_of(np.where((rows // 16 + columns // 16) % 2, 200.0, 60.0))
    plain = np.full_like(edges, 128)
    beside = np.s_[150:450]
    for inside, outside in ((np.s_[60:100], np.s_[:58]), (np.s_[500:540], np.s_[542:])):
        for margin, other in (
            ((inside, beside), (outside, beside)),
            ((beside, inside), (beside, outside)),
        ):
            rgb = plain.copy()
            rgb[other] = edges[other]
            assert measure_face(rgb, face).edge_width_px is None
            rgb[margin] = edges[margin]
            assert measure_face(rgb, face).edge_width_px == pytest.approx(2.6, abs=0.5)
    gone = CheckedFace(face_at(-300, 300, 200), "")
    assert measure_face(edges, gone).edge_width_px is None


def test_picture_without_edges_has_no_width() -> None:
    assert measure_edges(rgb_of(SMOOTH)[..., 0]) is None
    assert measure_edges(np.zeros((9, 9), np.uint8)) is None


def scratched(level: int, row: int = 60, length_px: int = 120) -> np.ndarray:
    picture = rgb_of(SMOOTH * 0 + 150)
    picture[row : row + 3, 20 : 20 + length_px] = level
    return picture


class BlackIsScratched(WhiteIsScratched):
    def forward(self, luminance: Tensor) -> Tensor:
        return super().forward(1.0 - luminance)


class TestScratches:
    def test_length_is_in_diagonals(self) -> None:
        photo = Photo("a", scratched(255))
        length, share = measure_scratches(photo, WhiteIsScratched(), "grey")
        assert length == pytest.approx(120 / DIAGONAL_PX, rel=0.05)
        assert share == pytest.approx(3 * 120 / SIDE_PX**2, rel=0.05)

    def test_short_scratches_do_not_count(self) -> None:
        photo = Photo("a", scratched(255, length_px=10))
        assert measure_scratches(photo, WhiteIsScratched(), "grey")[0] == 0.0

    def test_dark_scratches_count_less(self) -> None:
        photo = Photo("a", scratched(0)[..., 0])
        length, _ = measure_scratches(photo, BlackIsScratched(), "grey")
        assert length == pytest.approx(DARK_WEIGHT * 120 / DIAGONAL_PX, rel=0.05)

    def test_coloured_strips_of_colour_photos_are_objects(self) -> None:
        pixels = scratched(255)
        pixels[60:63, 20:140] = (255, 255, 90)  # bright yellow; the fake network finds it
        net = WhiteIsScratched()
        net.level.fill_(0.9)
        assert measure_scratches(Photo("a", pixels), net, "colour")[0] == 0.0
        assert measure_scratches(Photo("a", pixels), net, "toned")[0] > 0.3

    def test_nothing_counts_if_too_much_was_found(self) -> None:
        pixels = scratched(150)
        pixels[:100] = 255
        assert measure_scratches(Photo("a", pixels), WhiteIsScratched(), "grey") == (0.0, 0.0)
