"""How mask images are read: which of their pixels are the hole."""

import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from restore.errors import Code, RestoreError
from restore.imaging.mask_rules import read_hole
from restore.imaging.masks import mask_from_photo
from restore.imaging.photo import Photo, decode
from restore.report import Report

HEIGHT, WIDTH = 100, 150
CAT = data.chelsea()[60 : 60 + HEIGHT, 100 : 100 + WIDTH]
HOLE = np.zeros((HEIGHT, WIDTH), np.bool_)
HOLE[30:58, 40:81] = True
INDEX = HOLE.astype(np.uint8)
ROWS, COLUMNS = np.indices(HOLE.shape)
WHITE, BLACK, RED, BLUE = (255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 0, 255)
Colour = tuple[int, int, int]


def encoded(pixels: np.ndarray | Image.Image, name: str = "m.png", **options: object) -> Photo:
    """Return the photo that is decoded from a mask file of this name."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, Image.registered_extensions()[f".{name.partition('.')[2]}"], **options)
    return decode(file.getvalue(), name)


def deep(pixels: np.ndarray) -> Photo:
    """Return the photo that is decoded from a 16-bit PNG."""
    done, file = cv2.imencode(".png", pixels.astype(np.uint16))
    assert done
    return decode(file.tobytes(), "m.png")


def two(background: Colour, paint: Colour) -> np.ndarray:
    """Return a mask of two colours."""
    return np.where(HOLE[..., None], paint, background).astype(np.uint8)


def layer(colour: Colour, alpha: int) -> np.ndarray:
    """Return a transparent layer on which the hole is painted."""
    return np.dstack([two(BLACK, colour), INDEX * alpha]).astype(np.uint8)


def erased(picture: np.ndarray, alpha: int = 0) -> np.ndarray:
    """Return a picture from which the hole was erased down to an alpha."""
    return np.dstack([picture, np.where(HOLE, alpha, 255)]).astype(np.uint8)


def palette(*colours: Colour) -> Image.Image:
    image = Image.fromarray(INDEX, "L").convert("P")
    image.putpalette([level for colour in colours for level in colour])
    return image


def strokes() -> np.ndarray:
    """Return coverage of a 47 % brush that went over some places two and six times."""
    levels = np.where(HOLE, 120, 0).astype(np.uint8)
    levels[30:58, 50:81] = 184
    levels[30:58, 60:81] = 250
    return levels


MASKS: dict[str, Callable[[], Photo]] = {
    "white on black": lambda: encoded(INDEX * 255),
    "1 bit": lambda: encoded(Image.fromarray(HOLE)),
    "fax": lambda: encoded(Image.fromarray(HOLE), "m.tif", compression="group4"),
    "gif": lambda: encoded(INDEX * 255, "m.gif"),
    "webp": lambda: encoded(two(BLACK, WHITE), "m.webp", quality=50),
    "0 and 1": lambda: encoded(INDEX),
    "0 and 1, RGB": lambda: encoded(np.dstack([INDEX] * 3)),
    "0 and 128": lambda: encoded(INDEX * 128),
    "0 and 60": lambda: encoded(INDEX * 60),
    "100 and 200": lambda: encoded(INDEX * 100 + 100),
    "7 and 9": lambda: encoded(INDEX * 2 + 7),
    "labels": lambda: encoded(INDEX * np.uint8(3) + (INDEX & (ROWS > 40))),
    "labels and void": lambda: encoded(INDEX * np.where(ROWS == 57, 255, 4).astype(np.uint8)),
    "labels by colour": lambda: encoded(
        np.where(ROWS[..., None] > 45, (64, 0, 0), (128, 0, 128)).astype(np.uint8)
        * INDEX[..., None]
    ),
    "palette, dark red": lambda: encoded(palette(BLACK, (200, 0, 0))),
    "palette, purple and yellow": lambda: encoded(palette((68, 1, 84), (253, 231, 37))),
    "palette of greys": lambda: encoded(Image.fromarray(INDEX).convert("P")),
    "red on black": lambda: encoded(two(BLACK, RED)),
    "blue on black": lambda: encoded(two(BLACK, BLUE)),
    "blue on white": lambda: encoded(two(WHITE, BLUE)),
    "red on white": lambda: encoded(two(WHITE, RED)),
    "red layer": lambda: encoded(layer(RED, 255)),
    "white layer": lambda: encoded(layer(WHITE, 255)),
    "black layer": lambda: encoded(layer(BLACK, 255)),
    "faint layer": lambda: encoded(layer(WHITE, 120)),
    "very faint layer": lambda: encoded(layer(RED, 20)),
    "strokes": lambda: encoded(strokes()),
    "layer of strokes": lambda: encoded(np.dstack([two(BLACK, BLUE), strokes()])),
    "layer of two colours": lambda: encoded(
        np.dstack([np.where(COLUMNS[..., None] > 60, RED, BLUE), INDEX * 255]).astype(np.uint8)
    ),
    "grey and alpha": lambda: encoded(np.dstack([INDEX * 255, INDEX * 255])),
    "black and white, corner transparent": lambda: encoded(
        np.dstack([two(BLACK, WHITE), (ROWS > 9) * np.uint8(255)])
    ),
    "black and white, half transparent": lambda: encoded(
        np.dstack([two(BLACK, WHITE), np.full(HOLE.shape, 128, np.uint8)])
    ),
    "erased photo": lambda: encoded(erased(CAT)),
    "erased photo without hidden colours": lambda: encoded(erased(two(WHITE, BLACK) // 255 * CAT)),
    "faintly erased photo": lambda: encoded(erased(CAT, 150)),
    "erased photo, grey": lambda: encoded(
        np.dstack([cv2.cvtColor(CAT, cv2.COLOR_RGB2GRAY), 255 - INDEX * 255])
    ),
    "16 bits": lambda: deep(INDEX * 65535.0),
    "16 bits, 0 and 1": lambda: deep(INDEX),
    "16 bits, 0 and 255": lambda: deep(INDEX * 255.0),
    "16 bits, layer": lambda: deep(layer(RED, 255) * 257.0),
    "16 bits, erased photo": lambda: deep(erased(CAT[..., ::-1]) * 257.0),
    "jpeg": lambda: encoded(INDEX * 255, "m.jpg", quality=30),
    "jpeg, CMYK": lambda: encoded(Image.fromarray(two(BLACK, WHITE)).convert("CMYK"), "m.jpg"),
    "png of jpeg": lambda: encoded(encoded(INDEX * 255, "m.jpg", quality=60).pixels),
    "two noisy values": lambda: encoded(
        np.random.default_rng(1).integers(0, 7, HOLE.shape).astype(np.uint8) + INDEX * 249
    ),
}


@pytest.mark.parametrize("kind", MASKS)
def test_hole_is_found_in_every_kind_of_mask(kind: str) -> None:
    report = Report("a.jpg", "inpaint")
    hole = mask_from_photo(MASKS[kind](), Photo("a.jpg", CAT), report)
    np.testing.assert_array_equal(hole, HOLE)
    assert report.warnings == []
    [note] = report.notes
    assert note.startswith("the mask 'm.")
    assert "was read" in note
    assert f"({HOLE.mean():.1%} of the photo)" in note


def test_red_paint_in_a_jpeg_is_found_but_for_its_edge() -> None:
    for background in (BLACK, WHITE):
        mask = encoded(two(background, RED), "m.jpg", quality=75)
        hole = read_hole(mask.pixels, None, CAT, lossy=True).hole
        kernel = np.ones((3, 3), np.uint8)
        assert hole[cv2.erode(INDEX, kernel) > 0].all()
        assert not hole[cv2.dilate(INDEX, kernel) == 0].any()


def test_note_says_how_the_mask_was_read() -> None:
    notes = {
        "0 and 1": "by its two values 0 and 1: 1 is filled",
        "labels": "as labels from 0 to 4: all but 0 is filled",
        "strokes": "by its values from 0 to 250: all above 60 is filled",
        "blue on white": "by its coloured paint on white, by its two values 0 and 255",
        "red layer": "by its paint on a transparent layer",
        "erased photo": "by what was erased from it",
    }
    for kind, how in notes.items():
        report = Report("a.jpg", "inpaint")
        mask_from_photo(MASKS[kind](), Photo("a.jpg", CAT), report)
        assert f"was read {how}" in report.notes[0]


def test_soft_edge_is_divided_at_half_of_white() -> None:
    levels = cv2.GaussianBlur(INDEX * np.uint8(255), (0, 0), 2)
    for pixels in (levels, np.dstack([levels] * 3), levels.astype(np.uint16) * np.uint16(257)):
        half = 127 * (1 if pixels.dtype == np.uint8 else 257)
        reading = read_hole(pixels, None, CAT, lossy=False)
        expected = pixels.reshape(HEIGHT, WIDTH, -1)[..., 0] > half
        np.testing.assert_array_equal(reading.hole, expected)
        assert reading.doubts == ()


def test_soft_paint_on_a_layer_is_divided_at_half_of_its_coverage() -> None:
    coverage = cv2.GaussianBlur(INDEX * np.uint8(120), (0, 0), 2)
    reading = read_hole(two(BLACK, RED), coverage, CAT, lossy=False)
    np.testing.assert_array_equal(reading.hole, coverage > 60)


def test_everything_that_was_partly_erased_is_filled() -> None:
    alpha = 255 - cv2.GaussianBlur(INDEX * np.uint8(255), (0, 0), 3)
    hole = read_hole(CAT, alpha, CAT, lossy=False).hole
    np.testing.assert_array_equal(hole, alpha < 0.98 * 255)


def test_erased_photo_of_two_colours_is_told_from_a_mask_by_the_photo() -> None:
    page = np.where(COLUMNS[..., None] % 9 > 4, WHITE, BLACK).astype(np.uint8)
    alpha = np.where(HOLE, 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(read_hole(page, alpha, page, lossy=False).hole, HOLE)
    assert not read_hole(page, alpha, CAT, lossy=False).hole[HOLE].any()


def test_white_paint_where_the_photo_is_white_is_paint() -> None:
    white = np.full_like(CAT, 255)
    hole = read_hole(white, INDEX * np.uint8(255), white, lossy=False).hole
    np.testing.assert_array_equal(hole, HOLE)


@pytest.mark.parametrize("colour", [WHITE, BLACK, RED])
def test_layer_with_an_erased_hole_is_doubtful(colour: Colour) -> None:
    report = Report("a.jpg", "inpaint")
    mask = encoded(erased(np.full_like(CAT, colour)))
    np.testing.assert_array_equal(mask_from_photo(mask, Photo("a.jpg", CAT), report), HOLE)
    [warning] = report.warnings
    assert "92% of it is opaque and has one colour" in warning


@pytest.mark.parametrize(
    "mask", [255 - INDEX * 255, two(WHITE, BLACK), two(RED, BLACK), 1 - INDEX, erased(CAT)[::-1]]
)
def test_inverted_mask_is_used_with_a_warning(mask: np.ndarray) -> None:
    if mask.shape[2:] == (4,):
        mask = np.dstack([CAT, INDEX * 255])  # erased around the hole
    report = Report("a.jpg", "inpaint")
    hole = mask_from_photo(encoded(mask), Photo("a.jpg", CAT), report)
    np.testing.assert_array_equal(hole, ~HOLE)
    [warning] = report.warnings
    assert "its hole covers 92% of the photo" in warning
    assert "invert the mask" in warning


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (encoded(INDEX * 0), "the same value everywhere (0)"),
        (encoded(INDEX * 0 + 255), "the same value everywhere (255)"),
        (encoded(INDEX * 0 + 1), "the same value everywhere (1)"),
        (encoded(layer(BLACK, 0)), "the same value everywhere (0)"),
        (encoded(np.full_like(CAT, RED)), "the same value everywhere"),
        (deep(INDEX * 0), "the same value everywhere (0)"),
        (encoded(CAT), "looks like a photo: it has many colours"),
        (encoded(cv2.cvtColor(CAT, cv2.COLOR_RGB2GRAY)), "many grey levels"),
        (encoded(CAT, "m.jpg"), "looks like a photo"),
        (encoded(np.where(HOLE[..., None], RED, CAT).astype(np.uint8)), "looks like a photo"),
        (deep(CAT * 257.0), "looks like a photo"),
        (encoded(INDEX, "m.jpg", quality=95), "JPEG and WebP do not keep such small differences"),
    ],
)
def test_mask_without_a_hole_is_refused(mask: Photo, reason: str) -> None:
    with pytest.raises(RestoreError) as caught:
        mask_from_photo(mask, Photo("a.jpg", CAT), Report("a.jpg", "inpaint"))
    assert caught.value.code is Code.MASK
    assert reason in caught.value.reason
    assert f"'{mask.name}'" in caught.value.reason


def test_softness_and_left_out_areas_are_doubts() -> None:
    soft = cv2.GaussianBlur(INDEX * np.uint8(255), (0, 0), 6)
    [doubt] = read_hole(soft, None, CAT, lossy=False).doubts
    assert "neither black nor white" in doubt
    levels = INDEX * np.uint8(255)
    levels[60:] = 20
    levels[20:25] = 250
    [doubt] = read_hole(levels, None, CAT, lossy=False).doubts
    assert "39.0% of it has values from 1 to 20 and was not filled" in doubt
