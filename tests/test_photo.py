"""photo: what comes in is upright, in the working space and at its own depth; what goes out keeps what came with it."""

import io
import json
import struct
import zipfile
import zlib

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from restore.errors import Code, RestoreError
from restore.photo import LIMITS, Limits, Photo, decode, encode, open_photo, save, write_atomically

FORMATS = ("jpg", "png", "webp")
ADOBE_TO_XYZ = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
SRGB_TO_XYZ = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
ADOBE_GAMMA = 563 / 256


# Files built by hand, as no writer makes them


def picture(height=48, width=64):
    """Smooth, and unlike itself under every mirroring and turn."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = 70 + 110 * x / width, 60 + 120 * y / height
    return np.stack([red, green, 90 + 60 * np.sin(x / 9 + y / 23)], axis=-1).round().astype(np.uint8)


def deep_picture(channels, height=20, width=30):
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(channels).integers(0, 65536, shape).astype(np.uint16)


def file_of(pixels, format_name, mode=None, **options):
    out = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels, mode)
    image.save(out, format_name, **options)
    return out.getvalue()


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_file(samples, *chunks, bits=None):
    """A PNG whose colour type follows from the channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA; uint8 rows may be packed bits."""
    height, row = len(samples), samples.reshape(len(samples), -1)
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    width = row.shape[1] // channels if bits is None else row.shape[1] * 8 // bits
    depth = bits or samples.dtype.itemsize * 8
    raw = b"".join(b"\0" + line.astype(line.dtype.newbyteorder(">")).tobytes() for line in row)
    header = struct.pack(">IIBBBBB", width, height, depth, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    body = b"".join([chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(raw)), chunk(b"IEND", b"")])
    return b"\x89PNG\r\n\x1a\n" + body


def tiff_file(samples, tags=None, *, order="<"):
    """An uncompressed TIFF of one strip; `tags` are SHORTs that replace or add to the usual ones."""
    height, width = samples.shape[:2]
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    strip = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    entries = {256: [width], 257: [height], 258: [samples.dtype.itemsize * 8] * channels, 259: [1], 262: [2 if channels > 2 else 1]}
    entries |= {277: [channels], 278: [height], 284: [1]} | (tags or {})
    start = 8 + 2 + 12 * (len(entries) + 2) + 4
    extra, rows = b"", []
    for tag in sorted([*entries, 273, 279]):
        if tag in (273, 279):
            rows.append(struct.pack(order + "HHLL", tag, 4, 1, 4096 if tag == 273 else len(strip)))
            continue
        values = struct.pack(f"{order}{len(entries[tag])}H", *entries[tag])
        field = values.ljust(4, b"\0") if len(values) <= 4 else struct.pack(order + "L", start + len(extra))
        extra += values if len(values) > 4 else b""
        rows.append(struct.pack(order + "HHL", tag, 3, len(entries[tag])) + field)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "LH", 8, len(rows)) + b"".join(rows) + bytes(4) + extra
    return head.ljust(4096, b"\0") + strip


def profile(space, tags, device_class=b"mntr", pcs=b"XYZ "):
    """An ICC profile of version 2 from its tags' data."""
    tags = {b"desc": b"desc\0\0\0\0\0\0\0\x05Test\0" + bytes(78), b"wtpt": xyz(0.9642, 1.0, 0.8249)} | tags
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        padded = data + bytes(-len(data) % 4)
        table += name + struct.pack(">II", at + len(body), len(data))
        body += padded
    size = at + len(body)
    head = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02400000, device_class, space, pcs) + bytes(12) + b"acsp" + bytes(28)
    return (head + struct.pack(">3i", 63190, 65536, 54061)).ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def xyz(*values):
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def curve(gamma):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def adobe_profile(**options):
    columns = {name: xyz(*ADOBE_TO_XYZ[:, index]) for index, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    columns[b"wtpt"] = xyz(0.9505, 1.0, 1.0891)  # as Adobe's own profile has it
    return profile(b"RGB ", columns | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve(ADOBE_GAMMA)), **options)


