"""HEIC and AVIF: orientation, colour, alpha, bits, metadata, further pictures and limits."""

import io
import struct

import cv2
import numpy as np
import pillow_heif
import pytest
from heiffiles import (
    P3_PROFILE,
    avif_file,
    deep_avif_file,
    heic_file,
    phone_heic,
    replaced,
    with_size,
)
from photofiles import (
    adobe_profile,
    alpha_of,
    decode_error,
    deep_picture,
    exif_block,
    exif_of,
    file_of,
    levels_apart,
    picture,
)
from PIL import ExifTags, Image

from restore.errors import Code
from restore.imaging.encode import encode
from restore.imaging.identify import identify
from restore.imaging.limits import Limits
from restore.imaging.photo import decode

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF/></x:xmpmeta>'
FILES = {"HEIC": heic_file, "AVIF": avif_file}
NAMES = pytest.mark.parametrize("name", FILES)


def with_alpha() -> np.ndarray:
    return np.dstack([picture(), np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))])


@NAMES
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(name: str, orientation: int) -> None:
    block = exif_block(orientation)
    expected = decode(file_of(picture(), "PNG", exif=block), "a").pixels
    photo = decode(FILES[name](picture(), exif=block), "a")
    assert photo.orientation == orientation
    assert levels_apart(photo.pixels, expected) <= 4
    written, notes = encode(photo, "png", 95)
    assert exif_of(written).get(ExifTags.Base.Orientation, 1) == 1
    assert levels_apart(decode(written, "a").pixels, photo.pixels) == 0
    assert notes == ()


@NAMES
def test_orientation_of_exif_alone_is_not_applied(name: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ResolutionUnit] = 6  # becomes an orientation, which no writer would keep
    stored, wanted = (
        struct.pack(">HHLH", tag, 3, 1, 6)
        for tag in (ExifTags.Base.ResolutionUnit, ExifTags.Base.Orientation)
    )
    data = replaced(FILES[name](picture(), exif=exif.tobytes()), stored, wanted)
    photo = decode(data, "a")
    assert (photo.orientation, photo.width) == (1, 64)
    assert exif_of(encode(photo, "png", 95)[0])[ExifTags.Base.Orientation] == 1


def test_photo_of_a_phone_is_read_from_its_tiles() -> None:
    photo = decode(phone_heic(), "a")
    assert levels_apart(photo.pixels, np.rot90(picture(160, 224), -1)) == 0
    assert photo.icc == P3_PROFILE
    assert photo.facts()["icc"] == "Display P3"
    assert photo.warnings == ()
    private, public = (
        exif_of(encode(photo, "jpg", 95, keep_gps=keep)[0]) for keep in (True, False)
    )
    assert private.get_ifd(ExifTags.IFD.GPSInfo)
    assert not public.get_ifd(ExifTags.IFD.GPSInfo)
    assert public[ExifTags.Base.Make] == "Maker"


@pytest.mark.parametrize(
    ("data", "tolerance"),
    [
        (heic_file(deep_picture(3)), 64),
        (deep_avif_file(deep_picture(3) >> 6, 10), 64),
        (deep_avif_file(deep_picture(3) >> 4, 12), 16),
    ],
    ids=["heic-10", "avif-10", "avif-12"],
)
def test_10_and_12_bits_become_16(data: bytes, tolerance: int) -> None:
    photo = decode(data, "a")
    assert photo.bits == 16
    assert levels_apart(photo.pixels, deep_picture(3)) <= tolerance
    white = np.full((16, 16, 3), 1023)
    assert decode(deep_avif_file(white, 10), "a").pixels.min() == 65535


@NAMES
def test_alpha_is_kept(name: str) -> None:
    photo = decode(FILES[name](with_alpha()), "a")
    assert levels_apart(alpha_of(photo), with_alpha()[..., 3]) == 0
    visible = with_alpha()[..., 3] > 8
    assert levels_apart(photo.pixels[visible], picture()[visible]) <= 2


def test_premultiplied_heic_is_divided_by_its_alpha() -> None:
    colours = with_alpha()[..., :3] * (with_alpha()[..., 3:] / 255)
    pixels = np.dstack([np.rint(colours), with_alpha()[..., 3]]).astype(np.uint8)
    out = io.BytesIO()
    settings = {"quality": -1, "chroma": 444, "matrix_coefficients": 0}
    pillow_heif.encode("RGBa", (64, 48), pixels.tobytes(), out, **settings)
    photo = decode(out.getvalue(), "a")
    opaque = with_alpha()[..., 3] > 60
    assert levels_apart(photo.pixels[opaque], picture()[opaque]) <= 3


