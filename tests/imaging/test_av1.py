"""Frame sizes of AV1 data: those of real encoders, and of headers made bit by bit."""

import pytest
from heiffiles import avif_file, deep_avif_file
from photofiles import deep_picture, file_of, picture
from PIL import Image

from restore.imaging.av1 import largest_frame
from restore.imaging.isobmff import read_container


def primary_data(avif: bytes) -> bytes:
    file = read_container(avif)
    return file.content(file.primary)


def packed(*fields: tuple[int, int]) -> bytes:
    """Return (value, bits) fields as bytes."""
    text = "".join(f"{value:0{bits}b}" for value, bits in fields if bits)
    return int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")


def unit(kind: int, body: bytes) -> bytes:
    return bytes([kind << 3 | 2, len(body)]) + body


def sequence(width: int, height: int, *, has_timing: bool = False, has_ids: bool = False) -> bytes:
    """Return the header of a sequence that is no still picture; a frame may state its size."""
    timing = [(0, 1)]
    if has_timing:  # regular pictures, a decoder model with 4 bits for delays
        timing = [(1, 1), (1, 32), (25, 32), (1, 1), (0b010, 3), (1, 1), (3, 5), (1, 32), (3, 5)]
        timing += [(3, 5)]
    points = [(1, 1), (0, 5), (0, 12), (8, 5), (0, 1)]
    points += [(1, 1), (0, 9)] if has_timing else []
    points += [(1, 1), (0, 4)]
    sizes = [(15, 4), (15, 4), (width - 1, 16), (height - 1, 16)]
    ids = [(1, 1), (0, 4), (0, 3)] if has_ids else [(0, 1)]
    tools = [(0, 3), (0, 4), (1, 1), (0, 2), (1, 1), (1, 1), (0, 3)]
    return unit(1, packed((0, 3), (0, 1), (0, 1), *timing, *points, *sizes, *ids, *tools))


def key_frame(*, is_other_size: bool, has_ids: bool = False) -> bytes:
    ids = [(1, 3)] if has_ids else []
    fields = [(0, 1), (0, 2), (1, 1), (0, 1), (1, 1), (1, 1), *ids, (int(is_other_size), 1)]
    return unit(6, packed(*fields, (0, 40)))


def test_size_of_real_files_is_that_of_the_picture() -> None:
    frames = [Image.fromarray(picture()[::-1].copy())]
    animation = file_of(picture(), "AVIF", save_all=True, append_images=frames)
    assert largest_frame(primary_data(avif_file(picture()))) == (64, 48)
    assert largest_frame(primary_data(animation)) == (64, 48)
    deep = deep_avif_file(deep_picture(3) >> 4, 12)
    assert largest_frame(primary_data(deep)) == (30, 20)


@pytest.mark.parametrize("has_timing", [False, True])
@pytest.mark.parametrize("has_ids", [False, True])
def test_frame_of_another_size_is_rejected(has_timing: bool, has_ids: bool) -> None:
    header = sequence(4000, 3000, has_timing=has_timing, has_ids=has_ids)
    assert largest_frame(header + key_frame(is_other_size=False, has_ids=has_ids)) == (4000, 3000)
    with pytest.raises(ValueError, match="another size"):
        largest_frame(header + key_frame(is_other_size=True, has_ids=has_ids))


def test_largest_sequence_counts() -> None:
    small, large = sequence(64, 48), sequence(9000, 7000)
    frame = key_frame(is_other_size=False)
    assert largest_frame(small + frame + large + frame) == (9000, 7000)


def test_unit_without_a_size_extends_to_the_end() -> None:
    header = sequence(64, 48)
    assert largest_frame(bytes([header[0] & ~2]) + header[2:]) == (64, 48)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no sequence header"),
        (key_frame(is_other_size=False), "without a sequence header"),
        (unit(1, b"\0"), "too short"),
        (sequence(64, 48)[:-3], "cut short"),
        (unit(2, b"") * 10_001, "more than 10000 units"),
    ],
)
def test_damaged_data_are_rejected(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        largest_frame(data)