def grey_profile():
    return profile(b"GRAY", {b"kTRC": curve(1.8)})


def cmyk_profile():
    """Inks of another world: cyan prints yellow, the others are black."""
    corners = bytearray()
    for c, m, y, k in np.ndindex(2, 2, 2, 2):
        lightness, b = (0, 0) if m or y or k else (80, 70) if c else (100, 0)
        corners += bytes([round(lightness * 2.55), 128, 128 + b])
    ramp = bytes(range(256))
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut = b"mft1\0\0\0\0\x04\x03\x02\0" + identity + ramp * 4 + bytes(corners) + ramp * 3
    return profile(b"CMYK", {b"A2B0": lut}, device_class=b"prtr", pcs=b"Lab ")


def scanner_profile():
    """RGB by a table, one way only; its black is no darker than L* 20."""
    corners = bytearray()
    for r, g, b in np.ndindex(2, 2, 2):
        corners += bytes([51 + 68 * (r + g + b), 128 + 40 * (r - g), 128 + 40 * (g - b)])
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    ramp = bytes(range(256))
    lut = b"mft1\0\0\0\0\x03\x03\x02\0" + identity + ramp * 3 + bytes(corners) + ramp * 3
    return profile(b"RGB ", {b"A2B0": lut, b"A2B1": lut}, device_class=b"scnr", pcs=b"Lab ")


def srgb_profile():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif_block(orientation=None, comment_bytes=0, gps=True):
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = "1926:05:04 03:02:01"
    details[ExifTags.Base.ExifImageWidth] = 4000
    if comment_bytes:
        details[ExifTags.Base.UserComment] = b"c" * comment_bytes
    if gps:
        exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return exif.tobytes()


def exif_of(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image.getexif()


def refused(data, name="a.jpg", limits=LIMITS):
    with pytest.raises(RestoreError) as caught:
        decode(data, name, limits)
    assert str(caught.value).startswith(f"[{caught.value.code}] photo '{name}': ")
    return caught.value


def levels_apart(a, b):
    return np.abs(a.astype(int) - b.astype(int)).max()


# What is taken, and how it arrives


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_every_format_is_known_by_content_whatever_its_name(format_name):
    options = {"lossless": True} if format_name == "WEBP" else {"quality": 95} if format_name == "JPEG" else {}
    pixels = picture() if format_name != "GIF" else np.repeat(np.repeat(picture(6, 8), 8, 0), 8, 1)
    photo = decode(file_of(pixels, format_name, **options), "a.txt")
    assert (photo.format, photo.width, photo.height, photo.bits, photo.is_grey) == (format_name, 64, 48, 8, False)
    assert levels_apart(photo.pixels, pixels) <= (8 if format_name == "JPEG" else 0)
    assert (photo.alpha, photo.icc, photo.exif, photo.warnings) == (None, None, None, ())


@pytest.mark.parametrize("format_name", ["PNG", "TIFF", "BMP", "GIF"])
def test_grey_stays_grey(format_name):
    grey = picture()[..., 0]
    photo = decode(file_of(grey, format_name), "a")
    assert photo.is_grey
    np.testing.assert_array_equal(photo.pixels, grey)


def test_colour_with_equal_channels_stays_colour():
    assert decode(file_of(np.dstack([picture()[..., 0]] * 3), "PNG"), "a").pixels.shape == (48, 64, 3)


def test_one_bit_becomes_black_and_white():
    bits = picture()[..., 0] > 120
    for format_name in ("PNG", "TIFF", "BMP", "GIF"):
        photo = decode(file_of(Image.fromarray(bits), format_name), "a")
        np.testing.assert_array_equal(photo.pixels, bits * np.uint8(255))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("format_name", ["PNG", "TIFF", "WEBP"])
def test_alpha_comes_beside_the_colour(mode, format_name):
    colour = picture() if mode == "RGBA" else picture()[..., 0]
    alpha = picture()[..., 1]
    options = {"lossless": True, "exact": True} if format_name == "WEBP" else {}
    photo = decode(file_of(np.dstack([colour, alpha]), format_name, **options), "a")
    np.testing.assert_array_equal(photo.alpha, alpha)
    expected = np.dstack([colour] * 3) if (mode, format_name) == ("LA", "WEBP") else colour
    np.testing.assert_array_equal(photo.pixels, expected)


def test_premultiplied_tiff_alpha_is_undone():
    rgba = np.full((8, 8, 4), (100, 50, 25, 128), np.uint8)
    photo = decode(tiff_file(rgba, {338: [1]}), "a")
    assert levels_apart(photo.pixels[0, 0], np.array([199, 100, 50])) <= 1
    assert photo.alpha[0, 0] == 128


def test_palette_with_transparency():
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) % 4, "L").convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    for data in (file_of(image, "PNG", transparency=bytes([0, 128, 255])), file_of(image, "GIF", transparency=0)):
        photo = decode(data, "a")
        np.testing.assert_array_equal(photo.pixels[0, :4], [[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]])
        assert photo.alpha[0, 0] == 0
        assert photo.alpha[0, 2] == photo.alpha[0, 3] == 255


