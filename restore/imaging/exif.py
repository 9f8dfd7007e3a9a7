"""EXIF: reading it safely, the orientation, and the block that is written with a result."""

from __future__ import annotations

from PIL import ExifTags, Image

from restore.imaging.decoder_errors import DECODER_ERRORS
from restore.imaging.jpeg import MAX_SEGMENT_BYTES
from restore.imaging.pillow_warnings import collected_warnings
from restore.imaging.tiff import read_directory

EXIF_PREFIX = b"Exif\x00\x00"
MAX_EXIF_BYTES = 2**20
MAX_CLAIMED_SHARE = 8
"""Limit on the bytes that the entries point at, relative to the size of the block."""

MAX_DENSITY_DPI = 65_535
UPRIGHT = 1
FIRST_TRANSPOSED = 5
"""Orientations from this on exchange rows and columns."""
_ORIENTATIONS = range(1, 9)
# Tags of a TIFF that describe the picture and not the layout of the file: ImageDescription,
# Make, Model, Orientation, resolution, Software, DateTime, Artist and Copyright.
_DESCRIPTIVE_TIFF_TAGS = (270, 271, 272, 274, 282, 283, 296, 305, 306, 315, 33432)
_SIZE_TAGS = (ExifTags.Base.ImageWidth, ExifTags.Base.ImageLength)
_DETAILED_SIZE_TAGS = (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)
_THUMBNAIL_TAGS = (ExifTags.Base.JpegIFOffset, ExifTags.Base.JpegIFByteCount)
_X_RESOLUTION, _Y_RESOLUTION = ExifTags.Base.XResolution, ExifTags.Base.YResolution
_RESOLUTION_UNIT = ExifTags.Base.ResolutionUnit
_NO_UNIT, _INCH, _CENTIMETRE, _CENTIMETRES_PER_INCH = 1, 2, 3, 2.54
_UNREADABLE = b"unreadable"


def tiff_exif(image: Image.Image) -> bytes | None:
    """Return an EXIF block of the TIFF tags that describe the picture."""
    try:
        stored, exif = image.getexif(), Image.Exif()
        for tag in _DESCRIPTIVE_TIFF_TAGS:
            if tag in stored:
                exif[tag] = stored[tag]
        for pointer in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            if children := stored.get_ifd(pointer):
                exif.get_ifd(pointer).update(children)
                exif[pointer] = exif.get_ifd(pointer)
        return exif.tobytes() if len(exif) else None
    except DECODER_ERRORS:
        return _UNREADABLE  # `clean_exif` drops it with a warning


def clean_exif(raw: bytes | None, notes: list[str]) -> tuple[bytes | None, int]:
    """Set the orientation of an EXIF block to upright.

    Args:
        raw: the block as stored in the file, or None.
        notes: warnings are appended here.

    Returns:
        The block, or None if it cannot be read, and the orientation it had, from 1 to 8.
    """
    orientation = UPRIGHT
    if not raw:
        return None, orientation
    with collected_warnings() as skipped:  # Pillow warns about skipped entries
        try:
            exif = _load(raw)
            stored = exif.get(ExifTags.Base.Orientation)
            if stored is not None:
                orientation = _valid_orientation(stored)
                exif[ExifTags.Base.Orientation] = UPRIGHT
                _turn_density(exif, orientation)
            block = exif.tobytes() if len(exif) else None
        except DECODER_ERRORS as error:
            notes.append(f"its EXIF cannot be read and was dropped ({error})")
            return None, orientation
    if skipped:
        notes.append("a part of its EXIF cannot be read and was dropped")
    return block, orientation


def _valid_orientation(stored: object) -> int:
    """Return an orientation, which some programs store as a byte; UPRIGHT for other values."""
    if isinstance(stored, bytes) and len(stored) == 1:
        stored = stored[0]
    return stored if isinstance(stored, int) and stored in _ORIENTATIONS else UPRIGHT


