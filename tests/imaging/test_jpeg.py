"""The structure of a JPEG."""

from photofiles import file_of, picture

from restore.imaging.jpeg import jpeg_bits


def test_jpeg_bits() -> None:
    assert jpeg_bits(file_of(picture(), "JPEG")) == 8
    assert jpeg_bits(b"\xff\xd8\xff\xff\xff\xc1\0\x0b\x0c") == 12
    for data in (
        b"\xff\xd8",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xc0",
        b"\xff\xd8\xff\xc0\0\x08",
        b"\xff\xd8\xff\xc4\xff\xff",
    ):
        assert jpeg_bits(data) == 8
