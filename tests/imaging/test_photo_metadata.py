"""What comes with a photo: it is turned upright, brought into the working space, and keeps its profile and its EXIF."""

import io
import struct
import zlib

import numpy as np
import pytest
from photofiles import (
    ADOBE_GAMMA,
    ADOBE_TO_XYZ,
    FORMATS,
    adobe_profile,
    chunk,
    cmyk_profile,
    deep_picture,
    exif_block,
    exif_of,
    file_of,
    grey_profile,
    levels_apart,
    picture,
    png_file,
    profile,
    scanner_profile,
    srgb_profile,
    tiff_file,
)
from PIL import ExifTags, Image, ImageCms

from restore.imaging.photo import Photo, decode, encode

SRGB_TO_XYZ = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)


# Orientation

STORED_AS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, 1),  # the camera was turned; 6 says: turn clockwise to see it upright
    7: lambda a: np.rot90(a[::-1], 1),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations_give_the_same_upright_photo(orientation):
    # Blocks of one colour survive JPEG the same way round or turned.
    upright = np.repeat(np.repeat(picture(3, 5), 8, 0), 8, 1)
    stored = np.ascontiguousarray(STORED_AS[orientation](upright))
    exif = exif_block(orientation)
    jpeg = decode(file_of(stored, "JPEG", quality=100, subsampling=0, exif=exif), "a")
    np.testing.assert_array_equal(
        jpeg.pixels, decode(file_of(upright, "JPEG", quality=100, subsampling=0), "a").pixels
    )
    alpha = upright[..., 1].astype(np.uint16) * 200
    deep = np.dstack([upright.astype(np.uint16) * 250, alpha])
    stored_deep = np.ascontiguousarray(STORED_AS[orientation](deep))
    tiff = tiff_file(stored_deep, {274: [orientation], 338: [2]})
    for data in (png_file(stored_deep, chunk(b"eXIf", exif[6:])), tiff):
        photo = decode(data, "a")
        np.testing.assert_array_equal(photo.pixels, deep[..., :3])
        np.testing.assert_array_equal(photo.alpha, alpha)
        assert photo.orientation == orientation
    np.testing.assert_array_equal(
        decode(tiff_file(stored, {274: [orientation]}), "a").pixels, upright
    )
    for format_name in FORMATS:
        again = encode(jpeg, format_name, 100)[0]
        assert exif_of(again)[ExifTags.Base.Orientation] == 1
        assert decode(again, "a").pixels.shape == upright.shape


def test_transposition_and_its_mirror_against_pillow():
    from PIL import ImageOps  # noqa: PLC0415 # a second opinion on the table above, needed here only

    for orientation in range(1, 9):
        data = file_of(picture(), "PNG", exif=exif_block(orientation))
        expected = np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
        np.testing.assert_array_equal(decode(data, "a").pixels, expected)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_without_meaning_is_ignored(orientation):
    photo = decode(file_of(picture(), "PNG", exif=exif_block(orientation)), "a")
    np.testing.assert_array_equal(photo.pixels, picture())
    assert photo.orientation == 1
    assert exif_of(encode(photo, "png", 90)[0])[ExifTags.Base.Orientation] == 1


# Colour


def adobe_to_srgb(pixels):
    """By the definitions of the two spaces, without LittleCMS."""
    linear = np.clip(
        ((pixels / 255) ** ADOBE_GAMMA) @ ADOBE_TO_XYZ.T @ np.linalg.inv(SRGB_TO_XYZ).T, 0, 1
    )
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def adobe_to_lab(pixels):
    ratio = ((pixels / 255) ** ADOBE_GAMMA) @ ADOBE_TO_XYZ.T / np.array([0.9642, 1.0, 0.8249])
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])],
        axis=-1,
    )


def test_wide_gamut_is_worked_on_as_srgb_and_goes_back_into_its_own_profile():
    muted = picture() // 2 + 64  # inside sRGB, which AdobeRGB's own greens are not
    data = file_of(muted, "PNG", icc_profile=adobe_profile())
    photo = decode(data, "a")
    assert photo.converted
    assert np.abs(photo.pixels - adobe_to_srgb(muted)).max() <= 1.5
    assert levels_apart(photo.pixels, muted) > 20  # else the test would pass without any conversion
    for format_name, most in (("png", 1.0), ("jpg", 4.0)):
        written, notes = encode(photo, format_name, 100)
        image = Image.open(io.BytesIO(written))
        assert image.info["icc_profile"] == adobe_profile()
        delta_e = np.linalg.norm(adobe_to_lab(np.array(image)) - adobe_to_lab(muted), axis=-1)
        assert delta_e.max() < most
        assert delta_e.mean() < 1
        assert notes == ()