def _turn_density(exif: Image.Exif, orientation: int) -> None:
    """Exchange the densities of rows and columns if the orientation exchanges these."""
    if orientation >= FIRST_TRANSPOSED and {_X_RESOLUTION, _Y_RESOLUTION} <= set(exif):
        across, down = exif[_X_RESOLUTION], exif[_Y_RESOLUTION]
        exif[_X_RESOLUTION], exif[_Y_RESOLUTION] = down, across


def exif_for_output(
    block: bytes | None,
    size: tuple[int, int],
    output_format: str,
    notes: list[str],
    *,
    keep_gps: bool,
    dpi: tuple[float, float] | None = None,
) -> bytes | None:
    """Return the EXIF block of a result, with its size and without thumbnails of the old picture.

    Args:
        block: the photo's EXIF block.
        size: (width, height) of the result in pixels, which the block is updated to.
        output_format: 'jpg', 'png' or 'webp'.
        notes: warnings are appended here.
        keep_gps: keep the GPS position, which is removed otherwise.
        dpi: density in pixels per inch, which is added to a block without one.
    """
    if block is None and dpi is None:
        return None
    with collected_warnings():
        try:
            exif = Image.Exif() if block is None else _load(block)
            if not keep_gps:
                exif.pop(ExifTags.IFD.GPSInfo, None)
            for tag in _THUMBNAIL_TAGS:
                exif.pop(tag, None)
            details = exif.get_ifd(ExifTags.IFD.Exif) if ExifTags.IFD.Exif in exif else {}
            for directory, *tags in ((exif, *_SIZE_TAGS), (details, *_DETAILED_SIZE_TAGS)):
                for tag, side_px in zip(tags, size, strict=True):
                    if tag in directory:
                        directory[tag] = side_px
            if dpi and _X_RESOLUTION not in exif:
                exif[_X_RESOLUTION], exif[_Y_RESOLUTION] = dpi
                exif[_RESOLUTION_UNIT] = _INCH
            written = exif.tobytes() if len(exif) else None
        except DECODER_ERRORS as error:
            notes.append(f"its EXIF cannot be written and was dropped ({error})")
            return None
    if written and output_format == "jpg" and len(written) > MAX_SEGMENT_BYTES:
        notes.append(
            f"its EXIF of {len(written)} bytes was dropped, jpg holds at most {MAX_SEGMENT_BYTES}"
        )
        return None
    return written


def exif_density(block: bytes | None) -> tuple[float, float] | None:
    """Return the density in pixels per inch that an EXIF block states, or None."""
    if block is None:
        return None
    with collected_warnings():
        try:
            exif = _load(block)
            if exif.get(_RESOLUTION_UNIT) == _NO_UNIT:
                return None
            factor = _CENTIMETRES_PER_INCH if exif.get(_RESOLUTION_UNIT) == _CENTIMETRE else 1.0
            stored = (float(exif[tag]) for tag in (_X_RESOLUTION, _Y_RESOLUTION))
            across, down = (value * factor for value in stored)
        except DECODER_ERRORS:
            return None
    return valid_density((across, down))


def valid_density(density: object) -> tuple[float, float] | None:
    """Return a density as two floats in pixels per inch, or None if it is not a plausible one."""
    if not isinstance(density, tuple) or len(density) != 2:
        return None
    try:
        across, down = (float(value) for value in density)
    except DECODER_ERRORS:
        return None
    is_plausible = 1 <= across <= MAX_DENSITY_DPI and 1 <= down <= MAX_DENSITY_DPI
    return (across, down) if is_plausible else None


def _load(raw: bytes) -> Image.Exif:
    """Parse an EXIF block. Raises one of DECODER_ERRORS if it is damaged or hostile."""
    tiff = raw
    while tiff.startswith(EXIF_PREFIX):  # some programs write it into a PNG, where it is implied
        tiff = tiff.removeprefix(EXIF_PREFIX)
    if len(tiff) > MAX_EXIF_BYTES:
        raise ValueError(f"{len(tiff)} bytes, the limit is {MAX_EXIF_BYTES}")
    if read_directory(tiff).claimed_bytes > MAX_CLAIMED_SHARE * len(tiff):
        raise ValueError("its entries claim more bytes than it has")
    exif = Image.Exif()
    exif.load(raw)
    return exif
