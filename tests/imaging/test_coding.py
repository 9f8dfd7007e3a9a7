"""Results in the format and the coding of their photo."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photofiles import deep_picture, exif_block, file_of, picture, srgb_profile, tiff_file
from PIL import Image, JpegImagePlugin

from restore.imaging.coding import Coding, output_format_of
from restore.imaging.encode import encode
from restore.imaging.outputs import planned_format, save_all
from restore.imaging.photo import Photo, decode
from restore.options import OutputOptions, choices_of
from restore.report import Report

PICTURE = np.clip(
    picture(160, 224) + np.random.default_rng(1).normal(0, 6, (160, 224, 3)), 0, 255
).astype(np.uint8)
HOLE = np.s_[32:80, 48:112]


def filled(photo: Photo) -> Photo:
    """Return a photo with other pixels in the hole."""
    pixels = photo.pixels.copy()
    pixels[HOLE] = pixels[100:148, 112:176]
    return photo.with_pixels(pixels, photo.alpha)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (file_of(PICTURE, "JPEG"), "JPEG"),
        (file_of(Image.fromarray(PICTURE), "MPO"), "JPEG"),
        (file_of(PICTURE, "PNG"), "PNG"),
        (file_of(PICTURE, "WEBP"), "WEBP"),
        (file_of(PICTURE, "WEBP", lossless=True), "WEBP"),
        (file_of(PICTURE, "TIFF"), "PNG"),
        (tiff_file(deep_picture(3, 160, 224)), "PNG"),
        (file_of(PICTURE, "BMP"), "PNG"),
        (file_of(PICTURE, "GIF"), "PNG"),
    ],
)
def test_same_is_the_format_of_the_photo(data: bytes, expected: str) -> None:
    photo = decode(data, "a")
    result = filled(photo)
    written, notes = encode(result, "same", 95)
    assert Image.open(io.BytesIO(written)).format == expected
    assert notes == ()
    if expected == "PNG" or b"VP8L" in data[:40]:
        np.testing.assert_array_equal(decode(written, "a").pixels, result.pixels)


@pytest.mark.parametrize(
    "options",
    [
        {"icc_profile": srgb_profile()},
        {"icc_profile": srgb_profile(), "exif": exif_block()},
        {"save_all": True, "append_images": [Image.fromarray(PICTURE[::-1])]},
    ],
    ids=["profile", "profile and EXIF", "animation"],
)
def test_a_lossless_webp_stays_lossless_with_chunks_before_its_picture(
    options: dict[str, Any],
) -> None:
    result = filled(decode(file_of(PICTURE, "WEBP", lossless=True, **options), "a"))
    written, _ = encode(result, "same", 95)
    np.testing.assert_array_equal(decode(written, "a").pixels, result.pixels)
    lossy = filled(decode(file_of(PICTURE, "WEBP", quality=90, **options), "a"))
    assert lossy.coding is None


OPTIONS: list[dict[str, Any]] = [
    {"quality": 92},
    {"quality": 60, "subsampling": 0},
    {"quality": 80, "subsampling": 1},
    {"quality": 75, "progressive": True},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_unchanged_blocks_of_a_jpeg_stay_nearly_as_they_are(options: dict[str, Any]) -> None:
    photo = decode(file_of(PICTURE, "JPEG", **options), "a")
    outside = np.ones(photo.pixels.shape[:2], bool)
    outside[16:96, 32:128] = False  # the hole and the blocks that it touches

    def changed(output_format: str) -> float:
        written = decode(encode(filled(photo), output_format, 95)[0], "a").pixels
        return float((written != photo.pixels).any(axis=2)[outside].mean())

    assert changed("same") < 0.4 * changed("jpg")
    image = Image.open(io.BytesIO(encode(filled(photo), "same", 95)[0]))
    original = Image.open(io.BytesIO(file_of(PICTURE, "JPEG", **options)))
    assert isinstance(image, JpegImagePlugin.JpegImageFile)
    assert isinstance(original, JpegImagePlugin.JpegImageFile)
    assert image.quantization == original.quantization
    assert JpegImagePlugin.get_sampling(image) == JpegImagePlugin.get_sampling(original)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_tables_follow_the_orientation(orientation: int) -> None:
    data = file_of(PICTURE, "JPEG", quality=70, subsampling=0, exif=exif_block(orientation))
    photo = decode(data, "a")
    written = decode(encode(photo, "same", 95)[0], "a")
    assert np.mean(written.pixels != photo.pixels) < 0.05
    assert written.pixels.shape == photo.pixels.shape


def test_photo_that_was_changed_as_a_whole_is_coded_by_quality() -> None:
    photo = decode(file_of(PICTURE, "JPEG", quality=20), "a")
    noise = np.random.default_rng(1).integers(0, 40, photo.pixels.shape)
    sharp = photo.with_pixels((photo.pixels // 2 + noise).astype(np.uint8))
    assert encode(sharp, "same", 95) == encode(sharp, "jpg", 95)
    larger = photo.with_pixels(np.repeat(photo.pixels, 2, axis=0))
    assert encode(larger, "same", 95) == encode(larger, "jpg", 95)
    grey = photo.with_pixels(photo.pixels[..., 0].copy())
    assert encode(grey, "same", 95) == encode(grey, "jpg", 95)


def test_cmyk_and_unusual_jpegs_are_coded_by_quality() -> None:
    inks = decode(file_of(Image.fromarray(PICTURE).convert("CMYK"), "JPEG"), "a")
    assert inks.coding
    assert not inks.coding.fits(inks.pixels)
    assert encode(inks, "same", 95)[0] == encode(inks, "jpg", 95)[0]
    assert Photo("a", PICTURE, format="JPEG").coding is None
    assert encode(Photo("a", PICTURE, format="JPEG"), "same", 95)[0][:3] == b"\xff\xd8\xff"


def test_planned_format_is_that_of_the_result(tmp_path: Path) -> None:
    for kind, expected in (("JPEG", "jpg"), ("WEBP", "webp"), ("BMP", "png"), ("PNG", "png")):
        path = tmp_path / f"{kind}.dat"
        path.write_bytes(file_of(PICTURE, kind))
        assert planned_format(path, "same") == expected
        assert planned_format(path, "webp") == "webp"
        photo = decode(path.read_bytes(), path.name)
        report = Report(photo=path.name, task="inpaint")
        output = OutputOptions(output_format="same")
        (written,) = save_all([photo], [report], output, tmp_path / "out")
        assert written.suffix == f".{expected}"
        assert report.output is not None
        assert report.output["format"] == expected
    (tmp_path / "a.txt").write_text("no photo")
    assert planned_format(tmp_path / "a.txt", "same") == "png"
    assert planned_format(tmp_path / "absent.jpg", "same") == "png"
    assert planned_format(Path("a\0b"), "same") == "png"


def test_chroma_of_half_the_width_is_full_in_a_turned_photo() -> None:
    """There is no number for chroma of half the height."""
    table = tuple(range(64))
    for subsampling, turned in ((0, 0), (1, 0), (2, 2)):
        coding = Coding((40, 30), (table,), subsampling).transposed()
        assert (coding.size, coding.subsampling) == ((30, 40), turned)
        assert coding.tables[0][1] == table[8]


@pytest.mark.parametrize("output_format", choices_of(OutputOptions, "output_format"))
def test_every_format_of_the_options_can_be_written(output_format: str) -> None:
    """A file that is read again as `same` gets its own format."""
    expected = "png" if output_format == "same" else output_format
    photo = Photo("a", PICTURE, format="BMP")
    written = decode(encode(photo, output_format, 95)[0], "b")
    assert output_format_of("same", written.format) == expected