def test_an_srgb_profile_or_none_touches_no_number():
    for icc in (None, srgb_profile()):
        photo = decode(file_of(picture(), "PNG", icc_profile=icc), "a")
        np.testing.assert_array_equal(photo.pixels, picture())
        assert (photo.icc, photo.converted, photo.warnings) == (icc, False, ())
        for format_name in FORMATS:
            assert (
                Image.open(io.BytesIO(encode(photo, format_name, 90)[0])).info.get("icc_profile")
                == icc
            )


def test_white_stays_white_and_black_black_whatever_the_paper():
    black_and_white = np.zeros((8, 8, 3), np.uint8)
    black_and_white[4:] = 255
    for icc in (adobe_profile(), scanner_profile()):
        assert (
            levels_apart(
                decode(file_of(black_and_white, "PNG", icc_profile=icc), "a").pixels,
                black_and_white,
            )
            <= 1
        )


def test_a_profile_without_a_way_back_is_left_out_of_the_result():
    photo = decode(file_of(picture(), "PNG", icc_profile=scanner_profile()), "a")
    assert photo.converted
    data, notes = encode(photo, "png", 90)
    again = decode(data, "a")
    np.testing.assert_array_equal(again.pixels, photo.pixels)
    assert again.icc is None
    assert "colour profile does not fit" in notes[0]


def test_a_profile_that_says_srgb_but_is_not_is_converted():
    liar = adobe_profile().replace(b"Test\0", b"sRGB\0")
    assert decode(file_of(picture(), "PNG", icc_profile=liar), "a").converted


def test_16_bit_colour_stays_in_its_own_space():
    samples = deep_picture(3)
    photo = decode(
        png_file(samples, chunk(b"iCCP", b"x\0\0" + zlib.compress(adobe_profile()))), "a"
    )
    np.testing.assert_array_equal(photo.pixels, samples)
    assert (photo.icc, photo.converted) == (adobe_profile(), False)
    jpeg, _ = encode(photo, "jpg", 95)
    assert Image.open(io.BytesIO(jpeg)).info["icc_profile"] == adobe_profile()
    written = decode(encode(photo, "png", 95)[0], "a")
    assert written.icc == adobe_profile()
    np.testing.assert_array_equal(written.pixels, samples)


def test_a_grey_profile_stays_with_grey_and_leaves_when_colour_comes():
    grey = picture()[..., 0]
    photo = decode(file_of(grey, "PNG", icc_profile=grey_profile()), "a")
    np.testing.assert_array_equal(photo.pixels, grey)
    for format_name in ("jpg", "png"):
        data, notes = encode(photo, format_name, 95)
        assert Image.open(io.BytesIO(data)).info["icc_profile"] == grey_profile()
        assert notes == ()
    for result, format_name in (
        (photo.with_pixels(picture()), "png"),
        (photo.with_pixels(picture()), "jpg"),
        (photo, "webp"),
    ):
        data, notes = encode(result, format_name, 95)
        assert "icc_profile" not in Image.open(io.BytesIO(data)).info
        assert "colour profile does not fit" in notes[0]


def test_a_converted_photo_made_deep_or_grey_stays_srgb_without_a_profile():
    photo = decode(file_of(picture(), "PNG", icc_profile=adobe_profile()), "a")
    for pixels in (photo.pixels.astype(np.uint16) * 257, photo.pixels[..., 0]):
        data, notes = encode(photo.with_pixels(pixels), "png", 95)
        again = decode(data, "a")
        np.testing.assert_array_equal(again.pixels, pixels)
        assert again.icc is None
        assert "colour profile does not fit" in notes[0]


