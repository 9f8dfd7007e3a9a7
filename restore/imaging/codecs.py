"""Files and samples: what a file is, whether it may be decoded, the samples in it, and the bytes of a new file.

It owns the trust boundary: the format by content, the limits from the header alone, and the list of what a decoder may
raise on a hostile file. What the samples mean (colour space, orientation, EXIF) is `restore.imaging.photo`.
"""

from __future__ import annotations

import io
import math
import re
import struct
import warnings
import zlib
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from restore.errors import Code, RestoreError
from restore.imaging.containers import check_parts, check_samples, jpeg_bits, png_chunks
from restore.imaging.tiff import checked_tags, layout_refusal, read_directory

Array = NDArray[Any]

# What Pillow, OpenCV and zlib raise on hostile files; everything else is a bug of ours and must be seen as one.
DECODER_ERRORS = (
    *(
        OSError,
        EOFError,
        ValueError,
        TypeError,
        SyntaxError,
        LookupError,
        ArithmeticError,
        AttributeError,
        AssertionError,
    ),
    *(RuntimeError, MemoryError, struct.error, zlib.error, cv2.error, Image.DecompressionBombError),
)
TAKEN = "Send JPEG, PNG, WebP, TIFF, BMP or GIF"
EXIF_PREFIX = b"Exif\x00\x00"

