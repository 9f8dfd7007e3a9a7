"""Photos in memory: bytes, binary files, arrays and PIL images."""

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from photofiles import (
    adobe_profile,
    deep_picture,
    exif_block,
    file_of,
    grey_profile,
    picture,
)
from PIL import Image, ImageOps

from restore.errors import Code, RestoreError
from restore.imaging.limits import Limits
from restore.imaging.photo import Photo, open_photo
from restore.imaging.sources import read_source

FILE = file_of(picture(), "PNG")


def refusal(source: Any, **options: Any) -> RestoreError:
    with pytest.raises(RestoreError) as caught:
        open_photo(source, **options)
    return caught.value


@pytest.mark.parametrize(
    "source", [FILE, bytearray(FILE), memoryview(FILE), io.BytesIO(FILE)], ids=type
)
def test_content_of_a_file_is_decoded_under_the_name_photo(source: Any) -> None:
    photo = open_photo(source)
    assert photo.name == "photo"
    np.testing.assert_array_equal(photo.pixels, picture())


def test_open_file_and_opened_image_have_the_name_of_their_file(
    photo_file: Callable[..., Path],
) -> None:
    path = photo_file("b.png")
    with path.open("rb") as file:
        assert open_photo(file).name == "b.png"
    with Image.open(path) as image:
        assert open_photo(image).name == "b.png"
        assert open_photo(image, name="c").name == "c"


def test_number_of_a_temporary_file_is_no_name() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(FILE)
        file.seek(0)
        assert isinstance(file.name, int)
        assert open_photo(file).name == "photo"


def test_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    closed = io.BytesIO(FILE)
    closed.close()
    (tmp_path / "a.txt").write_text("a")
    with (tmp_path / "a.txt").open() as as_text:
        for source, words in ((closed, "closed file"), (as_text, "it returned str")):
            error = refusal(source)
            assert error.code is Code.PHOTO_MISSING
            assert words in error.reason
            assert "binary mode" in error.remedy


@pytest.mark.parametrize("source", [None, [FILE], 5, {}], ids=type)
def test_object_of_another_type_is_refused(source: Any) -> None:
    error = refusal(source)
    assert error.code is Code.PHOTO_FORMAT
    assert type(source).__name__ in error.reason


def test_file_that_was_read_before_is_refused_with_the_remedy() -> None:
    file = io.BytesIO(FILE)
    open_photo(file)
    error = refusal(file)
    assert error.code is Code.PHOTO_DAMAGED
    assert "seek(0)" in error.remedy


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".gif"])
@pytest.mark.parametrize("loads", [False, True])
def test_closed_image_is_refused(photo_file: Callable[..., Path], suffix: str, loads: bool) -> None:
    image = Image.open(photo_file(f"a{suffix}"))
    if loads:
        image.load()
    image.close()
    error = refusal(image)
    assert (error.code, error.reason) == (Code.PHOTO_MISSING, "its PIL image is closed")
    assert "image.load()" in error.remedy


def test_image_is_only_usable_after_its_block_if_it_was_loaded(
    photo_file: Callable[..., Path],
) -> None:
    path = photo_file("a.png")
    with Image.open(path) as image:
        pass
    assert refusal(image).reason == "its PIL image is closed"
    with path.open("rb") as file:
        image = Image.open(file)
    assert refusal(image).reason == "its PIL image is closed"
    with Image.open(path) as image:
        image.load()
    np.testing.assert_array_equal(open_photo(image).pixels, open_photo(path).pixels)


def test_image_that_was_made_in_memory_and_closed_is_refused() -> None:
    image = Image.fromarray(picture())
    image.close()
    assert refusal(image).reason == "its PIL image is closed"


def test_file_that_is_open_for_writing_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        assert "it is not open for reading" in refusal(file).reason


def test_asynchronous_file_is_refused_with_the_remedy() -> None:
    """Such as the uploads of Starlette and FastAPI."""

    class Upload:
        filename = "a.png"

        async def read(self, size: int = -1) -> bytes:
            return FILE[:size]

    error = refusal(Upload())
    assert (error.code, error.remedy) == (Code.PHOTO_MISSING, "Pass the bytes: await file.read().")


def test_file_that_returns_few_bytes_at_once_is_read_to_its_end() -> None:
    whole = io.BytesIO(FILE)
    slow = SimpleNamespace(read=lambda size: whole.read(min(size, 100)))
    np.testing.assert_array_equal(open_photo(slow).pixels, picture())  # type: ignore[arg-type]