@pytest.mark.parametrize(
    ("icc", "mode"),
    [
        (b"not a profile", "RGB"),
        (adobe_profile()[:200], "RGB"),
        (cmyk_profile(), "RGB"),
        (adobe_profile(), "L"),
        (adobe_profile(device_class=b"link"), "RGB"),
        (profile(b"RGB ", {}), "RGB"),
        (adobe_profile() + bytes(4 * 2**20), "RGB"),
    ],
    ids=["junk", "cut", "cmyk-on-rgb", "rgb-on-grey", "device-link", "no-tables", "4-MiB"],
)
def test_a_profile_of_no_use_is_dropped_with_a_warning(icc, mode):
    pixels = picture() if mode == "RGB" else picture()[..., 0]
    for format_name in ("PNG", "TIFF", "JPEG"):
        photo = decode(file_of(pixels, format_name, icc_profile=icc), "a")
        assert photo.icc is None
        assert "colour profile" in photo.warnings[0]
        assert levels_apart(photo.pixels, pixels) <= (30 if format_name == "JPEG" else 0)


CMYK_COLOURS = np.array(
    [[255, 0, 0, 0], [0, 255, 0, 0], [0, 0, 255, 0], [0, 0, 0, 255], [0, 0, 0, 0], [0, 0, 0, 128]],
    np.uint8,
)
THEIR_RGB = np.array(
    [[0, 255, 255], [255, 0, 255], [255, 255, 0], [0, 0, 0], [255, 255, 255], [127, 127, 127]]
)


def cmyk_jpeg(kind, **options):
    """A JPEG of six ink patches: as Adobe writes CMYK (inverted), the same without its marker, or as YCCK."""
    ink = CMYK_COLOURS.copy()
    if (
        kind == "ycck"
    ):  # the file's samples are YCbCr of the inks as if they were RGB, and K inverted; Pillow inverts them on writing
        ycc = np.array(Image.fromarray(ink[None, :, :3].copy()).convert("YCbCr"))[0]
        ink = np.column_stack([255 - ycc, ink[:, 3]])
    patches = np.repeat(np.repeat(ink[None], 16, 0), 16, 1)
    data = file_of(
        np.ascontiguousarray(patches), "JPEG", "CMYK", quality=98, subsampling=0, **options
    )
    adobe = data.index(b"Adobe")
    if kind == "ycck":
        return data[: adobe + 11] + b"\x02" + data[adobe + 12 :]
    return data if kind == "adobe" else data[: adobe - 4] + data[adobe + 12 :]


@pytest.mark.parametrize("kind", ["adobe", "bare", "ycck"])
def test_cmyk_jpeg_without_a_profile(kind):
    photo = decode(cmyk_jpeg(kind), "a")
    assert levels_apart(photo.pixels[8, 8::16], THEIR_RGB) <= 4
    assert (photo.format, photo.icc) == ("JPEG", None)
    assert "approximate" in photo.warnings[0]


def test_cmyk_jpeg_is_read_by_its_profile_which_is_not_kept():
    photo = decode(cmyk_jpeg("adobe", icc_profile=cmyk_profile()), "a")
    cyan, magenta, *_, white, grey = photo.pixels[8, 8::16].astype(int)
    assert cyan[0] > 190  # this profile's cyan prints yellow
    assert cyan[2] < 90
    assert magenta.max() < 20
    assert white.min() > 250
    assert 60 < grey.mean() < 200
    assert (photo.icc, photo.converted, photo.warnings) == (None, False, ())
    assert all(
        "icc_profile" not in Image.open(io.BytesIO(encode(photo, f, 90)[0])).info for f in FORMATS
    )


def test_lab_and_cmyk_tiff_become_srgb():
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    lab = ImageCms.applyTransform(Image.fromarray(picture()), to_lab)
    assert (
        levels_apart(decode(file_of(lab, "TIFF"), "a").pixels, picture()) <= 8
    )  # 8-bit Lab is coarse in blue
    cmyk = np.ascontiguousarray(np.repeat(np.repeat(CMYK_COLOURS[None], 16, 0), 16, 1))
    assert levels_apart(decode(file_of(cmyk, "TIFF", "CMYK"), "a").pixels[8, 8::16], THEIR_RGB) <= 1


# EXIF