_MAGIC = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("WEBP", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    (
        "TIFF",
        re.compile(rb"(II[*+]\x00|MM\x00[*+])....(?!CR)", re.DOTALL),
    ),  # 'CR' makes it a Canon raw
    (
        "BMP",
        re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00", re.DOTALL),
    ),  # the sizes of the header's versions
)
_OTHER_MAGIC = (
    ("HEIC", re.compile(rb"....ftyp(hei|hev|mif|msf)", re.DOTALL)),
    ("AVIF", re.compile(rb"....ftypavi", re.DOTALL)),
    ("a camera raw file", re.compile(rb"II[*+]\x00|MM\x00[*+]|....ftypcrx", re.DOTALL)),
    ("a video", re.compile(rb"....ftyp|RIFF....AVI |\x1aE\xdf\xa3", re.DOTALL)),
    ("PDF", re.compile(rb"%PDF")),
    ("PostScript", re.compile(rb"%!PS|\xc5\xd0\xd3\xc6")),
    ("a Photoshop document", re.compile(rb"8BPS")),
    ("JPEG XL", re.compile(rb"\xff\x0a|\x00\x00\x00\x0cJXL ")),
    ("JPEG 2000", re.compile(rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51")),
    ("a ZIP archive", re.compile(rb"PK\x03\x04")),
    ("SVG", re.compile(rb".{0,1000}<svg", re.DOTALL | re.IGNORECASE)),
    ("an HTML page", re.compile(rb".{0,1000}<(!doctype )?html", re.DOTALL | re.IGNORECASE)),
    ("text", re.compile(rb"[\t\n\f\r -\x7e\x80-\xff]{16,1024}\Z")),
)
# What of a TIFF's own tags describes the picture, not the layout of that file: from ImageDescription and Make to Copyright.
_DESCRIPTIVE_TAGS = (270, 271, 272, 274, 282, 283, 296, 305, 306, 315, 33432)


@dataclass(frozen=True)
class Limits:
    """What is taken and what may come out; checked before anything is decoded or encoded."""

    max_bytes: int = 32 * 2**20
    max_pixels_in: int = 50_000_000
    max_pixels_out: int = 100_000_000
    min_side_px: int = 8


LIMITS = Limits()


@dataclass(frozen=True)
class Raster:
    """The samples and metadata of a file's first frame, as stored.

    `mode` is 'L', 'RGB', 'CMYK' or 'LAB'; `pixels` is HxW or HxWxC of uint8, or of uint16 for 'L' and 'RGB'; `exif` is the raw
    block. `upright` says that the reader has already applied the orientation, as every TIFF reader does.
    """

    mode: str
    pixels: Array
    alpha: Array | None
    format: str
    icc: bytes | None
    exif: bytes | None
    upright: bool
    warnings: tuple[str, ...] = ()


def sniff(data: bytes) -> str | None:
    """Return the taken format that the content is, or None. A file's name is never looked at."""
    return next((kind for kind, magic in _MAGIC if magic.match(data)), None)


def looks_like(data: bytes) -> str:
    """Name what a file that is not taken seems to be, for the message."""
    head = data[:1024]
    return next((kind for kind, magic in _OTHER_MAGIC if magic.match(head)), "no known image")


def read_raster(data: bytes, name: str, limits: Limits) -> Raster:
    """Decode the first frame of a file, after its limits.

    Raises RestoreError with PHOTO_DAMAGED, PHOTO_TOO_LARGE, PHOTO_FORMAT, PHOTO_TOO_MANY_PIXELS, PHOTO_TOO_SMALL, OUT_OF_MEMORY.
    """
    if not data:
        raise RestoreError(
            Code.PHOTO_DAMAGED, "the file is empty (0 bytes)", "Send the file again.", photo=name
        )
    if len(data) > limits.max_bytes:
        raise too_large(len(data), name, limits)
    kind = sniff(data)
    if kind is None:
        raise RestoreError(
            Code.PHOTO_FORMAT,
            f"its content looks like {looks_like(data)}, which is not taken",
            TAKEN + ".",
            photo=name,
        )
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # Pillow warns of malformed metadata; what is lost of it is found out in restore.photo
        try:
            return _read(data, kind, name, limits)
        except DECODER_ERRORS as error:
            if kind == "PNG" and (rescued := _read_bare_png(data, name, limits)):
                return rescued
            raise _refusal(data, kind, name, error) from error


def too_large(size_bytes: int, name: str, limits: Limits) -> RestoreError:
    """Say that a file is over the limit of bytes."""
    reason = f"{size_bytes / 2**20:.1f} MiB, the limit is {limits.max_bytes / 2**20:g}"
    return RestoreError(
        Code.PHOTO_TOO_LARGE,
        reason,
        "Save the photo at a lower quality or make it smaller.",
        photo=name,
    )


def out_of_memory(size_bytes: int, name: str) -> RestoreError:
    """Say that a file could not be decoded for want of memory."""
    remedy = "Make the photo smaller or give the machine more memory."
    return RestoreError(
        Code.OUT_OF_MEMORY, f"decoding its {size_bytes} bytes ran out of memory", remedy, photo=name
    )


def _refusal(data: bytes, kind: str, name: str, error: BaseException) -> RestoreError:
    """Turn what a decoder raised into what the caller can do about it."""
    if isinstance(error, MemoryError) or (
        isinstance(error, cv2.error) and error.code == cv2.Error.STS_NO_MEM
    ):
        return out_of_memory(len(data), name)
    if kind == "JPEG" and (bits := jpeg_bits(data)) != 8:
        return RestoreError(
            Code.PHOTO_FORMAT,
            f"it is a {bits}-bit JPEG, only 8 bits are taken",
            "Save it as 16-bit PNG.",
            photo=name,
        )
    if kind == "TIFF" and isinstance(error, UnidentifiedImageError) and read_directory(data).intact:
        return layout_refusal("it is a TIFF of a layout that cannot be read", name)
    reason = f"its {kind} data is damaged or cut short ({str(error) or type(error).__name__})"
    return RestoreError(
        Code.PHOTO_DAMAGED,
        reason,
        "Send the whole file again, or save it anew with an image editor.",
        photo=name,
    )


def _read(data: bytes, kind: str, name: str, limits: Limits) -> Raster:
    tags = checked_tags(data, name) if kind == "TIFF" else {}
    check_parts(data, kind, name)
    image = _open_within_limits(data, kind, name, limits)
    check_samples(data, kind, name)
    exif = _tiff_exif(image) if kind == "TIFF" else None
    image.load()
    is_deep = data[24] == 16 if kind == "PNG" else max(tags.get(258, (8,))) == 16
    mode, pixels, alpha = _samples(image, data, tags, name, is_deep=is_deep)
    notes = ["its 16 bits could only be read as 8"] if is_deep and pixels.dtype == np.uint8 else []
    if image.format != "MPO" and _has_more_frames(
        image
    ):  # an MPO's further frames are previews and gain maps of the same picture
        notes.append("only its first frame is used")
    return Raster(
        mode=mode,
        pixels=pixels,
        alpha=alpha,
        format=kind,
        icc=image.info.get("icc_profile") or None,
        exif=exif if kind == "TIFF" else image.info.get("exif"),
        upright=kind == "TIFF",
        warnings=tuple(notes),
    )


def _open_within_limits(data: bytes, kind: str, name: str, limits: Limits) -> Image.Image:
    """Read the header and hold it against the limits; nothing is decoded."""
    try:
        # With one format allowed, no other plugin of Pillow sees the bytes. MPO must not be listed: it comes with JPEG.
        image: Image.Image = Image.open(io.BytesIO(data), formats=[kind])
    except (
        Image.DecompressionBombError
    ) as error:  # Pillow's own limit, far above ours, is told in pixels
        found = re.search(r"\((\d+) pixels\)", str(error))
        raise _too_many_pixels(int(found[1]) if found else 0, name, limits) from error
    width, height = image.size
    if width * height > limits.max_pixels_in:
        raise _too_many_pixels(width * height, name, limits)
    if min(width, height) < limits.min_side_px:
        reason = f"{width} x {height} px, each side must have at least {limits.min_side_px}"
        raise RestoreError(Code.PHOTO_TOO_SMALL, reason, "Send a larger photo.", photo=name)
    return image


def _too_many_pixels(pixels: int, name: str, limits: Limits) -> RestoreError:
    reason = (
        f"{math.ceil(pixels / 1e5) / 10} megapixels, the limit is {limits.max_pixels_in / 1e6:g}"
    )
    return RestoreError(Code.PHOTO_TOO_MANY_PIXELS, reason, "Make the photo smaller.", photo=name)


def _has_more_frames(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except DECODER_ERRORS:  # the frame that is used is fine; a later one is not
        return True


def _read_bare_png(data: bytes, name: str, limits: Limits) -> Raster | None:
    """Read a PNG without its profile and texts: a broken or oversized one makes Pillow give up the whole picture."""
    needed = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf")
    kept = [
        data[:8],
        *(data[start:end] for chunk, start, end in png_chunks(data) if chunk in needed),
    ]
    try:
        raster = _read(b"".join(kept), "PNG", name, limits)
    except DECODER_ERRORS:
        return None
    return replace(
        raster,
        warnings=(
            *raster.warnings,
            "its colour profile and texts could not be read and were dropped",
        ),
    )


def _tiff_exif(image: Image.Image) -> bytes | None:
    """Gather what describes the picture from a TIFF's tags; the rest is the layout of that file."""
    try:
        own, kept = image.getexif(), Image.Exif()
        for tag in _DESCRIPTIVE_TAGS:
            if tag in own:
                kept[tag] = own[tag]
        for pointer in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            if children := own.get_ifd(pointer):
                kept.get_ifd(pointer).update(children)
                kept[pointer] = kept.get_ifd(pointer)
        return kept.tobytes() if len(kept) else None
    except DECODER_ERRORS:
        return b"unreadable"  # so that restore.photo warns of it as of any EXIF that cannot be read


def _samples(
    image: Image.Image, data: bytes, tags: dict[int, tuple[int, ...]], name: str, *, is_deep: bool
) -> tuple[str, Array, Array | None]:
    """Return mode, pixels and alpha of a loaded image at the depth of its file."""
    is_png, mode = image.format == "PNG", image.mode
    if (
        is_deep and mode in ("RGB", "RGBA") and tags.get(338, (2,))[0] != 1
    ):  # 1: premultiplied, which only Pillow undoes
        return _deep_samples(
            data, image.size, grey=is_png and data[25] == 4, opaque=tags.get(338) == (0,)
        )
    if mode.startswith("I"):
        return _deep_grey_samples(image, tags, name)
    if mode in ("1", "L"):
        return _grey_samples(image, png_bits=data[24] if is_png else 8)
    return _colour_samples(image)


def _colour_samples(image: Image.Image) -> tuple[str, Array, Array | None]:
    """Return the 8-bit samples of every mode with more than one channel, or with a palette."""
    if (
        image.mode == "P"
        and (palette := image.getpalette())
        and palette[::3] == palette[1::3] == palette[2::3]
    ):
        image = image.convert("LA")  # a palette of greys is how GIF stores a grey photo
        if image.getextrema()[1] == (255, 255):
            return "L", np.array(image.getchannel("L")), None
    if image.mode in ("CMYK", "LAB"):
        return image.mode, np.array(image), None
    if image.mode in ("LA", "La"):
        grey, alpha = np.moveaxis(np.array(image.convert("LA")), -1, 0)
        return "L", np.ascontiguousarray(grey), np.ascontiguousarray(alpha)
    if not image.has_transparency_data:
        return "RGB", np.array(image.convert("RGB")), None
    four = np.array(image.convert("RGBA"))
    return "RGB", np.ascontiguousarray(four[..., :3]), np.ascontiguousarray(four[..., 3])


def _grey_samples(image: Image.Image, png_bits: int) -> tuple[str, Array, Array | None]:
    pixels, key = np.array(image.convert("L")), image.info.get("transparency")
    if not isinstance(key, int):
        return "L", pixels, None
    if png_bits in (2, 4):  # Pillow widens the samples to 8 bits, but not the transparent value
        key *= 255 // (2**png_bits - 1)
    return "L", pixels, np.where(pixels == key, 0, 255).astype(np.uint8)


def _deep_samples(
    data: bytes, size_px: tuple[int, int], *, grey: bool, opaque: bool
) -> tuple[str, Array, Array | None]:
    """Read 16-bit colour, or grey with alpha, with OpenCV: Pillow cuts these to 8 bits."""
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if (
        array is None
        or array.dtype != np.uint16
        or array.ndim != 3
        or array.shape[1::-1] != size_px
    ):
        raise ValueError("its 16-bit samples cannot be read")
    alpha = np.ascontiguousarray(array[..., 3]) if array.shape[2] == 4 and not opaque else None
    if grey:
        return "L", np.ascontiguousarray(array[..., 0]), alpha
    return (
        "RGB",
        cv2.cvtColor(array, cv2.COLOR_BGR2RGB if array.shape[2] == 3 else cv2.COLOR_BGRA2RGB),
        alpha,
    )


def _deep_grey_samples(
    image: Image.Image, tags: dict[int, tuple[int, ...]], name: str
) -> tuple[str, Array, Array | None]:
    """Return 16-bit grey of Pillow's modes 'I;16...' and 'I', the latter where its values fit."""
    values = np.array(image)
    if values.min() < 0 or values.max() > 65535:
        raise layout_refusal(
            f"its grey values run from {values.min()} to {values.max()}, only 0 to 65535 are taken",
            name,
        )
    pixels = values.astype(np.uint16)
    if tags.get(258) == (12,):
        pixels = pixels * 16 + pixels // 256  # 4095 becomes 65535
    if tags.get(262) == (0,):  # white is zero: Pillow inverts 8 bits, but not 16
        pixels = 65535 - pixels
    key = image.info.get("transparency")
    alpha = np.where(pixels == key, 0, 65535).astype(np.uint16) if isinstance(key, int) else None
    return "L", pixels, alpha


def write_png(pixels: Array, alpha: Array | None, icc: bytes | None, exif: bytes | None) -> bytes:
    """Write HxW or HxWx3 samples of 8 or 16 bits, with their alpha, as PNG.

    OpenCV at level 1 takes a quarter of the time of Pillow's default for a fifth more bytes, but has no grey with alpha; and
    libpng may drop a profile that it dislikes without a word, so profile and EXIF are put in here.
    """
    if alpha is not None and pixels.ndim == 2:
        plain = _grey_alpha_png(pixels, alpha)
    else:
        array = np.ascontiguousarray(pixels if alpha is None else np.dstack([pixels, alpha]))
        if array.ndim == 3:
            array = cv2.cvtColor(array, cv2.COLOR_RGB2BGR if alpha is None else cv2.COLOR_RGBA2BGRA)
        written, buffer = cv2.imencode(".png", array, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if not written:
            raise RuntimeError(f"OpenCV wrote no PNG of {array.shape} {array.dtype}")
        plain = buffer.tobytes()
    extra = _png_chunk(b"iCCP", b"ICC profile\x00\x00" + zlib.compress(icc)) if icc else b""
    extra += _png_chunk(b"eXIf", exif.removeprefix(EXIF_PREFIX)) if exif else b""
    return plain[:33] + extra + plain[33:]  # the signature and IHDR are 33 bytes


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _grey_alpha_png(grey: Array, alpha: Array) -> bytes:
    height, width = grey.shape
    rows = (
        np.dstack([grey, alpha])
        .astype(grey.dtype.newbyteorder(">"))
        .reshape(height, -1)
        .view(np.uint8)
    )
    filtered = np.full(
        (height, rows.shape[1] + 1), 2, np.uint8
    )  # filter 2: each row less the one above it
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = _png_chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, grey.dtype.itemsize * 8, 4, 0, 0, 0)
    )
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + _png_chunk(b"IDAT", zlib.compress(filtered.tobytes(), 1))
        + _png_chunk(b"IEND", b"")
    )


def write_jpeg(pixels: Array, quality: int, icc: bytes | None, exif: bytes | None) -> bytes:
    """Write HxW or HxWx3 samples of 8 bits as baseline JPEG without chroma subsampling."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(
        out, "JPEG", quality=quality, subsampling=0, icc_profile=icc, exif=exif or b""
    )
    return out.getvalue()


def write_webp(
    pixels: Array, alpha: Array | None, quality: int, icc: bytes | None, exif: bytes | None
) -> bytes:
    """Write HxW or HxWx3 samples of 8 bits, with their alpha, as lossy WebP, which has half the colour resolution and no grey."""
    colour = np.dstack([pixels] * 3) if pixels.ndim == 2 else pixels
    array = colour if alpha is None else np.dstack([colour, alpha])
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(
        out, "WEBP", quality=quality, icc_profile=icc or b"", exif=exif or b""
    )
    return out.getvalue()