def test_a_transparent_value_becomes_alpha_at_every_depth():
    grey = np.tile(np.arange(8, dtype=np.uint8), (8, 1))
    expected = np.where(grey == 3, 0, 255)
    np.testing.assert_array_equal(decode(png_file(grey, chunk(b"tRNS", b"\0\3")), "a").alpha, expected)
    packed = np.tile(np.array([0x01, 0x23, 0x45, 0x67], np.uint8), (8, 1))
    four_bits = decode(png_file(packed, chunk(b"tRNS", b"\0\3"), bits=4), "a")
    np.testing.assert_array_equal(four_bits.pixels, grey * 17)
    np.testing.assert_array_equal(four_bits.alpha, expected)
    deep = decode(png_file(grey.astype(np.uint16) * 1000, chunk(b"tRNS", struct.pack(">H", 3000))), "a")
    np.testing.assert_array_equal(deep.alpha, np.where(grey == 3, 0, 65535))
    rgb = deep_picture(3)
    keyed = decode(png_file(rgb, chunk(b"tRNS", struct.pack(">3H", *rgb[2, 5]))), "a")
    np.testing.assert_array_equal(keyed.pixels, rgb)
    assert keyed.alpha[2, 5] == 0
    assert (keyed.alpha == 0).sum() == 1


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_png_is_read_and_written_at_16_bits(channels):
    samples = deep_picture(channels)
    first = decode(png_file(samples), "a")
    again = decode(encode(first, "png", 95)[0], "a")
    colour, alpha = (samples, None) if channels in (1, 3) else (samples[..., :-1].squeeze(), samples[..., -1])
    for photo in (first, again):
        assert (photo.bits, photo.is_grey, photo.warnings) == (16, channels < 3, ())
        np.testing.assert_array_equal(photo.pixels, colour)
        assert (photo.alpha is None) == (alpha is None)
        assert alpha is None or (photo.alpha == alpha).all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bit_tiff_is_read_at_16_bits(channels, order):
    samples = deep_picture(channels)
    photo = decode(tiff_file(samples, {338: [2]} if channels == 4 else None, order=order), "a")
    np.testing.assert_array_equal(photo.pixels, samples[..., :3] if channels == 4 else samples)
    assert channels != 4 or (photo.alpha == samples[..., 3]).all()


def test_an_unspecified_extra_sample_is_not_alpha():
    samples = deep_picture(4)
    photo = decode(tiff_file(samples, {338: [0]}), "a")
    np.testing.assert_array_equal(photo.pixels, samples[..., :3])
    assert photo.alpha is None


