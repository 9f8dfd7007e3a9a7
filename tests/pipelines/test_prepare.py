"""Cut-outs, black-and-white photos saved as RGB, and tasks that have nothing to do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from facefakes import ASTRONAUT
from hypothesis import given, settings
from hypothesis import strategies as st

from restore import Restorer
from restore.imaging.convert import to_rgb
from restore.imaging.photo import Photo
from restore.pipelines.prepare import prepare_photo

TASKS: list[tuple[str, dict[str, Any]]] = [
    ("restore", {}),
    ("upscale", {"scale": 2}),
    ("upscale", {"scale": 3}),
    ("upscale", {"scale": 2, "strength": 0.3}),
    ("enhance", {"scale": 2}),
    ("face_restore", {"face_upscale": 1}),
    ("face_restore", {"face_upscale": 2}),
    ("colorize", {}),
    ("old_photo_restore", {}),
    ("inpaint", {}),
]
NOTHING_TO_DO: list[tuple[str, dict[str, Any]]] = [
    ("restore", {"strength": 0}),
    ("upscale", {"scale": 1, "strength": 0}),
    ("face_restore", {"face_upscale": 1}),
    ("colorize", {"strength": 0}),
    ("old_photo_restore", {"strength": 0}),
    ("inpaint", {"strength": 0}),
]
FACE = ASTRONAUT[60:152, 180:264]
DTYPES = (np.uint8, np.uint16)


def hole_for(task: str, photo: Photo) -> dict[str, Any]:
    """Return a mask for inpaint: a square in the middle of the photo."""
    if task != "inpaint":
        return {}
    mask = np.zeros((photo.height, photo.width), np.uint8)
    y, x = photo.height // 2, photo.width // 2
    mask[y - 3 : y + 4, x - 3 : x + 4] = 255
    return {"masks": [Photo("mask", mask)]}


def run(lite: Restorer, task: str, photo: Photo, **options: Any) -> Photo:
    return lite.run(task, [photo], **options, **hole_for(task, photo)).photos[0]


def to_dtype(pixels: np.ndarray, dtype: type) -> np.ndarray:
    return pixels.astype(dtype) * dtype(257 if dtype is np.uint16 else 1)


def cut_out(pixels: np.ndarray, hidden: int, dtype: type, *, soft: bool = True) -> Photo:
    """Cut a disc out of a photo; its hidden pixels have one colour."""
    height, width = pixels.shape[:2]
    y, x = np.mgrid[:height, :width]
    distance = 0.42 * min(height, width) - np.hypot(y - height / 2, x - width / 2)
    alpha = np.clip(distance / 2 + 0.5, 0, 1) if soft else distance > 0
    levels = np.rint(alpha * 255).astype(np.uint8)
    shown = levels > 0 if pixels.ndim == 2 else (levels > 0)[..., None]
    colours = np.where(shown, pixels, np.uint8(hidden))
    return Photo("cut", to_dtype(colours, dtype), to_dtype(levels, dtype))


@pytest.mark.parametrize(("task", "options"), TASKS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_hidden_colours_have_no_effect(
    lite: Restorer, task: str, options: dict[str, Any], dtype: type
) -> None:
    black, white = (cut_out(FACE, hidden, dtype) for hidden in (0, 255))
    first, second = (run(lite, task, photo, **options) for photo in (black, white))
    assert first.alpha is not None
    np.testing.assert_array_equal(first.alpha, second.alpha)
    shown = first.alpha > 0
    np.testing.assert_array_equal(first.pixels[shown], second.pixels[shown])
    if first.pixels.shape == black.pixels.shape:
        for result, photo in ((first, black), (second, white)):
            np.testing.assert_array_equal(result.pixels[~shown], photo.pixels[~shown])


@pytest.mark.parametrize(("task", "options"), TASKS)
def test_cut_outs_get_no_fringe(lite: Restorer, task: str, options: dict[str, Any]) -> None:
    flat = np.full((96, 100, 3), (180, 120, 90), np.uint8)
    flat[::2] += 3
    result = run(lite, task, cut_out(flat, 0, np.uint8, soft=False), **options)
    assert result.alpha is not None
    if task != "colorize":
        assert np.abs(result.pixels[result.alpha > 64].astype(int) - (181, 121, 91)).max() <= 12


@pytest.mark.parametrize(("task", "options"), [item for item in TASKS if item[0] != "colorize"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_equal_channels_stay_equal(
    lite: Restorer, task: str, options: dict[str, Any], dtype: type
) -> None:
    grey = to_dtype(FACE[..., 1].copy(), dtype)
    coloured, plain = (
        run(lite, task, Photo("grey", pixels), **options) for pixels in (to_rgb(grey), grey)
    )
    assert plain.is_grey
    np.testing.assert_array_equal(coloured.pixels, to_rgb(plain.pixels))
    cut = cut_out(FACE[..., 1], 0, dtype)
    assert cut.alpha is not None
    hidden = np.where((cut.alpha == 0)[..., None], dtype(9), to_rgb(cut.pixels))
    hidden[..., 0][cut.alpha == 0] = 200  # a colour that nobody sees
    result = run(lite, task, Photo("cut", hidden, cut.alpha), **options)
    assert result.alpha is not None
    assert np.ptp(result.pixels[result.alpha > 0].astype(int), axis=1).max() == 0


def test_small_differences_of_channels_are_kept(lite: Restorer) -> None:
    rng = np.random.default_rng(1)
    pixels = np.clip(to_rgb(FACE[..., 1]), 4, 250) + rng.integers(0, 3, FACE.shape).astype(np.uint8)
    assert prepare_photo(Photo("a", pixels)).photo.is_grey
    for task, options in (("restore", {}), ("upscale", {"scale": 2})):
        result = run(lite, task, Photo("a", pixels), **options).pixels
        assert np.ptp(result.astype(int), axis=2).max() <= 4
    assert not prepare_photo(Photo("a", pixels + np.array([0, 0, 3], np.uint8))).photo.is_grey


@st.composite
def photos(draw: Callable[..., Any]) -> Photo:
    """Photos of both depths: grey, equal or nearly equal channels, colour; every kind of alpha."""
    dtype = draw(st.sampled_from(DTYPES))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = draw(st.integers(8, 40)), draw(st.integers(8, 40))
    full = np.iinfo(dtype).max
    grey = rng.integers(0, full, (height, width), dtype, endpoint=True)
    kind = draw(st.sampled_from(["grey", "equal", "nearly equal", "colour", "white"]))
    pixels = {
        "grey": grey,
        "equal": to_rgb(grey),
        "nearly equal": np.minimum(to_rgb(grey), full - 2) + rng.integers(0, 3, (height, width, 3)),
        "colour": rng.integers(0, full, (height, width, 3), endpoint=True),
        "white": np.full((height, width, 3), full),
    }[kind].astype(dtype)
    alpha = {
        "none": None,
        "opaque": np.full((height, width), full),
        "transparent": np.zeros((height, width)),
        "any": rng.integers(0, full, (height, width), endpoint=True),
        "two values": rng.integers(0, 2, (height, width)) * full,
        "nearly hidden": rng.integers(0, full // 8, (height, width)),
    }[
        draw(
            st.sampled_from(["none", "opaque", "transparent", "any", "two values", "nearly hidden"])
        )
    ]
    return Photo("photo", pixels, None if alpha is None else alpha.astype(dtype))


def assert_same(result: Photo, photo: Photo) -> None:
    np.testing.assert_array_equal(result.pixels, photo.pixels)
    assert (result.pixels.dtype, result.alpha is None) == (photo.pixels.dtype, photo.alpha is None)
    if photo.alpha is not None and result.alpha is not None:
        np.testing.assert_array_equal(result.alpha, photo.alpha)


@settings(max_examples=80)
@given(photo=photos())
def test_preparation_is_undone_bit_for_bit(photo: Photo) -> None:
    ready = prepare_photo(photo)
    assert_same(ready.finish(ready.photo), photo)
    copied = ready.photo.with_pixels(ready.photo.pixels.copy(), ready.photo.alpha)
    assert_same(ready.finish(copied), photo)


@settings(max_examples=40)
@given(photo=photos(), hidden=st.integers(0, 255))
def test_prepared_pixels_do_not_depend_on_hidden_ones(photo: Photo, hidden: int) -> None:
    if photo.alpha is None or not photo.alpha.any():
        return
    other = photo.pixels.copy()
    other[photo.alpha == 0] = hidden
    first, second = (
        prepare_photo(photo.with_pixels(pixels, photo.alpha)) for pixels in (photo.pixels, other)
    )
    np.testing.assert_array_equal(first.photo.pixels, second.photo.pixels)


@settings(max_examples=4)
@given(photo=photos(), mode=st.sampled_from(["baseline", "fast", "max_speed"]))
@pytest.mark.parametrize(("task", "options"), NOTHING_TO_DO)
def test_task_with_nothing_to_do_returns_the_photo_bit_for_bit(
    lite: Restorer, task: str, options: dict[str, Any], photo: Photo, mode: str
) -> None:
    assert_same(run(lite, task, photo, runtime_profile=mode, **options), photo)


def test_requested_changes_under_transparent_pixels_are_kept() -> None:
    photo = Photo("a", np.full((16, 16, 3), 50, np.uint8), np.zeros((16, 16), np.uint8))
    asked = np.zeros((16, 16), np.bool_)
    asked[4:8, 4:8] = True
    ready = prepare_photo(photo, asked)
    result = ready.finish(photo.with_pixels(np.full((16, 16, 3), 90, np.uint8), photo.alpha), asked)
    assert (result.pixels[asked] == 90).all()
    assert (result.pixels[~asked] == 50).all()


def test_colours_are_not_extended_from_a_hole() -> None:
    pixels, alpha = np.full((32, 32, 3), 40, np.uint8), np.full((32, 32), 255, np.uint8)
    pixels[:, 12:20], alpha[:, 20:] = 250, 0
    hole = np.zeros((32, 32), np.bool_)
    hole[:, 12:20] = True
    assert prepare_photo(Photo("a", pixels, alpha)).photo.pixels[:, 20:24].min() > 200
    extended = prepare_photo(Photo("a", pixels, alpha), hole).photo.pixels
    assert extended[:, 20:].max() <= 41


@pytest.mark.parametrize("grey", [False, True])
def test_hidden_colours_return_only_where_they_are_still_hidden(grey: bool) -> None:
    pixels = np.full((16, 16), 200, np.uint8)
    alpha = np.full((16, 16), 255, np.uint8)
    pixels[:, :8], alpha[:, :8] = 9, 0
    prepared = prepare_photo(Photo("a", pixels if grey else to_rgb(pixels), alpha))
    filled = alpha.copy()
    filled[:, :4] = 255
    changed = to_rgb(prepared.photo.pixels) + np.uint8(1)  # in colour, as after colorize
    result = prepared.finish(prepared.photo.with_pixels(changed, filled))
    assert (result.pixels[:, :4] == 201).all()
    assert (result.pixels[:, 4:8] == 9).all()
    assert (result.pixels[:, 8:] == 201).all()
