"""Captions, comments and density: kept in every format that can hold them, else a warning."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from photofiles import (
    FORMATS,
    adobe_profile,
    chunk,
    exif_block,
    exif_of,
    file_of,
    picture,
    png_file,
)
from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin

from restore.imaging.encode import encode
from restore.imaging.metadata import MAX_BLOCK_BYTES, MAX_TEXTS, Metadata
from restore.imaging.photo import Photo, decode

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:title="caption one"/></rdf:RDF></x:xmpmeta>'
)
IPTC = b"\x1c\x02\x78\0\x0ccaption two!"
IRB = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC + b"\0" * (len(IPTC) % 2)
COMMENT = b"caption three"


def jpeg_segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 255, marker, len(body) + 2) + body


def jpeg_with(*segments: bytes, **options: Any) -> bytes:
    data = file_of(picture(), "JPEG", **options)
    return data[:20] + b"".join(segments) + data[20:]


def tiff_with(**entries: Any) -> bytes:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for name, value in entries.items():
        tag = {"xmp": 700, "iptc": 33723, "irb": 34377}[name]
        tags[tag] = value
        tags.tagtype[tag] = 7 if name == "iptc" else 1
    return file_of(picture(), "TIFF", tiffinfo=tags)


def raw_profile(name: str, body: bytes, *, compressed: bool = True) -> bytes:
    text = f"\n{name}\n{len(body):8}\n{body.hex()}\n".encode()
    keyword = f"Raw profile type {name}".encode()
    if compressed:
        return chunk(b"zTXt", keyword + b"\0\0" + zlib.compress(text))
    return chunk(b"tEXt", keyword + b"\0" + text)


def density_exif() -> bytes:
    entries = struct.pack(">H2HLL2HLLL", 2, 282, 5, 1, 38, 283, 5, 1, 46, 0)
    return b"Exif\0\0MM\0*\0\0\0\x08" + entries + struct.pack(">4L", 300, 1, 240, 1)


def tiff_with_iptc_as_integers() -> bytes:
    """Return a TIFF that declares its IPTC as 32-bit integers, as older programs do."""
    padded = IPTC + bytes(-len(IPTC) % 4)
    as_bytes = struct.pack("<HHL", 33723, 7, len(padded))
    as_integers = struct.pack("<HHL", 33723, 4, len(padded) // 4)
    return tiff_with(iptc=padded).replace(as_bytes, as_integers)


SOURCES: dict[str, tuple[bytes, str]] = {
    "jpeg xmp": (jpeg_with(jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP)), "xmp"),
    "jpeg iptc": (jpeg_with(jpeg_segment(0xED, b"Photoshop 3.0\0" + IRB)), "iptc"),
    "jpeg comment": (jpeg_with(jpeg_segment(0xFE, COMMENT)), "comment"),
    "jpeg dpi": (file_of(picture(), "JPEG", dpi=(300, 240)), "dpi"),
    "jpeg dpcm": (
        file_of(picture(), "JPEG").replace(b"JFIF\0\1\1\0\0\1\0\1", b"JFIF\0\1\1\2\0\x76\0\x5e"),
        "dpi",
    ),
    "png xmp": (png_file(picture(), chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + XMP)), "xmp"),
    "png raw xmp": (png_file(picture(), raw_profile("xmp", XMP)), "xmp"),
    "png raw app1 xmp": (
        png_file(picture(), raw_profile("APP1", b"http://ns.adobe.com/xap/1.0/\0" + XMP)),
        "xmp",
    ),
    "png raw iptc": (png_file(picture(), raw_profile("iptc", IRB)), "iptc"),
    "png raw 8bim": (
        png_file(picture(), raw_profile("8bim", b"8BIM\4\xd2\3abc\0\0\0\1z\0" + IRB)),
        "iptc",
    ),
    "png bare iptc": (png_file(picture(), raw_profile("iptc", IPTC)), "iptc"),
    "png comment": (png_file(picture(), chunk(b"tEXt", b"Comment\0" + COMMENT)), "comment"),
    "png text": (png_file(picture(), chunk(b"tEXt", b"Description\0caption four")), "text"),
    "png dpi": (file_of(picture(), "PNG", dpi=(300, 240)), "dpi"),
    "webp xmp": (file_of(picture(), "WEBP", xmp=XMP), "xmp"),
    "tiff xmp": (tiff_with(xmp=XMP), "xmp"),
    "tiff iptc": (tiff_with(iptc=IPTC), "iptc"),
    "tiff iptc words": (tiff_with_iptc_as_integers(), "iptc"),
    "tiff resources": (tiff_with(irb=IRB), "iptc"),
    "tiff dpi": (file_of(picture(), "TIFF", dpi=(300, 240)), "dpi"),
    "bmp dpi": (file_of(picture(), "BMP", dpi=(300, 240)), "dpi"),
    "gif comment": (
        file_of(Image.fromarray(picture()).quantize(16), "GIF", comment=COMMENT),
        "comment",
    ),
    "jpeg exif dpi": (file_of(picture(), "JPEG", exif=density_exif()), "dpi"),
}
LOST = {("iptc", "webp"): "IPTC", ("comment", "webp"): "omment"}
LOST |= {("text", "webp"): "texts (Description)", ("text", "jpg"): "texts (Description)"}


def found_in(data: bytes, what: str) -> bool:
    """Return whether an encoded result holds a kind of metadata, as Pillow reads it."""
    image = Image.open(io.BytesIO(data))
    image.load()
    info = image.info
    if what == "xmp":
        return bytes(info.get("xmp", b"")) == XMP
    if what == "iptc":
        coded = info.get("Raw profile type iptc", "\n\n\n").split("\n")[3]
        irb = info.get("photoshop", {}).get(0x0404)
        return (irb or b"").rstrip(b"\0") == IPTC or IPTC in bytes.fromhex(coded)
    if what == "comment":
        return COMMENT.decode() in (info.get("comment", b"").decode(), info.get("Comment", ""))
    if what == "text":
        return info.get("Description") == "caption four"
    exif = image.getexif()
    density = info.get("dpi") or (exif.get(282, 0), exif.get(283, 0))
    return [float(value) for value in density] == pytest.approx([300, 240], abs=1.5)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("target", [*FORMATS, "same"])
def test_metadata_is_kept_or_its_loss_is_a_warning(source: str, target: str) -> None:
    data, what = SOURCES[source]
    photo = decode(data, "a")
    assert photo.warnings == ()
    enlarged = photo.with_pixels(np.repeat(np.repeat(photo.pixels, 2, 0), 2, 1))
    written, notes = encode(enlarged, target, 95)
    file_format = Image.open(io.BytesIO(written)).format
    name = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}[str(file_format)]
    if (what, name) in LOST:
        assert len(notes) == 1
        assert LOST[what, name] in notes[0]
        assert f"{name} cannot hold" in notes[0]
    else:
        assert found_in(written, what)
        assert notes == ()


def test_all_metadata_survives_two_generations() -> None:
    data = jpeg_with(
        jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),
        jpeg_segment(0xED, b"Photoshop 3.0\0" + IRB),
        jpeg_segment(0xFE, COMMENT),
        dpi=(300, 300),
        icc_profile=adobe_profile(),
        exif=exif_block(6),
    )
    first = decode(data, "a")
    for chain in (("png", "jpg"), ("jpg", "png"), ("same", "same")):
        photo = first
        for target in chain:
            photo = decode(encode(photo, target, 95)[0], "a")
        assert photo.metadata.xmp == XMP
        assert photo.metadata.iptc == IPTC
        texts = dict(photo.metadata.texts)
        assert COMMENT in (photo.metadata.comment, texts.get("Comment", "").encode())
        assert photo.metadata.dpi == pytest.approx((300, 300), abs=0.01)
        assert photo.icc == adobe_profile()
        assert photo.exif is not None


def test_order_of_exif_and_xmp_segments_does_not_matter() -> None:
    xmp = jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP)
    exif, empty = (
        jpeg_segment(0xE1, block)
        for block in (exif_block(6), b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0")
    )
    for order in ((exif, xmp), (xmp, exif), (xmp, xmp, exif), (empty, exif), (exif, empty)):
        photo = decode(jpeg_with(*order), "a")
        assert (photo.orientation, photo.width, photo.metadata.xmp) == (
            (6, 48, XMP) if xmp in order else (6, 48, None)
        )


def test_exif_of_several_segments_is_joined() -> None:
    block = exif_block(6, comment_bytes=100_000)
    parts = [block[:60_000], b"Exif\0\0" + block[60_000:]]
    photo = decode(jpeg_with(*(jpeg_segment(0xE1, part) for part in parts)), "a")
    assert photo.orientation == 6
    assert photo.exif is not None
    assert len(photo.exif) > 100_000


@pytest.mark.parametrize("name", ["exif", "APP1"])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("is_behind", [True, False])
def test_exif_in_a_text_of_a_png_is_used(name: str, compressed: bool, is_behind: bool) -> None:
    text = raw_profile(name, exif_block(6), compressed=compressed)
    data = png_file(picture(), text)
    if is_behind:
        plain = png_file(picture())
        data = plain[:-12] + text + plain[-12:]
    photo = decode(data, "a")
    np.testing.assert_array_equal(photo.pixels, np.rot90(picture(), -1))
    written, notes = encode(photo, "png", 90)
    assert exif_of(written)[ExifTags.Base.Make] == "Maker"
    assert exif_of(written)[ExifTags.Base.Orientation] == 1
    assert b"Raw profile" not in written
    assert notes == ()


def test_profile_in_a_text_of_a_png_is_used() -> None:
    photo = decode(png_file(picture(), raw_profile("icc", adobe_profile())), "a")
    assert photo.icc == adobe_profile()


def test_sizes_in_exif_are_those_of_the_result() -> None:
    exif = Image.Exif()
    exif[256], exif[257], exif[274] = 64, 48, 6
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[40962], details[40963] = 64, 48
    photo = decode(file_of(picture(), "JPEG", exif=exif.tobytes()), "a")
    larger = photo.with_pixels(np.zeros((130, 97, 3), np.uint8))
    for target in FORMATS:
        stored = exif_of(encode(larger, target, 90)[0])
        assert (stored[256], stored[257], stored[274]) == (97, 130, 1)
        details = stored.get_ifd(ExifTags.IFD.Exif)
        assert (details[40962], details[40963]) == (97, 130)


def test_thumbnail_of_the_old_picture_is_removed() -> None:
    thumbnail = file_of(picture(24, 32), "JPEG", quality=50)
    first = struct.pack("<HHHLLL", 1, 274, 3, 1, 1, 26)
    second = struct.pack("<HHHLLHHLLL", 2, 513, 4, 1, 56, 514, 4, 1, len(thumbnail), 0)
    block = b"Exif\0\0II*\0\x08\0\0\0" + first + second
    block = block.ljust(6 + 56, b"\0") + thumbnail
    photo = decode(file_of(picture(), "JPEG", exif=block), "a")
    for target in FORMATS:
        assert thumbnail[20:] not in encode(photo, target, 90)[0]


def test_blocks_that_are_too_large_are_dropped_with_a_warning() -> None:
    big = XMP.replace(b"caption one", b"c" * 70_000)
    photo = decode(file_of(picture(), "WEBP", xmp=big), "a")
    assert encode(photo, "webp", 90)[1] == ()
    data, notes = encode(photo, "jpg", 90)
    assert "XMP of 70" in notes[0]
    assert b"ccccc" not in data
    huge = decode(file_of(picture(), "WEBP", xmp=XMP + b" " * MAX_BLOCK_BYTES), "a")
    assert huge.metadata.xmp is None
    assert "XMP of 10" in huge.warnings[0]
    texts = PngImagePlugin.PngInfo()
    for index in range(MAX_TEXTS + 5):
        texts.add_text(f"key {index}", "text")
    photo = decode(file_of(picture(), "PNG", pnginfo=texts), "a")
    assert len(photo.metadata.texts) == MAX_TEXTS
    assert "texts beyond" in photo.warnings[0]


def test_extended_xmp_is_dropped_with_a_warning() -> None:
    main = XMP.replace(b" dc:title", b' xmpNote:HasExtendedXMP="0123" dc:title')
    photo = decode(
        jpeg_with(
            jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + main),
            jpeg_segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(90)),
        ),
        "a",
    )
    assert photo.warnings == ("its extended XMP was dropped",)
    assert found_in(encode(photo, "jpg", 90)[0], "xmp")


@pytest.mark.parametrize("text", ["Größe", "Ω", "a\nb", "x"])
def test_texts_and_comments_of_any_language_are_kept(text: str) -> None:
    metadata = Metadata(texts=(("Title", text),), comment=text.encode())
    photo = Photo("a", picture(), metadata=metadata)
    png = decode(encode(photo, "png", 90)[0], "a")
    assert dict(png.metadata.texts) == {"Title": text, "Comment": text}
    jpg = decode(encode(png, "jpg", 90)[0], "a")
    assert jpg.metadata.comment == text.encode()
    latin = Photo("a", picture(), metadata=Metadata(comment="Größe".encode("latin-1")))
    assert dict(decode(encode(latin, "png", 90)[0], "a").metadata.texts) == {"Comment": "Größe"}


def test_tiff_without_density_or_unit_gets_none() -> None:
    choices: tuple[dict[str, Any], ...] = ({}, {"resolution_unit": 1, "resolution": 3})
    for options in choices:
        data = file_of(picture(), "TIFF", **options)
        written = Image.open(io.BytesIO(encode(decode(data, "a"), "png", 90)[0]))
        assert "dpi" not in written.info


def test_density_is_turned_with_the_photo() -> None:
    turned = Image.Exif()
    turned[274] = 6
    stored = decode(file_of(picture(), "JPEG", dpi=(300, 240), exif=turned.tobytes()), "a")
    assert stored.metadata.dpi == (240.0, 300.0)
    turned[282], turned[283], turned[296] = 300.0, 240.0, 2
    photo = decode(file_of(picture(), "JPEG", exif=turned.tobytes()), "a")
    for target in FORMATS:
        exif = exif_of(encode(photo, target, 90)[0])
        assert (exif[282], exif[283], exif[274]) == (240, 300, 1)


def test_pixels_that_are_not_square_are_a_warning() -> None:
    png = png_file(picture(), chunk(b"pHYs", struct.pack(">IIB", 4, 3, 0)))
    jpeg = file_of(picture(), "JPEG").replace(b"JFIF\0\1\1\0\0\1\0\1", b"JFIF\0\1\1\0\0\4\0\3")
    for data in (png, jpeg):
        (warning,) = decode(data, "a").warnings
        assert "not square (4:3)" in warning


@pytest.mark.parametrize("keyword", ["", "a" * 80, "a\nb", "\u03a9"])
def test_texts_whose_names_a_png_cannot_hold_are_dropped(keyword: str) -> None:
    photo = Photo("a", picture(), metadata=Metadata(texts=((keyword, "x"), ("Title", "y"))))
    written, notes = encode(photo, "png", 90)
    assert dict(decode(written, "a").metadata.texts) == {"Title": "y"}
    assert "texts" in "".join(notes)


def test_records_of_an_odd_size_are_padded() -> None:
    assert len(IPTC) % 2
    written, _ = encode(Photo("a", picture(), metadata=Metadata(iptc=IPTC)), "jpg", 90)
    assert jpeg_segment(0xED, b"Photoshop 3.0\0" + IRB) in written