def test_deep_premultiplied_tiff_is_read_at_8_bits_and_says_so():
    rgba = np.full((8, 8, 4), (100 * 257, 50 * 257, 25 * 257, 128 * 257), np.uint16)
    photo = decode(tiff_file(rgba, {338: [1]}), "a")
    assert levels_apart(photo.pixels[0, 0], np.array([199, 100, 50])) <= 1
    assert photo.warnings == ("its 16 bits could only be read as 8",)


def test_integer_tiff_of_32_bits_is_taken_where_its_values_fit():
    values = deep_picture(1).astype(np.int32)
    photo = decode(file_of(values, "TIFF"), "a")
    assert photo.bits == 16
    np.testing.assert_array_equal(photo.pixels, values)
    assert refused(file_of(values * 70000, "TIFF")).code == Code.PHOTO_FORMAT


def test_white_is_zero_and_12_bits_in_tiff():
    grey = deep_picture(1)
    np.testing.assert_array_equal(decode(tiff_file(grey, {262: [0]}), "a").pixels, 65535 - grey)
    grey_8 = (grey // 256).astype(np.uint8)
    np.testing.assert_array_equal(decode(tiff_file(grey_8, {262: [0]}), "a").pixels, 255 - grey_8)
    packed = np.tile(np.array([0x00, 0x0F, 0xFF], np.uint8), (8, 4))  # pairs of 0 and 4095
    twelve = decode(tiff_file(packed, {256: [8], 258: [12]}), "a")
    np.testing.assert_array_equal(twelve.pixels, np.tile(np.array([0, 65535], np.uint16), (8, 4)))


def test_a_tag_without_values_is_as_good_as_absent():
    np.testing.assert_array_equal(decode(tiff_file(deep_picture(3), {338: []}), "a").pixels, deep_picture(3))


def test_a_tiff_that_lost_the_end_of_its_directory_is_not_guessed_at():
    data = tiff_file(np.full((8, 8, 4), (100, 50, 25, 128), np.uint8), {338: [1]})  # premultiplied, told by the last tag
    directory = data[8 : 8 + 2 + 12 * data[8] + 4]
    moved = data[:4] + struct.pack("<L", len(data)) + data[8:] + directory
    assert levels_apart(decode(moved, "a").pixels[0, 0], np.array([199, 100, 50])) <= 1
    assert refused(moved[:-16]).code == Code.PHOTO_DAMAGED


def test_layouts_that_readers_get_wrong_are_refused():
    for data in (tiff_file(deep_picture(2), {338: [2]}), tiff_file(deep_picture(3), {284: [2]})):
        error = refused(data, "a.tif")
        assert error.code == Code.PHOTO_FORMAT
        assert "16-bit TIFF" in error.reason


def test_only_the_first_frame_is_used():
    first, second = (Image.fromarray(np.repeat(np.repeat(c, 8, 0), 8, 1)) for c in (picture(6, 8), picture(6, 8)[::-1]))
    expected = np.array(first)
    for format_name, options in (("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        data = file_of(first, format_name, save_all=True, append_images=[second], **options)
        photo = decode(data, "a")
        np.testing.assert_array_equal(photo.pixels, expected)
        assert photo.warnings == ("only its first frame is used",)
    mpo = decode(file_of(first, "MPO", save_all=True, append_images=[second], quality=100, subsampling=0), "a")
    assert levels_apart(mpo.pixels, expected) <= 2
    assert (mpo.format, mpo.warnings) == ("JPEG", ())


def test_a_jpeg_with_a_zip_behind_it_is_the_jpeg_alone():
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("evil.txt", "payload")
    jpeg = file_of(picture(), "JPEG")
    photo = decode(jpeg + archive.getvalue(), "a")
    np.testing.assert_array_equal(photo.pixels, decode(jpeg, "a").pixels)
    assert all(b"payload" not in encode(photo, format_name, 90)[0] for format_name in FORMATS)


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
    np.testing.assert_array_equal(jpeg.pixels, decode(file_of(upright, "JPEG", quality=100, subsampling=0), "a").pixels)
    alpha = upright[..., 1].astype(np.uint16) * 200
    deep = np.dstack([upright.astype(np.uint16) * 250, alpha])
    stored_deep = np.ascontiguousarray(STORED_AS[orientation](deep))
    tiff = tiff_file(stored_deep, {274: [orientation], 338: [2]})
    for data in (png_file(stored_deep, chunk(b"eXIf", exif[6:])), tiff):
        photo = decode(data, "a")
        np.testing.assert_array_equal(photo.pixels, deep[..., :3])
        np.testing.assert_array_equal(photo.alpha, alpha)
        assert photo.orientation == orientation
    np.testing.assert_array_equal(decode(tiff_file(stored, {274: [orientation]}), "a").pixels, upright)
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
    linear = np.clip(((pixels / 255) ** ADOBE_GAMMA) @ ADOBE_TO_XYZ.T @ np.linalg.inv(SRGB_TO_XYZ).T, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def adobe_to_lab(pixels):
    ratio = ((pixels / 255) ** ADOBE_GAMMA) @ ADOBE_TO_XYZ.T / np.array([0.9642, 1.0, 0.8249])
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


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
            assert Image.open(io.BytesIO(encode(photo, format_name, 90)[0])).info.get("icc_profile") == icc


def test_white_stays_white_and_black_black_whatever_the_paper():
    black_and_white = np.zeros((8, 8, 3), np.uint8)
    black_and_white[4:] = 255
    for icc in (adobe_profile(), scanner_profile()):
        assert levels_apart(decode(file_of(black_and_white, "PNG", icc_profile=icc), "a").pixels, black_and_white) <= 1


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
    photo = decode(png_file(samples, chunk(b"iCCP", b"x\0\0" + zlib.compress(adobe_profile()))), "a")
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
    for result, format_name in ((photo.with_pixels(picture()), "png"), (photo.with_pixels(picture()), "jpg"), (photo, "webp")):
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


CMYK_COLOURS = np.array([[255, 0, 0, 0], [0, 255, 0, 0], [0, 0, 255, 0], [0, 0, 0, 255], [0, 0, 0, 0], [0, 0, 0, 128]], np.uint8)
THEIR_RGB = np.array([[0, 255, 255], [255, 0, 255], [255, 255, 0], [0, 0, 0], [255, 255, 255], [127, 127, 127]])


def cmyk_jpeg(kind, **options):
    """A JPEG of six ink patches: as Adobe writes CMYK (inverted), the same without its marker, or as YCCK."""
    ink = CMYK_COLOURS.copy()
    if kind == "ycck":  # the file's samples are YCbCr of the inks as if they were RGB, and K inverted; Pillow inverts them on writing
        ycc = np.array(Image.fromarray(ink[None, :, :3].copy()).convert("YCbCr"))[0]
        ink = np.column_stack([255 - ycc, ink[:, 3]])
    patches = np.repeat(np.repeat(ink[None], 16, 0), 16, 1)
    data = file_of(np.ascontiguousarray(patches), "JPEG", "CMYK", quality=98, subsampling=0, **options)
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
    assert all("icc_profile" not in Image.open(io.BytesIO(encode(photo, f, 90)[0])).info for f in FORMATS)


def test_lab_and_cmyk_tiff_become_srgb():
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    lab = ImageCms.applyTransform(Image.fromarray(picture()), to_lab)
    assert levels_apart(decode(file_of(lab, "TIFF"), "a").pixels, picture()) <= 8  # 8-bit Lab is coarse in blue
    cmyk = np.ascontiguousarray(np.repeat(np.repeat(CMYK_COLOURS[None], 16, 0), 16, 1))
    assert levels_apart(decode(file_of(cmyk, "TIFF", "CMYK"), "a").pixels[8, 8::16], THEIR_RGB) <= 1


# EXIF


@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("keep_gps", [False, True])
def test_exif_survives_and_gps_only_when_asked(source, target, keep_gps):
    photo = decode(file_of(picture(), source, exif=exif_block(1) if source != "TIFF" else tiff_exif()), "a")
    data, notes = encode(photo.with_pixels(picture(96, 128)), target, 95, keep_gps=keep_gps)
    exif = exif_of(data)
    assert exif[ExifTags.Base.Make] == "Maker"
    assert dict(exif.get_ifd(ExifTags.IFD.GPSInfo)) == ({ExifTags.GPS.GPSLatitudeRef: "N"} if keep_gps else {})
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
    assert exif_of(encode(photo, "png", 90)[0]).get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] == b"c" * 70_000


def test_a_jpeg_with_the_largest_exif_is_taken():
    photo = decode(file_of(picture(), "JPEG", exif=exif_block(6, comment_bytes=65_000)), "a")
    assert photo.orientation == 6
    assert encode(photo, "jpg", 90)[0]


def with_exif(block):
    return png_file(picture(), chunk(b"eXIf", block))


def test_broken_exif_is_dropped_and_the_photo_stays():
    claims = b"\x87\x13" + b"".join(struct.pack("<HHLL", tag, 1, 60_000, 8) for tag in range(1, 5000))
    bomb = b"II*\0\x08\0\0\0" + claims
    nested = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHLLL", ExifTags.IFD.Exif, 4, 1, 26, 0) + claims
    no_tiff = b"This is no TIFF, but it is long enough for one."
    other = b"XX\0*\0\0\0\x08" + bytes(6)
    for block in (b"junk", no_tiff, other, b"II*\0\xff\xff\xff\x7f", b"II*\0", b"", bomb, nested, bytes(2**20 + 1)):
        photo = decode(with_exif(block), "a")
        np.testing.assert_array_equal(photo.pixels, picture())
        assert photo.exif is None
        assert not block or "EXIF" in photo.warnings[0]
        assert len(block) < 10_000 or "claim more" in photo.warnings[0] or "the limit is" in photo.warnings[0]


def test_the_readable_part_of_a_broken_exif_counts():
    good, bad = struct.pack("<HHLHH", 274, 3, 1, 3, 0), struct.pack("<HHLL", 271, 2, 900, 500)
    photo = decode(with_exif(b"II*\0\x08\0\0\0\x02\0" + bad + good + bytes(4)), "a")
    np.testing.assert_array_equal(photo.pixels, picture()[::-1, ::-1])
    assert photo.warnings == ("a part of its EXIF cannot be read and was dropped",)


def test_exif_that_cannot_be_read_again_never_carries_gps_out():
    data, notes = encode(Photo("a", picture(), exif=b"Exif\0\0GPS 52.5N"), "jpg", 90)
    assert b"52.5N" not in data
    assert "EXIF cannot be written" in notes[0]


@pytest.mark.parametrize("bad", [chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(2**21))), b"\0\0\0\4tEXta\0bb\0\0\0\0"])
def test_a_png_outlives_its_texts(bad):
    photo = decode(png_file(picture(), bad, chunk(b"eXIf", exif_block(3)[6:])), "a")
    np.testing.assert_array_equal(photo.pixels, picture()[::-1, ::-1])
    assert "were dropped" in photo.warnings[0]


# What goes out


def test_png_carries_everything_exactly():
    for channels, dtype in ((1, "u1"), (2, "u1"), (3, "u1"), (4, "u1"), (1, "u2"), (2, "u2"), (3, "u2"), (4, "u2")):
        samples = deep_picture(channels).astype(dtype)
        colour, alpha = (samples, None) if channels in (1, 3) else (samples[..., :-1].squeeze(), samples[..., -1])
        photo = Photo("a", colour, alpha, icc=grey_profile() if channels < 3 else srgb_profile(), exif=exif_block(1))
        data, notes = encode(photo, "png", 90)
        image = Image.open(io.BytesIO(data))
        image.load()
        assert image.info["icc_profile"] == photo.icc
        assert image.getexif()[ExifTags.Base.Make] == "Maker"
        expected_mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels] if dtype == "u1" else None
        assert expected_mode is None or image.mode == expected_mode
        again = decode(data, "a")
        np.testing.assert_array_equal(again.pixels, colour)
        assert (again.alpha is None) if alpha is None else (again.alpha == alpha).all()
        assert notes == ()


