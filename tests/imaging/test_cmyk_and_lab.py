"""CMYK and Lab photos, which are converted to sRGB."""

import io
from typing import Any

import numpy as np
import pytest
from photofiles import FORMATS, cmyk_profile, file_of, levels_apart, picture
from PIL import Image, ImageCms

from restore.imaging.encode import encode
from restore.imaging.photo import decode

CMYK_COLOURS = np.array(
    [[255, 0, 0, 0], [0, 255, 0, 0], [0, 0, 255, 0], [0, 0, 0, 255], [0, 0, 0, 0], [0, 0, 0, 128]],
    np.uint8,
)
EXPECTED_RGB = np.array(
    [[0, 255, 255], [255, 0, 255], [255, 255, 0], [0, 0, 0], [255, 255, 255], [127, 127, 127]]
)


def cmyk_jpeg(kind: str, **options: Any) -> bytes:
    """Return a JPEG of six ink patches.

    Args:
        kind: 'adobe' for inverted CMYK as Adobe writes it, 'bare' for the same without the Adobe
            marker, 'ycck' for YCbCr of the inks and an inverted K.
        options: for Pillow's writer, which inverts the samples.
    """
    ink = CMYK_COLOURS.copy()
    if kind == "ycck":
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
def test_cmyk_jpeg_without_a_profile(kind: str) -> None:
    photo = decode(cmyk_jpeg(kind), "a")
    assert levels_apart(photo.pixels[8, 8::16], EXPECTED_RGB) <= 4
    assert (photo.format, photo.icc) == ("JPEG", None)
    assert "approximate" in photo.warnings[0]


def test_cmyk_jpeg_is_converted_by_its_profile_which_is_dropped() -> None:
    photo = decode(cmyk_jpeg("adobe", icc_profile=cmyk_profile()), "a")
    cyan, magenta, *_, white, grey = photo.pixels[8, 8::16].astype(int)
    assert cyan[0] > 190  # cyan is yellow in this profile
    assert cyan[2] < 90
    assert magenta.max() < 20
    assert white.min() > 250
    assert 60 < grey.mean() < 200
    assert (photo.icc, photo.converted, photo.warnings) == (None, False, ())
    assert all(
        "icc_profile" not in Image.open(io.BytesIO(encode(photo, f, 90)[0])).info for f in FORMATS
    )


def test_lab_and_cmyk_tiff_are_converted_to_srgb() -> None:
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    lab = ImageCms.applyTransform(Image.fromarray(picture()), to_lab)
    assert lab is not None
    # 8-bit Lab is coarse in blue.
    assert levels_apart(decode(file_of(lab, "TIFF"), "a").pixels, picture()) <= 8
    cmyk = np.ascontiguousarray(np.repeat(np.repeat(CMYK_COLOURS[None], 16, 0), 16, 1))
    photo = decode(file_of(cmyk, "TIFF", "CMYK"), "a")
    assert levels_apart(photo.pixels[8, 8::16], EXPECTED_RGB) <= 1


def test_cmyk_and_lab_outside_of_srgb_are_reported() -> None:
    muted = Image.fromarray(np.full((16, 16, 3), (128, 0, 0), np.uint8), "LAB")
    vivid = Image.fromarray(np.full((16, 16, 3), (128, 100, 100), np.uint8), "LAB")
    assert decode(file_of(muted, "TIFF"), "a").warnings == ()
    [warning] = decode(file_of(vivid, "TIFF"), "a").warnings
    assert "100% of its pixels have LAB colours outside of sRGB" in warning