def test_file_is_read_from_its_position() -> None:
    file = io.BytesIO(b"other" + FILE)
    assert refusal(file).code is Code.PHOTO_FORMAT
    file.seek(5)
    np.testing.assert_array_equal(open_photo(file).pixels, picture())


def test_size_of_a_memoryview_is_that_of_its_bytes() -> None:
    view = memoryview(FILE + bytes(-len(FILE) % 2)).cast("H")
    np.testing.assert_array_equal(open_photo(view).pixels, picture())
    assert refusal(view, limits=Limits(max_bytes=len(view))).code is Code.PHOTO_TOO_LARGE


@pytest.mark.parametrize("name", [3, b"a", ["a"], picture()], ids=type)
def test_name_that_is_no_text_is_refused(name: Any) -> None:
    error = refusal(picture(), name=name)
    assert error.code is Code.OPTION_INVALID
    assert error.reason.startswith("name is ")


def test_file_is_read_up_to_the_limit() -> None:
    sizes = []

    def read(size: int) -> bytes:
        sizes.append(size)
        return bytes(size)

    error = refusal(SimpleNamespace(read=read), limits=Limits(max_bytes=1000))
    assert (error.code, sizes) == (Code.PHOTO_TOO_LARGE, [1001])
    assert refusal(bytes(1001), limits=Limits(max_bytes=1000)).code is Code.PHOTO_TOO_LARGE
    assert refusal(b"").code is Code.PHOTO_DAMAGED


COLOUR, ALPHA = picture(), picture()[..., 0]


@pytest.mark.parametrize(
    ("array", "pixels", "alpha"),
    [
        (COLOUR, COLOUR, None),
        (COLOUR[::2, ::-1], COLOUR[::2, ::-1], None),
        (np.asfortranarray(COLOUR), COLOUR, None),
        (np.dstack([COLOUR, ALPHA]), COLOUR, ALPHA),
        (ALPHA, ALPHA, None),
        (ALPHA[..., None], ALPHA, None),
        (np.dstack([ALPHA, ALPHA]), ALPHA, ALPHA),
        (ALPHA > 99, np.uint8(255) * (ALPHA > 99), None),
        (deep_picture(3).astype(">u2"), deep_picture(3), None),
    ],
)
def test_array_becomes_a_photo(
    array: np.ndarray, pixels: np.ndarray, alpha: np.ndarray | None
) -> None:
    photo = open_photo(array)
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert photo.pixels.dtype == pixels.dtype
    assert photo.pixels.dtype.isnative
    assert photo.pixels.flags.c_contiguous
    assert (photo.alpha is None) == (alpha is None)
    if alpha is not None:
        np.testing.assert_array_equal(photo.alpha, alpha)
    assert photo.warnings == ()


def test_masked_array_is_refused_because_its_mask_would_be_lost() -> None:
    for array in (np.ma.masked_less(COLOUR, 100), np.ma.masked_less(ALPHA, 100)):
        error = refusal(array)
        assert error.code is Code.PHOTO_FORMAT
        assert "masked" in error.reason
        assert "array.filled(0)" in error.remedy
        with pytest.raises(RestoreError, match="masked"):
            read_source(Photo("x", array))


def test_masked_array_without_masked_values_becomes_a_plain_array() -> None:
    photo = open_photo(np.ma.array(COLOUR))
    assert type(photo.pixels) is np.ndarray
    np.testing.assert_array_equal(photo.pixels, COLOUR)


def test_array_is_copied() -> None:
    array = picture()
    photo = open_photo(array)
    array[:] = 0
    np.testing.assert_array_equal(photo.pixels, picture())


def test_read_only_array_is_accepted() -> None:
    array = picture()
    array.setflags(write=False)
    open_photo(array).pixels[0, 0] = 7