def test_grey_stays_grey() -> None:
    grey = picture()[..., 0]
    written, avif = cv2.imencode(".avif", grey)
    assert written
    for data in (heic_file(grey), avif.tobytes()):
        photo = decode(data, "a")
        assert photo.is_grey
        assert levels_apart(photo.pixels, grey) <= 2
    with_hole = Image.fromarray(np.dstack([grey, with_alpha()[..., 3]]), "LA")
    assert decode(file_of(with_hole, "AVIF"), "a").alpha is not None


@NAMES
def test_profile_exif_and_xmp_are_kept(name: str) -> None:
    data = FILES[name](picture(), icc_profile=adobe_profile(), exif=exif_block(1), xmp=XMP)
    photo = decode(data, "a")
    assert photo.icc == adobe_profile()
    assert photo.metadata.xmp == XMP
    written, _ = encode(photo, "jpg", 95)
    assert Image.open(io.BytesIO(written)).info["xmp"] == XMP
    assert exif_of(written)[ExifTags.Base.Make] == "Maker"


@pytest.mark.parametrize(
    ("code_points", "profile"),
    [
        ((1, 13), None),
        ((2, 2), None),
        ((12, 13), "Display P3, sRGB tones"),
        ((9, 14), "BT.2020, BT.709 tones"),
    ],
)
def test_nclx_becomes_a_profile(code_points: tuple[int, int], profile: str | None) -> None:
    primaries, transfer = code_points
    options = {"color_primaries": primaries, "transfer_characteristics": transfer}
    heic = heic_file(picture(), **options)
    assert decode(heic, "a").facts()["icc"] == profile
    stored = struct.pack(">HH", 1, 13)
    avif = avif_file(picture())
    at = avif.index(b"colrnclx") + 8
    assert avif[at : at + 4] == stored
    changed = avif[:at] + struct.pack(">HH", *code_points) + avif[at + 4 :]
    assert decode(changed, "a").facts()["icc"] == profile


def test_hdr_and_unknown_code_points_are_warnings() -> None:
    options = {"color_primaries": 9, "transfer_characteristics": 16}
    warnings = decode(heic_file(picture(), **options), "a").warnings
    assert "HDR photo (PQ)" in warnings[0]
    avif = avif_file(picture())
    at = avif.index(b"colrnclx") + 8
    [warning] = decode(avif[:at] + b"\0\x63\0\x0d" + avif[at + 4 :], "a").warnings
    assert "nclx colour space was ignored (code points 99, 13)" in warning


def test_further_pictures_are_a_warning() -> None:
    file = pillow_heif.HeifFile()
    for number in range(3):
        file.add_from_pillow(Image.fromarray(np.roll(picture(), 9 * number, axis=0)))
    out = io.BytesIO()
    file.save(out, quality=-1, chroma=444, primary_index=1, thumbnails=[16])
    photo = decode(out.getvalue(), "a")
    assert photo.warnings == ("only its primary picture is used, of 3",)
    assert levels_apart(photo.pixels, np.roll(picture(), 9, axis=0)) <= 3


def test_animation_gives_its_still_picture() -> None:
    frames = [Image.fromarray(picture()[::-1].copy())]
    data = file_of(picture(), "AVIF", save_all=True, append_images=frames, quality=100)
    photo = decode(data, "a")
    assert photo.warnings == ("only its still picture is used, not its animation",)
    assert levels_apart(photo.pixels, picture()) <= 8


def test_live_photos_are_read_without_their_video() -> None:
    video = struct.pack(">I4s", 5000, b"mpvd") + bytes(4992)
    for data in (phone_heic() + video, file_of(picture(160, 224), "JPEG") + video):
        assert decode(data, "a").warnings == ()
    assert ".livp" in decode_error(b"PK\x03\x04" + bytes(30)).reason


def test_crop_of_an_avif_is_applied() -> None:
    avif = avif_file(picture())
    at = avif.index(b"pixi") - 4
    size = int.from_bytes(avif[at : at + 4], "big")

    def cropped(width: int, right: int) -> bytes:
        # In the place of a property of 16 bytes there is no room for 40: append to the list.
        clap = struct.pack(">I4s2I2I2i2i", 40, b"clap", width, 1, 32, 1, right, 1, 0, 1)
        return _with_property(avif, clap)

    assert size == 16
    photo = decode(cropped(40, 4), "a")
    assert levels_apart(photo.pixels, picture()[8:40, 16:56]) <= 4
    [warning] = decode(cropped(60, 9), "a").warnings
    assert "reaches beyond the picture" in warning


