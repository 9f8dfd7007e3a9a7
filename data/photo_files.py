"""Read and write the photos of the scripts in this folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from data.degradation import Photo, has_no_colour
from restore.errors import Code, RestoreError

JPEG_QUALITY = 90


def read_photo(path: Path) -> Photo:
    """Read a photo with 8 bits per channel as upright HxWx3 uint8 RGB; transparency is dropped.

    Raises:
        RestoreError: PHOTO_MISSING, PHOTO_FORMAT or PHOTO_DAMAGED.
    """
    try:
        with Image.open(path) as image:
            if image.mode in {"I", "F"} or image.mode.startswith("I;"):
                raise RestoreError(
                    Code.PHOTO_FORMAT,
                    f"has pixels of type {image.mode}",
                    "Use a photo with 8 bits per channel.",
                    photo=path.name,
                )
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except FileNotFoundError as error:
        raise RestoreError(
            Code.PHOTO_MISSING, f"there is no file {path}", "Check the path.", photo=path.name
        ) from error
    except UnidentifiedImageError as error:
        raise RestoreError(
            Code.PHOTO_FORMAT, "is not a known image format", "Use a JPEG or PNG.", photo=path.name
        ) from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise RestoreError(
            Code.PHOTO_DAMAGED,
            f"cannot be decoded ({error})",
            "Use another copy of the photo.",
            photo=path.name,
        ) from error


def write_photo(photo: Photo, path: Path) -> None:
    """Write a PNG, or a JPEG without chroma subsampling if the name ends in .jpg.

    A photo without colour is written as grey.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE.
    """
    image = Image.fromarray(photo[..., 0] if has_no_colour(photo) else photo)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".jpg":
            image.save(path, quality=JPEG_QUALITY, subsampling=0)
        else:
            image.save(path, optimize=True)
    except OSError as error:
        raise RestoreError(
            Code.OUTPUT_UNWRITABLE, f"{path} cannot be written ({error})", "Choose another --out."
        ) from error
