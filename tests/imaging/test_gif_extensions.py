"""XMP and the colour profile of a GIF."""

import numpy as np
from photofiles import adobe_profile, file_of, picture
from PIL import Image

from restore.imaging.photo import decode


def test_profile_and_xmp_of_a_gif_are_used() -> None:
    icc, xmp = adobe_profile(), b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>a caption</x:xmpmeta>"
    plain = file_of(Image.fromarray(picture()).quantize(16), "GIF")
    blocks = (icc[at : at + 255] for at in range(0, len(icc), 255))
    sizes = b"".join(bytes([len(block)]) + block for block in blocks)
    trailer = bytes([1, *range(255, -1, -1), 0])
    added = b"!\xff\x0bICCRGBG1012" + sizes + b"\0!\xff\x0bXMP DataXMP" + xmp + trailer
    end_of_palette = 13 + (3 << (plain[10] & 7) + 1)
    photo = decode(plain[:end_of_palette] + added + plain[end_of_palette:], "a")
    np.testing.assert_array_equal(photo.pixels, decode(plain, "a").pixels)
    assert (photo.icc, photo.metadata.xmp, photo.warnings) == (icc, xmp, ())