def test_16_bits_become_8_by_rounding_with_a_warning():
    levels = np.array([0, 128, 129, 385, 386, 32767, 32768, 65406, 65407, 65535], np.uint16)
    photo = Photo("a", np.tile(levels, (10, 1)), np.tile(levels, (10, 1)))
    data, notes = encode(photo, "webp", 100)
    assert "16 bits became 8" in notes[0]
    np.testing.assert_array_equal(decode(data, "a").alpha[0], np.round(levels / 257))  # WebP's alpha is lossless
    flat = Photo("a", np.full((16, 16), 129, np.uint16))
    assert decode(encode(flat, "jpg", 100)[0], "a").pixels[0, 0] == 1  # truncated it would be 0


def test_alpha_is_flattened_on_white_for_jpg_only():
    black = np.zeros((16, 16, 3), np.uint8)
    photo = Photo("a", black, np.full((16, 16), 64, np.uint8))
    data, notes = encode(photo, "jpg", 100)
    assert levels_apart(decode(data, "a").pixels, np.full((16, 16, 3), 191)) <= 1
    assert "flattened on white" in notes[0]
    for format_name in ("png", "webp"):
        written, notes = encode(photo, format_name, 100)
        np.testing.assert_array_equal(decode(written, "a").alpha, 64)
        assert notes == ()
    rounded = Photo("a", np.full((16, 16), 101, np.uint8), np.full((16, 16), 128, np.uint8))  # 177.7
    np.testing.assert_array_equal(decode(encode(rounded, "jpg", 100)[0], "a").pixels, 178)
    opaque = Photo("a", black, np.full((16, 16), 255, np.uint8))
    assert encode(opaque, "jpg", 100)[1] == ()


