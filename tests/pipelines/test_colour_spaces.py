"""Tasks on photos with wide or linear colour spaces: nothing is converted that no task changes."""

import io

import cv2
import numpy as np
import pytest
from facefakes import ASTRONAUT
from photofiles import chunk, png_file
from PIL import Image, ImageCms

from restore import Photo, Restorer
from restore.imaging.encode import encode
from restore.imaging.photo import decode

DISPLAY_P3 = chunk(b"cICP", bytes([12, 13, 0, 1]))
LINEAR = chunk(b"gAMA", (100_000).to_bytes(4, "big"))
SPACES = {"p3": DISPLAY_P3, "linear": LINEAR}
HOLE = "[[40, 40], [60, 40], [60, 60], [40, 60]]"
VIVID = ((np.s_[4:30, 4:40], (255, 20, 20)), (np.s_[64:90, 60:92], (10, 240, 30)))
"""Patches outside of sRGB if they are Display P3."""


@pytest.fixture(
    params=[(space, dtype) for space in SPACES for dtype in (np.uint8, np.uint16)],
    ids=lambda param: f"{param[0]}-{param[1].__name__}",
)
def vivid(request: pytest.FixtureRequest) -> tuple[np.ndarray, Photo]:
    """Stored pixels and photo of `vivid_picture`, in every space and bit depth."""
    space, dtype = request.param
    pixels = vivid_picture(dtype)
    return pixels, decode(png_file(pixels, SPACES[space]), "a")


def vivid_picture(dtype: type) -> np.ndarray:
    """Return a ramp with two vivid patches, in 8 or 16 bits."""
    y, x = np.mgrid[:96, :96]
    pixels = np.dstack([40 + 2 * x, 40 + 2 * y, 0 * x + 90]).astype(np.uint8)
    for area, colour in VIVID:
        pixels[area] = colour
    return pixels if dtype == np.uint8 else pixels.astype(np.uint16) * 257


def stored(photo: Photo) -> np.ndarray:
    """Return the pixels of the PNG of a result."""
    again = decode(encode(photo, "png", 100)[0], "a")
    return again.pixels if again.native is None else again.native


def test_inpaint_keeps_every_value_outside_of_the_mask(
    lite: Restorer, vivid: tuple[np.ndarray, Photo]
) -> None:
    pixels, photo = vivid
    for strength in (1.0, 0.5):
        result = stored(lite.run("inpaint", [photo], points=HOLE, strength=strength).photos[0])
        changed = (result != pixels).any(axis=-1)
        assert changed[42:58, 42:58].any()
        changed[39:62, 39:62] = False
        assert not changed.any()


@pytest.mark.parametrize("space", SPACES)
def test_removed_vivid_object_leaves_no_trace(lite: Restorer, space: str) -> None:
    pixels = np.full((96, 96, 3), (120, 120, 110), np.uint8)
    pixels[44:56, 44:56] = (255, 20, 20)
    photo = decode(png_file(pixels, SPACES[space]), "a")
    result = stored(lite.run("inpaint", [photo], points=HOLE).photos[0])
    assert np.abs(result.astype(int) - (120, 120, 110)).max() <= 12


def test_face_restore_without_a_face_returns_every_value(
    lite: Restorer, vivid: tuple[np.ndarray, Photo]
) -> None:
    pixels, photo = vivid
    np.testing.assert_array_equal(stored(lite.run("face_restore", [photo]).photos[0]), pixels)


@pytest.mark.parametrize(("task", "scale"), [("upscale", 2), ("restore", 1)])
@pytest.mark.parametrize("space", SPACES)
def test_vivid_colours_are_not_clipped(lite: Restorer, space: str, task: str, scale: int) -> None:
    photo = decode(png_file(vivid_picture(np.uint8), SPACES[space]), "a")
    results = lite.run(task, [photo], scale=scale) if scale > 1 else lite.run(task, [photo])
    result = stored(results.photos[0])
    for (rows, columns), colour in VIVID:
        inner = result[
            scale * (rows.start + 4) : scale * (rows.stop - 4),
            scale * (columns.start + 4) : scale * (columns.stop - 4),
        ]
        assert np.abs(inner.mean(axis=(0, 1)) - colour).max() <= 6


def test_colorize_predicts_the_same_colours_in_every_space(lite: Restorer) -> None:
    rgb = cv2.resize(ASTRONAUT, (160, 160), interpolation=cv2.INTER_AREA)
    grey = np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    expected = lite.run("colorize", [Photo("a", grey)]).photos[0].pixels
    assert np.ptp(expected.astype(int), axis=2).mean() > 5, "the photo must get colours"
    wide = chunk(b"cICP", bytes([9, 13, 0, 1]))  # BT.2020, with the same greys
    result = lite.run("colorize", [decode(png_file(grey, wide), "a")]).photos[0]
    image = Image.open(io.BytesIO(encode(result, "png", 100)[0]))
    profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    shown = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"))
    assert shown is not None
    assert np.abs(np.array(shown).astype(int) - expected).mean() < 1.5
    assert np.abs(result.pixels.astype(int) - expected).mean() > 2, "the values must differ"