@pytest.mark.parametrize(
    ("array", "reason", "remedy"),
    [
        (COLOUR / 255, "type float64", "(array * 255).round()"),
        (COLOUR.astype(np.float32), "type float32", "(array * 255).round()"),
        (COLOUR.astype(np.int32), "type int32", "numpy.uint8"),
        (COLOUR.astype(np.int8), "type int8", "numpy.uint8"),
        (COLOUR.astype(np.uint32), "type uint32", "numpy.uint8"),
        (np.array([["a"]]), "type <U1", "numpy.uint8"),
        (COLOUR.transpose(2, 0, 1), "3x48x64", "transpose(1, 2, 0)"),
        (COLOUR[None], "1x48x64x3", "list of arrays"),
        (COLOUR.ravel(), "9216", "height x width"),
        (np.array(1, np.uint8), "()", "height x width"),
        (np.zeros((48, 64, 5), np.uint8), "48x64x5", "x 4 with alpha"),
    ],
)
def test_other_arrays_are_refused_with_the_conversion(
    array: np.ndarray, reason: str, remedy: str
) -> None:
    error = refusal(np.asarray(array), name="x")
    assert error.code is Code.PHOTO_FORMAT
    assert reason in error.reason
    assert remedy in error.remedy
    assert error.photo == "x"


def test_limits_hold_for_arrays_and_images() -> None:
    for source in (picture(), Image.fromarray(picture())):
        error = refusal(source, limits=Limits(max_pixels_in=3000))
        assert error.code is Code.PHOTO_TOO_MANY_PIXELS
    for array in (picture()[:0], picture()[:7]):
        assert refusal(array).code is Code.PHOTO_TOO_SMALL


def test_16_bit_array_of_8_bit_values_gives_a_warning() -> None:
    assert "pass them as uint8" in open_photo(picture().astype(np.uint16)).warnings[0]
    assert open_photo(np.zeros((8, 8), np.uint16)).warnings == ()
    image = Image.fromarray(picture()[..., 0])
    assert "the mode L" in open_photo(image.convert("I")).warnings[0]
    assert open_photo(image).warnings == ()


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB"]
)
def test_image_of_any_mode_becomes_a_photo(mode: str) -> None:
    image = Image.fromarray(picture()).convert("RGB" if mode == "LAB" else mode)
    if mode == "LAB":
        image = Image.frombytes("LAB", image.size, image.tobytes())
    photo = open_photo(image)
    assert photo.pixels.shape[:2] == (48, 64)
    assert photo.is_grey == (mode in {"1", "L", "LA"})
    assert (photo.alpha is not None) == (mode in {"LA", "RGBA"})
    if mode != "LAB":
        expected = np.asarray(image.convert("L" if photo.is_grey else "RGB"))
        np.testing.assert_array_equal(photo.pixels, expected)


def test_image_of_16_bit_grey_keeps_its_values() -> None:
    grey = deep_picture(1)[..., 0] if deep_picture(1).ndim == 3 else deep_picture(1)
    for image in (Image.fromarray(grey), Image.fromarray(grey.astype(np.int32))):
        np.testing.assert_array_equal(open_photo(image).pixels, grey)


def test_image_of_floats_is_refused() -> None:
    error = refusal(Image.fromarray(picture()[..., 0].astype(np.float32)))
    assert (error.code, error.reason) == (Code.PHOTO_FORMAT, "its PIL image has the mode F")


def test_damaged_file_that_pillow_reads_late_is_refused() -> None:
    image = Image.open(io.BytesIO(file_of(picture(200, 200), "JPEG")[:-2000]))
    assert refusal(image).code is Code.PHOTO_DAMAGED


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_opened_image_equals_the_photo_of_its_file(file_format: str) -> None:
    data = file_of(picture(), file_format, exif=exif_block(6), icc_profile=adobe_profile())
    expected, photo = open_photo(data), open_photo(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(photo.pixels, expected.pixels)
    assert photo.pixels.shape[:2] == (64, 48)
    assert photo.icc == expected.icc
    assert (photo.exif is None) == (expected.exif is None)
    if file_format != "TIFF":  # results of TIFFs are PNGs
        assert photo.format == expected.format


def test_image_that_was_turned_upright_is_not_turned_again() -> None:
    data = file_of(picture(), "JPEG", exif=exif_block(6))
    image = Image.open(io.BytesIO(data))
    turned = ImageOps.exif_transpose(image)
    ImageOps.exif_transpose(image, in_place=True)
    for each in (turned, image):
        np.testing.assert_array_equal(open_photo(each).pixels, open_photo(data).pixels)


def test_profile_that_does_not_fit_the_pixels_is_dropped_with_a_warning() -> None:
    data = file_of(picture()[..., 0], "PNG", icc_profile=grey_profile())
    photo = open_photo(Image.open(io.BytesIO(data)).convert("RGB"))
    assert photo.icc is None
    assert "colour profile" in photo.warnings[0]