def test_jpg_keeps_colour_at_full_resolution_and_heeds_quality():
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[:, ::2, 0] = 200
    data, _ = encode(Photo("a", stripes), "jpg", 95)
    assert levels_apart(decode(data, "a").pixels, stripes) < 20  # halved chroma would smear red by more than 50
    for format_name in ("jpg", "webp"):
        assert len(encode(Photo("a", picture(), None), format_name, 30)[0]) < len(encode(Photo("a", picture()), format_name, 95)[0])


@pytest.mark.parametrize("format_name", FORMATS)
def test_equal_photos_give_equal_bytes(format_name):
    data = file_of(np.dstack([picture(), picture()[..., 0]]), "PNG", icc_profile=adobe_profile(), exif=exif_block(6))
    assert encode(decode(data, "a"), format_name, 90) == encode(decode(data, "a"), format_name, 90)


def test_grey_jpg_is_a_grey_file():
    assert Image.open(io.BytesIO(encode(Photo("a", picture()[..., 0]), "jpg", 90)[0])).mode == "L"


@pytest.mark.parametrize(
    ("shape", "format_name", "code"),
    [
        ((10_001, 10_000), "png", Code.OUTPUT_TOO_LARGE),
        ((10, 65_501), "jpg", Code.OUTPUT_TOO_LARGE),
        ((16_384, 10), "webp", Code.OUTPUT_TOO_LARGE),
        ((10, 10), "gif", Code.OPTION_INVALID),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(shape, format_name, code):
    with pytest.raises(RestoreError, match=r"photo 'a': ") as caught:
        encode(Photo("a", np.broadcast_to(np.uint8(0), shape)), format_name, 90)
    assert caught.value.code == code


# Files


def test_a_file_is_read_under_its_own_name_or_a_given_one(tmp_path):
    path = tmp_path / "grandma.png"
    path.write_bytes(file_of(picture(), "PNG"))
    assert open_photo(path).name == "grandma.png"
    photo = open_photo(str(path), name="images[0]")
    assert photo.name == "images[0]"
    np.testing.assert_array_equal(photo.pixels, picture())


@pytest.mark.parametrize("name", ["absent.jpg", ".", "a\0b.jpg", "x" * 5000])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(RestoreError) as caught:
        open_photo(tmp_path / name)
    assert caught.value.code == Code.PHOTO_MISSING
    assert str(tmp_path) in str(caught.value)


def test_a_file_over_the_limit_is_refused_unread(tmp_path):
    path = tmp_path / "large.jpg"
    with path.open("wb") as file:
        file.truncate(33 * 2**20)
    with pytest.raises(RestoreError, match=r"\[E202\] photo 'large.jpg': 33.0 MiB, the limit is 32"):
        open_photo(path)
    assert refused(bytes(2**20 + 1), limits=Limits(max_bytes=2**20)).code == Code.PHOTO_TOO_LARGE


def test_saving_leaves_one_readable_file_and_returns_the_warnings(tmp_path):
    photo = Photo("a", picture(), np.zeros((48, 64), np.uint8))
    path = tmp_path / "out.jpg"
    path.write_bytes(b"old")
    assert "flattened" in save(photo, path, "jpg", 90)[0]
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_bytes() == encode(photo, "jpg", 90)[0]
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    folder = tmp_path / "taken.jpg"
    folder.mkdir()
    for path in (tmp_path / "absent" / "out.jpg", folder):
        with pytest.raises(RestoreError) as caught:
            write_atomically(b"data", path)
        assert caught.value.code == Code.OUTPUT_UNWRITABLE
        assert str(path.parent) in str(caught.value)
        assert "Name a folder" in caught.value.remedy
    assert [*tmp_path.iterdir()] == [folder]


def test_facts_are_json_and_complete():
    data = file_of(picture()[..., 0], "PNG", icc_profile=grey_profile(), exif=exif_block(6))
    assert json.loads(json.dumps(decode(data, "a.png").facts())) == {
        "name": "a.png",
        "format": "PNG",
        "width": 48,
        "height": 64,
        "bits": 8,
        "grey": True,
        "alpha": False,
        "icc": "Test",
        "converted_to_srgb": False,
        "orientation": 6,
        "exif": True,
        "warnings": [],
    }


def test_with_pixels_keeps_everything_else():
    photo = decode(file_of(picture(), "PNG", icc_profile=adobe_profile(), exif=exif_block(6)), "a")
    larger = photo.with_pixels(np.zeros((10, 20, 3), np.uint8))
    assert (larger.width, larger.height, larger.megapixels) == (20, 10, 0.0002)
    assert (larger.name, larger.icc, larger.exif, larger.converted) == (photo.name, photo.icc, photo.exif, True)


@pytest.mark.shared
def test_shared_photos_come_through_every_format(shared):
    for path in sorted((shared / "photos" / "test" / "formats").iterdir()):
        photo = open_photo(path)
        reference = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert photo.pixels.shape[:2] == reference.shape[:2]
        assert photo.pixels.dtype == reference.dtype
        for format_name in FORMATS:
            again = decode(encode(photo, format_name, 95)[0], "a")
            assert again.pixels.shape[:2] == photo.pixels.shape[:2]
        png = decode(encode(photo, "png", 95)[0], "a")
        np.testing.assert_array_equal(png.pixels, photo.pixels)
