"""The hostile corpus: thousands of generated files with their expected outcome.

The same seed gives the same files.
"""

import itertools
import random
import struct
from collections.abc import Iterator
from functools import partial

import bombs
from bombs import BOMBS, HEADERS, LARGEST_SIDE_PX, floods, noise, png_header, png_with
from corpus_heif import heif_specimens
from corpus_metadata import metadata_specimens
from corpus_structure import frame_specimens, seeded_specimens, structure_specimens
from originals import BASELINE, VALID, layouts, oriented, scenes, suffix
from originals_large import largest_photos
from photofiles import chunk, file_of
from specimens import (
    ACCEPTED,
    DAMAGED,
    FORMAT,
    PIXELS,
    REJECTED,
    SMALL,
    Specimen,
    specimen_of,
)
from wrong_types import WRONG_TYPES


def corpus(count: int, seed: int) -> list[Specimen]:
    """Return `count` specimens.

    A large count gives all fixed specimens and random ones; a small count gives a sample of every
    kind.
    """
    chance = random.Random(seed)
    fixed = [*_fixed()]
    seeded = [*itertools.islice(seeded_specimens(chance), max(count - len(fixed), count // 3))]
    if count >= len(fixed) + 1:
        return fixed + seeded[: count - len(fixed)]
    kinds: dict[str, list[Specimen]] = {}
    for specimen in fixed + seeded:
        if not specimen.is_expensive:
            kinds.setdefault(specimen.kind, []).append(specimen)
    for group in kinds.values():
        chance.shuffle(group)
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*kinds.values()))
    return [*itertools.islice((specimen for specimen in in_turn if specimen is not None), count)]


def _fixed() -> Iterator[Specimen]:
    yield from _headers()
    yield from _truncated()
    yield from _wrong_types()
    yield from _small()
    yield from _png_bombs()
    yield from _bombs()
    yield from _polyglots()
    for kind, files in (("orientation", oriented()), ("layout", layouts())):
        for name, data in files.items():
            yield specimen_of(f"{kind}-{name}.{suffix(name)}", kind, data, ACCEPTED)
    yield from metadata_specimens()
    yield from heif_specimens()
    yield from _unsupported_layouts()
    yield from frame_specimens()
    yield from structure_specimens()
    for name, build in scenes().items():
        yield Specimen(f"scene-{name}", "scene", build, ACCEPTED)
    for name, (build, is_writable) in largest_photos().items():
        expected = ACCEPTED if is_writable else ("E301",)
        yield Specimen(f"giant-{name}", "giant", build, expected, is_expensive=True)


def _headers() -> Iterator[Specimen]:
    for format_name, header in HEADERS.items():
        for (width, height), expected in _header_sizes(format_name).items():
            name = f"header-{width}x{height}.{format_name}"
            yield Specimen(name, "header", partial(header, width, height), expected)
    for name, data in BOMBS.items():
        yield specimen_of(f"header-{name}.{suffix(name)}", "header", data, PIXELS)
    for colour_type, bits in itertools.product((0, 2, 3, 4, 6), (1, 2, 4, 8, 16)):
        build = partial(png_header, 10_000, 6_000, bits, colour_type)
        yield Specimen(f"header-colour-{colour_type}-bits-{bits}.png", "header", build, REJECTED)
    for frame in range(0xC0, 0xD0):
        expected = PIXELS if frame in (0xC0, 0xC1, 0xC2) else REJECTED
        build = partial(bombs.jpeg_bomb, 10_000, 6_000, frame=frame)
        yield Specimen(f"header-frame-{frame:x}.jpg", "header", build, expected)


def _header_sizes(format_name: str) -> dict[tuple[int, int], tuple[str, ...]]:
    """Return (width, height) in a header, and the expected outcome."""
    longest_px = LARGEST_SIDE_PX[format_name]
    large = {
        *((1, 50_000_000), (50_000_000, 1), (50_000_001, 1)),
        *((2**31 - 1, 2**31 - 1), (10_000, 5_001), (65_535, 65_535)),
    }
    sizes: dict[tuple[int, int], tuple[str, ...]] = {}
    for width, height in sorted((min(w, longest_px), min(h, longest_px)) for w, h in large):
        sizes[width, height] = PIXELS if width * height > 50_000_000 else SMALL
    sizes |= dict.fromkeys(((7, 4000), (4000, 7), (1, 1)), SMALL)
    if format_name != "webp":  # its header stores sides minus one
        sizes |= dict.fromkeys(((0, 40), (40, 0), (0, 0)), REJECTED)
    return sizes


def _truncated() -> Iterator[Specimen]:
    for name, data in VALID.items():
        for tenth in range(1, 10):
            # In these formats every missing tenth is part of the picture.
            expected = DAMAGED if name in BASELINE else ("accepted", "E206")
            part = data[: len(data) * tenth // 10]
            file_name = f"cut-{name}-{tenth}-tenths.{suffix(name)}"
            yield specimen_of(file_name, "cut", part, expected, data)
        for missing in (1, 2, 5, 13, 60, 200):
            file_name = f"cut-{name}-less-{missing}.{suffix(name)}"
            yield specimen_of(file_name, "cut", data[:-missing], ("accepted", "E206"), data)


def _wrong_types() -> Iterator[Specimen]:
    for (name, data), extension in itertools.product(WRONG_TYPES.items(), ("png", "jpg")):
        yield specimen_of(f"type-{name}.{extension}", "type", data, FORMAT)
    for name, data in VALID.items():  # with the extension of another format
        extension = "png" if suffix(name) != "png" else "tif"
        yield specimen_of(f"type-{name}.{extension}", "type", data, ACCEPTED)


def _small() -> Iterator[Specimen]:
    yield Specimen("small-empty.png", "small", bytes, DAMAGED)
    for name in ("jpeg", "png", "webp", "gif", "bmp", "tiff"):
        for size in (1, 2, 3, 4, 8, 12, 16, 20, 24, 33):
            file_name = f"small-{name}-{size}-bytes.{suffix(name)}"
            yield specimen_of(file_name, "small", VALID[name][:size], ("E205", "E206"))
        for width, height in ((1, 1), (7, 7), (1, 40), (40, 1)):
            data = file_of(noise(height, width).reshape(height, width, 3), name.upper())
            yield specimen_of(f"small-{name}-{width}x{height}.{suffix(name)}", "small", data, SMALL)
        data = file_of(noise(8, 8), name.upper())
        yield specimen_of(f"small-{name}-8x8.{suffix(name)}", "small", data, ACCEPTED)


def _png_bombs() -> Iterator[Specimen]:
    """Compressed texts and profiles that expand to 32 MiB."""
    stream = bombs.zeros(32)
    texts = {
        "zTXt": b"a\0\0" + stream,
        "iTXt": b"a\0\1\0\0\0" + stream,
        "iCCP": b"a\0\0" + stream,
        "tEXt": b"a\0" + b"a" * 2**21,
    }
    for name, body in texts.items():
        part = chunk(name.encode(), body)
        yield Specimen(f"bomb-{name}.png", "bomb", partial(png_with, part), ACCEPTED)
        yield Specimen(f"bomb-{name}-14.png", "bomb", partial(png_with, *[part] * 14), ACCEPTED)


def _bombs() -> Iterator[Specimen]:
    for mebibytes in (32, 1024):
        for name, oversized in (("png", bombs.oversized_png), ("tif", bombs.oversized_tiff)):
            file_name, build = f"bomb-samples-{mebibytes}.{name}", partial(oversized, mebibytes)
            yield Specimen(file_name, "bomb", build, is_expensive=mebibytes > 100)
    for name, builder in floods().items():
        file_name = f"bomb-parts-{name}.{suffix(name)}"
        yield Specimen(file_name, "bomb", builder, ("E205", "E206"), is_expensive=True)
    for name, builder in floods(300_000).items():
        yield Specimen(f"bomb-fewer-parts-{name}.{suffix(name)}", "bomb", builder)
    for scans in (65, 100, 1000, 20_000):
        build = partial(bombs.scans_bomb, 7000, 7000, scans)
        yield Specimen(f"bomb-scans-{scans}.jpg", "bomb", build, FORMAT)
    build = partial(bombs.scans_bomb, 7000, 7000, 60)
    yield Specimen("bomb-scans-60.jpg", "bomb", build, ACCEPTED, is_expensive=True)
    for claimed in (9, 900_000, 2**31 - 1):
        rows = b"".join(struct.pack("<HHLL", tag, 1, claimed, 8) for tag in range(1000, 61_000))
        data = b"II*\0\x08\0\0\0" + struct.pack("<H", 60_000) + rows + bytes(4)
        yield specimen_of(f"bomb-claims-{claimed}.tif", "bomb", data.ljust(10**6, b"\0"), REJECTED)


def _polyglots() -> Iterator[Specimen]:
    tails = {
        "zip": WRONG_TYPES["zip"] * 50,
        "html": b"<script>alert(1)</script>",
        "elf": WRONG_TYPES["elf"],
        "jpeg": VALID["jpeg"],
        "php": b"<?php system($_GET[0]); ?>",
        "scans": b"\xff\xda" * 5000,
        "zeros": bytes(10_000),
    }
    names = ("jpeg", "png", "gif", "webp", "bmp", "tiff", "heic", "avif")
    for (tail, extra), name in itertools.product(tails.items(), names):
        file_name = f"polyglot-{name}-and-{tail}.{suffix(name)}"
        yield specimen_of(file_name, "polyglot", VALID[name] + extra, ACCEPTED, VALID[name])
    gif = VALID["gif"]
    commented = gif[:-1] + b"!\xfe\x1e*/=1;alert(document.cookie);/*" + b"\0;"
    yield specimen_of("polyglot-gif-and-script.gif", "polyglot", commented, ACCEPTED, gif)
    for name in ("zip", "pdf", "html", "elf"):
        data = WRONG_TYPES[name] + VALID["jpeg"]
        yield specimen_of(f"polyglot-{name}-before-jpeg.jpg", "polyglot", data, FORMAT)


def _unsupported_layouts() -> Iterator[Specimen]:
    twelve_bits = bombs.jpeg_bomb(40, 40, bits=12)
    yield specimen_of("layout-12-bit.jpg", "layout", twelve_bits, FORMAT)
    floats = file_of(noise(channels=1).astype("f4"), "TIFF")
    yield specimen_of("layout-float.tif", "layout", floats, FORMAT)
    raw = file_of(noise(), "TIFF", tiffinfo={50706: b"\1\4\0\0"})
    yield specimen_of("layout-raw.tif", "layout", raw, FORMAT)
    for frame in (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF):
        data = bombs.jpeg_bomb(40, 40, frame=frame)
        yield specimen_of(f"layout-frame-{frame:x}.jpg", "layout", data, REJECTED)
    for colour_type, bits in itertools.product(range(8), (0, 1, 3, 8, 16, 32)):
        data = png_header(40, 24, bits, colour_type) + VALID["png"][33:]
        yield specimen_of(f"layout-colour-{colour_type}-bits-{bits}.png", "layout", data)
