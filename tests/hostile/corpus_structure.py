"""Hostile files with a damaged structure, and files with random damage."""

import itertools
import random
import struct
import zlib
from collections.abc import Iterator
from functools import partial

import bombs
from bombs import grey_tiff_entries, noise, png_header, png_with, tiff_directory
from originals import VALID, edited, random_edits, suffix
from photofiles import adobe_profile, chunk, exif_block, file_of
from specimens import ACCEPTED, DAMAGED, EITHER, REJECTED, Specimen, specimen_of


def frame_specimens() -> Iterator[Specimen]:
    """Animations whose first frame is intact, or that have none."""
    gif, bomb = VALID["gif"], bombs.gif_bomb(65_535, 65_535)[13:]
    yield specimen_of("frames-bomb-second.gif", "frames", gif[:-1] + bomb, ACCEPTED, gif)
    many = gif[:-1] + bomb[:-1] * 100_000
    yield specimen_of("frames-million.gif", "frames", many, ACCEPTED, gif)
    yield specimen_of("frames-none.gif", "frames", gif[:13] + b";", REJECTED)
    for name in ("apng", "webp-animated", "mpo"):
        data = VALID[name]
        for at in range(len(data) * 5 // 10, len(data), max(1, len(data) // 40)):
            damaged = data[:at] + b"\xff\0\xff" + data[at + 3 :]
            yield specimen_of(f"frames-{name}-{at}.{suffix(name)}", "frames", damaged)
    control = chunk(b"acTL", struct.pack(">LL", 2**31 - 1, 0))
    wide = chunk(b"fcTL", struct.pack(">LLLLLHHBB", 0, 2**31 - 1, 2**31 - 1, 0, 0, 1, 1, 0, 0))
    yield specimen_of("frames-2-billion.png", "frames", png_with(control), ACCEPTED)
    yield specimen_of("frames-wide.png", "frames", png_with(control, wide))


def structure_specimens() -> Iterator[Specimen]:
    """Parts in the wrong order, repeated or missing, and offsets outside the file."""
    yield from _png_structure()
    yield from _png_checksums()
    yield from _tiff_offsets()
    yield from _tiff_tags()
    yield from _jpeg_and_bmp_structure()
    yield from _ends()
    yield from _tiff_pages()


def _ends() -> Iterator[Specimen]:
    """Files whose end is missing, replaced by zeros, or by another file."""
    for name in ("jpeg", "jpeg-progressive", "jpeg-grey", "jpeg-cmyk", "mpo", "png", "png-16"):
        data = VALID[name]
        for cut, tail in itertools.product((1, 2, 3, 30, 100, 400), (b"", bytes(9000), data)):
            damaged = data[:-cut] + tail
            file_name = f"structure-end-{name}-{cut}-{len(tail)}.{suffix(name)}"
            yield specimen_of(file_name, "structure", damaged, intact=data)
    huge = bombs.jpeg_bomb(7000, 7000)
    yield specimen_of("structure-end-huge.jpg", "structure", huge.removesuffix(b"\xff\xd9"))
    for colour_type, bits in itertools.product((0, 2, 3, 4, 6, 7), (1, 8, 16)):
        data = png_header(7000, 7000, bits, colour_type) + chunk(b"IDAT", bombs.zeros(4))
        file_name = f"structure-end-huge-{colour_type}-{bits}.png"
        yield specimen_of(file_name, "structure", data)


def _tiff_pages() -> Iterator[Specimen]:
    """Chains of directories: loops, many pages, pages outside of the file."""
    for following, planes in itertools.product((8, 9, 100, 500, 2**32 - 1), (1, 2)):
        for thumbnail, samples in itertools.product((0, 1, 4), (1, 2, 3, 255)):
            layout = ((258, 3, 1, 16), (277, 3, 1, samples), (284, 3, 1, planes))
            tags = ((254, 4, 1, thumbnail), (273, 4, 1, 300), *layout)
            data = tiff_directory(grey_tiff_entries(40, 24, *tags), following=following)
            file_name = f"structure-page-{following}-{planes}-{thumbnail}-{samples}.tif"
            yield specimen_of(file_name, "structure", data.ljust(9000, b"\1"))
    page = struct.pack("<H", 1) + struct.pack("<HHLL", 34665, 4, 1, 8)
    many = b"".join(page + struct.pack("<L", 8 + 18 * index) for index in range(1, 300_000))
    yield specimen_of("structure-300000-pages.tif", "structure", b"II*\0\x08\0\0\0" + many)


def _png_structure() -> Iterator[Specimen]:
    parts = {
        "h": png_header(40, 24)[8:],
        "s": chunk(b"IDAT", zlib.compress((b"\0" + bytes(120)) * 24)),
        "e": chunk(b"IEND", b""),
        "k": chunk(b"tRNS", b"\0\1\0\1\0\1"),
        "p": chunk(b"PLTE", bytes(range(48))),
    }
    signature = png_header(1, 1)[:8]
    orders = {
        "".join(order)
        for size in (1, 2, 3, 4, 5)
        for order in itertools.permutations("hsekp", size)
    }
    for order in sorted(orders):
        data = signature + b"".join(parts[letter] for letter in order)
        expected = EITHER if "h" in order and "s" in order else REJECTED
        yield specimen_of(f"structure-chunks-{order}.png", "structure", data, expected)
    for repeated in "hskp":
        data = signature + b"".join(parts[letter] for letter in f"h{repeated * 2}se")
        yield specimen_of(f"structure-twice-{repeated}.png", "structure", data)


def _png_checksums() -> Iterator[Specimen]:
    """Damaged uncompressed samples, which only the checksums show."""
    samples = b"".join(b"\0" + row.tobytes() for row in noise())
    body = chunk(b"IDAT", zlib.compress(samples, 0)) + chunk(b"IEND", b"")
    stored = png_header(40, 24) + body
    for at in range(60, len(stored) - 12, 97):
        data = stored[:at] + bytes([stored[at] ^ 16]) + stored[at + 1 :]
        yield specimen_of(f"structure-checksum-{at}.png", "structure", data, DAMAGED, stored)


def _tiff_offsets() -> Iterator[Specimen]:
    offsets = (0, 8, 100, 299, 10**6, 2**32 - 1)
    for following, offset in itertools.product((0, 8, 9, 2**32 - 1), offsets):
        entries = grey_tiff_entries(40, 24, (273, 4, 1, offset))
        data = tiff_directory(entries, following=following).ljust(1300, b"\1")
        expected = DAMAGED if offset + 960 > 1300 else EITHER
        file_name = f"structure-next-{following}-strip-{offset}.tif"
        yield specimen_of(file_name, "structure", data, expected)


def _tiff_tags() -> Iterator[Specimen]:
    tags = (256, 258, 259, 273, 277, 278, 279, 322, 330, 34665)
    for tag, kind, length in itertools.product(tags, (0, 2, 5, 99), (0, 1, 2**32 - 1)):
        entries = grey_tiff_entries(40, 24, (273, 4, 1, 300), (tag, kind, length, 8))
        data = tiff_directory(entries).ljust(1300, b"\1")
        yield specimen_of(f"structure-tag-{tag}-{kind}-{length}.tif", "structure", data)


def _jpeg_and_bmp_structure() -> Iterator[Specimen]:
    units = (
        *(b"\xff\xd8", b"\xff\xc0\0\2", b"\xff\xda\0\2", b"\xff\xc4\0\2"),
        *(b"\xff\xdd\0\4\0\1", b"\xff\xd9", b"\xff\xe0\xff\xff"),
    )
    for unit, repeats in itertools.product(units, (1, 1000)):
        data = VALID["jpeg"][:2] + unit * repeats + VALID["jpeg"][2:]
        yield specimen_of(f"structure-marker-{unit.hex()}-{repeats}.jpg", "structure", data)
    all_runs = (
        *(b"\0\2\xff\xff" * 99, b"\0\xff", b"\xff" * 99, b"\0\0" * 999, b"\0\1"),
        *(b"\0\3abc\0" * 999, b""),
    )
    for runs, bits in itertools.product(all_runs, (4, 8)):
        data = bombs.run_length_bmp(40, 24, runs, bits)
        file_name = f"structure-runs-{runs[:4].hex()}-{len(runs)}-{bits}.bmp"
        yield specimen_of(file_name, "structure", data)


def seeded_specimens(chance: random.Random) -> Iterator[Specimen]:
    """Yield random files without end: edited, spliced, made up, and with one bit flipped."""
    names = sorted(VALID)
    for number in itertools.count():
        name = chance.choice(names)
        for again in ("", "-again"):
            build = partial(edited, VALID[name], random_edits(chance))
            yield Specimen(f"bent-{number}{again}.{suffix(name)}", "bent", build)
        name = chance.choice([each for each in names if "png" in each])
        bit = chance.randrange(8 * 8, len(VALID[name]) * 8)
        build = partial(_flip_bit, VALID[name], bit)
        yield Specimen(f"flipped-{number}.png", "flipped", build, EITHER, VALID[name])
        head, tail = VALID[chance.choice(names)], VALID[chance.choice(names)]
        data = head[: chance.randrange(4, len(head))] + tail[chance.randrange(len(tail)) :]
        yield specimen_of(f"spliced-{number}.jpg", "spliced", data)
        head = VALID[chance.choice(names)][: chance.choice((4, 12, 40, 120))]
        data = head + chance.randbytes(chance.randrange(3000))
        yield specimen_of(f"made-up-{number}.png", "made up", data)
        exif = b"Exif\0\0" + edited(exif_block(6)[6:], random_edits(chance))
        build = partial(file_of, noise(), "PNG", exif=exif)
        yield Specimen(f"bent-exif-{number}.png", "bent metadata", build, ACCEPTED)
        icc = edited(adobe_profile(), random_edits(chance))
        build = partial(file_of, noise(), "WEBP", icc_profile=icc)
        yield Specimen(f"bent-icc-{number}.webp", "bent metadata", build, ACCEPTED)


def _flip_bit(data: bytes, bit: int) -> bytes:
    at = bit // 8
    return data[:at] + bytes([data[at] ^ 1 << bit % 8]) + data[at + 1 :]