@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("keep_gps", [False, True])
def test_exif_survives_and_gps_only_when_asked(source, target, keep_gps):
    photo = decode(
        file_of(picture(), source, exif=exif_block(1) if source != "TIFF" else tiff_exif()), "a"
    )
    data, notes = encode(photo.with_pixels(picture(96, 128)), target, 95, keep_gps=keep_gps)
    exif = exif_of(data)
    assert exif[ExifTags.Base.Make] == "Maker"
    assert dict(exif.get_ifd(ExifTags.IFD.GPSInfo)) == (
        {ExifTags.GPS.GPSLatitudeRef: "N"} if keep_gps else {}
    )
    details = exif.get_ifd(ExifTags.IFD.Exif)
    assert details[ExifTags.Base.DateTimeOriginal] == "1926:05:04 03:02:01"
    assert details[ExifTags.Base.ExifImageWidth] == 128  # of the result, not of what came in
    assert ExifTags.Base.ImageWidth not in exif  # the layout of a TIFF is not the picture's
    assert notes == ()
    assert photo.exif.startswith(b"Exif\0\0")


def tiff_exif():
    exif = Image.Exif()
    exif.load(exif_block())
    return exif


def test_exif_too_large_for_a_jpeg_is_dropped_with_a_warning():
    photo = decode(file_of(picture(), "PNG", exif=exif_block(comment_bytes=70_000)), "a")
    data, notes = encode(photo, "jpg", 90)
    assert len(exif_of(data)) == 0
    assert "jpg holds at most 65533" in notes[0]
    assert (
        exif_of(encode(photo, "png", 90)[0]).get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]
        == b"c" * 70_000
    )


def test_a_jpeg_with_the_largest_exif_is_taken():
    photo = decode(file_of(picture(), "JPEG", exif=exif_block(6, comment_bytes=65_000)), "a")
    assert photo.orientation == 6
    assert encode(photo, "jpg", 90)[0]


def with_exif(block):
    return png_file(picture(), chunk(b"eXIf", block))


def test_broken_exif_is_dropped_and_the_photo_stays():
    claims = b"\x87\x13" + b"".join(
        struct.pack("<HHLL", tag, 1, 60_000, 8) for tag in range(1, 5000)
    )
    bomb = b"II*\0\x08\0\0\0" + claims
    nested = (
        b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHLLL", ExifTags.IFD.Exif, 4, 1, 26, 0) + claims
    )
    no_tiff = b"This is no TIFF, but it is long enough for one."
    other = b"XX\0*\0\0\0\x08" + bytes(6)
    for block in (
        b"junk",
        no_tiff,
        other,
        b"II*\0\xff\xff\xff\x7f",
        b"II*\0",
        b"",
        bomb,
        nested,
        bytes(2**20 + 1),
    ):
        photo = decode(with_exif(block), "a")
        np.testing.assert_array_equal(photo.pixels, picture())
        assert photo.exif is None
        assert not block or "EXIF" in photo.warnings[0]
        assert (
            len(block) < 10_000
            or "claim more" in photo.warnings[0]
            or "the limit is" in photo.warnings[0]
        )


def test_the_readable_part_of_a_broken_exif_counts():
    good, bad = struct.pack("<HHLHH", 274, 3, 1, 3, 0), struct.pack("<HHLL", 271, 2, 900, 500)
    photo = decode(with_exif(b"II*\0\x08\0\0\0\x02\0" + bad + good + bytes(4)), "a")
    np.testing.assert_array_equal(photo.pixels, picture()[::-1, ::-1])
    assert photo.warnings == ("a part of its EXIF cannot be read and was dropped",)


def test_exif_that_cannot_be_read_again_never_carries_gps_out():
    data, notes = encode(Photo("a", picture(), exif=b"Exif\0\0GPS 52.5N"), "jpg", 90)
    assert b"52.5N" not in data
    assert "EXIF cannot be written" in notes[0]


@pytest.mark.parametrize(
    "bad", [chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(2**21))), b"\0\0\0\4tEXta\0bb\0\0\0\0"]
)
def test_a_png_outlives_its_texts(bad):
    photo = decode(png_file(picture(), bad, chunk(b"eXIf", exif_block(3)[6:])), "a")
    np.testing.assert_array_equal(photo.pixels, picture()[::-1, ::-1])
    assert "were dropped" in photo.warnings[0]