def _with_property(data: bytes, box: bytes) -> bytes:
    """Add a property to the only picture of a file, and correct all sizes and offsets."""
    out = bytearray(data)
    end = data.index(b"ipco") - 4 + int.from_bytes(data[data.index(b"ipco") - 4 :][:4], "big")
    ipma = data.index(b"ipma")
    count_at = ipma + 4 + 4 + 4 + 2
    number = data[count_at]
    index = _count_boxes(data, data.index(b"ipco") + 4, end) + 1
    last = count_at + 1 + number
    out[count_at] = number + 1
    out[last:last] = bytes([index | 0x80])  # essential
    out[end:end] = box
    for kind, growth in ((b"ipma", 1), (b"ipco", len(box)), (b"iprp", len(box) + 1)):
        at = bytes(out).index(kind) - 4
        out[at : at + 4] = struct.pack(">I", int.from_bytes(out[at : at + 4], "big") + growth)
    at = bytes(out).index(b"meta") - 4
    growth = len(box) + 1
    out[at : at + 4] = struct.pack(">I", int.from_bytes(out[at : at + 4], "big") + growth)
    at = bytes(out).index(b"iloc") + 4 + 4 + 2 + 2 + 2 + 2 + 2
    out[at : at + 4] = struct.pack(">I", int.from_bytes(out[at : at + 4], "big") + growth)
    return bytes(out)


def _count_boxes(data: bytes, at: int, end: int) -> int:
    count = 0
    while at < end:
        at += int.from_bytes(data[at : at + 4], "big")
        count += 1
    return count


# Limits and damage


@NAMES
def test_large_header_is_rejected_before_decoding(name: str) -> None:
    error = decode_error(with_size(FILES[name](picture()), 20_000, 15_000))
    assert error.code == Code.PHOTO_TOO_MANY_PIXELS
    assert "300.0 megapixels" in error.reason
    assert decode_error(FILES[name](picture()[:7])).code == Code.PHOTO_TOO_SMALL


@NAMES
def test_size_of_the_samples_must_be_that_of_the_container(name: str) -> None:
    data = FILES[name](np.zeros((256, 256, 3), np.uint8))
    assert decode(data, "a").width == 256
    error = decode_error(with_size(data, 64, 64))
    assert error.code == Code.PHOTO_DAMAGED
    assert "size" in error.reason or "256x256" in error.reason


def test_pixels_of_all_tiles_count() -> None:
    data = phone_heic()
    limits = Limits(max_pixels_in=160 * 224)
    assert decode(data, "a", limits).height == 224
    # Each of the 12 tiles claims to be as large as the photo.
    tiles = data.replace(struct.pack(">II", 64, 64), struct.pack(">II", 224, 160))
    assert decode_error(tiles, limits=limits).code == Code.PHOTO_TOO_MANY_PIXELS


@NAMES
def test_every_cut_is_rejected(name: str) -> None:
    data = FILES[name](picture(), exif=exif_block(6))
    for length in (*range(12, len(data), 97), len(data) - 1):
        assert decode_error(data[:length]).code == Code.PHOTO_DAMAGED


def test_data_behind_the_photo_are_ignored() -> None:
    for tail in (b"<?php system(1); ?>", bytes(100), b"\xff\xd8\xff\xe0" * 20):
        assert decode(heic_file(picture()) + tail, "a").warnings == ()


def test_other_coding_is_named() -> None:
    error = decode_error(replaced(heic_file(picture()), b"hvc1\0", b"avc1\0"))
    assert error.code == Code.PHOTO_FORMAT
    assert "avc1" in error.reason


@pytest.mark.parametrize(
    ("brands", "expected"),
    [
        (b"heic\0\0\0\0", "HEIC"),
        (b"mif1\0\0\0\0mif1heic", "HEIC"),
        (b"mif1\0\0\0\0mif1avif", "AVIF"),
        (b"avis\0\0\0\0avismsf1", "AVIF"),
        (b"msf1\0\0\0\0hevc", "HEIC"),
    ],
)
def test_brands_decide_the_format(brands: bytes, expected: str) -> None:
    data = struct.pack(">I4s", 8 + len(brands), b"ftyp") + brands
    assert identify(data, "a") == expected
    assert decode_error(data).code == Code.PHOTO_DAMAGED
    assert decode_error(b"\0\0\0\x14ftypisom\0\0\0\0mp42").code == Code.PHOTO_FORMAT


# Results


@pytest.mark.parametrize(("name", "target"), [("HEIC", "JPEG"), ("AVIF", "WEBP")])
def test_same_is_the_nearest_format_with_a_warning(name: str, target: str) -> None:
    photo = decode(FILES[name](picture()), "a")
    data, [note] = encode(photo, "same", 95)
    assert Image.open(io.BytesIO(data)).format == target
    assert f"{name} is not written" in note
    assert encode(photo, "webp", 95)[1] == ()
