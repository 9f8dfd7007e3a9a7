"""Limits on photos and results, checked before anything is decoded, computed or encoded."""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from restore.errors import Code, RestoreError
from restore.imaging.containers import check_parts, check_samples
from restore.imaging.jpeg import jpeg_bits
from restore.imaging.png_texts import without_texts
from restore.imaging.tiff import (
    Directory,
    Tags,
    check_directory,
    select_page,
    unsupported_layout,
)

MAX_SIDE_PX = {"jpg": 65_500, "png": 1_000_000, "webp": 16_383}
"""Largest side per output format: the limits of libjpeg, libpng and the WebP format."""


@dataclass(frozen=True)
class Limits:
    """Limits on the size of photos and results.

    Attributes:
        max_bytes: size of a file.
        max_pixels_in: pixels of a photo.
        max_pixels_reduced: pixels of a photo that is reduced before all steps (max_megapixels);
            phones write up to 108 megapixels.
        max_pixels_out: pixels of a result.
        min_side_px: shorter side of a photo.
    """

    max_bytes: int = 32 * 2**20
    max_pixels_in: int = 50_000_000
    max_pixels_reduced: int = 120_000_000
    max_pixels_out: int = 100_000_000
    min_side_px: int = 8


LIMITS = Limits()


@dataclass(frozen=True)
class CheckedFile:
    """A photo file whose header is within the limits and whose samples are not decoded yet.

    Attributes:
        data: the content of the file.
        format: as from `identify`.
        image: Pillow's image; only its header has been read.
        directory: the directory of a TIFF; None for other formats.
        warnings: which pages of a TIFF are not used.
    """

    data: bytes
    format: str
    image: Image.Image
    directory: Directory | None
    warnings: tuple[str, ...] = ()

    @property
    def tags(self) -> Tags:
        """The integer tags of a TIFF; empty for other formats."""
        return self.directory.tags if self.directory else {}


def check_file_size(size_bytes: int, name: str, limits: Limits = LIMITS) -> None:
    """Reject an empty file and one with more than `max_bytes`.

    Raises:
        RestoreError: PHOTO_DAMAGED or PHOTO_TOO_LARGE.
    """
    if not size_bytes:
        raise RestoreError(
            Code.PHOTO_DAMAGED, "the file is empty (0 bytes)", "Send the file again.", photo=name
        )
    if size_bytes > limits.max_bytes:
        raise RestoreError(
            Code.PHOTO_TOO_LARGE,
            f"{size_bytes / 2**20:.1f} MiB, the limit is {limits.max_bytes / 2**20:g}",
            "Save the photo at a lower quality or make it smaller.",
            photo=name,
        )


def check_limits(data: bytes, file_format: str, name: str, limits: Limits = LIMITS) -> CheckedFile:
    """Read the header of a file, and check its parts, its layout and its size in pixels.

    Args:
        data: the content of the file.
        file_format: as from `identify`.
        name: the photo's name, for error messages.
        limits: the limits to apply.

    Raises:
        RestoreError: PHOTO_FORMAT, PHOTO_TOO_MANY_PIXELS or PHOTO_TOO_SMALL.
        One of DECODER_ERRORS: the file is damaged.
    """
    directory: Directory | None = None
    notes: tuple[str, ...] = ()
    if file_format == "TIFF":
        data, notes = select_page(data, name)
        directory = check_directory(data, name)
    check_parts(data, file_format, name)
    if file_format == "JPEG":
        _check_jpeg_bits(data, name)
    image = _read_header(data, file_format, directory, name, limits)
    check_pixels(*image.size, name, limits)
    check_samples(data, file_format, name)
    return CheckedFile(data, file_format, image, directory, notes)


def check_output_size(name: str, width: int, height: int, output_format: str) -> None:
    """Reject a result that is too large for the limits or for its format, before it is computed.

    Raises:
        RestoreError: OPTION_INVALID for an unknown format, or OUTPUT_TOO_LARGE.
    """
    if output_format not in MAX_SIDE_PX:
        raise RestoreError(
            Code.OPTION_INVALID,
            f"output format '{output_format}' is unknown",
            f"Use one of {', '.join(MAX_SIDE_PX)}.",
            photo=name,
        )
    if width * height > LIMITS.max_pixels_out:
        raise RestoreError(
            Code.OUTPUT_TOO_LARGE,
            f"the result has {width * height / 1e6:.1f} megapixels, "
            f"the limit is {LIMITS.max_pixels_out / 1e6:g}",
            "Choose a smaller result or a smaller photo.",
            photo=name,
        )
    if max(width, height) > MAX_SIDE_PX[output_format]:
        raise RestoreError(
            Code.OUTPUT_TOO_LARGE,
            f"the result has {width} x {height} px, "
            f"a side of {output_format} has at most {MAX_SIDE_PX[output_format]}",
            "Choose png, or a smaller scale.",
            photo=name,
        )


def _check_jpeg_bits(data: bytes, name: str) -> None:
    if (bits := jpeg_bits(data)) != 8:
        raise RestoreError(
            Code.PHOTO_FORMAT,
            f"it is a {bits}-bit JPEG, only 8 bits are supported",
            "Save it as 16-bit PNG.",
            photo=name,
        )


def _read_header(
    data: bytes, file_format: str, directory: Directory | None, name: str, limits: Limits
) -> Image.Image:
    """Open a file with Pillow, which reads only its header."""
    if file_format == "PNG":
        data = without_texts(data)
    try:
        # No other plugin of Pillow sees the bytes. MPO is part of the JPEG plugin.
        return Image.open(io.BytesIO(data), formats=[file_format])
    except Image.DecompressionBombError as error:  # Pillow's limit, which is far above ours
        pixels = re.search(r"\((\d+) pixels\)", str(error))
        raise too_many_pixels(int(pixels[1]) if pixels else 0, name, limits) from error
    except UnidentifiedImageError as error:
        if directory is not None and directory.intact:
            raise unsupported_layout(
                "it is a TIFF of a layout that cannot be read", name
            ) from error
        raise


def check_pixels(width: int, height: int, name: str, limits: Limits) -> None:
    """Reject a photo with too many pixels or too short a side.

    Raises:
        RestoreError: PHOTO_TOO_MANY_PIXELS or PHOTO_TOO_SMALL.
    """
    if width * height > limits.max_pixels_in:
        raise too_many_pixels(width * height, name, limits)
    if min(width, height) < limits.min_side_px:
        raise RestoreError(
            Code.PHOTO_TOO_SMALL,
            f"{width} x {height} px, each side must have at least {limits.min_side_px}",
            "Send a larger photo.",
            photo=name,
        )


def too_many_pixels(pixels: int, name: str, limits: Limits) -> RestoreError:
    """Return the error for a photo of this many pixels."""
    megapixels = math.ceil(pixels / 1e5) / 10
    return RestoreError(
        Code.PHOTO_TOO_MANY_PIXELS,
        f"{megapixels} megapixels, the limit is {limits.max_pixels_in / 1e6:g}",
        "Make the photo smaller, or set max_megapixels to have it reduced."
        if limits.max_pixels_in < pixels <= limits.max_pixels_reduced
        else "Make the photo smaller.",
        photo=name,
    )
